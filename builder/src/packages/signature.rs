//! Whether an archive's index was signed by somebody whom we trust. OpenPGP is sequoia's business, including expiry,
//! revocation and weak algorithms; what the signed text says is `release`'s.

use std::io::Read;
use std::path::Path;

use sequoia_openpgp::cert::CertParser;
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::parse::stream::{MessageLayer, MessageStructure, VerificationHelper, VerifierBuilder};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::{Cert, KeyHandle};

/// Certificates of Debian 13's archive (see `builder/keys/README.md`).
const DEBIAN_ARCHIVE: &[u8] = include_bytes!("../../keys/debian-archive-trixie.asc");

/// Certificates that may sign.
#[derive(Debug, Clone)]
pub(super) struct Keyring(Vec<Cert>);

/// Why a keyring or a signature was refused.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The keyring cannot be read.
    #[error("keyring {name}: {cause}")]
    Keyring {
        /// Its path, or a word for the built-in one.
        name: String,
        /// Why.
        cause: String,
    },
    /// No signature by a certificate of the keyring is good.
    #[error("no good signature on {of}: {cause}")]
    NotTrusted {
        /// What was to be checked.
        of: String,
        /// Why.
        cause: String,
    },
}

impl SignatureError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Keyring { .. } => "debian.keyring in kennel.toml must name a file of OpenPGP certificates",
            Self::NotTrusted { .. } => {
                "the mirror may be tampered with or serve another release; for an archive with its own keys, set debian.keyring"
            }
        }
    }
}

impl Keyring {
    /// Debian's own, or the file that the spec names.
    ///
    /// # Errors
    /// When the file is unreadable or holds no certificate.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, SignatureError> {
        match path {
            None => Self::parse("of Debian", DEBIAN_ARCHIVE),
            Some(path) => {
                let name = path.display().to_string();
                let bytes = std::fs::read(path).map_err(|cause| SignatureError::Keyring {
                    name: name.clone(),
                    cause: cause.to_string(),
                })?;
                Self::parse(&name, &bytes)
            }
        }
    }

    fn parse(name: &str, bytes: &[u8]) -> Result<Self, SignatureError> {
        let refused = |cause: String| SignatureError::Keyring { name: name.to_owned(), cause };
        let certs = CertParser::from_bytes(bytes).and_then(|certs| certs.collect::<Result<Vec<_>, _>>());
        match certs {
            Ok(certs) if certs.is_empty() => Err(refused("no certificate in it".into())),
            Ok(certs) => Ok(Self(certs)),
            Err(error) => Err(refused(error.to_string())),
        }
    }

    /// The text inside a clear-signed document: exactly the bytes that a good signature covers.
    ///
    /// # Errors
    /// When no signature is good; `of` names the document then.
    pub(super) fn verify(&self, document: &[u8], of: &str) -> Result<Vec<u8>, SignatureError> {
        let refused = |cause: String| SignatureError::NotTrusted { of: of.to_owned(), cause };
        let policy = StandardPolicy::new();
        let mut text = Vec::new();
        VerifierBuilder::from_bytes(document)
            .and_then(|builder| builder.with_policy(&policy, None, OneGoodSignature(&self.0)))
            .map_err(|error| refused(error.to_string()))?
            .read_to_end(&mut text)
            .map_err(|error| refused(error.to_string()))?;
        Ok(text)
    }
}

/// Debian signs with several keys, old and new: one good signature suffices.
struct OneGoodSignature<'a>(&'a [Cert]);

impl VerificationHelper for OneGoodSignature<'_> {
    fn get_certs(&mut self, _: &[KeyHandle]) -> sequoia_openpgp::Result<Vec<Cert>> {
        Ok(self.0.to_vec())
    }

    fn check(&mut self, structure: MessageStructure<'_>) -> sequoia_openpgp::Result<()> {
        let mut cause = "it is not signed".to_owned();
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else { continue };
            for result in results {
                match result {
                    Ok(_) => return Ok(()),
                    Err(error) => cause = error.to_string(),
                }
            }
        }
        Err(sequoia_openpgp::Error::InvalidOperation(cause).into())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::time::{Duration, SystemTime};

    use sequoia_openpgp::cert::CertBuilder;
    use sequoia_openpgp::serialize::Serialize;
    use sequoia_openpgp::serialize::stream::{Message, Signer};

    use super::*;

    /// A certificate that can sign, made a day ago.
    pub(crate) fn signer(valid_for: Option<Duration>) -> Cert {
        CertBuilder::new()
            .add_userid("test")
            .set_creation_time(SystemTime::now() - Duration::from_secs(86_400))
            .set_validity_period(valid_for)
            .add_signing_subkey()
            .generate()
            .unwrap()
            .0
    }

    /// `text`, clear-signed.
    pub(crate) fn sign(cert: &Cert, text: &str) -> Vec<u8> {
        // Expired certificates must be able to sign here: that they count for nothing is what is tested.
        let made = cert.primary_key().key().creation_time() + Duration::from_secs(60);
        let policy = StandardPolicy::new();
        let key = cert.keys().with_policy(&policy, made).secret().for_signing().next().unwrap();
        let pair = key.key().clone().into_keypair().unwrap();
        let mut document = Vec::new();
        let signer = Signer::new(Message::new(&mut document), pair).unwrap().cleartext();
        let mut writer = signer.build().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        writer.finalize().unwrap();
        document
    }

    pub(crate) fn keyring_file(cert: &Cert) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        cert.serialize(&mut file).unwrap();
        file
    }

    const TEXT: &str = "Codename: trixie\nDate: now\n";

    #[test]
    fn a_good_signature_gives_the_signed_text() {
        let cert = signer(None);
        let keyring = Keyring::open(Some(keyring_file(&cert).path())).unwrap();
        let text = String::from_utf8(keyring.verify(&sign(&cert, TEXT), "it").unwrap()).unwrap();
        assert_eq!(text.trim_end(), TEXT.trim_end());
    }

    #[test]
    fn tampered_unsigned_foreign_and_expired_are_refused() {
        let (cert, stranger) = (signer(None), signer(None));
        let expired = signer(Some(Duration::from_secs(3600)));
        let keyring = Keyring(vec![cert.clone(), expired.clone()]);
        let refused = |document: &[u8]| keyring.verify(document, "it").unwrap_err().to_string();
        let good = String::from_utf8(sign(&cert, TEXT)).unwrap();
        assert!(keyring.verify(good.as_bytes(), "it").is_ok());
        for document in [
            good.replace("trixie", "trixix").into_bytes(),
            TEXT.as_bytes().to_vec(),
            sign(&stranger, TEXT),
            sign(&expired, TEXT),
        ] {
            assert!(refused(&document).starts_with("no good signature on it: "), "{}", refused(&document));
        }
    }

    #[test]
    fn the_keys_shipped_are_those_of_the_readme() {
        let table = include_str!("../../keys/README.md");
        let mut listed: Vec<_> = table.split('`').filter(|word| word.len() == 40).collect();
        let keys = Keyring::open(None).unwrap().0;
        let mut shipped: Vec<_> = keys.iter().map(|cert| cert.fingerprint().to_hex()).collect();
        listed.sort_unstable();
        shipped.sort_unstable();
        assert_eq!(listed, shipped);
        assert_eq!(shipped.len(), 3);
    }

    #[test]
    fn a_keyring_that_is_none_is_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"hello").unwrap();
        let error = Keyring::open(Some(file.path())).unwrap_err().to_string();
        assert!(error.starts_with(&format!("keyring {}: ", file.path().display())), "{error}");
    }
}
