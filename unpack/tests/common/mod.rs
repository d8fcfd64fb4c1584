//! Archives with whatever in them, and the folder that they are unpacked into.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)] // Each test file uses its part.

use kennel_model::listing::{Changes, Listing, Sum};
use kennel_unpack::{Bounds, UnpackError, Unpacked, list_release, unpack_changes, unpack_release};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

pub const BOUNDS: Bounds = Bounds { bytes: 1 << 20, entries: 100 };

/// A tar stream in the making; names are written as they are, however bad.
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn entry(mut self, kind: EntryType, name: &str, mode: u32, link: &str, content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, name, 0o644, "", content)
    }

    pub fn program(self, name: &str) -> Self {
        self.entry(EntryType::Regular, name, 0o777, "", b"#!")
    }

    pub fn folder(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name, 0o700, "", b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, name, 0o777, target, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(EntryType::Link, name, 0o644, target, b"")
    }

    /// Without the closing blocks.
    pub fn open_ended(self) -> Vec<u8> {
        self.0
    }

    pub fn done(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// A slot's folder, with something valuable in it beside releases and builds.
pub struct Slot {
    dir: tempfile::TempDir,
}

impl Slot {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["releases", "build"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("precious"), "precious").unwrap();
        Self { dir }
    }

    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub fn releases(&self) -> PathBuf {
        self.dir.path().join("releases")
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.releases().join(inside)
    }

    pub fn unpack(&self, number: u32, archive: &[u8]) -> Result<Unpacked, UnpackError> {
        self.unpack_within(number, archive, BOUNDS)
    }

    pub fn unpack_within(&self, number: u32, archive: &[u8], bounds: Bounds) -> Result<Unpacked, UnpackError> {
        unpack_release(archive, File::open(self.releases()).unwrap().as_fd(), number, bounds)
    }

    /// What release `number` holds.
    pub fn listing(&self, number: u32) -> Listing {
        let mut out = Vec::new();
        list_release(File::open(self.releases()).unwrap().as_fd(), number, &mut out).unwrap();
        Listing::read(&out).unwrap()
    }

    /// A release from what has changed since `basis`, so that it comes to `sum`.
    pub fn change(
        &self,
        number: u32,
        basis: u32,
        changes: &Changes,
        archive: &[u8],
    ) -> Result<Unpacked, UnpackError> {
        self.change_by(number, basis, &changed(changes, archive), BOUNDS)
    }

    pub fn change_by(
        &self,
        number: u32,
        basis: u32,
        sent: &[u8],
        bounds: Bounds,
    ) -> Result<Unpacked, UnpackError> {
        unpack_changes(sent, File::open(self.releases()).unwrap().as_fd(), number, basis, bounds)
    }

    /// What is in the releases folder, and that what lies beside it was not touched.
    pub fn names(&self) -> Vec<String> {
        assert_eq!(std::fs::read_to_string(self.dir.path().join("precious")).unwrap(), "precious");
        assert_eq!(names(self.dir.path()), ["build", "precious", "releases"]);
        names(&self.releases())
    }
}

pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// As it is sent.
pub fn changed(changes: &Changes, archive: &[u8]) -> Vec<u8> {
    let head = serde_json::to_vec(changes).unwrap();
    [&u32::try_from(head.len()).unwrap().to_be_bytes(), head.as_slice(), archive].concat()
}

/// Nothing is gone, nothing is moved.
pub fn changes(sum: Sum) -> Changes {
    Changes { sum, gone: vec![], moved: vec![] }
}
