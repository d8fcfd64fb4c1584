//! What is remembered here between runs, below `${XDG_STATE_HOME:-~/.local/state}/kennel/publish`: a journal for each upload
//! that is not finished, and the block digests of what was published.

mod journal;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use journal::{Journal, Origin};

use crate::exit::{Exit, Explain};
use crate::image::{BlockMap, Digest};
use crate::names::Identity;

/// The folder.
#[derive(Debug, Clone)]
pub struct State {
    folder: PathBuf,
}

/// An upload of this image to this region is this process's alone, as long as it has this.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

/// Why it cannot be remembered.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No home folder.
    #[error("neither XDG_STATE_HOME nor HOME is set")]
    NoHome,
    /// The file system.
    #[error("cannot {act} {}: {cause}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process has it.
    #[error("another kennel-ami on this computer is publishing this image to this region")]
    Busy,
}

impl Explain for StateError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => Some("set XDG_STATE_HOME to a folder that is kept".to_owned()),
            Self::Busy => Some("wait for it; this command then prints the same AMI".to_owned()),
            Self::Io { .. } => None,
        }
    }

    fn code(&self) -> &'static str {
        if matches!(self, Self::Busy) { "busy" } else { "file" }
    }

    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

impl State {
    /// The folder that the environment names; it is made when something is written.
    ///
    /// # Errors
    /// [`StateError::NoHome`].
    pub fn from_env() -> Result<Self, StateError> {
        let given = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = given("XDG_STATE_HOME")
            .or_else(|| given("HOME").map(|home| home.join(".local/state")))
            .ok_or(StateError::NoHome)?;
        Ok(Self::at(base.join("kennel/publish")))
    }

    /// This folder.
    pub const fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps other processes from publishing the same to the same region.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn claim(&self, identity: &Identity<'_>, region: &str) -> Result<Claim, StateError> {
        let path = self.path(identity, region, "lock");
        fs::create_dir_all(&self.folder).map_err(at("make the folder", &self.folder))?;
        let lock = File::create(&path).map_err(at("write", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Claim { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StateError::Busy),
            Err(TryLockError::Error(cause)) => Err(at("lock", &path)(cause)),
        }
    }

    /// The journal of an upload that was not finished. One that makes no sense is none: the upload begins anew.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn journal(&self, identity: &Identity<'_>, region: &str) -> Result<Option<Journal>, StateError> {
        let path = self.path(identity, region, "json");
        let journal: Option<Journal> = read(&path)?.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(journal.filter(|journal| journal.is_of(identity, region)))
    }

    /// Writes a journal.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn keep(&self, journal: &Journal, identity: &Identity<'_>, region: &str) -> Result<(), StateError> {
        self.write(&self.path(identity, region, "json"), &serde_json::to_vec(journal).unwrap_or_default())
    }

    /// Forgets a journal.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn forget(&self, identity: &Identity<'_>, region: &str) -> Result<(), StateError> {
        let path = self.path(identity, region, "json");
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(at("remove", &path)(cause)),
            _ => Ok(()),
        }
    }

    /// Snapshots that unfinished uploads from this computer will go on with.
    pub fn unfinished(&self) -> Vec<String> {
        let files = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let journals = files.filter_map(|file| fs::read(file.path()).ok());
        journals.filter_map(|text| serde_json::from_slice::<Journal>(&text).ok()?.snapshot).collect()
    }

    /// The block digests of a published image: from here, or from beside an image (`DIGEST.blocks.json`), where they may
    /// have been put by who builds each time on another computer.
    pub fn blocks(&self, digest: Digest, beside: &Path) -> Option<BlockMap> {
        let name = format!("{digest}.blocks.json");
        let folders = [self.folder.as_path(), beside.parent()?];
        folders.iter().find_map(|folder| serde_json::from_slice(&fs::read(folder.join(&name)).ok()?).ok())
    }

    /// Remembers the block digests of a published image.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn keep_blocks(&self, digest: Digest, blocks: &BlockMap) -> Result<(), StateError> {
        let path = self.folder.join(format!("{digest}.blocks.json"));
        if path.exists() {
            return Ok(());
        }
        self.write(&path, &serde_json::to_vec(blocks).unwrap_or_default())
    }

    fn path(&self, identity: &Identity<'_>, region: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{}-{region}.{kind}", identity.stem()))
    }

    /// The whole file or none of it.
    fn write(&self, path: &Path, text: &[u8]) -> Result<(), StateError> {
        fs::create_dir_all(&self.folder).map_err(at("make the folder", &self.folder))?;
        let draft = path.with_extension("new");
        let write = || {
            let mut file = File::create(&draft)?;
            file.write_all(text)?;
            file.sync_data()?;
            fs::rename(&draft, path)
        };
        write().map_err(at("write", path))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(at("read", path)(cause)),
    }
}

fn at(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |cause| StateError::Io { act, path: path.to_owned(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_comes_back_and_is_only_its_own_images() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::at(folder.path().join("deep/er"));
        let digest = Digest::of(b"image");
        let identity = Identity { digest, key: None };
        assert_eq!(state.journal(&identity, "r").unwrap(), None);
        let mut journal = Journal::new(&identity, "r", None);
        journal.snapshot = Some("snap-1".into());
        journal.done.extend([3, 1]);
        state.keep(&journal, &identity, "r").unwrap();
        assert_eq!(state.journal(&identity, "r").unwrap(), Some(journal));
        assert_eq!(state.unfinished(), ["snap-1"]);
        assert_eq!(state.journal(&identity, "s").unwrap(), None);
        assert_eq!(state.journal(&Identity { digest, key: Some("k") }, "r").unwrap(), None);
        state.forget(&identity, "r").unwrap();
        state.forget(&identity, "r").unwrap();
        assert_eq!(state.journal(&identity, "r").unwrap(), None);
    }

    #[test]
    fn a_torn_journal_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::at(folder.path().to_owned());
        let identity = Identity { digest: Digest::of(b"image"), key: None };
        fs::write(state.path(&identity, "r", "json"), b"{\"tok").unwrap();
        assert_eq!(state.journal(&identity, "r").unwrap(), None);
    }

    #[test]
    fn two_processes_do_not_publish_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::at(folder.path().to_owned());
        let identity = Identity { digest: Digest::of(b"image"), key: None };
        let claim = state.claim(&identity, "r").unwrap();
        assert!(matches!(state.claim(&identity, "r"), Err(StateError::Busy)));
        assert!(state.claim(&identity, "s").is_ok());
        drop(claim);
        assert!(state.claim(&identity, "r").is_ok());
    }

    #[test]
    fn block_digests_are_found_here_and_beside_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let [here, there] = ["here", "there"].map(|name| State::at(folder.path().join(name)));
        let digest = Digest::of(b"image");
        let blocks: BlockMap = [(7, Digest::of(b"block"))].into_iter().collect();
        there.keep_blocks(digest, &blocks).unwrap();
        assert_eq!(here.blocks(digest, &folder.path().join("there/image.raw")), Some(blocks.clone()));
        assert_eq!(here.blocks(digest, &folder.path().join("image.raw")), None);
        assert_eq!(there.blocks(digest, &folder.path().join("image.raw")), Some(blocks));
    }
}
