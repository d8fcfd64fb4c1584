//! The blocks of an image: which have content, and what their digests are.
//!
//! A hole that the image's writer left is not sent: a volume that is made of the snapshot reads as zeros there. Zeros that
//! were written are sent, because on an encrypted volume it is not the same: there, a block that nobody wrote has no
//! ciphertext of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Digest, Hasher};

/// Bytes of a block. EBS direct knows no other size.
pub const BLOCK: usize = 512 << 10;

/// The digests of the blocks that have content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockMap(BTreeMap<u32, Digest>);

impl BlockMap {
    /// The digest of a block, if it has content.
    pub fn get(&self, index: u32) -> Option<Digest> {
        self.0.get(&index).copied()
    }

    /// The blocks that have content, in their order.
    pub fn indexes(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }

    /// The same, with their digests.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Digest)> {
        self.0.iter().map(|(&index, &digest)| (index, digest))
    }

    /// How many have content.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none has content.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(u32, Digest)> for BlockMap {
    fn from_iter<I: IntoIterator<Item = (u32, Digest)>>(blocks: I) -> Self {
        Self(blocks.into_iter().collect())
    }
}

/// What one reading of a file finds.
pub(super) struct Reading {
    /// Digest of the file, holes as zeros.
    pub digest: Digest,
    /// Digests of its blocks.
    pub blocks: BlockMap,
    /// Whether the bytes that were looked for are in it.
    pub found: bool,
}

/// Reads a file once.
pub(super) fn read(file: &File, bytes: u64, wanted: &[u8]) -> io::Result<Reading> {
    let mut whole = Hasher::default();
    let mut blocks = BTreeMap::new();
    // The end of the block before comes first, so that what lies across a border is found too.
    let seam = wanted.len() - 1;
    let mut buffer = vec![0; seam + BLOCK];
    let mut found = false;
    let count = u32::try_from(bytes.div_ceil(BLOCK as u64)).map_err(|_| io::ErrorKind::FileTooLarge)?;
    for index in 0..count {
        let at = u64::from(index) * BLOCK as u64;
        let length = (bytes - at).min(BLOCK as u64);
        buffer.copy_within(BLOCK.., 0);
        let block = &mut buffer[seam..];
        block.fill(0);
        // The last block of a file that is no multiple of blocks is filled up with zeros.
        let part = length as usize;
        if has_content(file, at, length)? {
            file.read_exact_at(&mut block[..part], at)?;
            blocks.insert(index, Digest::of(block));
            whole.add(&block[..part]);
            found = found || contains(&buffer, wanted);
        } else {
            whole.add(&block[..part]);
        }
    }
    Ok(Reading { digest: whole.done(), blocks: BlockMap(blocks), found })
}

/// Whether anything was written in this part of the file.
fn has_content(file: &File, at: u64, length: u64) -> io::Result<bool> {
    match seek(file, SeekFrom::Data(at)) {
        Ok(data) => Ok(data < at + length),
        // No data from here to the end.
        Err(Errno::NXIO) => Ok(false),
        // A file system without holes: all is content.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    let Some((&first, rest)) = wanted.split_first() else { return true };
    let mut bytes = bytes;
    while let Some(at) = bytes.iter().position(|&byte| byte == first) {
        bytes = &bytes[at + 1..];
        if bytes.starts_with(rest) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found() {
        for (bytes, wanted, there) in [
            ("aabaabc", "aabc", true),
            ("aabaab", "aabc", false),
            ("", "a", false),
            ("xxab", "ab", true),
            ("ab", "abc", false),
        ] {
            assert_eq!(contains(bytes.as_bytes(), wanted.as_bytes()), there, "{wanted} in {bytes}");
        }
    }
}
