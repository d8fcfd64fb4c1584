//! What is asked, in the TPM's commands.

use kennel_model::tpm::{Activation, Answer, Hex, Question, Quote, REGISTERS};
use tpm2_protocol::TpmResult;
use tpm2_protocol::basic::TpmHandle;
use tpm2_protocol::data::{
    Tpm2bDigest, Tpm2bEncryptedSecret, Tpm2bNonce, TpmAlgId, TpmRh, TpmSe, TpmaSession, TpmlPcrSelection,
    TpmsAuthCommand, TpmsPcrSelect, TpmsPcrSelection, TpmtSigScheme, TpmtSymDef,
};
use tpm2_protocol::frame::{
    TpmActivateCredentialCommand, TpmActivateCredentialResponse, TpmFlushContextCommand,
    TpmFlushContextResponse, TpmPcrReadCommand, TpmPcrReadResponse, TpmPolicySecretCommand,
    TpmPolicySecretResponse, TpmQuoteCommand, TpmQuoteResponse, TpmStartAuthSessionCommand,
    TpmStartAuthSessionResponse,
};

use crate::device::{Device, DeviceError};
use crate::keys::{Key, attestation_key, encoded, endorsement_key};

/// The TPM with its keys, which are made when they are first needed.
#[derive(Debug)]
pub struct Tpm {
    device: Device,
    keys: Option<Keys>,
}

#[derive(Debug)]
struct Keys {
    attestation: Key,
    endorsement: Key,
}

impl Tpm {
    /// A TPM that nobody has asked anything yet.
    pub const fn new(device: Device) -> Self {
        Self { device, keys: None }
    }

    /// Answers a question.
    ///
    /// # Errors
    /// The TPM's.
    pub fn answer(&mut self, question: &Question) -> Result<Answer, DeviceError> {
        let keys = match self.keys.take() {
            Some(keys) => keys,
            None => self.make_keys()?,
        };
        let keys = &*self.keys.insert(keys);
        match question {
            Question::Quote(data) => Ok(Answer::Quote(Box::new(quote(&self.device, keys, data)?))),
            Question::Activate(wanted) => Ok(Answer::Secret(Hex(activate(&self.device, keys, wanted)?))),
        }
    }

    fn make_keys(&self) -> Result<Keys, DeviceError> {
        let attestation = attestation_key(&self.device)?;
        // There is room for three keys at a time: the first of two is not left behind.
        let endorsement =
            endorsement_key(&self.device).inspect_err(|_| forget(&self.device, attestation.handle))?;
        Ok(Keys { attestation, endorsement })
    }
}

fn quote(device: &Device, keys: &Keys, data: &[u8; 32]) -> Result<Quote, DeviceError> {
    let act = "quote its registers";
    let nonsense = |cause| DeviceError::Nonsense { act, cause };
    let registers = selection().map_err(nonsense)?;
    let command = TpmQuoteCommand {
        handles: [keys.attestation.handle],
        qualifying_data: data.as_slice().try_into().map_err(nonsense)?,
        // The key's own.
        in_scheme: TpmtSigScheme::default(),
        pcr_select: registers,
    };
    let quoted: TpmQuoteResponse = device.call(act, &command, &[password()])?;
    let read: TpmPcrReadResponse = device.call(
        "read its registers",
        &TpmPcrReadCommand { pcr_selection_in: registers, handles: [] },
        &[],
    )?;
    Ok(Quote {
        statement: Hex(encoded(&quoted.quoted.inner).map_err(nonsense)?),
        signature: Hex(encoded(&quoted.signature).map_err(nonsense)?),
        registers: read.pcr_values.iter().map(|value| Hex(value.to_vec())).collect(),
        attestation_key: Hex(keys.attestation.public.clone()),
        endorsement_key: Hex(keys.endorsement.public.clone()),
    })
}

/// The registers that are quoted, in the bank of SHA-256.
fn selection() -> TpmResult<TpmlPcrSelection> {
    let mut bits = [0; 3];
    for register in REGISTERS {
        if let Some(byte) = bits.get_mut(usize::from(register / 8)) {
            *byte |= 1 << (register % 8);
        }
    }
    let mut list = TpmlPcrSelection::default();
    let pcr_select = TpmsPcrSelect::try_from(bits.as_slice())?;
    list.try_push(TpmsPcrSelection { hash: TpmAlgId::Sha256, pcr_select })?;
    Ok(list)
}

/// The endorsement key may be used by whoever may use its hierarchy, and shows that by a session.
fn activate(device: &Device, keys: &Keys, wanted: &Activation) -> Result<Vec<u8>, DeviceError> {
    let act = "open a session";
    let command = TpmStartAuthSessionCommand {
        handles: [null(), null()],
        // Nothing is kept secret by it, so it need not be random.
        nonce_caller: [0; 32].as_slice().try_into().map_err(|cause| DeviceError::Nonsense { act, cause })?,
        encrypted_salt: Tpm2bEncryptedSecret::default(),
        session_type: TpmSe::Policy,
        symmetric: TpmtSymDef::default(),
        auth_hash: TpmAlgId::Sha256,
    };
    let opened: TpmStartAuthSessionResponse = device.call(act, &command, &[])?;
    let [session] = opened.handles;
    let told = activate_within(device, keys, wanted, session);
    forget(device, session);
    told
}

fn activate_within(
    device: &Device,
    keys: &Keys,
    wanted: &Activation,
    session: TpmHandle,
) -> Result<Vec<u8>, DeviceError> {
    let act = "tell the credential's secret";
    let nonsense = |cause| DeviceError::Nonsense { act, cause };
    let policy = TpmPolicySecretCommand {
        handles: [TpmHandle::from(TpmRh::Endorsement.value()), session],
        nonce_tpm: Tpm2bNonce::default(),
        cp_hash_a: Tpm2bDigest::default(),
        policy_ref: Tpm2bNonce::default(),
        expiration: 0.into(),
    };
    device.call::<_, TpmPolicySecretResponse>("open its endorsement hierarchy", &policy, &[password()])?;
    let command = TpmActivateCredentialCommand {
        handles: [keys.attestation.handle, keys.endorsement.handle],
        credential_blob: wanted.credential.0.as_slice().try_into().map_err(nonsense)?,
        secret: wanted.seed.0.as_slice().try_into().map_err(nonsense)?,
    };
    let by = [password(), TpmsAuthCommand { session_handle: session, ..password() }];
    let told: TpmActivateCredentialResponse = device.call(act, &command, &by)?;
    Ok(told.cert_info.to_vec())
}

/// Takes a key or a session out of the TPM. One that cannot be is gone already.
fn forget(device: &Device, handle: TpmHandle) {
    let command = TpmFlushContextCommand { flush_handle: handle, handles: [] };
    let _ = device.call::<_, TpmFlushContextResponse>("forget", &command, &[]);
}

/// The empty password, which is that of our keys and of hierarchies that nobody has taken over.
pub(crate) fn password() -> TpmsAuthCommand {
    TpmsAuthCommand {
        session_handle: TpmHandle::from(TpmRh::Pw.value()),
        nonce: Tpm2bNonce::default(),
        session_attributes: TpmaSession::CONTINUE_SESSION,
        hmac: Tpm2bDigest::default(),
    }
}

fn null() -> TpmHandle {
    TpmHandle::from(TpmRh::Null.value())
}
