//! Where the commands keep their things, by the XDG base directory rules. What is in the files is their owners' business.

use std::ffi::OsString;
use std::fs::{DirBuilder, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kennel_model::HostName;

use crate::FileError;

/// The folders of this person.
#[derive(Debug, Clone)]
pub struct Paths {
    home: PathBuf,
    config: PathBuf,
    state: PathBuf,
    cache: PathBuf,
}

/// There is no place to keep anything.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell where to keep settings: HOME is not set")]
pub struct NoHome;

impl Paths {
    /// From the process's environment.
    ///
    /// # Errors
    /// [`NoHome`].
    pub fn from_env() -> Result<Self, NoHome> {
        Self::from_vars(|name| std::env::var_os(name))
    }

    /// From variables that `get` knows. Relative paths in them are to be ignored, says the XDG specification.
    ///
    /// # Errors
    /// [`NoHome`].
    pub fn from_vars(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, NoHome> {
        let absolute = |name: &str| get(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let home = absolute("HOME").ok_or(NoHome)?;
        let base =
            |name: &str, default: &str| absolute(name).unwrap_or_else(|| home.join(default)).join("kennel");
        Ok(Self {
            config: base("XDG_CONFIG_HOME", ".config"),
            state: base("XDG_STATE_HOME", ".local/state"),
            cache: base("XDG_CACHE_HOME", ".cache"),
            home,
        })
    }

    /// The hosts known here.
    pub fn hosts_file(&self) -> PathBuf {
        self.config.join("hosts.toml")
    }

    /// The operator's key that `kennel run` makes.
    pub fn operator_key(&self) -> PathBuf {
        self.config.join("id_ed25519")
    }

    /// The person's own SSH key.
    pub fn ssh_key(&self) -> PathBuf {
        self.home.join(".ssh/id_ed25519")
    }

    /// Everything about the host of this name that runs on this computer.
    pub fn instance(&self, name: &HostName) -> PathBuf {
        self.state.join("hosts").join(name.as_str())
    }

    /// The session with the host of this name.
    pub fn session(&self, name: &HostName) -> PathBuf {
        self.state.join("sessions").join(format!("{name}.json"))
    }

    /// Whether KVM works here, as found out by trial.
    pub fn kvm_trial(&self) -> PathBuf {
        self.cache.join("kvm-trial.json")
    }
}

/// Makes a folder that only its owner may enter, and those above it.
///
/// # Errors
/// [`FileError`].
pub fn make_private_folder(folder: &Path) -> Result<(), FileError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(FileError::at("make the folder", folder))
}

/// Puts a file in its place whole or not at all, readable by its owner only.
///
/// # Errors
/// [`FileError`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_private_folder(folder)?;
    let write = || {
        let mut file = tempfile::Builder::new()
            .prefix(".kennel-")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().map_err(FileError::at("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(vars: &[(&str, &str)]) -> Result<Paths, NoHome> {
        Paths::from_vars(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).into()))
    }

    #[test]
    fn xdg_wins_over_home_and_relative_paths_are_ignored() {
        let p = paths(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c"), ("XDG_STATE_HOME", "s")]).unwrap();
        assert_eq!(p.hosts_file(), Path::new("/c/kennel/hosts.toml"));
        assert_eq!(
            p.instance(&HostName::new("local").unwrap()),
            Path::new("/h/.local/state/kennel/hosts/local")
        );
        assert!(paths(&[]).is_err());
    }

    #[test]
    fn private_files_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a/b");
        write_private(&file, b"1").unwrap();
        write_private(&file, b"2").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"2");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(file.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
