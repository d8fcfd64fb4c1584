//! Tells what a release holds, for whoever is about to deploy what has changed of it.

use kennel_model::listing::{Listing, MAX_LISTING_BYTES, Thing};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;

use crate::error::UnpackError;
use crate::tree::Tree;
use crate::walk::{Step, Summing, digest_of, unreadable, walk};

/// Written at a time.
const BLOCK: usize = 32 << 10;

/// Writes the listing of release `number` of the slot whose `releases` folder is given, and says in it when that fails.
///
/// # Errors
/// [`UnpackError`].
pub fn list_release(releases: BorrowedFd<'_>, number: u32, out: impl Write) -> Result<(), UnpackError> {
    let mut lines = Lines { out, waiting: Vec::new(), written: 0 };
    let listed = list(releases, number, &mut lines);
    if let Err(cause) = &listed {
        Listing::write_failure(&cause.to_string(), &mut lines.waiting);
    }
    let written = lines.pass_on();
    // Nobody is left to be told when it is not read any more.
    let _ = lines.out.flush();
    listed.and(written)
}

fn list(releases: BorrowedFd<'_>, number: u32, lines: &mut Lines<impl Write>) -> Result<(), UnpackError> {
    let root = open_release(releases, number)?;
    let tree = Tree::new(root.as_fd());
    let mut summing = Summing::default();
    walk(&tree, |step| {
        let (name, thing) = match step {
            Step::Leave => {
                Listing::write_leave(&mut lines.waiting);
                return Ok(true);
            }
            Step::Other(name) => return Err(unreadable(name.as_str())(Errno::INVAL)),
            Step::Folder(name) => (name, Thing::Folder),
            Step::File(name) => {
                let (digest, meta) = digest_of(&tree, name, |_| ())?;
                (name, Thing::File { executable: meta.mode() & 0o111 != 0, digest })
            }
            Step::Link(name) => {
                let target = tree.target(name).map_err(unreadable(name.as_str()))?;
                (name, Thing::Link(Sha256::digest(target).into()))
            }
        };
        summing.add(name, &thing);
        thing.short().write(name.split().1, &mut lines.waiting);
        if lines.waiting.len() >= BLOCK {
            lines.pass_on()?;
        }
        Ok(true)
    })?;
    Listing::write_end(&summing.sum(), &mut lines.waiting);
    Ok(())
}

/// A release's folder.
pub(crate) fn open_release(releases: BorrowedFd<'_>, number: u32) -> Result<rustix::fd::OwnedFd, UnpackError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(releases, number.to_string(), flags, Mode::empty())
        .map_err(UnpackError::io(format!("open release {number}")))
}

/// What is written, within bounds.
struct Lines<W> {
    out: W,
    waiting: Vec<u8>,
    written: usize,
}

impl<W: Write> Lines<W> {
    fn pass_on(&mut self) -> Result<(), UnpackError> {
        let failed = |source| UnpackError::Io { what: "write the listing".into(), source };
        self.written += self.waiting.len();
        if self.written > MAX_LISTING_BYTES {
            return Err(failed(io::Error::other("it is too long")));
        }
        self.out.write_all(&self.waiting).map_err(failed)?;
        self.waiting.clear();
        Ok(())
    }
}
