//! The TPM's own key: what it is known by, from its maker or from the first time that it was seen.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPublicKey};
use tpm2_protocol::data::{TpmAlgId, TpmtPublic, TpmuPublicId, TpmuPublicParms, TpmuSymKeyBits, TpmuSymMode};

use crate::error::Fault;

/// What a TPM means by the exponent 0.
const USUAL_EXPONENT: u32 = 65_537;

/// An endorsement key's public part: RSA with 2048 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndorsementKey {
    pub(crate) key: RsaPublicKey,
    der: Vec<u8>,
}

impl EndorsementKey {
    /// Reads a file: `SubjectPublicKeyInfo` in DER, in base64 or in PEM. `aws ec2 get-instance-tpm-ek-pub --key-format der`
    /// gives base64.
    ///
    /// # Errors
    /// [`Fault::Endorsement`].
    pub fn read(file: &[u8]) -> Result<Self, Fault> {
        let fault = |cause: rsa::pkcs8::spki::Error| Fault::Endorsement(cause.to_string());
        let text = std::str::from_utf8(file).map(str::trim).unwrap_or_default();
        if text.starts_with("-----BEGIN") {
            return Self::of(RsaPublicKey::from_public_key_pem(text).map_err(fault)?);
        }
        let joined: String = text.split_whitespace().collect();
        let decoded = STANDARD.decode(joined).ok().filter(|der| !der.is_empty());
        Self::of(RsaPublicKey::from_public_key_der(decoded.as_deref().unwrap_or(file)).map_err(fault)?)
    }

    /// What the TPM says of it. That it is a key for credentials as they are made here is all that is looked at: what it
    /// can be trusted for, only its maker can tell.
    pub(crate) fn of_public(public: &TpmtPublic) -> Result<Self, Fault> {
        let fault = |why: &str| Fault::Endorsement(why.to_owned());
        let (TpmuPublicParms::Rsa(parameters), TpmuPublicId::Rsa(modulus)) =
            (&public.parameters, &public.unique)
        else {
            return Err(fault("it is not of RSA"));
        };
        let symmetric = &parameters.symmetric;
        let is_usual = public.name_alg == TpmAlgId::Sha256
            && symmetric.key_bits == TpmuSymKeyBits::Aes(128.into())
            && symmetric.mode == TpmuSymMode::Aes(TpmAlgId::Cfb);
        if !is_usual {
            return Err(fault("it is not for SHA-256 and AES-128"));
        }
        let exponent = match parameters.exponent.value() {
            0 => USUAL_EXPONENT,
            other => other,
        };
        let key = RsaPublicKey::new(BigUint::from_bytes_be(modulus), exponent.into());
        Self::of(key.map_err(|cause| Fault::Endorsement(cause.to_string()))?)
    }

    fn of(key: RsaPublicKey) -> Result<Self, Fault> {
        let fault = |why: String| Fault::Endorsement(why);
        if key.size() != 256 {
            return Err(fault(format!("it has {} bits, not 2048", key.n().bits())));
        }
        let der = key.to_public_key_der().map_err(|cause| fault(cause.to_string()))?.into_vec();
        Ok(Self { key, der })
    }

    /// `SubjectPublicKeyInfo` in DER, for a fingerprint.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::pkcs8::LineEnding;

    #[test]
    fn each_form_of_a_file_is_the_same_key() {
        let key = RsaPublicKey::new((BigUint::from(1_u8) << 2047) + 9_u8, BigUint::from(65_537_u32)).unwrap();
        let der = key.to_public_key_der().unwrap().into_vec();
        let pem = key.to_public_key_pem(LineEnding::LF).unwrap();
        let base64 = format!("{}\n", STANDARD.encode(&der));
        for file in [der.as_slice(), pem.as_bytes(), base64.as_bytes()] {
            assert_eq!(EndorsementKey::read(file).unwrap().der(), der);
        }
        for bad in [&b""[..], b"AAAA", b"-----BEGIN PUBLIC KEY-----", &der[1..]] {
            assert!(matches!(EndorsementKey::read(bad), Err(Fault::Endorsement(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_short_key_is_refused() {
        let key = RsaPublicKey::new((BigUint::from(1_u8) << 1023) + 9_u8, BigUint::from(65_537_u32)).unwrap();
        let der = key.to_public_key_der().unwrap().into_vec();
        let error = EndorsementKey::read(&der).unwrap_err().to_string();
        assert!(error.contains("1024 bits"), "{error}");
    }
}
