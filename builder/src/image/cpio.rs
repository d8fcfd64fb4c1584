//! Writes a cpio archive in the kernel's `newc` format. Inode numbers count from 1 and times are fixed, so that the
//! same entries give the same bytes. What is in an initramfs is `initramfs`'s business.

use std::io::{self, Write};

const FOLDER: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const CHAR_DEVICE: u32 = 0o020_000;

/// An archive being written. Folders must be added before what is in them.
pub(super) struct Cpio<W> {
    out: W,
    entries: u32,
}

impl<W: Write> Cpio<W> {
    /// An archive that goes to `out`.
    pub(super) fn new(out: W) -> Self {
        Self { out, entries: 0 }
    }

    /// Adds a folder. Paths have no leading `/`.
    ///
    /// # Errors
    /// When it cannot be written; so with all of these.
    pub(super) fn folder(&mut self, path: &str, permissions: u32) -> io::Result<()> {
        self.entry(path, FOLDER | permissions, (0, 0), b"")
    }

    /// Adds a file.
    ///
    /// # Errors
    /// When it cannot be written, or is larger than the format can say.
    pub(super) fn file(&mut self, path: &str, permissions: u32, data: &[u8]) -> io::Result<()> {
        self.entry(path, FILE | permissions, (0, 0), data)
    }

    /// Adds a character device.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn char_device(&mut self, path: &str, permissions: u32, device: (u32, u32)) -> io::Result<()> {
        self.entry(path, CHAR_DEVICE | permissions, device, b"")
    }

    /// Writes the end and gives the writer back.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.write("TRAILER!!!", 0, 0, (0, 0), b"")?;
        Ok(self.out)
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), data: &[u8]) -> io::Result<()> {
        self.entries += 1;
        self.write(path, self.entries, mode, device, data)
    }

    fn write(&mut self, path: &str, inode: u32, mode: u32, device: (u32, u32), data: &[u8]) -> io::Result<()> {
        let size = u32::try_from(data.len()).map_err(|_| io::Error::other(format!("{path} is over 4 GiB")))?;
        let links = if mode & FOLDER == FOLDER { 2 } else { 1 };
        let name_size = path.len() as u32 + 1;
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
        self.out.write_all(b"070701")?;
        for field in fields {
            write!(self.out, "{field:08X}")?;
        }
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(110 + path.len() + 1)?;
        self.out.write_all(data)?;
        self.pad(data.len())
    }

    /// Names and data end on a multiple of four.
    fn pad(&mut self, written: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..written.next_multiple_of(4) - written])
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn cpio_lists_what_was_put_in() {
        let mut cpio = Cpio::new(Vec::new());
        cpio.folder("dev", 0o755).unwrap();
        cpio.char_device("dev/console", 0o600, (5, 1)).unwrap();
        cpio.file("init", 0o755, b"hello").unwrap();
        cpio.file("x", 0o644, b"").unwrap();
        let archive = cpio.finish().unwrap();
        assert_eq!(archive.len() % 4, 0);

        let mut judge = Command::new("cpio")
            .args(["-tvn", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("cpio is needed for this test: run `make deps`");
        judge.stdin.take().unwrap().write_all(&archive).unwrap();
        let listing = String::from_utf8(judge.wait_with_output().unwrap().stdout).unwrap();
        let seen: Vec<_> = listing
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .map(|f| (f[0].to_owned(), f[4].to_owned(), (*f.last().unwrap()).to_owned()))
            .collect();
        let expect = [
            ("drwxr-xr-x", "0", "dev"),
            ("crw-------", "5,", "dev/console"),
            ("-rwxr-xr-x", "5", "init"),
            ("-rw-r--r--", "0", "x"),
        ];
        assert_eq!(seen, expect.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    }
}
