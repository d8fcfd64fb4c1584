//! Around a build, which fetches the packages that a release needs and came without: its files go out to a folder that the build may
//! write to, and what has become of them comes back as the release. On both ways they are read as anything is that comes from outside, and
//! what is in the release already, or in one before it, is shared with that.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;

use kennel_model::layout::slot_dirs::{BUILD, BUILD_APP, BUILD_CACHE, RELEASES};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::Bounds;
use crate::error::UnpackError;
use crate::found::Seen;
use crate::listing::open_release;
use crate::name::EntryName;
use crate::release::{Job, Unpacked, place, write_error};
use crate::remove::{empty_folder, remove_folder, remove_release};
use crate::tree::Tree;
use crate::walk::{Step, unreadable, walk};

/// Read at a time of a file.
const BLOCK: usize = 64 << 10;
/// What earlier builds have kept goes when less than one part in so many of the tenant's disk is free.
const FREE_PART: u64 = 4;

/// Removes release `number`, what an interrupted upload of it left, and what a build has left that was not ended: a slot has one at a
/// time, and one that failed is followed by this. What builds keep may be what it failed by, and goes as well.
///
/// # Errors
/// [`UnpackError::Io`].
pub fn remove(number: u32) -> Result<(), UnpackError> {
    let (releases, build) = (open(RELEASES)?, open(BUILD)?);
    if rustix::fs::statat(&build, BUILD_APP, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        empty_folder(build.as_fd())?;
    }
    remove_release(releases.as_fd(), number)
}

/// Copies release `number` to where a build may write; the working directory is the slot's folder.
///
/// # Errors
/// [`UnpackError`]. What is there then goes with the next build.
pub fn begin_build(number: u32) -> Result<(), UnpackError> {
    let (releases, build) = (open(RELEASES)?, open(BUILD)?);
    remove_folder(build.as_fd(), BUILD_APP)?;
    let space = rustix::fs::fstatvfs(&build).map_err(UnpackError::io("look how much is free"))?;
    if space.f_bavail < space.f_blocks / FREE_PART {
        remove_folder(build.as_fd(), BUILD_CACHE)?;
    }
    for folder in [BUILD_APP, BUILD_CACHE] {
        match rustix::fs::mkdirat(&build, folder, Mode::RWXU) {
            Err(rustix::io::Errno::EXIST) => {}
            made => made.map_err(UnpackError::io(format!("make the folder {folder}")))?,
        }
    }
    let release = open_release(releases.as_fd(), number)?;
    let app = open_in(&build, BUILD_APP)?;
    // It is within them already.
    let mut job = Job::new(app.as_fd(), Bounds { bytes: u64::MAX, entries: u32::MAX });
    copy(&mut job, &Tree::new(release.as_fd()), &[])
}

/// Makes what a build has left release `number`, in place of what it began with. Files that are in that, or in `basis`, are shared.
///
/// # Errors
/// [`UnpackError`]; then the release is what it was.
pub fn end_build(number: u32, basis: Option<u32>, bounds: Bounds) -> Result<Unpacked, UnpackError> {
    let (releases, build) = (open(RELEASES)?, open(BUILD)?);
    let before = [Some(number), basis]
        .into_iter()
        .flatten()
        .filter_map(|number| open_release(releases.as_fd(), number).ok());
    let before: Vec<OwnedFd> = before.collect();
    let before: Vec<Tree<'_>> = before.iter().map(|release| Tree::new(release.as_fd())).collect();
    let app = open_in(&build, BUILD_APP)?;
    let made = place(releases.as_fd(), number, true, |root| {
        let mut job = Job::new(root, bounds);
        copy(&mut job, &Tree::new(app.as_fd()), &before)?;
        job.end()
    })?;
    remove_folder(build.as_fd(), BUILD_APP)?;
    Ok(made)
}

fn open(name: &str) -> Result<OwnedFd, UnpackError> {
    open_in(CWD, name)
}

fn open_in(parent: impl rustix::fd::AsFd, name: &str) -> Result<OwnedFd, UnpackError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
        .map_err(UnpackError::io(format!("open the folder {name}")))
}

/// Takes all of `from` but sockets and pipes, and shares files with the first of `before` that has the same.
fn copy(job: &mut Job<'_>, from: &Tree<'_>, before: &[Tree<'_>]) -> Result<(), UnpackError> {
    walk(from, |step| {
        match step {
            Step::Leave | Step::Other(_) => return Ok(true),
            Step::Folder(name) => {
                job.tree.folder(name)?;
                job.seen.folder(name);
            }
            Step::File(name) => file(job, from, before, name)?,
            Step::Link(name) => {
                let target = from.target(name).map_err(unreadable(name.as_str()))?;
                let target =
                    name.check_target(&target).map_err(|fault| UnpackError::entry(name.as_str(), fault))?;
                job.tree.symlink(name, &target)?;
                job.remember_link(name)?;
                job.seen.link(name);
            }
        }
        job.count(1)?;
        Ok(true)
    })
}

fn file(job: &mut Job<'_>, from: &Tree<'_>, before: &[Tree<'_>], name: &EntryName) -> Result<(), UnpackError> {
    let failed = |e: io::Error| UnpackError::system(format!("read {:?}", name.as_str()), e);
    let open = || from.read(name).map(File::from).map_err(unreadable(name.as_str()));
    let meta = open()?.metadata().map_err(failed)?;
    let executable = meta.mode() & 0o111 != 0;
    job.count_bytes(meta.len())?;
    let same =
        before.iter().find(|other| is_same(other, name, executable, || open().map_err(io::Error::other)));
    // One that cannot be linked once more is copied.
    let shared = same.is_some_and(|other| job.tree.hard_link_in(name, other, name).is_ok());
    let mut out = match shared {
        true => None,
        false => Some(File::from(job.tree.file(name, if executable { 0o755 } else { 0o644 })?)),
    };
    let (mut source, mut look, mut block) = (open()?, Seen::look(name), vec![0; BLOCK]);
    loop {
        let piece = match source.read(&mut block).map_err(failed)? {
            0 => break,
            n => &block[..n],
        };
        look.more(piece);
        if let Some(out) = &mut out {
            io::Write::write_all(out, piece).map_err(|source| write_error(name, source))?;
        }
    }
    let made = match out {
        Some(out) => out,
        None => File::from(job.tree.read(name).map_err(unreadable(name.as_str()))?),
    };
    job.seen.file(name, look, made.metadata().map_err(failed)?.ino(), executable);
    Ok(())
}

/// Whether another release has this very file. What cannot be read is not it.
fn is_same(other: &Tree<'_>, name: &EntryName, executable: bool, open: impl Fn() -> io::Result<File>) -> bool {
    let compare = || -> io::Result<bool> {
        let (mut theirs, mut ours) = (File::from(other.read(name)?), open()?);
        let (a, b) = (theirs.metadata()?, ours.metadata()?);
        if !a.is_file() || a.len() != b.len() || (a.mode() & 0o111 != 0) != executable {
            return Ok(false);
        }
        let (mut one, mut two) = (vec![0; BLOCK], vec![0; BLOCK]);
        loop {
            let n = theirs.read(&mut one)?;
            if n == 0 {
                return Ok(true);
            }
            ours.read_exact(&mut two[..n])?;
            if one[..n] != two[..n] {
                return Ok(false);
            }
        }
    };
    compare().unwrap_or(false)
}
