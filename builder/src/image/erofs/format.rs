//! What `mkfs.erofs` writes, as far as one must read it to move a file's data: every place in the image where the number of
//! a block or of an inode stands. After the kernel's `fs/erofs/erofs_fs.h`. Features that Kennel's images do not use are
//! refused, so that a later mkfs.erofs which uses them fails the build rather than the boot. Where the data goes is
//! `arrange`'s business.

use std::collections::BTreeSet;
use std::ops::Range;

/// Bytes of a block, here and everywhere in Kennel's images.
pub(super) const BLOCK: usize = 4096;
/// Inodes are numbered by their place, in steps of so many bytes.
const SLOT: usize = 32;
const SUPER: usize = 1024;
const MAGIC: u32 = 0xe0f5_e1e2;
/// Compressed clusters end with their block (`0padding`) and may be large (`big_pcluster`).
const FEATURES: u32 = 0b11;
const FOLDER: u16 = 0o040_000;
const REGULAR: u16 = 0o100_000;
const TYPE: u16 = 0o170_000;

/// Why an image cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("mkfs.erofs wrote what the builder cannot arrange: {0}")]
pub struct FormatError(pub(super) &'static str);

/// An image in memory.
pub(super) struct Volume {
    pub(super) bytes: Vec<u8>,
}

/// A file, folder or link, and where it is spoken of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Absolute path.
    pub path: String,
    /// Whether it is a regular file.
    pub regular: bool,
    /// The blocks of its data, without what stands behind the inode.
    pub data: Range<usize>,
    /// Where numbers of its data's blocks stand: 32 bits each.
    pub addresses: Vec<usize>,
    /// Where numbers of other inodes stand: 64 bits each.
    pub links: Vec<usize>,
}

impl Volume {
    /// Takes an image whose superblock says that all its features are known here.
    pub(super) fn open(bytes: Vec<u8>) -> Result<Self, FormatError> {
        let volume = Self { bytes };
        let known = volume.u32(SUPER)? == MAGIC
            && volume.u8(SUPER + 12)? == BLOCK.trailing_zeros() as u8
            && volume.u32(SUPER + 80)? & !FEATURES == 0
            && volume.bytes.len().is_multiple_of(BLOCK);
        // Inodes and shared attributes are counted from the start, nothing is on other devices or packed together.
        let plain =
            volume.u64(SUPER + 40)? == 0 && volume.u16(SUPER + 86)? == 0 && volume.u64(SUPER + 96)? == 0;
        match () {
            () if !known => Err(FormatError("an unknown feature in the superblock")),
            () if !plain => Err(FormatError("a superblock that points elsewhere")),
            () if volume.u32(SUPER + 4)? != volume.checksum() => Err(FormatError("another kind of checksum")),
            () => Ok(volume),
        }
    }

    /// The root's number.
    pub(super) fn root(&self) -> Result<u64, FormatError> {
        self.u16(SUPER + 14).map(u64::from)
    }

    /// Every node once, the root first.
    pub(super) fn nodes(&self) -> Result<Vec<Node>, FormatError> {
        let (mut nodes, mut seen) = (Vec::new(), BTreeSet::new());
        let mut waiting = vec![(String::from("/"), self.root()?)];
        while let Some((path, number)) = waiting.pop() {
            if !seen.insert(number) {
                continue;
            }
            let (mut node, inode) = self.node(path, number)?;
            if inode.mode & TYPE == FOLDER {
                for (name, link) in self.entries(&inode, &node)? {
                    node.links.push(link);
                    if !matches!(name.as_str(), "." | "..") {
                        let above = node.path.trim_end_matches('/');
                        waiting.push((format!("{above}/{name}"), self.u64(link)?));
                    }
                }
            }
            nodes.push(node);
        }
        Ok(nodes)
    }

    /// Brings the superblock up to date.
    pub(super) fn finish(&mut self, blocks: u32) -> Result<(), FormatError> {
        self.put(SUPER + 36, &blocks.to_le_bytes())?;
        let checksum = self.checksum();
        self.put(SUPER + 4, &checksum.to_le_bytes())
    }

    fn node(&self, path: String, number: u64) -> Result<(Node, Inode), FormatError> {
        let inode = Inode::read(self, number)?;
        let (data, addresses) = match inode.layout {
            0 | 2 => self.flat(&inode)?,
            3 => self.compressed(&inode)?,
            _ => return Err(FormatError("an inode of another layout")),
        };
        if data.end * BLOCK > self.bytes.len() {
            return Err(FormatError("data behind its end"));
        }
        let regular = inode.mode & TYPE == REGULAR;
        Ok((Node { path, regular, data, addresses, links: Vec::new() }, inode))
    }

    /// Data as it is, the last part of it behind the inode in layout 2.
    fn flat(&self, inode: &Inode) -> Result<(Range<usize>, Vec<usize>), FormatError> {
        let blocks = inode.size.div_ceil(BLOCK) - usize::from(inode.layout == 2 && inode.size > 0);
        if blocks == 0 {
            return Ok((0..0, Vec::new()));
        }
        let first = self.u32(inode.at + 16)? as usize;
        Ok((first..first + blocks, vec![inode.at + 16]))
    }

    /// Compressed data with a compact index: clusters of 4 KiB in packs of two or sixteen, each pack ending with the number
    /// of its first block.
    fn compressed(&self, inode: &Inode) -> Result<(Range<usize>, Vec<usize>), FormatError> {
        const SHORT: u16 = 1;
        const BIG: u16 = 0b110;
        let header = inode.end.next_multiple_of(8);
        let advice = self.u16(header + 4)?;
        if advice & !SHORT != BIG || self.u8(header + 7)? != 0 {
            return Err(FormatError("an index of another kind"));
        }
        let clusters = inode.size.div_ceil(BLOCK);
        let start = header + 8;
        let before = ((32 - start % 32) / 4 % 8).min(clusters);
        let short = if advice & SHORT == 0 { 0 } else { (clusters - before) / 16 };
        let wide = |count: usize| std::iter::repeat_n(8, count.div_ceil(2));
        let packs =
            wide(before).chain(std::iter::repeat_n(32, short)).chain(wide(clusters - before - 16 * short));
        let ends = packs.scan(start, |at, size| {
            *at += size;
            Some(*at - 4)
        });
        let addresses: Vec<usize> = ends.collect();
        let first = addresses.first().map_or(Ok(0), |&at| self.u32(at))? as usize;
        Ok((first..first + self.u32(inode.at + 16)? as usize, addresses))
    }

    /// A folder's entries: name, and where the inode's number stands.
    fn entries(&self, inode: &Inode, node: &Node) -> Result<Vec<(String, usize)>, FormatError> {
        let mut spans: Vec<Range<usize>> = node.data.clone().map(|n| n * BLOCK..(n + 1) * BLOCK).collect();
        if let (0, Some(last)) = (inode.layout, spans.last_mut()) {
            last.end = last.start + (inode.size - 1) % BLOCK + 1;
        }
        if inode.layout == 2 {
            spans.push(inode.end..inode.end + inode.size - node.data.len() * BLOCK);
        }
        let mut entries = Vec::new();
        for span in spans {
            self.block_of_entries(span, &mut entries)?;
        }
        Ok(entries)
    }

    /// Entries of 12 bytes, the first of which says where the names begin and by that how many there are.
    fn block_of_entries(&self, span: Range<usize>, into: &mut Vec<(String, usize)>) -> Result<(), FormatError> {
        const ENTRY: usize = 12;
        let name_of = |index: usize| Ok(span.start + usize::from(self.u16(span.start + index * ENTRY + 8)?));
        let count = (name_of(0)? - span.start) / ENTRY;
        for index in 0..count {
            let end = if index + 1 < count { name_of(index + 1)? } else { span.end };
            let name = self.bytes.get(name_of(index)?..end).ok_or(FormatError("a name behind the end"))?;
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            into.push((String::from_utf8_lossy(name).into_owned(), span.start + index * ENTRY));
        }
        Ok(())
    }

    /// CRC-32C of the superblock's block, as the kernel reckons it: without the last inversion, the field itself as zero.
    fn checksum(&self) -> u32 {
        let block = self.bytes.get(SUPER..BLOCK).unwrap_or_default().iter().enumerate();
        let bytes = block.map(|(at, &byte)| if (4..8).contains(&at) { 0 } else { byte });
        bytes.fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
        })
    }

    fn get<const N: usize>(&self, at: usize) -> Result<[u8; N], FormatError> {
        self.bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(FormatError("it is cut short"))
    }

    fn u8(&self, at: usize) -> Result<u8, FormatError> {
        self.get(at).map(|[byte]| byte)
    }

    fn u16(&self, at: usize) -> Result<u16, FormatError> {
        self.get(at).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&self, at: usize) -> Result<u32, FormatError> {
        self.get(at).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&self, at: usize) -> Result<u64, FormatError> {
        self.get(at).map(u64::from_le_bytes)
    }

    pub(super) fn put(&mut self, at: usize, bytes: &[u8]) -> Result<(), FormatError> {
        let place = self.bytes.get_mut(at..at + bytes.len()).ok_or(FormatError("it is cut short"))?;
        place.copy_from_slice(bytes);
        Ok(())
    }
}

/// The part of an inode that matters here.
struct Inode {
    at: usize,
    layout: u16,
    mode: u16,
    size: usize,
    /// Behind it and its attributes.
    end: usize,
}

impl Inode {
    fn read(volume: &Volume, number: u64) -> Result<Self, FormatError> {
        let at = usize::try_from(number).ok().and_then(|number| number.checked_mul(SLOT));
        let at = at.ok_or(FormatError("an inode behind its end"))?;
        let format = volume.u16(at)?;
        let (length, size) = match format & 1 {
            0 => (32, u64::from(volume.u32(at + 8)?)),
            _ => (64, volume.u64(at + 8)?),
        };
        // The count of the attributes' words, one too many, and behind a header of 12 bytes.
        let attributes = match usize::from(volume.u16(at + 2)?) {
            0 => 0,
            count => 12 + 4 * (count - 1),
        };
        let size = usize::try_from(size).map_err(|_| FormatError("a file without end"))?;
        Ok(Self { at, layout: format >> 1 & 7, mode: volume.u16(at + 4)?, size, end: at + length + attributes })
    }
}

/// What an inode's number becomes when its block moves.
pub(super) fn renumber(number: u64, to: impl Fn(usize) -> Option<usize>) -> Option<u64> {
    const PER_BLOCK: u64 = (BLOCK / SLOT) as u64;
    let block = to(usize::try_from(number / PER_BLOCK).ok()?)?;
    Some(block as u64 * PER_BLOCK + number % PER_BLOCK)
}
