//! Makes the files of a release, or of data. Every parent is opened from the release's folder with `RESOLVE_BENEATH` and without
//! following any link, every name is made anew (`O_EXCL`), and folders are 0755 whatever the archive says.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::{Fault, UnpackError};
use crate::name::EntryName;

/// Times that a lookup is tried again when the kernel saw a concurrent rename (`EAGAIN`).
const LOOKUP_TRIES: u32 = 16;

/// The folder that a release is unpacked into.
#[derive(Clone, Copy)]
pub(crate) struct Tree<'a> {
    root: BorrowedFd<'a>,
}

/// What is at a path.
pub(crate) enum At {
    Folder,
    /// By its inode.
    File(u64),
}

impl<'a> Tree<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>) -> Self {
        Self { root }
    }

    /// Makes the folders on the way to `name` that are missing; returns how many that were.
    pub(crate) fn make_parents(&self, name: &EntryName) -> Result<u32, UnpackError> {
        let (parent, _) = name.split();
        if parent.is_empty() || self.open_folder(parent).is_ok() {
            return Ok(0);
        }
        let mut made = 0;
        let ends = parent.match_indices('/').map(|(at, _)| at).chain([parent.len()]);
        for end in ends {
            match self.mkdir(&parent[..end]) {
                Ok(new) => made += u32::from(new),
                Err(Errno::EXIST) => return Err(failed(name, Errno::NOTDIR)),
                Err(e) => return Err(failed(name, e)),
            }
        }
        Ok(made)
    }

    /// A folder; one that is there already stays as it is. Returns whether it was made.
    pub(crate) fn folder(&self, name: &EntryName) -> Result<bool, UnpackError> {
        if name.is_root() {
            return Ok(false);
        }
        self.mkdir(name.as_str()).map_err(|e| failed(name, e))
    }

    /// A new file with these permission bits, open for writing.
    pub(crate) fn file(&self, name: &EntryName, mode: u32) -> Result<OwnedFd, UnpackError> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (parent, last) = name.split();
        let parent = self.open_folder(parent).map_err(|e| failed(name, e))?;
        rustix::fs::openat(&parent, last, flags, Mode::from_raw_mode(mode)).map_err(|e| failed(name, e))
    }

    /// Sets the permission bits of a folder.
    pub(crate) fn set_mode(&self, name: &EntryName, mode: u32) -> Result<(), UnpackError> {
        let (parent, last) = name.split();
        let parent = self.open_folder(parent).map_err(|e| failed(name, e))?;
        rustix::fs::chmodat(&parent, last, Mode::from_raw_mode(mode), AtFlags::empty())
            .map_err(|e| failed(name, e))
    }

    /// A symbolic link. Whether its target stays inside is checked by its text before and by [`Tree::leaves`] after.
    pub(crate) fn symlink(&self, name: &EntryName, target: &str) -> Result<(), UnpackError> {
        let (parent, last) = name.split();
        let parent = self.open_folder(parent).map_err(|e| failed(name, e))?;
        rustix::fs::symlinkat(target, &parent, last).map_err(|e| failed(name, e))
    }

    /// Another name for a regular file of this release. Not for a symbolic link: its target would be counted from
    /// another folder then.
    pub(crate) fn hard_link(&self, name: &EntryName, to: &EntryName) -> Result<(), UnpackError> {
        self.hard_link_in(name, self, to)
    }

    /// Another name for a regular file of another release of this slot.
    pub(crate) fn hard_link_in(
        &self,
        name: &EntryName,
        other: &Tree<'_>,
        to: &EntryName,
    ) -> Result<(), UnpackError> {
        let refused =
            || UnpackError::entry(name.as_str(), Fault::HardLink(to.as_str().chars().take(200).collect()));
        let (from_parent, from_last) = to.split();
        let from = other.open_folder(from_parent).map_err(|_| refused())?;
        let stat = rustix::fs::statat(&from, from_last, AtFlags::SYMLINK_NOFOLLOW).map_err(|_| refused())?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(refused());
        }
        let (parent, last) = name.split();
        let parent = self.open_folder(parent).map_err(|e| failed(name, e))?;
        rustix::fs::linkat(&from, from_last, &parent, last, AtFlags::empty()).map_err(|e| failed(name, e))
    }

    /// Whether following the link at `name`, through whatever other links, leads out of the release.
    pub(crate) fn leaves(&self, name: &str) -> Result<bool, UnpackError> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match self.open(name, flags, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS) {
            // One that leads nowhere leads nowhere for the tenant too: a release never changes.
            Ok(_) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => Ok(false),
            Err(Errno::XDEV) => Ok(true),
            Err(e) => Err(UnpackError::io(format!("resolve the link {name:?}"))(e)),
        }
    }

    /// What is at a path, links followed as far as they stay inside.
    pub(crate) fn at(&self, path: &str) -> Option<At> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = self.open(path, flags, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS).ok()?;
        let stat = rustix::fs::fstat(&found).ok()?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Some(At::Folder),
            FileType::RegularFile => Some(At::File(stat.st_ino)),
            _ => None,
        }
    }

    /// Whether something lies there, links not followed.
    pub(crate) fn has(&self, name: &EntryName) -> Result<bool, UnpackError> {
        let (parent, last) = name.split();
        let parent = match self.open_folder(parent) {
            Err(Errno::NOENT) => return Ok(false),
            opened => opened.map_err(|e| failed(name, e))?,
        };
        match rustix::fs::statat(&parent, last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(failed(name, e)),
        }
    }

    /// What something is like, links not followed; the whole tree's folder without a name.
    pub(crate) fn stat(&self, name: Option<&EntryName>) -> Result<Stat, Errno> {
        let Some(name) = name else { return rustix::fs::fstat(self.root) };
        let (parent, last) = name.split();
        rustix::fs::statat(self.open_folder(parent)?, last, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The names in a folder and what they stand for, in the order of their bytes; empty for the release itself.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<(Vec<u8>, FileType)>, Errno> {
        let folder = self.open_to_read(path, OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                known => known,
            };
            names.push((name.to_bytes().to_vec(), kind));
        }
        names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(names)
    }

    /// A file, open for reading.
    pub(crate) fn read(&self, name: &EntryName) -> Result<OwnedFd, Errno> {
        self.open_to_read(name.as_str(), OFlags::NONBLOCK)
    }

    /// Where a symbolic link leads, as it is written.
    pub(crate) fn target(&self, name: &EntryName) -> Result<Vec<u8>, Errno> {
        let (parent, last) = name.split();
        let target = rustix::fs::readlinkat(self.open_folder(parent)?, last, Vec::new())?;
        Ok(target.into_bytes())
    }

    fn open_to_read(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "." } else { path };
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.open(path, flags, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV)
    }

    fn open_folder(&self, path: &str) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "." } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.open(path, flags, ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV)
    }

    fn open(&self, path: &str, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        for _ in 1..LOOKUP_TRIES {
            match rustix::fs::openat2(self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
        rustix::fs::openat2(self.root, path, flags, Mode::empty(), resolve)
    }

    /// Makes one folder whose parent exists; `false` when it is there already.
    fn mkdir(&self, path: &str) -> Result<bool, Errno> {
        let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.open_folder(parent)?;
        match rustix::fs::mkdirat(parent.as_fd(), last, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => match rustix::fs::statat(&parent, last, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => Ok(false),
                Ok(_) => Err(Errno::EXIST),
                Err(e) => Err(e),
            },
            Err(e) => Err(e),
        }
    }
}

/// The kernel's word for what is wrong with an entry, in ours.
fn failed(name: &EntryName, errno: Errno) -> UnpackError {
    match errno {
        Errno::EXIST => UnpackError::entry(name.as_str(), Fault::Duplicate),
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV => UnpackError::entry(name.as_str(), Fault::BelowNonFolder),
        other => UnpackError::io(format!("make {:?}", name.as_str()))(other),
    }
}
