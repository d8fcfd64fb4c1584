//! Disk images for the scenarios: blocks of data, of written zeros, and holes.

use crate::fake::BLOCK;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A block of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Bytes that depend on a seed.
    Data(u64),
    /// Zeros that the image's writer wrote.
    Zeros,
    /// What it never wrote.
    Hole,
}

/// An image, and what its manifest says.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) pieces: Vec<Piece>,
    /// Bytes that follow the last whole block.
    pub(crate) tail: usize,
    pub(crate) version: String,
    pub(crate) proof: bool,
    pub(crate) proved: bool,
}

fn data(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64*: no two blocks are alike, and none compresses.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

impl Picture {
    /// So many blocks: of each four, two have data, one has written zeros and one is a hole.
    pub(crate) fn of(blocks: u64) -> Picture {
        let piece = |index: u64| match index % 4 {
            2 => Piece::Zeros,
            3 => Piece::Hole,
            _ => Piece::Data(index + 1),
        };
        let pieces = (0..blocks).map(piece).collect();
        Picture { pieces, tail: 0, version: "1.2.3".to_owned(), proof: false, proved: true }
    }

    /// The next version, in which one block is another.
    pub(crate) fn with(&self, index: usize, piece: Piece) -> Picture {
        let mut next = self.clone();
        next.pieces[index] = piece;
        next.version = format!("{}.1", self.version);
        next
    }

    /// Which blocks were written.
    pub(crate) fn written(&self) -> Vec<u32> {
        let whole =
            (0u32..).zip(&self.pieces).filter(|(_, piece)| **piece != Piece::Hole).map(|(index, _)| index);
        let tail = (self.tail > 0).then(|| u32::try_from(self.pieces.len()).unwrap());
        whole.chain(tail).collect()
    }

    /// The bytes of a block, of which the last one may be short.
    fn block(&self, index: usize) -> Vec<u8> {
        match self.pieces.get(index) {
            Some(Piece::Data(seed)) => data(*seed, BLOCK),
            Some(_) => vec![0; BLOCK],
            None => data(0x7a11, self.tail),
        }
    }

    /// The image's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let blocks: Vec<Vec<u8>> = (0..=self.pieces.len()).map(|index| self.block(index)).collect();
        blocks.concat()
    }

    /// The digest by which it is known.
    pub(crate) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        (0..=self.pieces.len()).for_each(|index| digest.update(self.block(index)));
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Writes the image and its manifest into a folder.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let name = format!("kennel-{}-x86_64.raw", self.version);
        let path = folder.join(&name);
        let file = File::create(&path).unwrap();
        for index in self.written() {
            let index = index as usize;
            file.write_all_at(&self.block(index), (index * BLOCK) as u64).unwrap();
        }
        file.set_len((self.pieces.len() * BLOCK + self.tail) as u64).unwrap();
        let manifest = json!({
            "format": 1, "name": "kennel", "version": self.version, "proof": self.proof, "proved": self.proved,
            "builder": "kennel 1", "image": {"file": name, "sha256": self.digest(), "written_bytes": 1},
            "root": {"verity_root_hash": "6605b735", "packages": []},
        });
        std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        path
    }
}
