//! A tenant's data from an archive, into a folder beside the one that it has; init puts it in its place when it is whole.
//! What a release may not hold, data may neither, but that links may lead anywhere: the tenant's own programs make such too.

use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::fs::{Timespec, Timestamps};
use std::fs::File;
use std::io::{Read, Write as _};

use crate::archive::{Archive, Entry, Kind};
use crate::error::{Fault, UnpackError};
use crate::name::EntryName;
use crate::release::{check, hard_link_name, write_error};
use crate::tree::Tree;
use crate::{Bounds, MAX_PATH_BYTES, Unpacked, empty_folder};

/// Unpacks `input` into the folder `data`, which is emptied before.
///
/// # Errors
/// [`UnpackError`]; the folder is empty then.
pub fn restore_data(input: impl Read, data: BorrowedFd<'_>, bounds: Bounds) -> Result<Unpacked, UnpackError> {
    empty_folder(data)?;
    let result = fill(input, data, bounds);
    if result.is_err() {
        // The refusal is the answer; what cannot be removed now is removed later.
        let _ = empty_folder(data);
    }
    result
}

fn fill(input: impl Read, data: BorrowedFd<'_>, bounds: Bounds) -> Result<Unpacked, UnpackError> {
    let mut restore = Restore { tree: Tree::new(data), bounds, done: Unpacked::default(), folders: vec![] };
    let mut archive = Archive::new(input);
    while let Some(entry) = archive.next_entry()? {
        restore.take(&entry, &mut archive)?;
    }
    restore.close_folders()?;
    rustix::fs::syncfs(data).map_err(UnpackError::io("flush the data to disk"))?;
    Ok(restore.done)
}

struct Restore<'a> {
    tree: Tree<'a>,
    bounds: Bounds,
    done: Unpacked,
    /// With the bits that they are to have in the end; until then things are made in them.
    folders: Vec<(EntryName, u32)>,
}

impl Restore<'_> {
    fn take<R: Read>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Result<(), UnpackError> {
        let refused = |fault| UnpackError::entry(&entry.path, fault);
        let name = EntryName::new(&entry.path).map_err(refused)?;
        check(entry, &name).map_err(refused)?;
        self.done.count(1, &self.bounds)?;
        let parents = self.tree.make_parents(&name)?;
        self.done.count(parents, &self.bounds)?;
        let mode = entry.mode & 0o777;
        match &entry.kind {
            Kind::Folder if name.is_root() => {}
            Kind::Folder => {
                self.tree.folder(&name)?;
                self.folders.push((name, mode));
            }
            Kind::Symlink(target) => self.tree.symlink(&name, target_of(target).map_err(refused)?)?,
            Kind::HardLink(target) => {
                let to = hard_link_name(target).map_err(refused)?;
                self.tree.hard_link(&name, &to)?;
            }
            _ => {
                self.done.count_bytes(entry.size, &self.bounds)?;
                let mut file = File::from(self.tree.file(&name, mode)?);
                archive.content(|piece| file.write_all(piece).map_err(|source| write_error(&name, source)))?;
                let time = Timespec { tv_sec: entry.modified_s.try_into().unwrap_or(i64::MAX), tv_nsec: 0 };
                let times = Timestamps { last_access: time, last_modification: time };
                rustix::fs::futimens(file.as_fd(), &times).map_err(|e| write_error(&name, e.into()))?;
            }
        }
        Ok(())
    }

    /// The deepest first: a folder may be closed to its own owner.
    fn close_folders(&mut self) -> Result<(), UnpackError> {
        self.folders.sort_by_key(|(name, _)| std::cmp::Reverse(name.as_str().matches('/').count()));
        self.folders.iter().try_for_each(|(name, mode)| self.tree.set_mode(name, *mode))
    }
}

/// A link's target as it is written, wherever it leads.
fn target_of(raw: &[u8]) -> Result<&str, Fault> {
    let target = std::str::from_utf8(raw).map_err(|_| Fault::BadTarget)?;
    let bad = target.is_empty() || target.len() > MAX_PATH_BYTES || target.contains('\0');
    if bad { Err(Fault::BadTarget) } else { Ok(target) }
}
