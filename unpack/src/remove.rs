//! Removes what a slot's user owns, however deep it nests: subfolders are moved up to the top before they are
//! emptied, so that neither the stack nor the open files grow with the depth that a tenant chose.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::time::{Duration, Instant};

use crate::error::UnpackError;

/// A pass over the top takes one level away, so the number of passes is the tenant's choice; the time is not.
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
    let mut sweep = Sweep { top, moved: 0, deadline: Instant::now() + DEADLINE };
    while sweep.pass(top, true).map_err(UnpackError::io("empty the folder"))? > 0 {}
    Ok(())
}

struct Sweep<'a> {
    top: BorrowedFd<'a>,
    /// Numbers the folders that were moved up.
    moved: u64,
    deadline: Instant,
}

impl Sweep<'_> {
    /// Empties `folder` once; returns how many entries it had. Subfolders of the top are emptied and removed,
    /// those of any other folder are moved to the top.
    fn pass(&mut self, folder: BorrowedFd<'_>, is_top: bool) -> Result<u64, Errno> {
        if Instant::now() > self.deadline {
            return Err(Errno::TIMEDOUT);
        }
        let mut seen = 0;
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            seen += 1;
            if !is_folder(folder, name, entry.file_type())? {
                gone(rustix::fs::unlinkat(folder, name, AtFlags::empty()))?;
            } else if is_top {
                let inner = open_for_removal(folder, name)?;
                // Twice, unless something writes behind our back.
                while self.pass(inner.as_fd(), false)? > 0 {}
                gone(rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR))?;
            } else {
                self.move_up(folder, name)?;
            }
        }
        Ok(seen)
    }

    fn move_up(&mut self, from: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
        // To move a folder its own `..` is written, which needs its write permission.
        drop(open_for_removal(from, name)?);
        loop {
            self.moved += 1;
            let new = format!(".kennel-removing-{}", self.moved);
            match rustix::fs::renameat_with(from, name, self.top, new.as_str(), RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                result => return result,
            }
        }
    }
}

fn is_folder(parent: BorrowedFd<'_>, name: &CStr, kind: FileType) -> Result<bool, Errno> {
    if kind != FileType::Unknown {
        return Ok(kind == FileType::Directory);
    }
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
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
