//! Removes what a slot's user owns, however deep it nests: one folder is open at a time, so that neither the stack nor
//! the open files grow with the depth that a tenant chose. Nothing is moved on the way, because the slot's install
//! domain may move nothing in a tenant's data.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use crate::error::UnpackError;

/// How many entries there are is the tenant's choice; how long it takes is not.
const DEADLINE: Duration = Duration::from_secs(600);

/// The folder that release `number` is unpacked into before it is complete.
pub(crate) fn incoming_name(number: u32) -> String {
    format!(".incoming-{number}")
}

/// Removes release `number` and what an interrupted upload of it left. Not being there is fine.
///
/// # Errors
/// [`UnpackError::Io`].
pub fn remove_release(releases: BorrowedFd<'_>, number: u32) -> Result<(), UnpackError> {
    remove_folder(releases, &incoming_name(number))?;
    remove_folder(releases, &number.to_string())
}

/// Removes the folder `name` of `parent` with all that is in it. Not being there is fine.
pub(crate) fn remove_folder(parent: BorrowedFd<'_>, name: &str) -> Result<(), UnpackError> {
    let folder = match open(parent, name) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(()),
        Err(e) => return Err(UnpackError::io(format!("open the folder {name:?}"))(e)),
    };
    empty_folder(folder.as_fd())?;
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
        .map_err(UnpackError::io(format!("remove the folder {name:?}")))
}

/// Removes everything in `top`, which stays.
///
/// # Errors
/// [`UnpackError::Io`].
pub fn empty_folder(top: BorrowedFd<'_>) -> Result<(), UnpackError> {
    empty(top).map_err(UnpackError::io("empty the folder"))
}

/// A folder on the way from the top to where the work is.
struct Level {
    name: CString,
    /// Device and inode of the folder that it lies in, to come back to that one and no other.
    parent: (u64, u64),
}

/// Goes down into the first folder that is not empty, until there is none; then up again, removing it.
fn empty(top: BorrowedFd<'_>) -> Result<(), Errno> {
    let deadline = Instant::now() + DEADLINE;
    let mut way: Vec<Level> = Vec::new();
    let mut here = open(top, c".")?;
    loop {
        if Instant::now() > deadline {
            return Err(Errno::TIMEDOUT);
        }
        if let Some(name) = sweep(here.as_fd())? {
            let inner = open_for_removal(here.as_fd(), &name)?;
            way.push(Level { name, parent: identity(here.as_fd())? });
            here = inner;
        } else if let Some(level) = way.pop() {
            here = open(here.as_fd(), c"..")?;
            if identity(here.as_fd())? != level.parent {
                return Err(Errno::BUSY);
            }
            gone(rustix::fs::unlinkat(&here, &level.name, AtFlags::REMOVEDIR))?;
        } else {
            return Ok(());
        }
    }
}

/// Removes files, links and empty folders; stops at the first folder that is not empty, and names it.
fn sweep(folder: BorrowedFd<'_>) -> Result<Option<CString>, Errno> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if !is_folder(folder, name, entry.file_type())? {
            gone(rustix::fs::unlinkat(folder, name, AtFlags::empty()))?;
            continue;
        }
        match gone(rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(Some(name.to_owned())),
            result => result?,
        }
    }
    Ok(None)
}

fn is_folder(parent: BorrowedFd<'_>, name: &CStr, kind: FileType) -> Result<bool, Errno> {
    if kind != FileType::Unknown {
        return Ok(kind == FileType::Directory);
    }
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn identity(folder: BorrowedFd<'_>) -> Result<(u64, u64), Errno> {
    rustix::fs::fstat(folder).map(|stat| (stat.st_dev, stat.st_ino))
}

/// Opens a folder whose owner may have locked themselves out of it.
fn open_for_removal(parent: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    // `AT_SYMLINK_NOFOLLOW` is not for chmod; the entry was just seen to be a folder, and its owner's programs
    // are stopped. Were it a link by now, chmod could only reach what the same user owns anyway.
    rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
    open(parent, name)
}

fn open<P: rustix::path::Arg>(parent: BorrowedFd<'_>, name: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

fn gone(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
