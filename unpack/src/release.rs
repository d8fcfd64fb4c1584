//! One release from its stream to its place: unpacked into `.incoming-N`, checked, flushed, renamed to `N`.
//! Whatever goes wrong on the way, nothing of it is left.

use kennel_model::found::Found;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt as _;

use crate::archive::{Archive, Entry, Kind};
use crate::error::{Fault, UnpackError};
use crate::found::Seen;
use crate::name::EntryName;
use crate::tree::Tree;
use crate::{Bounds, MAX_LINK_NAMES_BYTES, changes, remove};

/// What a release unpacked to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u32,
    /// What says how it is run.
    pub found: Found,
}

impl Unpacked {
    /// More bytes of files, within bounds.
    pub(crate) fn count_bytes(&mut self, more: u64, bounds: &Bounds) -> Result<(), UnpackError> {
        let bytes = self.bytes.checked_add(more).filter(|bytes| *bytes <= bounds.bytes);
        self.bytes = bytes.ok_or(UnpackError::TooManyBytes(bounds.bytes))?;
        Ok(())
    }

    /// More files, folders and links, within bounds.
    pub(crate) fn count(&mut self, more: u32, bounds: &Bounds) -> Result<(), UnpackError> {
        let entries = self.entries.checked_add(more).filter(|entries| *entries <= bounds.entries);
        self.entries = entries.ok_or(UnpackError::TooManyEntries(bounds.entries))?;
        Ok(())
    }
}

/// Unpacks `input` as release `number` of the slot whose `releases` folder is given.
///
/// # Errors
/// [`UnpackError`]; then neither the release nor a part of it exists.
pub fn unpack_release(
    input: impl Read,
    releases: BorrowedFd<'_>,
    number: u32,
    bounds: Bounds,
) -> Result<Unpacked, UnpackError> {
    place(releases, number, false, |root| unpack(input, root, bounds))
}

/// The same from what has changed since release `basis`, whose other files the new one shares.
///
/// # Errors
/// [`UnpackError`], [`UnpackError::Basis`] where that release is not as whoever sent this takes it to be; then neither the
/// release nor a part of it exists.
pub fn unpack_changes(
    input: impl Read,
    releases: BorrowedFd<'_>,
    number: u32,
    basis: u32,
    bounds: Bounds,
) -> Result<Unpacked, UnpackError> {
    place(releases, number, false, |root| changes::unpack(input, releases, basis, root, bounds))
}

/// Has a release made in a folder of its own, and puts it in its place; `over` the one that is there, where that is wanted.
pub(crate) fn place(
    releases: BorrowedFd<'_>,
    number: u32,
    over: bool,
    make: impl FnOnce(BorrowedFd<'_>) -> Result<Unpacked, UnpackError>,
) -> Result<Unpacked, UnpackError> {
    let incoming = remove::incoming_name(number);
    let place = number.to_string();
    match rustix::fs::statat(releases, &place, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => {}
        Ok(_) if over => {}
        Ok(_) => return Err(UnpackError::ReleaseExists(number)),
        Err(e) => return Err(UnpackError::io(format!("look for release {number}"))(e)),
    }
    // What an interrupted upload under the same number left behind.
    remove::remove_folder(releases, &incoming)?;
    let how = if over { RenameFlags::EXCHANGE } else { RenameFlags::NOREPLACE };
    let result = fill_and_rename(releases, &incoming, (&place, how), number, make);
    if result.is_err() || over {
        // The result is the answer; a folder that cannot be removed now is removed before the next upload.
        let _ = remove::remove_folder(releases, &incoming);
    }
    result
}

fn fill_and_rename(
    releases: BorrowedFd<'_>,
    incoming: &str,
    (place, how): (&str, RenameFlags),
    number: u32,
    make: impl FnOnce(BorrowedFd<'_>) -> Result<Unpacked, UnpackError>,
) -> Result<Unpacked, UnpackError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::mkdirat(releases, incoming, Mode::from_raw_mode(0o755))
        .map_err(UnpackError::io(format!("make the folder {incoming}")))?;
    let root = rustix::fs::openat(releases, incoming, flags, Mode::empty())
        .map_err(UnpackError::io(format!("open the folder {incoming}")))?;
    let unpacked = make(root.as_fd())?;
    // One flush of the file system instead of one per file: a release can have tens of thousands.
    rustix::fs::syncfs(&root).map_err(UnpackError::io("flush the release to disk"))?;
    match rustix::fs::renameat_with(releases, incoming, releases, place, how) {
        Err(Errno::EXIST) => return Err(UnpackError::ReleaseExists(number)),
        result => result.map_err(UnpackError::io(format!("rename {incoming} to {place}")))?,
    }
    // Not through `releases`, which the caller may have opened with O_PATH.
    let folder = rustix::fs::openat(releases, ".", flags, Mode::empty())
        .map_err(UnpackError::io("open the folder of releases"))?;
    rustix::fs::fsync(&folder).map_err(UnpackError::io("flush the folder of releases to disk"))?;
    Ok(unpacked)
}

/// Unpacks `input` into the empty folder `root`.
fn unpack(input: impl Read, root: BorrowedFd<'_>, bounds: Bounds) -> Result<Unpacked, UnpackError> {
    let mut job = Job::new(root, bounds);
    job.take_all(input)?;
    job.end()
}

pub(crate) struct Job<'a> {
    pub(crate) tree: Tree<'a>,
    bounds: Bounds,
    done: Unpacked,
    pub(crate) seen: Seen,
    /// Paths of the symbolic links, to be resolved at the end.
    links: Vec<String>,
    links_bytes: usize,
}

impl<'a> Job<'a> {
    pub(crate) fn new(root: BorrowedFd<'a>, bounds: Bounds) -> Self {
        Self {
            tree: Tree::new(root),
            bounds,
            done: Unpacked::default(),
            seen: Seen::default(),
            links: Vec::new(),
            links_bytes: 0,
        }
    }

    /// All of an archive.
    pub(crate) fn take_all(&mut self, input: impl Read) -> Result<(), UnpackError> {
        let mut archive = Archive::new(input);
        while let Some(entry) = archive.next_entry()? {
            self.take(&entry, &mut archive)?;
        }
        Ok(())
    }

    /// What it came to, once no link leads out of it.
    pub(crate) fn end(self) -> Result<Unpacked, UnpackError> {
        for link in &self.links {
            if self.tree.leaves(link)? {
                return Err(UnpackError::entry(link, Fault::LinkLeaves("by way of other links".into())));
            }
        }
        Ok(Unpacked { found: self.seen.found(&self.tree), ..self.done })
    }

    fn take<R: Read>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Result<(), UnpackError> {
        let refused = |fault| UnpackError::entry(&entry.path, fault);
        let name = EntryName::new(&entry.path).map_err(refused)?;
        check(entry, &name).map_err(refused)?;
        // Folders that are there already count too: a stream of them must end some day.
        self.count(1)?;
        let parents = self.tree.make_parents(&name)?;
        self.count(parents)?;
        match &entry.kind {
            Kind::Folder => {
                self.tree.folder(&name)?;
                self.seen.folder(&name);
                return Ok(());
            }
            Kind::Symlink(target) => {
                let target = name.check_target(target).map_err(refused)?;
                self.tree.symlink(&name, &target)?;
                self.remember_link(&name)?;
                self.seen.link(&name);
            }
            Kind::HardLink(target) => {
                let to = hard_link_name(target).map_err(refused)?;
                self.tree.hard_link(&name, &to)?;
                self.seen.link(&name);
            }
            _ => self.file(&name, entry, archive)?,
        }
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        name: &EntryName,
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<(), UnpackError> {
        self.count_bytes(entry.size)?;
        let executable = entry.mode & 0o111 != 0;
        let mode = if executable { 0o755 } else { 0o644 };
        let mut file = File::from(self.tree.file(name, mode)?);
        let mut look = Seen::look(name);
        archive.content(|piece| {
            look.more(piece);
            file.write_all(piece).map_err(|source| write_error(name, source))
        })?;
        let inode = file.metadata().map_err(|source| write_error(name, source))?.ino();
        self.seen.file(name, look, inode, executable);
        Ok(())
    }

    pub(crate) fn count_bytes(&mut self, more: u64) -> Result<(), UnpackError> {
        self.done.count_bytes(more, &self.bounds)
    }

    pub(crate) fn count(&mut self, more: u32) -> Result<(), UnpackError> {
        self.done.count(more, &self.bounds)
    }

    pub(crate) fn remember_link(&mut self, name: &EntryName) -> Result<(), UnpackError> {
        self.links_bytes += name.as_str().len();
        if self.links_bytes > MAX_LINK_NAMES_BYTES {
            return Err(UnpackError::TooManyLinks);
        }
        self.links.push(name.as_str().to_owned());
        Ok(())
    }
}

/// What a hard link leads to.
pub(crate) fn hard_link_name(target: &[u8]) -> Result<EntryName, Fault> {
    let shown = || String::from_utf8_lossy(target).chars().take(200).collect();
    EntryName::new(target).map_err(|_| Fault::HardLink(shown()))
}

pub(crate) fn write_error(name: &EntryName, source: io::Error) -> UnpackError {
    UnpackError::system(format!("write {:?}", name.as_str()), source)
}

/// What no entry may be, whatever else it says.
pub(crate) fn check(entry: &Entry, name: &EntryName) -> Result<(), Fault> {
    let is_link = matches!(entry.kind, Kind::Symlink(_));
    match &entry.kind {
        Kind::Device => Err(Fault::Device),
        Kind::Fifo => Err(Fault::Fifo),
        Kind::Sparse => Err(Fault::Sparse),
        Kind::Other(byte) => Err(Fault::Type(char::from(*byte))),
        // A link's own bits mean nothing.
        _ if !is_link && entry.mode & 0o6000 != 0 => Err(Fault::SetId),
        Kind::Folder => {
            if entry.size == 0 {
                Ok(())
            } else {
                Err(Fault::UnexpectedContent)
            }
        }
        _ if name.is_root() => Err(Fault::EmptyName),
        Kind::Symlink(_) | Kind::HardLink(_) if entry.size > 0 => Err(Fault::UnexpectedContent),
        _ => Ok(()),
    }
}
