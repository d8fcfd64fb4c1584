//! Where a release comes from: a folder, or a tar archive that another program has made of one. The archive is sent as it
//! is; whether it is good, the host says.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kennel_model::Limits;

use super::{DeployError, Plan, check_limits, write_archive};
use crate::args::ByteSize;
use crate::exit::FileError;

/// What is to be sent.
#[derive(Debug)]
pub enum Source {
    /// A folder that was looked through.
    Folder(Plan),
    /// An archive.
    Archive {
        /// Where it lies.
        path: PathBuf,
        /// Open for reading.
        file: File,
        /// Its size when it was opened.
        bytes: u64,
    },
}

impl Source {
    /// Whatever is at this path.
    ///
    /// # Errors
    /// It is neither a folder that can be sent nor a file that can be read.
    pub fn of(path: &Path) -> Result<Self, DeployError> {
        let at = |error| FileError::at("read", path)(error);
        let kind = path.metadata().map_err(at)?;
        if !kind.is_file() {
            return Ok(Self::Folder(Plan::of(path)?));
        }
        let file = File::open(path).map_err(at)?;
        Ok(Self::Archive { path: path.to_owned(), file, bytes: kind.len() })
    }

    /// Fails early where the host would fail late.
    ///
    /// # Errors
    /// [`DeployError::TooMuch`]. What an archive holds is not looked at here.
    pub fn check(&self, limits: &Limits) -> Result<(), DeployError> {
        match self {
            Self::Folder(plan) => check_limits(plan, limits),
            Self::Archive { .. } => Ok(()),
        }
    }

    /// Names at the top of a folder that were left out, but for what always is.
    pub fn left_out(&self) -> Vec<String> {
        match self {
            Self::Folder(plan) => plan.left_out().to_vec(),
            Self::Archive { .. } => vec![],
        }
    }

    /// What is in a folder; nothing of an archive is known here.
    pub const fn plan(&self) -> Option<&Plan> {
        match self {
            Self::Folder(plan) => Some(plan),
            Self::Archive { .. } => None,
        }
    }

    /// How much there is to send, but for a folder's names.
    pub const fn bytes(&self) -> u64 {
        match self {
            Self::Folder(plan) => plan.bytes(),
            Self::Archive { bytes, .. } => *bytes,
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        let size = ByteSize(self.bytes());
        match self {
            Self::Folder(plan) => format!("{} files and folders, {size}", plan.entries().len()),
            Self::Archive { path, .. } => format!("the archive {}, {size}", path.display()),
        }
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// When something cannot be read or has changed since, or `out` takes no more.
    pub fn write<W: Write>(&self, mut out: W) -> io::Result<W> {
        match self {
            Self::Folder(plan) => write_archive(plan, out),
            Self::Archive { file, .. } => {
                io::copy(&mut &*file, &mut out)?;
                Ok(out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_sent_as_it_is_and_a_folder_as_an_archive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("release.tar");
        std::fs::write(&path, "whatever it is").unwrap();
        let archive = Source::of(&path).unwrap();
        assert_eq!((archive.bytes(), archive.write(Vec::new()).unwrap()), (14, b"whatever it is".to_vec()));
        let folder = Source::of(dir.path()).unwrap();
        assert_eq!((folder.bytes(), folder.words().starts_with("1 files and folders, ")), (14, true));
        assert!(folder.write(Vec::new()).unwrap().len() > 1024);
        assert!(Source::of(&dir.path().join("absent")).is_err());
    }
}
