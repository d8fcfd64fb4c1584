//! The output folder: files are collected under temporary names and get their own only when all are whole and on disk,
//! so that a build that fails leaves what an earlier one has made.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::BuildError;

/// Files to be.
pub(super) struct Output {
    folder: PathBuf,
    files: Vec<(NamedTempFile, PathBuf)>,
}

impl Output {
    /// Files for this folder, which is made if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn to(folder: &Path) -> Result<Self, BuildError> {
        fs::create_dir_all(folder).map_err(BuildError::io(folder))?;
        Ok(Self { folder: folder.to_owned(), files: Vec::new() })
    }

    /// A file that `write` fills; gives its future path and what `write` gives.
    ///
    /// # Errors
    /// What `write` returns, or when the file cannot be made.
    pub(super) fn file<T>(
        &mut self,
        name: &str,
        write: impl FnOnce(&File) -> Result<T, BuildError>,
    ) -> Result<(PathBuf, T), BuildError> {
        let path = self.folder.join(name);
        let made = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder);
        let file = made.map_err(BuildError::io(&self.folder))?;
        let value = write(file.as_file())?;
        let whole = file.as_file().set_permissions(Permissions::from_mode(0o644));
        whole.and_then(|()| file.as_file().sync_all()).map_err(BuildError::io(&path))?;
        self.files.push((file, path.clone()));
        Ok((path, value))
    }

    /// A file with these bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, BuildError> {
        let path = self.folder.join(name);
        let (path, ()) = self.file(name, |mut file| file.write_all(bytes).map_err(BuildError::io(path)))?;
        Ok(path)
    }

    /// Gives all files their names.
    ///
    /// # Errors
    /// When the folder has become unwritable.
    pub(super) fn publish(self) -> Result<(), BuildError> {
        for (file, path) in self.files {
            file.persist(&path).map_err(|error| BuildError::Io { path, cause: error.error })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_changes_before_all_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        let mut output = Output::to(folder.path()).unwrap();
        output.bytes("a", b"new").unwrap();
        assert!(output.file("b", |_| Err::<(), _>(BuildError::Guest("no".into()))).is_err());
        drop(output);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        let mut output = Output::to(folder.path()).unwrap();
        output.bytes("a", b"new").unwrap();
        output.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }
}
