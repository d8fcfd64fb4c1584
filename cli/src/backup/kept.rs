//! A backup that is read: looked through once to see that it is whole, so that nothing is begun that cannot be finished.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use kennel_model::backup::{Backup, DATA, DOCUMENT, FORMAT, RELEASE};
use serde::Deserialize;

use super::BackupError;
use crate::exit::FileError;

/// More than any settings take.
const MAX_DOCUMENT_BYTES: u64 = 4 << 20;
/// What a whole archive ends with.
const END: u64 = 1024;

/// A backup that is whole.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    settings: Backup,
    data: Section,
    release: Option<Section>,
}

/// Where an archive is in it.
#[derive(Debug, Clone, Copy)]
struct Section {
    at: u64,
    bytes: u64,
}

/// An archive out of it.
#[derive(Debug)]
pub struct Part {
    file: io::Take<File>,
}

/// What every format says of itself.
#[derive(Deserialize)]
struct Any {
    format: u64,
}

impl Kept {
    /// Looks through what was named.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(FileError::at("read", path))?;
        let not_one = |why: String| BackupError::NotOne(path.display().to_string(), why);
        let size = file.metadata().map_err(FileError::at("read", path))?.len();
        let mut archive = tar::Archive::new(BufReader::new(file));
        let (mut settings, mut data, mut release, mut end) = (None, None, None, 0);
        for entry in archive.entries_with_seek().map_err(|e| not_one(e.to_string()))? {
            let mut entry = entry.map_err(|e| not_one(e.to_string()))?;
            let section = Section { at: entry.raw_file_position(), bytes: entry.size() };
            end = section.at + section.bytes.next_multiple_of(512);
            match (&*entry.path_bytes(), &settings) {
                (name, None) if name == DOCUMENT.as_bytes() => settings = Some(read(path, &mut entry)?),
                (_, None) => return Err(not_one(format!("it does not begin with {DOCUMENT}"))),
                (name, _) if name == DATA.as_bytes() => data = Some(section),
                (name, _) if name == RELEASE.as_bytes() => release = Some(section),
                // A later `kennel` may add to what this one knows.
                _ => {}
            }
        }
        let settings = settings.ok_or_else(|| not_one("it is empty".to_owned()))?;
        let missing = |name: &str| not_one(format!("there is no {name} in it"));
        if settings.release.is_some() && release.is_none() {
            return Err(missing(RELEASE));
        }
        if size < end + END {
            return Err(not_one("its end is missing".to_owned()));
        }
        Ok(Self { path: path.to_owned(), settings, data: data.ok_or_else(|| missing(DATA))?, release })
    }

    /// What the tenant was.
    pub const fn settings(&self) -> &Backup {
        &self.settings
    }

    /// Its data.
    ///
    /// # Errors
    /// The system's.
    pub fn data(&self) -> Result<Part, FileError> {
        self.part(self.data)
    }

    /// The release that served, if one did.
    ///
    /// # Errors
    /// The system's.
    pub fn release(&self) -> Result<Option<Part>, FileError> {
        self.release.map(|section| self.part(section)).transpose()
    }

    fn part(&self, section: Section) -> Result<Part, FileError> {
        let at = |error| FileError::at("read", &self.path)(error);
        let mut file = File::open(&self.path).map_err(at)?;
        file.seek(SeekFrom::Start(section.at)).map_err(at)?;
        Ok(Part { file: file.take(section.bytes) })
    }
}

impl Part {
    /// How much there is.
    pub fn bytes(&self) -> u64 {
        self.file.limit()
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// When it cannot be read, or `out` takes no more.
    pub fn write<W: Write>(mut self, mut out: W) -> io::Result<W> {
        io::copy(&mut self.file, &mut out).map(|_| out)
    }
}

fn read(path: &Path, entry: &mut impl Read) -> Result<Backup, BackupError> {
    let mut text = Vec::new();
    entry.take(MAX_DOCUMENT_BYTES).read_to_end(&mut text).map_err(FileError::at("read", path))?;
    let shown = || path.display().to_string();
    // The words of the format about a value would quote it.
    let not_one = |e: serde_json::Error| {
        BackupError::NotOne(shown(), format!("{DOCUMENT}, line {}, is not what it should be", e.line()))
    };
    let Any { format } = serde_json::from_slice(&text).map_err(not_one)?;
    if format != u64::from(FORMAT) {
        return Err(BackupError::Newer(shown(), format, FORMAT));
    }
    serde_json::from_slice(&text).map_err(not_one)
}
