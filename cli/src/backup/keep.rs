//! A backup that is being written: the settings first, then the archives one after the other, each as it comes. As in any archive of
//! tar, what is ahead of a part says how long it is; a part of which that is not known waits in a file without a name.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use kennel_model::backup::{Backup, DOCUMENT};

use crate::data::{DataError, Ending, Target};
use crate::exit::FileError;

/// Of which tar's archives are made.
const BLOCK: u64 = 512;

/// A backup that is not whole yet.
#[derive(Debug)]
pub struct Keep {
    target: Target,
    /// Where there is room for what is kept.
    folder: PathBuf,
    /// When the settings were taken, in seconds since 1970-01-01 UTC.
    taken_at_s: u64,
}

/// An archive on its way into it.
#[derive(Debug)]
pub struct Part<'k> {
    keep: &'k mut Keep,
    name: &'static str,
    /// Its size, if that was known before.
    bytes: Option<u64>,
    waiting: Option<File>,
    come: u64,
    ending: Ending,
}

impl Keep {
    /// For what was typed: a file that is not there yet, or `-` for standard output.
    ///
    /// # Errors
    /// [`DataError`].
    pub fn of(path: &Path) -> Result<Self, DataError> {
        if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(DataError::Folder(path.display().to_string()));
        }
        let folder = match path.parent() {
            _ if path == Path::new("-") => std::env::temp_dir(),
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self { target: Target::of(path)?, folder, taken_at_s: 0 })
    }

    /// What comes first.
    ///
    /// # Errors
    /// The system's.
    pub fn settings(&mut self, settings: &Backup) -> Result<(), DataError> {
        self.taken_at_s = settings.taken_at_s;
        let text = serde_json::to_vec(settings).map_err(io::Error::from);
        let text = text.map_err(FileError::at("write", Path::new(DOCUMENT)))?;
        self.header(DOCUMENT, text.len() as u64)?;
        self.target.take(&text)?;
        self.pad(text.len() as u64)
    }

    /// An archive is about to come, of this size if that is known.
    ///
    /// # Errors
    /// The system's.
    pub fn part(&mut self, name: &'static str, bytes: Option<u64>) -> Result<Part<'_>, DataError> {
        let waiting = match bytes {
            Some(bytes) => {
                self.header(name, bytes)?;
                None
            }
            None => Some(tempfile::tempfile_in(&self.folder).map_err(FileError::at("write", &self.folder))?),
        };
        Ok(Part { keep: self, name, bytes, waiting, come: 0, ending: Ending::default() })
    }

    /// All parts have come: how many bytes it has.
    ///
    /// # Errors
    /// [`DataError`]; under its name there is nothing then.
    pub fn finish(mut self) -> Result<u64, DataError> {
        self.target.take(&[0; 2 * BLOCK as usize])?;
        self.target.finish()
    }

    fn header(&mut self, name: &str, bytes: u64) -> Result<(), DataError> {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).map_err(FileError::at("write", Path::new(name)))?;
        header.set_size(bytes);
        header.set_mode(0o600);
        header.set_mtime(self.taken_at_s);
        header.set_cksum();
        self.target.take(header.as_bytes())
    }

    fn pad(&mut self, bytes: u64) -> Result<(), DataError> {
        let zeros = [0; BLOCK as usize];
        self.target.take(&zeros[..(bytes.next_multiple_of(BLOCK) - bytes) as usize])
    }
}

impl Part<'_> {
    /// Takes the next piece.
    ///
    /// # Errors
    /// The system's.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), DataError> {
        self.come += piece.len() as u64;
        self.ending.take(piece);
        match &mut self.waiting {
            Some(file) => Ok(file.write_all(piece).map_err(FileError::at("write", &self.keep.folder))?),
            None => self.keep.target.take(piece),
        }
    }

    /// It has all come: how many bytes that were.
    ///
    /// # Errors
    /// [`DataError::Changed`] when it is not whole after all, and others: then the backup is none.
    pub fn finish(self) -> Result<u64, DataError> {
        let Self { keep, name, bytes, waiting, come, ending } = self;
        if !ending.is_there() || bytes.is_some_and(|bytes| bytes != come) {
            return Err(DataError::Changed);
        }
        if let Some(mut file) = waiting {
            keep.header(name, come)?;
            let at = keep.folder.clone();
            let failed = |cause| DataError::from(FileError::at("read", &at)(cause));
            file.seek(SeekFrom::Start(0)).map_err(failed)?;
            let mut block = vec![0; 64 << 10];
            loop {
                match file.read(&mut block).map_err(failed)? {
                    0 => break,
                    n => keep.target.take(&block[..n])?,
                }
            }
        }
        keep.pad(come)?;
        Ok(come)
    }
}
