//! A folder of small files that are there whole or not at all, and locks by name.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StateError;

/// The folder; it is made when something is written.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// What is claimed is this process's alone, as long as it has this.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

impl Folder {
    /// Below the folder that the environment names.
    ///
    /// # Errors
    /// [`StateError::NoHome`].
    pub fn from_env(name: &str) -> Result<Self, StateError> {
        let given = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = given("XDG_STATE_HOME")
            .or_else(|| given("HOME").map(|home| home.join(".local/state")))
            .ok_or(StateError::NoHome)?;
        Ok(Self(base.join("kennel").join(name)))
    }

    /// This one.
    pub const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Keeps other processes from the same work, which `busy` says in words.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn claim(&self, name: &str, busy: &str) -> Result<Claim, StateError> {
        let path = self.0.join(name);
        fs::create_dir_all(&self.0).map_err(at("make the folder", &self.0))?;
        let lock = File::create(&path).map_err(at("write", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Claim { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StateError::Busy(busy.to_owned())),
            Err(TryLockError::Error(cause)) => Err(at("lock", &path)(cause)),
        }
    }

    /// What a file says. One that makes no sense says nothing.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let path = self.0.join(name);
        match fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(at("read", &path)(cause)),
        }
    }

    /// Writes a file, the whole of it or nothing.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn write(&self, name: &str, what: &impl Serialize) -> Result<(), StateError> {
        let path = self.0.join(name);
        fs::create_dir_all(&self.0).map_err(at("make the folder", &self.0))?;
        let draft = path.with_extension("new");
        let write = || {
            let mut file = File::create(&draft)?;
            file.write_all(&serde_json::to_vec(what)?)?;
            file.sync_data()?;
            fs::rename(&draft, &path)
        };
        write().map_err(at("write", &path))
    }

    /// Removes a file; one that is gone already is as good.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn forget(&self, name: &str) -> Result<(), StateError> {
        let path = self.0.join(name);
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(at("remove", &path)(cause)),
            _ => Ok(()),
        }
    }
}

fn at(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |cause| StateError::Io { act, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_claimed_is_one_process_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = Folder::at(folder.path().join("deep/er"));
        let claim = state.claim("a.lock", "writing").unwrap();
        assert!(matches!(state.claim("a.lock", "writing"), Err(StateError::Busy(what)) if what == "writing"));
        assert!(state.claim("b.lock", "writing").is_ok());
        drop(claim);
        assert!(state.claim("a.lock", "writing").is_ok());
    }

    #[test]
    fn a_torn_file_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = Folder::at(folder.path().to_owned());
        state.write("a.json", &7).unwrap();
        assert_eq!(state.read::<u8>("a.json").unwrap(), Some(7));
        fs::write(folder.path().join("a.json"), b"{\"tok").unwrap();
        assert_eq!(state.read::<u8>("a.json").unwrap(), None);
        state.forget("a.json").unwrap();
        state.forget("a.json").unwrap();
        assert_eq!(state.read::<u8>("a.json").unwrap(), None);
    }
}
