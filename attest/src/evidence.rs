//! A quote: whose signature, over what, in answer to which question.

use kennel_model::tpm::{Quote, REGISTERS};
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::{EncodedPoint, FieldBytes};
use rsa::rand_core::{OsRng, RngCore as _};
use sha2::{Digest, Sha256};
use tpm2_protocol::data::{
    TpmAlgId, TpmEccCurve, TpmaObject, TpmsAttest, TpmsQuoteInfo, TpmtPublic, TpmtSignature, TpmuAsymScheme,
    TpmuAttest, TpmuPublicId, TpmuPublicParms, TpmuSignature,
};
use tpm2_protocol::{TpmError, TpmUnmarshal};

use crate::endorsement::EndorsementKey;
use crate::error::Fault;

/// What a key must be for its signature to be the TPM's own word.
const NEEDED: [(TpmaObject, &str); 5] = [
    (TpmaObject::RESTRICTED, "it signs not only what the TPM itself states"),
    (TpmaObject::SIGN_ENCRYPT, "it does not sign"),
    (TpmaObject::FIXED_TPM, "it can leave its TPM"),
    (TpmaObject::FIXED_PARENT, "it can leave its TPM"),
    (TpmaObject::SENSITIVE_DATA_ORIGIN, "it was not made by a TPM"),
];

/// What a quote says once it was checked.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// SHA-256 registers in the order of [`REGISTERS`].
    pub registers: [[u8; 32]; REGISTERS.len()],
    /// Who the TPM says it is. That it has signed the quote is still to be shown, by a [`crate::Challenge`].
    pub endorsement: EndorsementKey,
    /// The attestation key's name: the digest of all that it is.
    pub(crate) signer: Vec<u8>,
}

/// Something that was never used before, for a question.
pub fn nonce() -> [u8; 32] {
    let mut nonce = [0; 32];
    OsRng.fill_bytes(&mut nonce);
    nonce
}

/// What a quote must hold: the question's nonce, and the host that was asked by the SHA-256 of its API's certificate.
pub fn binding(nonce: &[u8; 32], certificate: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(nonce).chain_update(certificate).finalize().into()
}

/// Checks a quote against [`binding`].
///
/// # Errors
/// The first [`Fault`].
pub fn check(quote: &Quote, binding: &[u8; 32]) -> Result<Evidence, Fault> {
    let public: TpmtPublic = whole(&quote.attestation_key.0)?;
    let key = verifying_key(&public)?;
    let signature = signature(&whole(&quote.signature.0)?)?;
    key.verify(&quote.statement.0, &signature).map_err(|_| Fault::Signature)?;
    let statement: TpmsAttest = whole(&quote.statement.0)?;
    let TpmuAttest::Quote(quoted) = &statement.attested else {
        return Err(Fault::Malformed("the statement is no quote".into()));
    };
    if statement.extra_data[..] != binding[..] {
        return Err(Fault::Binding);
    }
    Ok(Evidence {
        registers: registers(quote, quoted)?,
        endorsement: EndorsementKey::of_public(&whole(&quote.endorsement_key.0)?)?,
        signer: name(&quote.attestation_key.0),
    })
}

/// One value and nothing after it.
fn whole<T: TpmUnmarshal>(bytes: &[u8]) -> Result<T, Fault> {
    let malformed = |cause: TpmError| Fault::Malformed(format!("{cause:?}"));
    match T::unmarshal(bytes).map_err(malformed)? {
        (value, []) => Ok(value),
        _ => Err(Fault::Malformed("there is something after its end".into())),
    }
}

/// The name of a key whose name algorithm is SHA-256, which [`verifying_key`] has made sure of.
fn name(public: &[u8]) -> Vec<u8> {
    [&TpmAlgId::Sha256.value().to_be_bytes()[..], &Sha256::digest(public)].concat()
}

fn verifying_key(public: &TpmtPublic) -> Result<VerifyingKey, Fault> {
    if let Some((_, why)) = NEEDED.iter().find(|(bit, _)| public.object_attributes.bits() & bit.bits() == 0) {
        return Err(Fault::Key(why));
    }
    if public.object_attributes.bits() & TpmaObject::DECRYPT.bits() != 0 {
        return Err(Fault::Key("it decrypts"));
    }
    let (TpmuPublicParms::Ecc(parameters), TpmuPublicId::Ecc(point)) = (&public.parameters, &public.unique)
    else {
        return Err(Fault::Key("it is not of ECC"));
    };
    let by_sha256 =
        matches!(&parameters.scheme.details, TpmuAsymScheme::Hash(hash) if hash.hash_alg == TpmAlgId::Sha256);
    let is_usual = parameters.curve_id == TpmEccCurve::NistP256
        && parameters.scheme.scheme == TpmAlgId::Ecdsa
        && public.name_alg == TpmAlgId::Sha256;
    if !(is_usual && by_sha256) {
        return Err(Fault::Key("it is not of ECDSA on P-256 with SHA-256"));
    }
    let point = EncodedPoint::from_affine_coordinates(&number(&point.x)?, &number(&point.y)?, false);
    VerifyingKey::from_encoded_point(&point).map_err(|_| Fault::Key("it is no point of P-256"))
}

fn signature(signature: &TpmtSignature) -> Result<Signature, Fault> {
    let TpmuSignature::Ecdsa(ecdsa) = &signature.signature else { return Err(Fault::Signature) };
    if ecdsa.hash != TpmAlgId::Sha256 {
        return Err(Fault::Signature);
    }
    let (r, s) = (number(&ecdsa.signature_r)?, number(&ecdsa.signature_s)?);
    Signature::from_scalars(r, s).map_err(|_| Fault::Signature)
}

/// A number of 32 bytes; TPMs may leave out zeros in front.
fn number(bytes: &[u8]) -> Result<FieldBytes, Fault> {
    let start =
        32_usize.checked_sub(bytes.len()).ok_or_else(|| Fault::Malformed("a number is too long".into()))?;
    let mut number = [0; 32];
    number.iter_mut().skip(start).zip(bytes).for_each(|(to, from)| *to = *from);
    Ok(number.into())
}

/// The registers as the host tells them, if they are what was signed.
fn registers(quote: &Quote, quoted: &TpmsQuoteInfo) -> Result<[[u8; 32]; REGISTERS.len()], Fault> {
    let [selected] = &quoted.pcr_select[..] else { return Err(Fault::Registers) };
    let wanted = |n: usize| u8::try_from(n).is_ok_and(|n| REGISTERS.contains(&n));
    let is_set = |n: usize| selected.pcr_select.get(n / 8).is_some_and(|byte| byte & (1 << (n % 8)) != 0);
    let bits = selected.pcr_select.len() * 8;
    if selected.hash != TpmAlgId::Sha256 || (0..bits.max(24)).any(|n| is_set(n) != wanted(n)) {
        return Err(Fault::Registers);
    }
    let values: Vec<[u8; 32]> = quote
        .registers
        .iter()
        .map(|value| value.0[..].try_into())
        .collect::<Result<_, _>>()
        .map_err(|_| Fault::Registers)?;
    // The digest of all, in the order of their numbers, which is that of `REGISTERS`.
    if Sha256::digest(values.concat())[..] != quoted.pcr_digest[..] {
        return Err(Fault::Registers);
    }
    values.try_into().map_err(|_| Fault::Registers)
}
