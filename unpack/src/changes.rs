//! A release from what has changed since an earlier one: what came is unpacked as any archive is, all else is linked from the
//! earlier release, and then all of it is read and held against the digest that whoever sent it had of the whole. Files of
//! releases are never written again, so that two of them can share one.

use kennel_model::listing::{Changes, MAX_CHANGES_BYTES, Sum, Thing};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;

use crate::Bounds;
use crate::error::UnpackError;
use crate::found::Seen;
use crate::listing::open_release;
use crate::name::EntryName;
use crate::release::{Job, Unpacked};
use crate::tree::Tree;
use crate::walk::{Step, Summing, digest_of, unreadable, walk};

/// Unpacks `input` into the empty folder `root`, with what has not changed since release `basis`.
pub(crate) fn unpack(
    mut input: impl Read,
    releases: BorrowedFd<'_>,
    basis: u32,
    root: BorrowedFd<'_>,
    bounds: Bounds,
) -> Result<Unpacked, UnpackError> {
    let changes = changes(&mut input)?;
    let unfit = |why: String| UnpackError::Basis { basis, why };
    let earlier = open_release(releases, basis).map_err(|cause| unfit(cause.to_string()))?;
    let earlier = Tree::new(earlier.as_fd());
    let mut job = Job::new(root, bounds);
    job.take_all(input)?;
    // A file that cannot be read or linked once more is as good as another: the whole archive brings a new one.
    let or_unfit = |cause: UnpackError| match cause {
        UnpackError::Io { .. } => unfit(cause.to_string()),
        other => other,
    };
    link_moved(&mut job, &earlier, &changes).map_err(or_unfit)?;
    link_rest(&mut job, &earlier, &changes).map_err(or_unfit)?;
    // What was counted and seen so far is what came; now it is all there is.
    let (made, sum) = look_through(Job::new(root, bounds)).map_err(or_unfit)?;
    if sum == changes.sum { Ok(made) } else { Err(unfit("what results is something else".into())) }
}

/// What is said before the archive: its length in four bytes, the most significant first, and it in JSON.
fn changes(input: &mut impl Read) -> Result<Changes, UnpackError> {
    let read = |e: io::Error| match e.kind() {
        io::ErrorKind::UnexpectedEof => UnpackError::Changes("it ends early".into()),
        _ => UnpackError::Io { what: "read the upload".into(), source: e },
    };
    let mut length = [0; 4];
    input.read_exact(&mut length).map_err(read)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_CHANGES_BYTES {
        return Err(UnpackError::Changes(format!("it is longer than {} MiB", MAX_CHANGES_BYTES >> 20)));
    }
    let mut text = Vec::new();
    input.take(length as u64).read_to_end(&mut text).map_err(read)?;
    if text.len() < length {
        return Err(UnpackError::Changes("it ends early".into()));
    }
    // Its words may be those that were sent.
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    serde_json::from_slice(&text)
        .map_err(|e| UnpackError::Changes(e.to_string().chars().map(plain).take(200).collect()))
}

fn checked(path: &str) -> Result<EntryName, UnpackError> {
    EntryName::new(path.as_bytes()).map_err(|fault| UnpackError::entry(path, fault))
}

fn link_moved(job: &mut Job<'_>, earlier: &Tree<'_>, changes: &Changes) -> Result<(), UnpackError> {
    for moved in &changes.moved {
        let (from, to) = (checked(&moved.from)?, checked(&moved.to)?);
        let parents = job.tree.make_parents(&to)?;
        job.count(parents + 1)?;
        job.tree.hard_link_in(&to, earlier, &from)?;
    }
    Ok(())
}

/// All that is neither gone nor there already.
fn link_rest(job: &mut Job<'_>, earlier: &Tree<'_>, changes: &Changes) -> Result<(), UnpackError> {
    let gone = changes.gone.iter().map(|path| checked(path).map(|name| name.as_str().to_owned()));
    let gone = gone.collect::<Result<HashSet<_>, _>>()?;
    walk(earlier, |step| {
        let name = match step {
            Step::Leave => return Ok(true),
            Step::Other(name) => return Err(unreadable(name.as_str())(Errno::INVAL)),
            Step::Folder(name) | Step::File(name) | Step::Link(name) => name,
        };
        if gone.contains(name.as_str()) {
            return Ok(false);
        }
        match step {
            Step::Folder(name) => {
                let made = job.tree.folder(name)?;
                job.count(u32::from(made))?;
            }
            _ if job.tree.has(name)? => {}
            Step::File(name) => {
                job.count(1)?;
                job.tree.hard_link_in(name, earlier, name)?;
            }
            _ => {
                job.count(1)?;
                let target = earlier.target(name).map_err(unreadable(name.as_str()))?;
                let target =
                    name.check_target(&target).map_err(|fault| UnpackError::entry(name.as_str(), fault))?;
                job.tree.symlink(name, &target)?;
            }
        }
        Ok(true)
    })
}

/// Reads the whole release as it now is: what it counts, what it says of how it is run, and its digest.
fn look_through(mut job: Job<'_>) -> Result<(Unpacked, Sum), UnpackError> {
    let mut summing = Summing::default();
    // Apart from the rest of the job, which changes while it is walked through.
    let tree = job.tree;
    walk(&tree, |step| {
        let (name, thing) = match step {
            Step::Leave => return Ok(true),
            Step::Other(name) => return Err(unreadable(name.as_str())(Errno::INVAL)),
            Step::Folder(name) => {
                job.seen.folder(name);
                (name, Thing::Folder)
            }
            Step::File(name) => {
                let mut look = Seen::look(name);
                let (digest, meta) = digest_of(&tree, name, |piece| look.more(piece))?;
                job.count_bytes(meta.len())?;
                let executable = meta.mode() & 0o111 != 0;
                job.seen.file(name, look, meta.ino(), executable);
                (name, Thing::File { executable, digest })
            }
            Step::Link(name) => {
                let target = tree.target(name).map_err(unreadable(name.as_str()))?;
                job.seen.link(name);
                job.remember_link(name)?;
                (name, Thing::Link(Sha256::digest(target).into()))
            }
        };
        job.count(1)?;
        summing.add(name, &thing);
        Ok(true)
    })?;
    Ok((job.end()?, summing.sum()))
}
