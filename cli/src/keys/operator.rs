//! The operator's key of this computer: made once by `kennel run`, so that a first tour needs no key of one's own.

use std::path::Path;

use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, LineEnding, PrivateKey, PublicKey};

use super::{KeyError, unusable};
use crate::exit::FileError;
use crate::paths::write_private;

/// Makes the key unless it is there, and returns its public half in OpenSSH's one-line form.
///
/// # Errors
/// [`KeyError`].
pub fn ensure_operator_key(path: &Path) -> Result<String, KeyError> {
    if !path.exists() {
        let broken = |e: ssh_key::Error| unusable(path, &e);
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(broken)?;
        key.set_comment("kennel operator");
        let text = key.to_openssh(LineEnding::LF).map_err(broken)?;
        write_private(path, text.as_bytes())?;
    }
    public_line(path)
}

/// The public half of a private key file, or of a `.pub` file, in OpenSSH's one-line form.
///
/// # Errors
/// [`KeyError`].
pub fn public_line(path: &Path) -> Result<String, KeyError> {
    let text = std::fs::read_to_string(path).map_err(FileError::at("read", path))?;
    // The public half of a locked key is not locked.
    let public = if path.extension().is_some_and(|e| e == "pub") {
        PublicKey::from_openssh(&text)
    } else {
        PrivateKey::from_openssh(&text).map(|key| key.public_key().clone())
    };
    public.and_then(|key| key.to_openssh()).map_err(|e| unusable(path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kennel/id_ed25519");
        let first = ensure_operator_key(&path).unwrap();
        assert!(first.starts_with("ssh-ed25519 ") && first.ends_with(" kennel operator"), "{first}");
        assert_eq!(ensure_operator_key(&path).unwrap(), first);
    }
}
