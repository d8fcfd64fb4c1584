//! All that is in a release, or in data, folder by folder: names in the order of their bytes, each folder before what is in it. One folder is
//! open at a time.

use kennel_model::listing::{Sum, Thing};
use rustix::fs::FileType;
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::Read as _;

use crate::error::UnpackError;
use crate::name::EntryName;
use crate::tree::Tree;

/// Read at a time of a file.
const BLOCK: usize = 64 << 10;

/// What is met on the way.
pub(crate) enum Step<'a> {
    Folder(&'a EntryName),
    File(&'a EntryName),
    Link(&'a EntryName),
    /// A socket or a pipe, which no release holds.
    Other(&'a EntryName),
    /// Out of the folder that was gone into last.
    Leave,
}

/// Goes through a release. A folder that `visit` answers with `false` is not gone into.
pub(crate) fn walk(
    tree: &Tree<'_>,
    mut visit: impl FnMut(Step<'_>) -> Result<bool, UnpackError>,
) -> Result<(), UnpackError> {
    let list = |path: &str| tree.list(path).map_err(unreadable(path)).map(Vec::into_iter);
    let mut open = vec![(String::new(), list("")?)];
    while let Some((path, names)) = open.last_mut() {
        let Some((name, kind)) = names.next() else {
            open.pop();
            if !open.is_empty() {
                visit(Step::Leave)?;
            }
            continue;
        };
        let inside = [path.as_bytes(), if path.is_empty() { b"" } else { b"/" }, &name].concat();
        let name = EntryName::new(&inside).map_err(|fault| UnpackError::entry(&inside, fault))?;
        match kind {
            FileType::Directory => {
                if visit(Step::Folder(&name))? {
                    let names = list(name.as_str())?;
                    open.push((name.as_str().to_owned(), names));
                }
            }
            FileType::RegularFile => {
                visit(Step::File(&name))?;
            }
            FileType::Symlink => {
                visit(Step::Link(&name))?;
            }
            _ => {
                visit(Step::Other(&name))?;
            }
        }
    }
    Ok(())
}

/// A file's digest and facts, with each piece of it handed on.
pub(crate) fn digest_of(
    tree: &Tree<'_>,
    name: &EntryName,
    mut piece: impl FnMut(&[u8]),
) -> Result<([u8; 32], std::fs::Metadata), UnpackError> {
    let failed = |e: std::io::Error| UnpackError::system(format!("read {:?}", name.as_str()), e);
    let mut file = File::from(tree.read(name).map_err(unreadable(name.as_str()))?);
    let meta = file.metadata().map_err(failed)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block).map_err(failed)? {
            0 => return Ok((hash.finalize().into(), meta)),
            n => {
                hash.update(&block[..n]);
                piece(&block[..n]);
            }
        }
    }
}

/// Sums up a release from its records.
#[derive(Default)]
pub(crate) struct Summing {
    hash: Sha256,
    record: Vec<u8>,
}

impl Summing {
    pub(crate) fn add(&mut self, name: &EntryName, thing: &Thing<[u8; 32]>) {
        self.record.clear();
        thing.record(name.as_str(), &mut self.record);
        self.hash.update(&self.record);
    }

    pub(crate) fn sum(self) -> Sum {
        Sum(self.hash.finalize().into())
    }
}

pub(crate) fn unreadable(path: &str) -> impl FnOnce(Errno) -> UnpackError {
    UnpackError::io(format!("read {path:?}"))
}
