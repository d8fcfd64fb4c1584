//! The three keys of Secure Boot with their certificates: making them, and reading them from files. RSA with 2048 bits,
//! since that is what all firmware takes. Signing is `signer`'s.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use der::pem::LineEnding;
use der::{DecodePem, Encode, EncodePem};
use rsa::pkcs1v15::{SigningKey, VerifyingKey};
use rsa::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey};
use rsa::rand_core::{OsRng, RngCore};
use rsa::{RsaPrivateKey, RsaPublicKey};
use sha2::{Digest, Sha256};
use signature::Keypair;
use x509_cert::builder::{Builder, CertificateBuilder, Profile};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::time::Validity;

use crate::error::Error;
use crate::variables::Time;

const BITS: usize = 2048;
/// The firmware does not look at it, other tools do. Long, because a host cannot be told of a new one after its launch.
const VALID: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The platform key: whoever has it owns the machine's Secure Boot, and may replace the others.
    Platform,
    /// The key exchange key: may change what is allowed to boot.
    Exchange,
    /// The key of the list of what is allowed to boot: signs images.
    Database,
}

impl Role {
    /// All of them, from the top down.
    pub const ALL: [Self; 3] = [Self::Platform, Self::Exchange, Self::Database];

    /// The firmware's name for it, and the one of its files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Platform => "PK",
            Self::Exchange => "KEK",
            Self::Database => "db",
        }
    }
}

/// A certificate whose key is RSA.
#[derive(Clone)]
pub struct Certificate {
    pub(crate) inner: x509_cert::Certificate,
    der: Vec<u8>,
    key: VerifyingKey<Sha256>,
}

impl Certificate {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// It cannot be read, or holds no certificate with an RSA key.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(Error::file("read", path))?;
        Self::from_pem(&text).map_err(|cause| Error::Unusable {
            path: path.to_owned(),
            wanted: "a certificate of an RSA key in PEM form",
            cause,
        })
    }

    fn from_pem(text: &[u8]) -> Result<Self, String> {
        let inner = x509_cert::Certificate::from_pem(text).map_err(|e| e.to_string())?;
        Self::of(inner)
    }

    fn of(inner: x509_cert::Certificate) -> Result<Self, String> {
        let der = inner.to_der().map_err(|e| e.to_string())?;
        let spki = inner.tbs_certificate.subject_public_key_info.to_der().map_err(|e| e.to_string())?;
        let key = RsaPublicKey::from_public_key_der(&spki).map_err(|e| e.to_string())?;
        Ok(Self { inner, der, key: VerifyingKey::new(key) })
    }

    /// The certificate in DER form, as firmware keeps it.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM form.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn to_pem(&self) -> Result<String, Error> {
        Ok(self.inner.to_pem(LineEnding::LF)?)
    }

    /// Whom it names.
    pub fn subject(&self) -> String {
        self.inner.tbs_certificate.subject.to_string()
    }

    /// SHA-256 of the certificate: what people compare.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// When it was made.
    pub fn valid_from(&self) -> Time {
        Time::from_unix(self.inner.tbs_certificate.validity.not_before.to_unix_duration().as_secs())
    }

    pub(crate) const fn key(&self) -> &VerifyingKey<Sha256> {
        &self.key
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.subject()).finish()
    }
}

/// A key and its certificate.
pub struct KeyPair {
    /// The certificate, signed by the key itself.
    pub certificate: Certificate,
    pub(crate) private: RsaPrivateKey,
}

impl KeyPair {
    /// Makes a new one from the system's randomness.
    ///
    /// # Errors
    /// RSA or the encoding of the certificate; not expected.
    pub fn generate(role: Role) -> Result<Self, Error> {
        let private = RsaPrivateKey::new(&mut OsRng, BITS)?;
        let certificate = certify(role, &private).map_err(Error::Certificate)?;
        Ok(Self { certificate, private })
    }

    /// The private key as PKCS #8 in PEM form.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn private_pem(&self) -> Result<String, Error> {
        let pem = self.private.to_pkcs8_pem(LineEnding::LF);
        Ok(pem.map_err(|cause| Error::Certificate(cause.to_string()))?.to_string())
    }
}

/// The certificate of a key by itself, valid from now on.
fn certify(role: Role, private: &RsaPrivateKey) -> Result<Certificate, String> {
    let said = |cause: &dyn fmt::Display| cause.to_string();
    let signer = SigningKey::<Sha256>::new(private.clone());
    let mut serial = [0; 16];
    OsRng.fill_bytes(&mut serial);
    // Positive, and of the same length whatever was drawn.
    serial[0] = serial[0] & 0x7f | 0x40;
    let serial = SerialNumber::new(&serial).map_err(|e| said(&e))?;
    let validity = Validity::from_now(VALID).map_err(|e| said(&e))?;
    let mark = u32::from_be_bytes([
        serial.as_bytes()[1],
        serial.as_bytes()[2],
        serial.as_bytes()[3],
        serial.as_bytes()[4],
    ]);
    let name = Name::from_str(&format!("CN=Kennel {} {mark:08x}", role.name())).map_err(|e| said(&e))?;
    let public = SubjectPublicKeyInfoOwned::from_key(signer.verifying_key()).map_err(|e| said(&e))?;
    let profile = Profile::Manual { issuer: Some(name.clone()) };
    let mut builder =
        CertificateBuilder::new(profile, serial, validity, name, public, &signer).map_err(|e| said(&e))?;
    let constraints = BasicConstraints { ca: false, path_len_constraint: None };
    builder.add_extension(&constraints).map_err(|e| said(&e))?;
    let usage = KeyUsage(KeyUsages::DigitalSignature.into());
    builder.add_extension(&usage).map_err(|e| said(&e))?;
    Certificate::of(builder.build::<rsa::pkcs1v15::Signature>().map_err(|e| said(&e))?)
}

/// Reads a private key from a PEM file.
pub(crate) fn load_private(path: &Path) -> Result<RsaPrivateKey, Error> {
    let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
    RsaPrivateKey::from_pkcs8_pem(&text).map_err(|cause| Error::Unusable {
        path: path.to_owned(),
        wanted: "a private RSA key (PKCS #8) in PEM form",
        cause: cause.to_string(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::LazyLock;

    use super::*;

    /// Three keys for all tests: making them takes seconds.
    pub(crate) static KEYS: LazyLock<[KeyPair; 3]> =
        LazyLock::new(|| Role::ALL.map(|role| KeyPair::generate(role).unwrap()));

    #[test]
    fn keys_and_certificates_survive_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let [key, certificate] = ["db.key", "db.pem"].map(|name| folder.path().join(name));
        let pair = &KEYS[2];
        fs::write(&key, pair.private_pem().unwrap()).unwrap();
        fs::write(&certificate, pair.certificate.to_pem().unwrap()).unwrap();
        assert!(load_private(&key).unwrap() == pair.private);
        let read = Certificate::load(&certificate).unwrap();
        assert_eq!(read.der(), pair.certificate.der());
        assert!(read.subject().starts_with("CN=Kennel db "), "{}", read.subject());
        let swapped = Certificate::load(&key).unwrap_err();
        assert!(swapped.to_string().contains("is not a certificate"), "{swapped}");
        assert!(swapped.hint().unwrap().contains("kennel keys new"));
        assert!(load_private(&certificate).unwrap_err().to_string().contains("is not a private RSA key"));
    }
}
