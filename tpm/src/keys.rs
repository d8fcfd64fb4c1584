//! The two keys. Both are primary keys of the endorsement hierarchy: the TPM makes them from its own seed and a template,
//! so the same template gives the same key for as long as the TPM is the same, and nothing need be stored.

use tpm2_protocol::basic::{TpmHandle, TpmUint16, TpmUint32};
use tpm2_protocol::data::{
    Tpm2bData, Tpm2bPublic, Tpm2bSensitiveCreate, TpmAlgId, TpmEccCurve, TpmRh, TpmaObject, TpmlPcrSelection,
    TpmsEccParms, TpmsEccPoint, TpmsRsaParms, TpmsSchemeHash, TpmtEccScheme, TpmtPublic, TpmtSymDef,
    TpmuAsymScheme, TpmuPublicId, TpmuPublicParms, TpmuSymKeyBits, TpmuSymMode,
};
use tpm2_protocol::frame::{TpmCreatePrimaryCommand, TpmCreatePrimaryResponse};
use tpm2_protocol::{TpmError, TpmMarshal, TpmResult, TpmWriter};

use crate::device::{Device, DeviceError};
use crate::work::password;

/// `PolicySecret` of the endorsement hierarchy: who may use an endorsement key of the usual template.
const ENDORSEMENT_POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52,
    0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];
/// What every key here is: it has never been outside of this TPM, and can be used for what its maker says only.
const OF_THIS_TPM: TpmaObject = TpmaObject::from_bits_truncate(
    TpmaObject::FIXED_TPM.bits()
        | TpmaObject::FIXED_PARENT.bits()
        | TpmaObject::SENSITIVE_DATA_ORIGIN.bits()
        | TpmaObject::RESTRICTED.bits(),
);

/// A key in the TPM.
#[derive(Debug)]
pub struct Key {
    /// By which it is named in commands.
    pub handle: TpmHandle,
    /// Its public part, `TPMT_PUBLIC`.
    pub public: Vec<u8>,
}

/// The key that signs quotes: ECDSA on P-256, and nothing but what the TPM itself states (`restricted`).
///
/// # Errors
/// The TPM's.
pub fn attestation_key(device: &Device) -> Result<Key, DeviceError> {
    let hash = TpmuAsymScheme::Hash(TpmsSchemeHash { hash_alg: TpmAlgId::Sha256 });
    let template = TpmtPublic {
        object_type: TpmAlgId::Ecc,
        name_alg: TpmAlgId::Sha256,
        object_attributes: OF_THIS_TPM
            | TpmaObject::USER_WITH_AUTH
            | TpmaObject::NO_DA
            | TpmaObject::SIGN_ENCRYPT,
        parameters: TpmuPublicParms::Ecc(TpmsEccParms {
            scheme: TpmtEccScheme { scheme: TpmAlgId::Ecdsa, details: hash },
            curve_id: TpmEccCurve::NistP256,
            ..TpmsEccParms::default()
        }),
        unique: TpmuPublicId::Ecc(TpmsEccPoint::default()),
        ..TpmtPublic::default()
    };
    create(device, "make its attestation key", Ok(template))
}

/// The endorsement key: RSA with 2048 bits after the usual template (L-1 of TCG's EK Credential Profile), whose public part
/// the TPM's maker can tell. EC2 does by `GetInstanceTpmEkPub`.
///
/// # Errors
/// The TPM's.
pub fn endorsement_key(device: &Device) -> Result<Key, DeviceError> {
    let template = || -> TpmResult<TpmtPublic> {
        Ok(TpmtPublic {
            object_type: TpmAlgId::Rsa,
            name_alg: TpmAlgId::Sha256,
            object_attributes: OF_THIS_TPM | TpmaObject::ADMIN_WITH_POLICY | TpmaObject::DECRYPT,
            auth_policy: ENDORSEMENT_POLICY.as_slice().try_into()?,
            parameters: TpmuPublicParms::Rsa(TpmsRsaParms {
                symmetric: TpmtSymDef {
                    algorithm: TpmAlgId::Aes,
                    key_bits: TpmuSymKeyBits::Aes(TpmUint16::from(128)),
                    mode: TpmuSymMode::Aes(TpmAlgId::Cfb),
                },
                key_bits: TpmUint16::from(2048),
                exponent: TpmUint32::from(0),
                ..TpmsRsaParms::default()
            }),
            unique: TpmuPublicId::Rsa([0; 256].as_slice().try_into()?),
        })
    };
    create(device, "make its endorsement key", template())
}

fn create(device: &Device, act: &'static str, template: TpmResult<TpmtPublic>) -> Result<Key, DeviceError> {
    let nonsense = |cause| DeviceError::Nonsense { act, cause };
    let command = TpmCreatePrimaryCommand {
        handles: [TpmHandle::from(TpmRh::Endorsement.value())],
        in_sensitive: Tpm2bSensitiveCreate::default(),
        in_public: Tpm2bPublic { inner: template.map_err(nonsense)? },
        outside_info: Tpm2bData::default(),
        creation_pcr: TpmlPcrSelection::default(),
    };
    let made: TpmCreatePrimaryResponse = device.call(act, &command, &[password()])?;
    let [handle] = made.handles;
    Ok(Key { handle, public: encoded(&made.out_public.inner).map_err(nonsense)? })
}

/// As the TPM writes it.
///
/// # Errors
/// It is longer than anything that a TPM gives.
pub(crate) fn encoded<T: TpmMarshal>(value: &T) -> Result<Vec<u8>, TpmError> {
    let mut buffer = [0; tpm2_protocol::constant::TPM_MAX_COMMAND_SIZE];
    let mut writer = TpmWriter::new(&mut buffer);
    value.marshal(&mut writer)?;
    Ok(writer.as_bytes().to_vec())
}
