//! Reads a tar stream header by header: ustar, GNU long names and pax, nothing else. The tar crate decodes the
//! fields of a header; the walk over the stream is here because its end, its extensions and its padding must be
//! bounded and checked. What an entry may be is decided in `release`; nothing here touches the file system.

use std::io::{self, Read};

use crate::error::{Fault, UnpackError};
use crate::pax::Pax;
use crate::{MAX_EXTENSION_BYTES, MAX_EXTENSIONS_PER_ENTRY, MAX_PADDING_BYTES};

const BLOCK: usize = 512;
const CHUNK: usize = 64 << 10;

/// One entry, as the archive describes it: nothing of it is checked yet but that it can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path's bytes.
    pub path: Vec<u8>,
    /// What it is to become.
    pub kind: Kind,
    /// Permission bits, setuid, setgid and sticky bit.
    pub mode: u32,
    /// Bytes of content that follow.
    pub size: u64,
    /// When it was changed last, in seconds since 1970-01-01 UTC, as its header says.
    pub modified_s: u64,
}

/// Kinds of entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link to this target.
    Symlink(Vec<u8>),
    /// Another name of the file at this path of the archive.
    HardLink(Vec<u8>),
    /// A character or block device.
    Device,
    /// A named pipe.
    Fifo,
    /// A GNU sparse file.
    Sparse,
    /// Something else, by its type byte.
    Other(u8),
}

/// A tar stream.
#[derive(Debug)]
pub struct Archive<R> {
    input: R,
    /// Bytes read so far.
    at: u64,
    /// Content of the current entry that was not read yet.
    content: u64,
    /// Padding after that content.
    padding: u64,
}

/// Extension headers that were read for the entry to come.
#[derive(Default)]
struct Extensions {
    count: u32,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: Pax,
}

impl<R: Read> Archive<R> {
    /// Reads from `input`, which is read to its end.
    pub fn new(input: R) -> Self {
        Self { input, at: 0, content: 0, padding: 0 }
    }

    /// The next entry; `None` when the closing blocks, padding and the end of the stream were seen.
    /// Content that the caller did not read is skipped.
    ///
    /// # Errors
    /// [`UnpackError`] when the stream breaks off or cannot be read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, UnpackError> {
        let mut extensions = Extensions::default();
        loop {
            self.content(|_| Ok(()))?;
            let at = self.at;
            let block = self.block()?;
            if is_zero(&block) {
                if extensions.count > 0 {
                    return Err(UnpackError::Malformed { at, what: "an extension header without an entry" });
                }
                return self.finish().map(|()| None);
            }
            let header = checked(&block, at)?;
            let size = header.entry_size().map_err(|_| UnpackError::Malformed { at, what: "no valid size" })?;
            self.content = size;
            self.padding = size.wrapping_neg() % BLOCK as u64;
            if !self.extension(header, size, at, &mut extensions)? {
                return entry(header, size, at, extensions).map(Some);
            }
        }
    }

    /// Hands the rest of the current entry's content to `sink`, piece by piece.
    ///
    /// # Errors
    /// What `sink` returns, or [`UnpackError`] when the stream breaks off.
    pub fn content(
        &mut self,
        mut sink: impl FnMut(&[u8]) -> Result<(), UnpackError>,
    ) -> Result<(), UnpackError> {
        let mut buffer = [0; CHUNK];
        while self.content > 0 {
            let wanted = usize::try_from(self.content).unwrap_or(CHUNK).min(CHUNK);
            let got = self.read_some(&mut buffer[..wanted])?;
            self.content -= got as u64;
            sink(&buffer[..got])?;
        }
        while self.padding > 0 {
            let wanted = usize::try_from(self.padding).unwrap_or(BLOCK).min(BLOCK);
            self.padding -= self.read_some(&mut buffer[..wanted])? as u64;
        }
        Ok(())
    }

    /// Takes an extension header in; `false` when `header` is that of an entry.
    fn extension(
        &mut self,
        header: &tar::Header,
        size: u64,
        at: u64,
        into: &mut Extensions,
    ) -> Result<bool, UnpackError> {
        let kind = header.entry_type();
        let is_pax = kind.is_pax_local_extensions() || kind.is_pax_global_extensions();
        if !is_pax && !kind.is_gnu_longname() && !kind.is_gnu_longlink() {
            return Ok(false);
        }
        into.count += 1;
        if into.count > MAX_EXTENSIONS_PER_ENTRY {
            return Err(UnpackError::Malformed { at, what: "too many extension headers in a row" });
        }
        if size > MAX_EXTENSION_BYTES {
            return Err(UnpackError::entry(header.path_bytes(), Fault::LongExtension));
        }
        let mut data = Vec::new();
        self.content(|piece| {
            data.extend_from_slice(piece);
            Ok(())
        })?;
        if is_pax {
            let pax = Pax::parse(&data).ok_or(UnpackError::Malformed { at, what: "a malformed pax header" })?;
            if kind.is_pax_local_extensions() {
                into.pax = pax;
            } else if !pax.says_nothing() {
                return Err(UnpackError::Malformed { at, what: "a pax header that names all entries to come" });
            }
            return Ok(true);
        }
        // GNU ends the name with a NUL; one within it is found by the check of the name.
        let name = data.strip_suffix(b"\0").unwrap_or(&data).to_vec();
        let slot = if kind.is_gnu_longname() { &mut into.long_path } else { &mut into.long_link };
        *slot = Some(name);
        Ok(true)
    }

    /// After the first closing block: the second, zero padding, the end.
    fn finish(&mut self) -> Result<(), UnpackError> {
        let at = self.at;
        if !is_zero(&self.block()?) {
            return Err(UnpackError::Malformed { at, what: "a single closing block" });
        }
        let mut buffer = [0; CHUNK];
        loop {
            let got = retry(|| self.input.read(&mut buffer)).map_err(read_error)?;
            self.at += got as u64;
            if got == 0 {
                return Ok(());
            }
            if !is_zero(&buffer[..got]) || self.at - at > MAX_PADDING_BYTES {
                return Err(UnpackError::TrailingData);
            }
        }
    }

    fn block(&mut self) -> Result<[u8; BLOCK], UnpackError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            filled += self.read_some(&mut block[filled..])?;
        }
        Ok(block)
    }

    /// At least one byte, or [`UnpackError::Truncated`].
    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, UnpackError> {
        match retry(|| self.input.read(buffer)).map_err(read_error)? {
            0 => Err(UnpackError::Truncated(self.at)),
            got => {
                self.at += got as u64;
                Ok(got)
            }
        }
    }
}

fn retry(mut read: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match read() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn read_error(source: io::Error) -> UnpackError {
    UnpackError::Io { what: "read the upload".into(), source }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == 0)
}

/// The header in `block`, once its checksum fits.
fn checked(block: &[u8; BLOCK], at: u64) -> Result<&tar::Header, UnpackError> {
    let header = tar::Header::from_byte_slice(block);
    let sum: u32 = block[..148].iter().chain(&block[156..]).map(|b| u32::from(*b)).sum::<u32>() + 8 * 32;
    match header.cksum() {
        Ok(expected) if expected == sum => Ok(header),
        _ => Err(UnpackError::Malformed { at, what: "not a tar header" }),
    }
}

/// The entry that `header` and the extensions before it describe.
fn entry(header: &tar::Header, size: u64, at: u64, extensions: Extensions) -> Result<Entry, UnpackError> {
    let Extensions { long_path, long_link, pax, .. } = extensions;
    if let Err(fault) = pax.check(size) {
        return Err(UnpackError::entry(header.path_bytes(), fault));
    }
    let path = pax.path.or(long_path).unwrap_or_else(|| header.path_bytes().into_owned());
    let mode = header.mode().map_err(|_| UnpackError::Malformed { at, what: "no valid mode" })?;
    let link = || {
        pax.link.or(long_link).or_else(|| header.link_name_bytes().map(|l| l.into_owned())).unwrap_or_default()
    };
    let kind = match header.entry_type() {
        tar::EntryType::Symlink => Kind::Symlink(link()),
        tar::EntryType::Link => Kind::HardLink(link()),
        tar::EntryType::Directory => Kind::Folder,
        // Before POSIX a folder was a file whose name ends in a slash.
        tar::EntryType::Regular if path.ends_with(b"/") => Kind::Folder,
        tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File,
        tar::EntryType::Char | tar::EntryType::Block => Kind::Device,
        tar::EntryType::Fifo => Kind::Fifo,
        tar::EntryType::GNUSparse => Kind::Sparse,
        other => Kind::Other(other.as_byte()),
    };
    // Releases have no use for it, and data without a time is as good as old.
    let modified_s = header.mtime().unwrap_or_default();
    Ok(Entry { path, kind, mode, size, modified_s })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn read_all(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, UnpackError> {
        let mut archive = Archive::new(bytes);
        let mut found = Vec::new();
        while let Some(entry) = archive.next_entry()? {
            let mut content = Vec::new();
            archive.content(|piece| {
                content.extend_from_slice(piece);
                Ok(())
            })?;
            found.push((String::from_utf8_lossy(&entry.path).into_owned(), content));
        }
        Ok(found)
    }

    #[test]
    fn entries_and_contents_come_back() {
        let long = format!("{}/file", "folder".repeat(30));
        let bytes = archive(&[("a", b"1"), (&long, &[7; 1000]), ("empty", b"")]);
        let found = read_all(&bytes).unwrap();
        assert_eq!(found[0], ("a".into(), b"1".to_vec()));
        assert_eq!(found[1], (long, vec![7; 1000]));
        assert_eq!(found[2], ("empty".into(), vec![]));
    }

    #[test]
    fn pax_names_beat_headers() {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("path", b"from-pax".as_slice()), ("mtime", b"1.5")]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_mode(0o644);
        builder.append_data(&mut header, "from-header", &b""[..]).unwrap();
        assert_eq!(read_all(&builder.into_inner().unwrap()).unwrap()[0].0, "from-pax");
    }

    #[test]
    fn every_cut_is_noticed() {
        let bytes = archive(&[("a", &[1; 700])]);
        for cut in 0..bytes.len() {
            assert!(matches!(read_all(&bytes[..cut]), Err(UnpackError::Truncated(_))), "cut at {cut}");
        }
    }

    #[test]
    fn padding_may_follow_the_end_but_nothing_else() {
        let mut bytes = archive(&[("a", b"1")]);
        bytes.extend([0; 10240]);
        assert!(read_all(&bytes).is_ok());
        bytes.push(1);
        assert!(matches!(read_all(&bytes), Err(UnpackError::TrailingData)));
        bytes.pop();
        bytes.extend(vec![0; 2 << 20]);
        assert!(matches!(read_all(&bytes), Err(UnpackError::TrailingData)));
    }

    #[test]
    fn a_single_closing_block_is_not_an_end() {
        let mut bytes = archive(&[]);
        bytes[600] = 1;
        assert!(matches!(read_all(&bytes), Err(UnpackError::Malformed { what: "a single closing block", .. })));
    }

    #[test]
    fn a_wrong_checksum_is_not_a_header() {
        let mut bytes = archive(&[("a", b"1")]);
        bytes[0] = b'b';
        assert!(matches!(read_all(&bytes), Err(UnpackError::Malformed { at: 0, .. })));
        assert!(read_all(&b"\x1f\x8b not a tar, a gzip file".repeat(40)).is_err());
    }

    #[test]
    fn extension_headers_are_bounded() {
        let mut builder = tar::Builder::new(Vec::new());
        for _ in 0..9 {
            builder.append_pax_extensions([("comment", b"x".as_slice())]).unwrap();
        }
        assert!(matches!(read_all(&builder.into_inner().unwrap()), Err(UnpackError::Malformed { .. })));

        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("comment", vec![b'x'; 70_000].as_slice())]).unwrap();
        let error = read_all(&builder.into_inner().unwrap()).unwrap_err();
        assert!(matches!(error, UnpackError::Entry { fault: Fault::LongExtension, .. }), "{error}");
    }

    #[test]
    fn a_dangling_extension_is_damage() {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([("path", b"x".as_slice())]).unwrap();
        assert!(matches!(read_all(&builder.into_inner().unwrap()), Err(UnpackError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let _ = read_all(&bytes);
        }

        #[test]
        fn a_damaged_archive_never_panics(at in 0usize..2048, value: u8, cut in 0usize..4096) {
            let mut bytes = archive(&[("folder/file", &[1; 600]), ("b", b"2")]);
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(cut);
            let _ = read_all(&bytes);
        }
    }
}
