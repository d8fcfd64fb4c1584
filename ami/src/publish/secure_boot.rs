//! `UefiData`: the Secure Boot keys that every instance of an AMI starts with, as `kennel keys` makes them. What is in it is
//! AWS's business; here it is only made sure that it is that, and that it fits the image.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::PublishError;
use crate::image::{Digest, Facts};

/// How it begins.
const MAGIC: &[u8] = b"AMZNUEFI";
/// AWS takes no more characters.
const LONGEST: usize = 64_000;

/// The keys.
#[derive(Debug)]
pub struct UefiData {
    /// As it is sent: base64.
    pub text: String,
    /// What tells it from others.
    pub digest: Digest,
}

impl UefiData {
    /// Reads the file.
    ///
    /// # Errors
    /// [`PublishError::UefiData`].
    pub fn read(path: &Path) -> Result<Self, PublishError> {
        let fault = |why: &str| PublishError::UefiData { path: path.to_owned(), why: why.to_owned() };
        Self::of(&std::fs::read_to_string(path).map_err(|cause| fault(&cause.to_string()))?, path)
    }

    /// The keys that the image's manifest has, if any.
    ///
    /// # Errors
    /// [`PublishError::UefiData`].
    pub fn of_image(facts: &Facts, image: &Path) -> Result<Option<Self>, PublishError> {
        let manifest = image.with_file_name("manifest.json");
        facts.uefi_data.as_deref().map(|text| Self::of(text, &manifest)).transpose()
    }

    fn of(text: &str, path: &Path) -> Result<Self, PublishError> {
        let fault = |why: &str| PublishError::UefiData { path: path.to_owned(), why: why.to_owned() };
        let text = text.trim().to_owned();
        let bytes = STANDARD.decode(&text).map_err(|_| fault("it is not base64"))?;
        if !bytes.starts_with(MAGIC) {
            return Err(fault("it does not begin as UefiData does"));
        }
        if text.len() > LONGEST {
            return Err(fault("it is longer than the 64000 characters that AWS takes"));
        }
        Ok(Self { digest: Digest::of(&bytes), text })
    }
}

/// Instances with these keys start only what is signed.
///
/// # Errors
/// [`PublishError::Unsigned`].
pub fn may_start(facts: &Facts, keys: Option<&UefiData>) -> Result<(), PublishError> {
    if keys.is_some() && facts.signed == Some(false) { Err(PublishError::Unsigned) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_that_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uefi-data.b64");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            UefiData::read(&path).map(|data| data.text)
        };
        let good = STANDARD.encode(b"AMZNUEFI and more");
        assert_eq!(read(&format!("{good}\n")).unwrap(), good);
        for bad in ["", "no base64!", &STANDARD.encode(b"a key")] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_nobody_has_signed_would_not_start() {
        let facts = |signed| Facts {
            name: "kennel".into(),
            version: "1".into(),
            root_hash: None,
            signed,
            uefi_data: None,
        };
        let keys = UefiData { text: String::new(), digest: Digest::of(b"") };
        assert!(may_start(&facts(Some(false)), Some(&keys)).is_err());
        assert!(may_start(&facts(Some(true)), Some(&keys)).is_ok());
        assert!(may_start(&facts(None), Some(&keys)).is_ok());
        assert!(may_start(&facts(Some(false)), None).is_ok());
    }
}
