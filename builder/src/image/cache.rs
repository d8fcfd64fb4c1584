//! Things that are costly to make and follow from their inputs alone: unpacked packages, tools, compiled policies, file
//! systems. Each is a folder under a digest of its inputs, made in a temporary folder and renamed when it is whole, so
//! that builds side by side and builds cut short do no harm. Fetched packages are the store's business.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::BuildError;
use crate::digest::Sha256;
use crate::store;

/// What no build has used for so long goes.
const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);
/// Of each kind, so many stay however old they are; and of those made in quick succession no more than so many.
const FEWEST: usize = 2;

/// The folder.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// A cache in this folder, made when something is first put there.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        // Tools are run in folders of their own. Without a current folder a relative path leads nowhere anyway.
        Self { root: std::path::absolute(&root).unwrap_or(root) }
    }

    /// The user's cache: `${XDG_CACHE_HOME:-~/.cache}/kennel/built`.
    ///
    /// # Errors
    /// When the environment names no home.
    pub fn open() -> Result<Self, BuildError> {
        Ok(Self::at(store::cache_folder()?.join("built")))
    }

    /// The folder of this kind and digest, filled by `make` if it is not there yet.
    ///
    /// # Errors
    /// What `make` returns, or when the folder cannot be written.
    pub fn entry(
        &self,
        kind: &str,
        digest: &Sha256,
        make: impl FnOnce(&Path) -> Result<(), BuildError>,
    ) -> Result<PathBuf, BuildError> {
        let kind = self.root.join(kind);
        let path = kind.join(digest.to_string());
        if path.is_dir() {
            touch(&path);
            return Ok(path);
        }
        fs::create_dir_all(&kind).map_err(BuildError::io(&kind))?;
        let temporary =
            tempfile::Builder::new().prefix(".new-").tempdir_in(&kind).map_err(BuildError::io(&kind))?;
        make(temporary.path())?;
        sync(temporary.path()).map_err(BuildError::io(temporary.path()))?;
        match fs::rename(temporary.path(), &path) {
            // Gone from its old name: there is nothing left to clean up.
            Ok(()) => drop(temporary.keep()),
            // Somebody else was faster and made the same.
            Err(_) if path.is_dir() => {}
            Err(cause) => return Err(BuildError::io(path)(cause)),
        }
        Ok(path)
    }

    /// Removes what has not been used for long, and of large things all but the newest few. Trouble here is no reason
    /// to fail a build that succeeded: what stays is tried again next time.
    pub fn prune(&self, kind: &str, most: Option<usize>) {
        let mut entries: Vec<(SystemTime, PathBuf)> = fs::read_dir(self.root.join(kind))
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.and_then(|entry| Ok((entry.metadata()?.modified()?, entry.path()))).ok())
            .collect();
        entries.sort_by(|a, b| b.cmp(a));
        for (index, (used, path)) in entries.into_iter().enumerate() {
            let old = index >= FEWEST && used.elapsed().is_ok_and(|age| age > KEPT);
            if old || most.is_some_and(|most| index >= most) {
                let _ = fs::remove_dir_all(path);
            }
        }
    }
}

/// Puts every file of a folder on disk: a name that a power cut leaves without its bytes would be trusted for ever.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    Ok(())
}

/// Marks an entry as used. If that fails, it is only forgotten sooner.
fn touch(path: &Path) {
    let _ = File::open(path).and_then(|folder| folder.set_modified(SystemTime::now()));
}

/// Reads a small file of the cache.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(BuildError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(text: &'static str) -> impl FnOnce(&Path) -> Result<(), BuildError> {
        move |folder| fs::write(folder.join("x"), text).map_err(BuildError::io(folder))
    }

    #[test]
    fn an_entry_is_made_once_and_only_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let digest = Sha256::of(b"1");
        let refused = cache.entry("k", &digest, |_| Err(BuildError::Guest("x".into())));
        assert!(refused.is_err());
        for text in ["first", "second"] {
            let path = cache.entry("k", &digest, make(text)).unwrap();
            assert_eq!(read(&path.join("x")).unwrap(), b"first");
        }
        assert_eq!(fs::read_dir(folder.path().join("k")).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn the_old_and_the_many_go() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let ago = |days: u64| SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        for days in [1, 13, 15, 30] {
            let path = cache.entry("k", &Sha256::of(&[days as u8]), make("")).unwrap();
            File::open(path).unwrap().set_modified(ago(days)).unwrap();
        }
        let count = || fs::read_dir(folder.path().join("k")).unwrap().count();
        cache.prune("k", None);
        assert_eq!(count(), 2);
        cache.prune("k", Some(1));
        assert_eq!(count(), 1);
    }
}
