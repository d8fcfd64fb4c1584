//! All of a tenant's data as one tar archive, as it was at one moment, while the tenant's programs go on; and a release, which is
//! simpler, as it does not change.
//!
//! Nobody is stopped for it. Everything is read once, into a file without a name, and then looked at once more: where inode, size and
//! times of every file, folder and link are what they were before it was read, nothing has changed in between, and what was
//! read is what there was at the moment between the two. Otherwise it is tried again. (A program that writes into a file
//! that it has mapped is seen when it touches a page for the first time after that has been written to the disk, and not
//! before.)

use kennel_model::data::SaveReport;
use rustix::event::{Timespec, poll};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::UnpackError;
use crate::listing::open_release;
use crate::name::EntryName;
use crate::tree::Tree;
use crate::walk::{Step, unreadable, walk};

/// How often it is tried to read the data while nothing changes it.
const TRIES: u32 = 5;
/// Before it is tried again; twice as long each time.
const PAUSE: Duration = Duration::from_millis(50);
/// Times on disk are those of the kernel's last tick (4 ms): what has changed so recently may change again and look the same.
const FRESH: Duration = Duration::from_millis(20);
/// Copied at a time.
const BLOCK: usize = 64 << 10;

/// Writes a line of JSON ([`SaveReport`]) and, unless that says why not, the archive of the folder `data`. Sockets and pipes are left
/// out, hard links become files of their own.
///
/// # Errors
/// [`UnpackError`]. Once the archive has begun, what is written lacks its end.
pub fn save_data(data: BorrowedFd<'_>, mut out: impl Write) -> Result<(), UnpackError> {
    let tree = Tree::new(data);
    match copied(data, &tree) {
        Ok((mut copy, bytes)) => {
            say(&mut out, &SaveReport::Saved { archive_bytes: Some(bytes) })?;
            copy.seek(SeekFrom::Start(0)).map_err(failed("read the copy"))?;
            pass_on(copy, &mut out)
        }
        // It need not be copied to be sent; only whoever reads slowly gives it more time to change.
        Err(cause) if is_full(&cause) => send(&tree, out),
        Err(cause) => refuse(out, cause),
    }
}

/// The same of release `number` of the slot whose `releases` folder is given. As nobody changes a release, it is packed while it is sent.
///
/// # Errors
/// [`UnpackError`].
pub fn save_release(releases: BorrowedFd<'_>, number: u32, out: impl Write) -> Result<(), UnpackError> {
    match open_release(releases, number) {
        Ok(root) => send(&Tree::new(root.as_fd()), out),
        Err(cause) => refuse(out, cause),
    }
}

/// Packs while it sends.
fn send(tree: &Tree<'_>, mut out: impl Write) -> Result<(), UnpackError> {
    say(&mut out, &SaveReport::Saved { archive_bytes: None })?;
    let mut settled = false;
    pack(tree, BufWriter::with_capacity(BLOCK, out), &mut settled)?;
    if settled { Ok(()) } else { Err(UnpackError::Unsettled(1)) }
}

fn refuse(mut out: impl Write, cause: UnpackError) -> Result<(), UnpackError> {
    say(&mut out, &SaveReport::Refused { reason: cause.to_string() })?;
    Err(cause)
}

/// A copy that nothing has changed under, and its size.
fn copied(data: BorrowedFd<'_>, tree: &Tree<'_>) -> Result<(File, u64), UnpackError> {
    let mut pause = PAUSE;
    for tried in 0..TRIES {
        if tried > 0 {
            // With nothing to poll for, it is a sleep.
            let time = Timespec::try_from(pause).map_err(|e| failed("wait")(io::Error::other(e)))?;
            let _ = poll(&mut [], Some(&time));
            pause *= 2;
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let copy = rustix::fs::openat(data, ".", flags, Mode::RUSR | Mode::WUSR);
        let mut copy = File::from(copy.map_err(UnpackError::io("make a copy"))?);
        let mut settled = false;
        match pack(tree, BufWriter::with_capacity(BLOCK, &copy), &mut settled) {
            Ok(()) if settled => {
                let bytes = copy.stream_position().map_err(failed("make a copy"))?;
                return Ok((copy, bytes));
            }
            Ok(()) => {}
            Err(cause) if has_moved(&cause) => {}
            Err(cause) => return Err(cause),
        }
    }
    Err(UnpackError::Unsettled(TRIES))
}

/// Writes the archive, and its end only if nothing has changed meanwhile, as `settled` says then.
fn pack(tree: &Tree<'_>, out: impl Write, settled: &mut bool) -> Result<(), UnpackError> {
    let mut archive = tar::Builder::new(Gate { out, shut: false });
    let result = fill(&mut archive, tree);
    // The builder writes the end when it goes, whatever has happened before.
    archive.get_mut().shut = !matches!(result, Ok(true));
    let mut gate = archive.into_inner().map_err(failed("write the archive"))?;
    gate.out.flush().map_err(failed("write the archive"))?;
    *settled = result?;
    Ok(())
}

fn fill<W: Write>(archive: &mut tar::Builder<W>, tree: &Tree<'_>) -> Result<bool, UnpackError> {
    let mut seen = Seen::default();
    look(tree, &mut seen, |name, stat, step| match step {
        Step::Folder(_) => {
            let mut header = header(stat, tar::EntryType::Directory, 0);
            archive.append_data(&mut header, path(name), io::empty()).map_err(failed_at(name))
        }
        Step::Link(_) => {
            let target = tree.target(name).map_err(unreadable(name.as_str()))?;
            let mut header = header(stat, tar::EntryType::Symlink, 0);
            archive.append_link(&mut header, path(name), OsStr::from_bytes(&target)).map_err(failed_at(name))
        }
        _ => {
            let file = File::from(tree.read(name).map_err(unreadable(name.as_str()))?);
            let bytes = u64::try_from(stat.st_size).unwrap_or_default();
            let mut header = header(stat, tar::EntryType::Regular, bytes);
            archive.append_data(&mut header, path(name), Exactly { file, left: bytes }).map_err(failed_at(name))
        }
    })?;
    let mut again = Seen::default();
    look(tree, &mut again, |_, _, _| Ok(()))?;
    Ok(!seen.fresh && seen.hash.finalize() == again.hash.finalize())
}

/// Goes through all that is there, and remembers what it looked like. A folder is looked at before its names are read.
fn look(
    tree: &Tree<'_>,
    seen: &mut Seen,
    mut visit: impl FnMut(&EntryName, &Stat, &Step<'_>) -> Result<(), UnpackError>,
) -> Result<(), UnpackError> {
    seen.add("", &tree.stat(None).map_err(unreadable(""))?);
    walk(tree, |step| {
        let name = match &step {
            Step::Leave | Step::Other(_) => return Ok(true),
            Step::Folder(name) | Step::File(name) | Step::Link(name) => *name,
        };
        let stat = tree.stat(Some(name)).map_err(unreadable(name.as_str()))?;
        seen.add(name.as_str(), &stat);
        visit(name, &stat, &step)?;
        Ok(true)
    })
}

/// What everything looked like.
#[derive(Default)]
struct Seen {
    hash: Sha256,
    /// Something had just changed.
    fresh: bool,
}

impl Seen {
    fn add(&mut self, name: &str, stat: &Stat) {
        let numbers = [
            i128::from(stat.st_ino),
            i128::from(stat.st_mode),
            i128::from(stat.st_size),
            i128::from(stat.st_mtime),
            i128::from(stat.st_mtime_nsec),
            i128::from(stat.st_ctime),
            i128::from(stat.st_ctime_nsec),
        ];
        self.hash.update((name.len() as u64).to_le_bytes());
        self.hash.update(name);
        numbers.iter().for_each(|number| self.hash.update(number.to_le_bytes()));
        let changed = Duration::new(
            u64::try_from(stat.st_ctime).unwrap_or_default(),
            u32::try_from(stat.st_ctime_nsec).unwrap_or_default(),
        );
        // A time to come says nothing of when it was: the clock has been set since.
        let ago = SystemTime::now().duration_since(UNIX_EPOCH + changed);
        self.fresh |= ago.is_ok_and(|ago| ago < FRESH);
    }
}

fn header(stat: &Stat, kind: tar::EntryType, bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(bytes);
    header.set_mode(stat.st_mode & 0o777);
    header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or_default());
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn path(name: &EntryName) -> &Path {
    Path::new(name.as_str())
}

/// Passes bytes on until it is shut.
struct Gate<W> {
    out: W,
    shut: bool,
}

impl<W: Write> Write for Gate<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.shut { Ok(bytes.len()) } else { self.out.write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.shut { Ok(()) } else { self.out.flush() }
    }
}

/// So many bytes of a file; that there are fewer by now is an error, since the header has said how many come.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

fn say(out: &mut impl Write, report: &SaveReport) -> Result<(), UnpackError> {
    let mut line = serde_json::to_vec(report).map_err(|e| failed("write the report")(e.into()))?;
    line.push(b'\n');
    out.write_all(&line).and_then(|()| out.flush()).map_err(failed("write the report"))
}

/// By plain reads and writes, whatever the two are.
fn pass_on(mut from: impl Read, out: &mut impl Write) -> Result<(), UnpackError> {
    let mut block = vec![0; BLOCK];
    loop {
        match from.read(&mut block).map_err(failed("read the copy"))? {
            0 => return out.flush().map_err(failed("send the archive")),
            n => out.write_all(&block[..n]).map_err(failed("send the archive"))?,
        }
    }
}

/// Neither the tenant nor the volume has room for a copy.
fn is_full(cause: &UnpackError) -> bool {
    match cause {
        UnpackError::DiskLimit(_) => true,
        UnpackError::Io { source, .. } => Errno::from_io_error(source) == Some(Errno::NOSPC),
        _ => false,
    }
}

/// Something has gone, has become something else or has shrunk since its folder was read.
fn has_moved(cause: &UnpackError) -> bool {
    let UnpackError::Io { source, .. } = cause else { return false };
    source.kind() == io::ErrorKind::UnexpectedEof
        || matches!(
            Errno::from_io_error(source),
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::INVAL)
        )
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> UnpackError {
    let what = what.into();
    move |source| UnpackError::system(what, source)
}

fn failed_at(name: &EntryName) -> impl FnOnce(io::Error) -> UnpackError {
    failed(format!("save {:?}", name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does something when the first bytes are written.
    struct Meanwhile<F: FnMut()> {
        out: Vec<u8>,
        act: F,
    }

    impl<F: FnMut()> Write for &mut Meanwhile<F> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.out.is_empty() {
                (self.act)();
            }
            self.out.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Packs some old data while something happens: whether it was settled, and what came.
    fn pack_while(act: impl Fn(&Path)) -> (Result<bool, UnpackError>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["a", "b/c", "z"] {
            std::fs::write(dir.path().join(name), vec![1; 2 * BLOCK]).unwrap();
        }
        std::thread::sleep(2 * FRESH);
        let folder = File::open(dir.path()).unwrap();
        let mut meanwhile = Meanwhile { out: vec![], act: || act(dir.path()) };
        let mut settled = false;
        let packed = pack(&Tree::new(folder.as_fd()), &mut meanwhile, &mut settled);
        (packed.map(|()| settled), meanwhile.out)
    }

    #[test]
    fn a_release_is_sent_as_it_is_and_one_that_is_not_there_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("7/public")).unwrap();
        std::fs::write(dir.path().join("7/public/index.html"), "seven").unwrap();
        std::thread::sleep(2 * FRESH);
        let releases = File::open(dir.path()).unwrap();
        let mut out = vec![];
        save_release(releases.as_fd(), 7, &mut out).unwrap();
        let line = out.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let said: SaveReport = serde_json::from_slice(&out[..line]).unwrap();
        assert_eq!(said, SaveReport::Saved { archive_bytes: None });
        assert!(has_end(&out));
        let mut archive = tar::Archive::new(&out[line..]);
        let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned());
        assert_eq!(names.collect::<Vec<_>>(), [Path::new("public"), Path::new("public/index.html")]);

        let mut out = vec![];
        assert!(save_release(releases.as_fd(), 8, &mut out).is_err());
        let said: SaveReport = serde_json::from_slice(&out).unwrap();
        assert!(matches!(said, SaveReport::Refused { reason } if reason.contains("release 8")));
    }

    fn has_end(archive: &[u8]) -> bool {
        archive.ends_with(&[0; 1024])
    }

    #[test]
    fn an_archive_has_its_end_only_if_nothing_changed() {
        let (settled, archive) = pack_while(|_| {});
        assert!(settled.unwrap() && has_end(&archive));
        for (what, change) in [
            ("written before", (|dir| std::fs::write(dir.join("a"), "new").unwrap()) as fn(&Path)),
            ("written after", |dir| std::fs::write(dir.join("z"), vec![2; 2 * BLOCK]).unwrap()),
            ("made", |dir| std::fs::write(dir.join("b/new"), "").unwrap()),
            ("renamed", |dir| std::fs::rename(dir.join("b/c"), dir.join("b/d")).unwrap()),
            ("removed", |dir| std::fs::remove_file(dir.join("z")).unwrap()),
        ] {
            let (settled, archive) = pack_while(change);
            assert!(!has_end(&archive), "{what}");
            match settled {
                Ok(settled) => assert!(!settled, "{what}"),
                Err(cause) => assert!(has_moved(&cause), "{what}: {cause}"),
            }
        }
    }

    #[test]
    fn what_has_just_changed_may_change_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = File::open(dir.path()).unwrap();
        let just_changed = || {
            std::fs::write(dir.path().join("a"), "new").unwrap();
            let mut settled = true;
            pack(&Tree::new(folder.as_fd()), io::sink(), &mut settled).unwrap();
            !settled
        };
        // On a busy machine much time may go by between the two.
        assert!((0..100).any(|_| just_changed()));
    }
}
