//! What is remembered here between runs, below `${XDG_STATE_HOME:-~/.local/state}/kennel`. Of uploads, in `publish`: a journal for
//! each that is not finished, and the block digests of what was published. What `launch` remembers is its own business.

mod folder;
mod journal;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use folder::{Claim, Folder};
pub use journal::{Journal, Origin};

use crate::exit::{Exit, Explain};
use crate::image::{BlockMap, Digest};
use crate::names::Identity;

/// What is remembered of uploads.
#[derive(Debug, Clone)]
pub struct State(Folder);

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
    #[error("another kennel-ami on this computer is {0}")]
    Busy(String),
}

impl Explain for StateError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoHome => Some("set XDG_STATE_HOME to a folder that is kept".to_owned()),
            Self::Busy(_) => Some("wait for it; this command then finds what it did".to_owned()),
            Self::Io { .. } => None,
        }
    }

    fn code(&self) -> &'static str {
        if matches!(self, Self::Busy(_)) { "busy" } else { "file" }
    }

    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

impl State {
    /// The folder that the environment names.
    ///
    /// # Errors
    /// [`StateError::NoHome`].
    pub fn from_env() -> Result<Self, StateError> {
        Folder::from_env("publish").map(Self)
    }

    /// This folder.
    pub const fn at(folder: PathBuf) -> Self {
        Self(Folder::at(folder))
    }

    /// Keeps other processes from publishing the same to the same region.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn claim(&self, identity: &Identity<'_>, region: &str) -> Result<Claim, StateError> {
        self.0.claim(&name(identity, region, "lock"), "publishing this image to this region")
    }

    /// The journal of an upload that was not finished. One that makes no sense is none: the upload begins anew.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn journal(&self, identity: &Identity<'_>, region: &str) -> Result<Option<Journal>, StateError> {
        let journal: Option<Journal> = self.0.read(&name(identity, region, "json"))?;
        Ok(journal.filter(|journal| journal.is_of(identity, region)))
    }

    /// Writes a journal.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn keep(&self, journal: &Journal, identity: &Identity<'_>, region: &str) -> Result<(), StateError> {
        self.0.write(&name(identity, region, "json"), journal)
    }

    /// Forgets a journal.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn forget(&self, identity: &Identity<'_>, region: &str) -> Result<(), StateError> {
        self.0.forget(&name(identity, region, "json"))
    }

    /// Snapshots that unfinished uploads from this computer will go on with.
    pub fn unfinished(&self) -> Vec<String> {
        let files = fs::read_dir(self.0.path()).into_iter().flatten().flatten();
        let journals = files.filter_map(|file| fs::read(file.path()).ok());
        journals.filter_map(|text| serde_json::from_slice::<Journal>(&text).ok()?.snapshot).collect()
    }

    /// The block digests of a published image: from here, or from beside an image (`DIGEST.blocks.json`), where they may
    /// have been put by who builds each time on another computer.
    pub fn blocks(&self, digest: Digest, beside: &Path) -> Option<BlockMap> {
        let name = format!("{digest}.blocks.json");
        let folders = [self.0.path(), beside.parent()?];
        folders.iter().find_map(|folder| serde_json::from_slice(&fs::read(folder.join(&name)).ok()?).ok())
    }

    /// Remembers the block digests of a published image.
    ///
    /// # Errors
    /// [`StateError::Io`].
    pub fn keep_blocks(&self, digest: Digest, blocks: &BlockMap) -> Result<(), StateError> {
        let name = format!("{digest}.blocks.json");
        if self.0.path().join(&name).exists() {
            return Ok(());
        }
        self.0.write(&name, blocks)
    }
}

fn name(identity: &Identity<'_>, region: &str, kind: &str) -> String {
    format!("{}-{region}.{kind}", identity.stem())
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
