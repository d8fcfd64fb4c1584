//! Where an archive comes from that is sent: a file, standard input, or a folder of which one is made.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::exit::FileError;

/// An archive, or a folder.
#[derive(Debug)]
pub enum DataSource {
    /// What is typed.
    Input,
    /// An archive.
    Archive(File),
    /// A folder.
    Folder(PathBuf),
}

impl DataSource {
    /// What was named, and how many bytes there are to send; none where that is not known.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(path: &Path) -> Result<(Self, u64), FileError> {
        if path == Path::new("-") {
            return Ok((Self::Input, 0));
        }
        let at = |error| FileError::at("read", path)(error);
        let meta = path.metadata().map_err(at)?;
        if meta.is_dir() {
            return Ok((Self::Folder(path.to_owned()), bytes_in(path).map_err(at)?));
        }
        Ok((Self::Archive(File::open(path).map_err(at)?), meta.len()))
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// When something cannot be read, or `out` takes no more.
    pub fn write<W: Write>(self, mut out: W) -> io::Result<W> {
        match self {
            Self::Input => io::copy(&mut io::stdin().lock(), &mut out).map(|_| out),
            Self::Archive(mut file) => io::copy(&mut file, &mut out).map(|_| out),
            Self::Folder(folder) => {
                let mut archive = tar::Builder::new(out);
                archive.follow_symlinks(false);
                archive.append_dir_all("", folder)?;
                archive.into_inner()
            }
        }
    }
}

/// Of all files in a folder together.
fn bytes_in(folder: &Path) -> io::Result<u64> {
    let (mut bytes, mut folders) = (0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir()? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_becomes_an_archive_of_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/db"), "four").unwrap();
        std::fs::set_permissions(dir.path().join("sub/db"), PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("/app/public", dir.path().join("out")).unwrap();
        let (source, bytes) = DataSource::of(dir.path()).unwrap();
        assert_eq!(bytes, 4);
        let archive = source.write(Vec::new()).unwrap();
        let mut archive = tar::Archive::new(&*archive);
        let mut names: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                (name, entry.header().mode().unwrap() & 0o777, entry.link_name().unwrap().is_some())
            })
            .filter(|(name, ..)| !name.is_empty() && name != ".")
            .collect();
        names.sort();
        assert_eq!(
            names,
            [("out".into(), 0o777, true), ("sub".into(), 0o755, false), ("sub/db".to_owned(), 0o600, false)]
        );
        assert!(DataSource::of(&dir.path().join("absent")).is_err());
    }
}
