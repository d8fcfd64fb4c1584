//! The content-addressed cache: every fetched file under its SHA-256, shared by all builds of a user. Nothing enters
//! but by [`Store::insert`] or [`Store::adopt`], which check the digest and rename into place. It fetches nothing.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::digest::Sha256;

/// What can go wrong with the cache folder.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error("no cache folder: neither XDG_CACHE_HOME nor HOME is set")]
    NoHome,
    /// The file system refused.
    #[error("cache {path}: {cause}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file of this digest is not there.
    #[error("{0} is not in the cache")]
    Missing(Sha256),
    /// The bytes under this name are others: a damaged disk, or somebody edited the cache. The file was removed.
    #[error("cached file {expected} was damaged (its digest is {found}) and has been removed")]
    Damaged {
        /// Digest that the name promises.
        expected: Sha256,
        /// Digest of what was there.
        found: Sha256,
    },
}

impl StoreError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoHome => Some("set XDG_CACHE_HOME to a folder with a few hundred MiB of room"),
            Self::Io { .. } => {
                Some("check permissions and free space, or set XDG_CACHE_HOME to another folder")
            }
            Self::Missing(_) => Some("run again without --offline"),
            Self::Damaged { .. } => Some("run again: it will be fetched anew"),
        }
    }
}

/// The cache.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// The user's cache: `${XDG_CACHE_HOME:-~/.cache}/kennel/store`.
    ///
    /// # Errors
    /// When the environment names no home.
    pub fn open() -> Result<Self, StoreError> {
        Ok(Self::at(cache_folder()?.join("store")))
    }

    /// A cache in this folder, made when something is first put there.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where the file of this digest is or would be.
    pub fn path(&self, digest: &Sha256) -> PathBuf {
        let hex = digest.to_string();
        self.root.join("sha256").join(&hex[..2]).join(&hex)
    }

    /// Where a download of this digest is collected until it is whole.
    pub fn part(&self, digest: &Sha256) -> PathBuf {
        self.root.join("part").join(format!("{digest}.part"))
    }

    /// Whether the file is there with the size that it must have. Cheap; the content was checked when it entered.
    pub fn holds(&self, digest: &Sha256, size: u64) -> bool {
        fs::metadata(self.path(digest)).is_ok_and(|meta| meta.is_file() && meta.len() == size)
    }

    /// The path of the file of this digest, after reading it once to be sure that it is still that file.
    ///
    /// # Errors
    /// When it is missing, unreadable, or damaged (then it is removed).
    pub fn verified(&self, digest: &Sha256) -> Result<PathBuf, StoreError> {
        let path = self.path(digest);
        let file = File::open(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => StoreError::Missing(*digest),
            _ => StoreError::Io { path: path.clone(), cause },
        })?;
        let (found, _) = Sha256::of_reader(file).map_err(at(&path))?;
        if found != *digest {
            fs::remove_file(&path).map_err(at(&path))?;
            return Err(StoreError::Damaged { expected: *digest, found });
        }
        Ok(path)
    }

    /// Puts bytes in and says under which digest.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub fn insert(&self, bytes: &[u8]) -> Result<Sha256, StoreError> {
        let digest = Sha256::of(bytes);
        let folder = self.root.join("part");
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(at(&folder))?;
        file.write_all(bytes).map_err(at(file.path()))?;
        let (_, path) = file.keep().map_err(|error| StoreError::Io { path: folder, cause: error.error })?;
        self.adopt(&path, &digest)?;
        Ok(digest)
    }

    /// Moves a whole download, on the same file system, to its place. The caller has checked its digest.
    ///
    /// # Errors
    /// When the cache cannot be written.
    pub(crate) fn adopt(&self, file: &Path, digest: &Sha256) -> Result<PathBuf, StoreError> {
        let path = self.path(digest);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(at(folder))?;
        }
        fs::set_permissions(file, Permissions::from_mode(0o444)).map_err(at(file))?;
        fs::rename(file, &path).map_err(at(&path))?;
        Ok(path)
    }
}

/// `${XDG_CACHE_HOME:-~/.cache}/kennel`.
///
/// # Errors
/// When the environment names neither.
pub fn cache_folder() -> Result<PathBuf, StoreError> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("kennel"))
        .ok_or(StoreError::NoHome)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |cause| StoreError::Io { path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_found_by_digest_and_size() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let digest = store.insert(b"abc").unwrap();
        assert_eq!(digest, Sha256::of(b"abc"));
        assert!(store.holds(&digest, 3));
        assert!(!store.holds(&digest, 4));
        assert_eq!(fs::read(store.verified(&digest).unwrap()).unwrap(), b"abc");
        assert!(matches!(store.verified(&Sha256::of(b"x")), Err(StoreError::Missing(_))));
    }

    #[test]
    fn a_damaged_file_is_named_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        let digest = store.insert(b"abc").unwrap();
        fs::remove_file(store.path(&digest)).unwrap();
        fs::write(store.path(&digest), b"abd").unwrap();
        assert!(matches!(store.verified(&digest), Err(StoreError::Damaged { .. })));
        assert!(matches!(store.verified(&digest), Err(StoreError::Missing(_))));
    }
}
