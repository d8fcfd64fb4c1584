//! What can go wrong with keys and signatures, for a person to read.

use std::io;
use std::path::PathBuf;

use crate::pe::PeError;

/// Why there is no key, no signature or no variable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file on this computer.
    #[error("cannot {act} {}: {cause}", path.display())]
    File {
        /// "read", "write", …
        act: &'static str,
        /// Which one.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file that is not what it should be.
    #[error("{} is not {wanted}: {cause}", path.display())]
    Unusable {
        /// Which one.
        path: PathBuf,
        /// "a certificate in PEM form", …
        wanted: &'static str,
        /// What is wrong with it.
        cause: String,
    },
    /// The signature is not by the key that the certificate names.
    #[error("what {signer} signs does not verify with the certificate {subject}")]
    Mismatch {
        /// The key file or the program.
        signer: String,
        /// The certificate's subject.
        subject: String,
    },
    /// Machines with these keys would refuse the image.
    #[error("db does not hold the certificate {0}: machines with these keys would not boot what it signs")]
    NotEnrolled(String),
    /// The program that signs.
    #[error("the signing program {}: {what}", program.display())]
    Hook {
        /// Which one.
        program: PathBuf,
        /// What happened.
        what: String,
    },
    /// The program to be signed.
    #[error("the boot program {0}")]
    Pe(#[from] PeError),
    /// The template of OVMF's variables.
    #[error("the firmware's variables: {0}")]
    Store(&'static str),
    /// RSA says no.
    #[error("rsa: {0}")]
    Rsa(#[from] rsa::Error),
    /// A structure that cannot be written in DER; a fault in Kennel.
    #[error("der: {0}")]
    Der(#[from] der::Error),
    /// A certificate that cannot be made; a fault in Kennel.
    #[error("certificate: {0}")]
    Certificate(String),
}

impl Error {
    /// For `map_err`: names the act and the file.
    pub(crate) fn file(act: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::File { act, path, cause }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::File { act: "create", cause, .. } if cause.kind() == io::ErrorKind::AlreadyExists => {
                Some("keys are never overwritten: name another folder, or move these away first")
            }
            Self::Unusable { .. } => {
                Some("`kennel keys new FOLDER` makes them: db.key signs, db.pem is its certificate")
            }
            Self::NotEnrolled(_) => Some("sign with the key of db.pem in the folder of --secure-boot"),
            Self::Mismatch { .. } => Some("a key and its certificate belong together: db.key and db.pem"),
            Self::Hook { .. } => Some(
                "it gets 32 bytes on standard input, a SHA-256 digest, and answers with the bare RSA signature \
                 (PKCS #1 v1.5) on standard output",
            ),
            _ => None,
        }
    }
}
