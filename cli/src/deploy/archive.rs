//! Writes a plan as a tar stream: sorted, without owners and times, modes 0644 and 0755 only, so that the same content
//! is the same bytes wherever it lies.

use std::fs::File;
use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use super::Plan;
use super::plan::{Entry, Kind};

/// Writes the whole archive with its two closing blocks.
///
/// # Errors
/// When a file cannot be read or has changed since the plan was made, or `out` takes no more.
pub fn write_archive<W: Write>(plan: &Plan, out: W) -> io::Result<W> {
    write_some(plan, plan.entries().iter(), out)
}

/// Writes an archive of some of the plan's entries.
///
/// # Errors
/// As of [`write_archive`].
pub(super) fn write_some<'p, W: Write>(
    plan: &Plan,
    entries: impl Iterator<Item = &'p Entry>,
    out: W,
) -> io::Result<W> {
    let mut tar = Builder::new(out);
    for entry in entries {
        append(&mut tar, plan, entry).map_err(|e| match e.kind() {
            // The receiver went away: that is not this file's fault.
            io::ErrorKind::BrokenPipe => e,
            kind => io::Error::new(kind, format!("{}: {e}", plan.folder().join(&entry.path).display())),
        })?;
    }
    tar.into_inner()
}

fn append<W: Write>(tar: &mut Builder<W>, plan: &Plan, entry: &Entry) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    match &entry.kind {
        Kind::Folder => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            tar.append_data(&mut header, &entry.path, io::empty())
        }
        Kind::Link { target } => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_size(0);
            tar.append_link(&mut header, &entry.path, target)
        }
        Kind::File { size, executable } => {
            header.set_entry_type(EntryType::Regular);
            header.set_mode(if *executable { 0o755 } else { 0o644 });
            header.set_size(*size);
            let file = File::open(plan.folder().join(&entry.path))?;
            // The header promises so many bytes; any other number would shift everything after it.
            tar.append_data(&mut header, &entry.path, Exactly { file, left: *size })
        }
    }
}

/// Reads so many bytes, no more and no less.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.file.read(buffer)? as u64;
        if read > self.left || (read == 0 && self.left > 0) {
            return Err(io::Error::other("it changed while it was being read"));
        }
        self.left -= read;
        Ok(read as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    fn fill(dir: &Path) {
        std::fs::create_dir(dir.join("bin")).unwrap();
        std::fs::write(dir.join("bin/run"), "#!").unwrap();
        std::fs::set_permissions(dir.join("bin/run"), PermissionsExt::from_mode(0o4751)).unwrap();
        std::fs::write(dir.join("data"), "hello").unwrap();
        std::fs::set_permissions(dir.join("data"), PermissionsExt::from_mode(0o600)).unwrap();
        symlink("data", dir.join("link")).unwrap();
        std::fs::create_dir_all(dir.join("x".repeat(90)).join("y".repeat(90))).unwrap();
    }

    #[test]
    fn the_same_content_is_the_same_bytes() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fill(a.path());
        fill(b.path());
        let file = File::open(b.path().join("data")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let archive = |dir: &Path| write_archive(&Plan::of(dir).unwrap(), Vec::new()).unwrap();
        assert_eq!(archive(a.path()), archive(b.path()));
    }

    #[test]
    fn modes_kinds_and_long_names_arrive() {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path());
        let bytes = write_archive(&Plan::of(dir.path()).unwrap(), Vec::new()).unwrap();
        assert!(bytes.ends_with(&[0; 1024]));
        let mut seen = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().display().to_string().trim_end_matches('/').to_owned();
            assert_eq!((header.uid().unwrap(), header.mtime().unwrap()), (0, 0));
            seen.push((path, header.entry_type(), header.mode().unwrap()));
        }
        let long = "x".repeat(90);
        let expected = [
            ("bin".to_owned(), EntryType::Directory, 0o755),
            ("bin/run".to_owned(), EntryType::Regular, 0o755),
            ("data".to_owned(), EntryType::Regular, 0o644),
            ("link".to_owned(), EntryType::Symlink, 0o777),
            (long.clone(), EntryType::Directory, 0o755),
            (format!("{long}/{}", "y".repeat(90)), EntryType::Directory, 0o755),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_file_that_changes_breaks_the_archive_off() {
        for changed in ["hello, longer", "h"] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("data"), "hello").unwrap();
            let plan = Plan::of(dir.path()).unwrap();
            std::fs::write(dir.path().join("data"), changed).unwrap();
            let error = write_archive(&plan, Vec::new()).unwrap_err().to_string();
            assert!(error.contains("/data: it changed"), "{error}");
        }
    }
}
