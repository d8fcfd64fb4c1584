//! Where an archive goes that is fetched: into a file, which has its name when it is whole; into a folder, once it is; or out.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::DataError;
use crate::exit::FileError;

/// What a whole archive ends with.
const END: usize = 1024;

/// A place for an archive.
#[derive(Debug)]
pub struct Target {
    to: To,
    ending: Ending,
    bytes: u64,
}

/// Tells whether an archive of which piece by piece comes has its end.
#[derive(Debug, Default)]
pub struct Ending {
    /// The last bytes that came, no more than [`END`].
    last: Vec<u8>,
}

impl Ending {
    /// The next piece.
    pub fn take(&mut self, piece: &[u8]) {
        self.last.extend_from_slice(&piece[piece.len().saturating_sub(END)..]);
        let surplus = self.last.len().saturating_sub(END);
        self.last.drain(..surplus);
    }

    /// Whether that was all of it.
    pub fn is_there(&self) -> bool {
        self.last.len() == END && self.last.iter().all(|byte| *byte == 0)
    }
}

#[derive(Debug)]
enum To {
    Out,
    /// It is written under another name beside it.
    File(PathBuf, tempfile::NamedTempFile),
    /// It is kept in a file without a name until it is whole.
    Folder(PathBuf, File),
}

impl Target {
    /// For what was typed.
    ///
    /// # Errors
    /// [`DataError`]; nothing has been made but perhaps the folder.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let shown = || path.display().to_string();
        let to = if path == Path::new("-") {
            To::Out
        } else if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            std::fs::create_dir_all(path).map_err(FileError::at("make", path))?;
            let mut within = path.read_dir().map_err(FileError::at("read", path))?;
            if within.next().is_some() {
                return Err(DataError::NotEmpty(shown()));
            }
            To::Folder(path.to_owned(), tempfile::tempfile_in(path).map_err(FileError::at("write", path))?)
        } else if path.symlink_metadata().is_ok() {
            return Err(DataError::Exists(shown()));
        } else {
            let beside = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let file = tempfile::Builder::new()
                .prefix(".kennel-data-")
                .tempfile_in(beside.unwrap_or_else(|| Path::new(".")))
                .map_err(FileError::at("write", path))?;
            To::File(path.to_owned(), file)
        };
        Ok(Self { to, ending: Ending::default(), bytes: 0 })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// The system's.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), DataError> {
        self.bytes += piece.len() as u64;
        self.ending.take(piece);
        match &mut self.to {
            To::Out => {
                io::stdout().write_all(piece).map_err(FileError::at("write", Path::new("standard output")))
            }
            To::File(path, file) => file.write_all(piece).map_err(FileError::at("write", path)),
            To::Folder(path, file) => file.write_all(piece).map_err(FileError::at("write", path)),
        }?;
        Ok(())
    }

    /// It has all come: how many bytes that were.
    ///
    /// # Errors
    /// [`DataError::Changed`] when it is not whole after all, and others; under its name there is nothing then.
    pub fn finish(self) -> Result<u64, DataError> {
        if !self.ending.is_there() {
            return Err(DataError::Changed);
        }
        match self.to {
            To::Out => io::stdout().flush().map_err(FileError::at("write", Path::new("standard output")))?,
            To::File(path, file) => {
                file.as_file().sync_all().map_err(FileError::at("write", &path))?;
                // Somebody may have made one meanwhile.
                file.persist_noclobber(&path).map_err(|e| match e.error.kind() {
                    io::ErrorKind::AlreadyExists => DataError::Exists(path.display().to_string()),
                    _ => FileError::at("write", &path)(e.error).into(),
                })?;
            }
            To::Folder(path, mut file) => unpack(&mut file, &path)
                .map_err(|cause| DataError::Unpack(path.display().to_string(), cause))?,
        }
        Ok(self.bytes)
    }
}

/// Into an empty folder, with modes and times. What leads out of it is not followed.
fn unpack(file: &mut File, folder: &Path) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let mut archive = tar::Archive::new(io::BufReader::new(file));
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.set_overwrite(false);
    archive.unpack(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o640);
        tar.append_data(&mut header, "a/b", &b"one"[..]).unwrap();
        tar.into_inner().unwrap()
    }

    fn fetch(to: &Path, archive: &[u8]) -> Result<u64, DataError> {
        let mut target = Target::of(to)?;
        archive.chunks(700).try_for_each(|piece| target.take(piece))?;
        target.finish()
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (to, archive) = (dir.path().join("x.tar"), archive());
        let cut = fetch(&to, &archive[..archive.len() - 1024]).unwrap_err();
        assert!(matches!(cut, DataError::Changed), "{cut}");
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        assert_eq!(fetch(&to, &archive).unwrap(), archive.len() as u64);
        assert_eq!(std::fs::read(&to).unwrap(), archive);
        assert!(matches!(fetch(&to, &archive), Err(DataError::Exists(_))));
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_filled_if_it_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        for to in [format!("{}/new/", dir.path().display()).into(), dir.path().join("there")] {
            if !to.as_os_str().as_encoded_bytes().ends_with(b"/") {
                std::fs::create_dir(&to).unwrap();
            }
            assert!(matches!(fetch(&to, &archive()[..1024]), Err(DataError::Changed)));
            assert_eq!(to.read_dir().unwrap().count(), 0);
            fetch(&to, &archive()).unwrap();
            assert_eq!(std::fs::read(to.join("a/b")).unwrap(), b"one");
            assert!(matches!(fetch(&to, &archive()), Err(DataError::NotEmpty(_))));
        }
    }
}
