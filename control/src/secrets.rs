//! Encryption at rest of what tenants' programs are told in confidence: with a key in a file of control's own, beside the
//! registry, so that a copy of the registry alone gives nothing away.

use std::fs;
use std::io;
use std::path::Path;

use kennel_model::TenantName;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::auth::random;
use crate::certificate::write_durably;
use crate::error::{Error, Result};

const KEY_BYTES: usize = 32;

/// The key. What it has sealed it opens, for the same tenant.
pub(crate) struct Key(LessSafeKey);

impl Key {
    /// Reads the key, or makes it when there is none yet.
    ///
    /// # Errors
    /// The file's; [`Error::Damaged`] for a file that holds no key, which is never replaced.
    pub(crate) fn load_or_make(file: &Path) -> Result<Self> {
        let failed = |cause| Error::Io("the key of the environments", cause);
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                let bytes = random::<KEY_BYTES>()?;
                write_durably(file, &bytes).map_err(failed)?;
                bytes.to_vec()
            }
            Err(cause) => return Err(failed(cause)),
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes);
        let key = key.map_err(|_| Error::Damaged("env.key holds no key of 32 bytes".into()))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// The text, encrypted for this tenant: a nonce, what it is encrypted to, and a proof that it was done with this key.
    ///
    /// # Errors
    /// No random bytes.
    pub(crate) fn seal(&self, whose: &TenantName, text: Vec<u8>) -> Result<Vec<u8>> {
        let nonce = random::<NONCE_LEN>()?;
        let mut sealed = text;
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), context(whose), &mut sealed)
            .map_err(|_| Error::Internal("the environment cannot be encrypted".into()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// The text again.
    ///
    /// # Errors
    /// [`Error::Damaged`]: sealed with another key, or for another tenant, or changed since.
    pub(crate) fn open(&self, whose: &TenantName, sealed: &[u8]) -> Result<Vec<u8>> {
        let damaged = || Error::Damaged(format!("the environment of {whose} cannot be opened with env.key"));
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut rest = rest.to_vec();
        let text = self.0.open_in_place(nonce, context(whose), &mut rest).map_err(|_| damaged())?;
        Ok(text.to_vec())
    }
}

/// What a sealed text is bound to.
fn context(whose: &TenantName) -> Aad<Vec<u8>> {
    Aad::from(format!("kennel environment 1\0{whose}").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn name(name: &str) -> TenantName {
        name.parse().unwrap()
    }

    #[test]
    fn the_same_key_opens_for_the_same_tenant_only() {
        let dir = tempfile::tempdir().unwrap();
        let key = |file: &str| Key::load_or_make(&dir.path().join(file)).unwrap();
        let text = b"DATABASE_URL".to_vec();
        let sealed = key("a").seal(&name("blog"), text.clone()).unwrap();
        assert!(!sealed.windows(text.len()).any(|part| part == text));
        assert_eq!(key("a").open(&name("blog"), &sealed).unwrap(), text);
        assert_ne!(key("a").seal(&name("blog"), text).unwrap(), sealed, "another nonce each time");
        assert!(key("a").open(&name("shop"), &sealed).is_err());
        assert!(key("b").open(&name("blog"), &sealed).is_err());
        for end in [0, NONCE_LEN, sealed.len() - 1] {
            assert!(key("a").open(&name("blog"), &sealed[..end]).is_err());
        }
        let mut changed = sealed;
        *changed.last_mut().unwrap() ^= 1;
        assert!(key("a").open(&name("blog"), &changed).is_err());
    }

    #[test]
    fn the_file_is_controls_alone_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("env.key");
        Key::load_or_make(&file).unwrap();
        let made = fs::read(&file).unwrap();
        assert_eq!((made.len(), fs::metadata(&file).unwrap().permissions().mode() & 0o777), (KEY_BYTES, 0o600));
        Key::load_or_make(&file).unwrap();
        assert_eq!(fs::read(&file).unwrap(), made);
        fs::write(&file, b"short").unwrap();
        assert!(matches!(Key::load_or_make(&file), Err(Error::Damaged(_))));
        assert_eq!(fs::read(&file).unwrap(), b"short");
    }
}
