//! Packages, unpacked once: the files of a `.deb` or npm tarball end to end in one file of the cache, with an index
//! beside it, under the package's digest. Which of them go into which tree is `merge`'s business.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::BuildError;
use super::cache::{self, Cache};
use super::content::Content;
use crate::digest::{Hasher, Sha256};
use crate::lock::{Origin, Package};
use crate::packages::{ArchiveError, Entry, Kind, read_deb, read_npm};
use crate::store::Store;

/// The entries of one package, in the archive's order.
pub(super) struct Unpacked {
    /// Name and version, for messages.
    pub name: String,
    /// What is in it. Hard links have become files.
    pub entries: Vec<Unit>,
    data: Arc<File>,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unit {
    /// Relative to the tree's root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What it is.
    pub what: What,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink(String),
    /// A file, with its place among the package's bytes.
    File(Place),
}

/// Where a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    offset: u64,
    size: u64,
    sha256: Sha256,
}

impl Place {
    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl Unpacked {
    /// Finds the package unpacked in the cache, or unpacks it there from the store.
    ///
    /// # Errors
    /// When the package is not in the store, damaged, or refused, or the cache cannot be written.
    pub(super) fn open(package: &Package, store: &Store, cache: &Cache) -> Result<Self, BuildError> {
        let name = format!("{} {}", package.name, package.version);
        let folder = cache.entry("unpacked", &package.sha256, |folder| {
            let archive = store.verified(&package.sha256)?;
            write(&archive, package.from, folder)
        })?;
        let index = cache::read(&folder.join("index.json"))?;
        let entries = serde_json::from_slice(&index)
            .map_err(|error| BuildError::io(folder.join("index.json"))(io::Error::other(error)))?;
        let data = folder.join("data");
        let data = Arc::new(File::open(&data).map_err(BuildError::io(data))?);
        Ok(Self { name, entries, data })
    }

    /// The content of a file of this package.
    pub(super) fn content(&self, place: &Place) -> Content {
        Content::slice(Arc::clone(&self.data), place.offset, place.size, place.sha256)
    }
}

fn write(archive: &Path, from: Origin, folder: &Path) -> Result<(), BuildError> {
    let path = folder.join("data");
    let file = File::create(&path).map_err(BuildError::io(&path))?;
    let mut writer =
        Writer { data: BufWriter::new(file), path, end: 0, units: Vec::new(), files: HashMap::new() };
    let add = |entry: &mut Entry<'_>| writer.add(entry);
    match from {
        Origin::Npm => read_npm(archive, add)?,
        Origin::Debian | Origin::DebianSecurity => read_deb(archive, add)?,
    }
    writer.data.flush().map_err(BuildError::io(writer.path))?;
    let index = serde_json::to_vec(&writer.units).map_err(io::Error::other);
    let path = folder.join("index.json");
    index.and_then(|index| fs::write(&path, index)).map_err(BuildError::io(path))
}

/// Takes the entries of one archive.
struct Writer {
    data: BufWriter<File>,
    path: PathBuf,
    end: u64,
    units: Vec<Unit>,
    files: HashMap<String, Place>,
}

impl Writer {
    fn add(&mut self, entry: &mut Entry<'_>) -> Result<(), BuildError> {
        let path = utf8(&entry.path)?;
        let what = match &entry.kind {
            Kind::Folder => What::Folder,
            Kind::Symlink(target) => What::Symlink(utf8(target)?),
            Kind::File(_) => What::File(self.copy(entry.data).map_err(BuildError::io(&self.path))?),
            Kind::Hardlink(other) => {
                let other = utf8(other)?;
                let place = self.files.get(&other).copied();
                What::File(
                    place.ok_or_else(|| strange(&entry.path, "is a hard link to a file that is not there"))?,
                )
            }
        };
        if let What::File(place) = &what {
            self.files.insert(path.clone(), *place);
        }
        self.units.push(Unit { path, mode: entry.mode, uid: entry.uid, gid: entry.gid, what });
        Ok(())
    }

    fn copy(&mut self, data: &mut dyn Read) -> io::Result<Place> {
        let mut hasher = Hasher::default();
        let mut buffer = [0; 64 << 10];
        let offset = self.end;
        loop {
            let count = data.read(&mut buffer)?;
            if count == 0 {
                return Ok(Place { offset, size: self.end - offset, sha256: hasher.finish() });
            }
            hasher.write_all(&buffer[..count])?;
            self.data.write_all(&buffer[..count])?;
            self.end += count as u64;
        }
    }
}

fn utf8(path: &Path) -> Result<String, BuildError> {
    path.to_str().map(str::to_owned).ok_or_else(|| strange(path, "is not UTF-8"))
}

fn strange(path: &Path, what: &str) -> BuildError {
    ArchiveError::Malformed { path: path.to_owned(), what: what.to_owned() }.into()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A package with these entries; a text makes a file, `-> x` a link, nothing a folder.
    pub(in super::super) fn package(entries: &[(&str, u32, &str)]) -> (Package, Vec<u8>) {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (path, mode, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(*mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            let path = format!("package/{path}");
            let added = match text.strip_prefix("-> ") {
                Some(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    tar.append_link(&mut header, path, target)
                }
                None if text.is_empty() => {
                    header.set_entry_type(tar::EntryType::Directory);
                    tar.append_data(&mut header, path, io::empty())
                }
                None => {
                    header.set_size(text.len() as u64);
                    tar.append_data(&mut header, path, text.as_bytes())
                }
            };
            added.unwrap();
        }
        let bytes = tar.into_inner().unwrap().finish().unwrap();
        let package = Package {
            name: "odd".into(),
            version: "1".into(),
            architecture: None,
            sets: BTreeSet::new(),
            from: Origin::Npm,
            path: String::new(),
            size: bytes.len() as u64,
            sha256: Sha256::of(&bytes),
            integrity: None,
        };
        (package, bytes)
    }

    /// The same, unpacked in this folder.
    pub(in super::super) fn unpacked(folder: &Path, entries: &[(&str, u32, &str)]) -> Unpacked {
        let (package, bytes) = package(entries);
        let store = Store::at(folder.join("store"));
        store.insert(&bytes).unwrap();
        Unpacked::open(&package, &store, &Cache::at(folder.join("cache"))).unwrap()
    }

    #[test]
    fn a_package_is_unpacked_once_and_then_comes_from_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let entries = [
            ("usr", 0o755, ""),
            ("usr/a", 0o640, "first"),
            ("usr/b", 0o755, "second"),
            ("l", 0o777, "-> usr/b"),
        ];
        let one = unpacked(folder.path(), &entries);
        // Without the store, only the cache can be it.
        let empty = Store::at(folder.path().join("empty"));
        let two =
            Unpacked::open(&package(&entries).0, &empty, &Cache::at(folder.path().join("cache"))).unwrap();
        assert_eq!(one.entries, two.entries);
        let seen: Vec<_> = two.entries.iter().map(|unit| (unit.path.as_str(), unit.mode)).collect();
        assert_eq!(seen, [("usr", 0o755), ("usr/a", 0o640), ("usr/b", 0o755), ("l", 0o777)]);
        let What::File(place) = two.entries[2].what else { panic!("a file is expected") };
        let content = two.content(&place);
        assert_eq!(content.read().unwrap(), b"second");
        assert_eq!(content.digest(), Sha256::of(b"second"));
        assert_eq!(two.entries[3].what, What::Symlink("usr/b".into()));
    }

    #[test]
    fn a_package_that_is_not_in_the_store_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (package, _) = package(&[]);
        let opened = Unpacked::open(&package, &Store::at(folder.path()), &Cache::at(folder.path()));
        assert_eq!(opened.err().unwrap().to_string(), format!("{} is not in the cache", package.sha256));
    }
}
