//! dm-verity: the hash tree over an image, byte for byte what `veritysetup format` writes (sha256, blocks of 4096,
//! format 1). What the image is and where the root hash goes is the caller's business.

use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

/// Size of data and hash blocks.
pub(super) const BLOCK: usize = 4096;
const DIGEST: usize = 32;
const DIGESTS_PER_BLOCK: usize = BLOCK / DIGEST;
/// Blocks that one thread hashes between two looks at the clock: 4 MiB.
const RUN: usize = 1024;

/// What makes one tree differ from another over the same data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seed {
    /// Hashed before every block.
    pub salt: [u8; 32],
    /// Names the tree in its superblock.
    pub uuid: [u8; 16],
}

/// A hash tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    /// Superblock and all levels: what follows the data on disk.
    pub bytes: Vec<u8>,
    /// What the whole stands or falls with.
    pub root_hash: [u8; DIGEST],
    /// The salt, which the kernel must be told too.
    pub salt: [u8; 32],
    /// Blocks of data covered.
    pub data_blocks: u64,
}

impl Tree {
    /// Hashes the first `size` bytes of `data`, which must be whole blocks and at least one.
    ///
    /// # Errors
    /// When the data cannot be read or has no whole number of blocks.
    pub(super) fn over(data: &(impl FileExt + Sync), size: u64, seed: Seed) -> io::Result<Self> {
        if size == 0 || !size.is_multiple_of(BLOCK as u64) {
            let message = format!("{size} bytes are not one or more blocks of {BLOCK}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let data_blocks = size / BLOCK as u64;
        // The levels from the data upward; the last one is a single block, whose digest is the root hash.
        let mut levels = Vec::new();
        let mut digests = hash_file(data, data_blocks, &seed.salt)?;
        while digests.len() > DIGEST {
            let level = pad(digests);
            digests = hash_blocks(&level, &seed.salt);
            levels.push(level);
        }
        let mut bytes = superblock(data_blocks, &seed);
        for level in levels.iter().rev() {
            bytes.extend_from_slice(level);
        }
        let mut root_hash = [0; DIGEST];
        root_hash.copy_from_slice(&digests);
        Ok(Self { bytes, root_hash, salt: seed.salt, data_blocks })
    }
}

/// Bytes as the kernel's command line has them.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digests of all blocks of the file, by as many threads as there are cores.
fn hash_file(data: &(impl FileExt + Sync), blocks: u64, salt: &[u8; 32]) -> io::Result<Vec<u8>> {
    let mut digests = vec![0; blocks as usize * DIGEST];
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = (blocks as usize).div_ceil(threads).max(RUN);
    std::thread::scope(|scope| {
        let parts = digests.chunks_mut(share * DIGEST).enumerate();
        let workers: Vec<_> =
            parts.map(|(i, part)| scope.spawn(move || hash_part(data, i * share, part, salt))).collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(io::Error::other("a hashing thread panicked")))
        })
    })?;
    Ok(digests)
}

/// Digests of the blocks from `first` on, as many as there is room for.
fn hash_part(data: &impl FileExt, first: usize, digests: &mut [u8], salt: &[u8; 32]) -> io::Result<()> {
    let mut buffer = vec![0; RUN * BLOCK];
    for (run, digests) in digests.chunks_mut(RUN * DIGEST).enumerate() {
        let blocks = &mut buffer[..digests.len() / DIGEST * BLOCK];
        data.read_exact_at(blocks, ((first + run * RUN) * BLOCK) as u64)?;
        digests.copy_from_slice(&hash_blocks(blocks, salt));
    }
    Ok(())
}

fn hash_blocks(blocks: &[u8], salt: &[u8; 32]) -> Vec<u8> {
    let salted = Sha256::new_with_prefix(salt);
    blocks.chunks_exact(BLOCK).flat_map(|block| salted.clone().chain_update(block).finalize()).collect()
}

/// Digests filled up with zeros to whole blocks.
fn pad(mut digests: Vec<u8>) -> Vec<u8> {
    let blocks = digests.len().div_ceil(DIGESTS_PER_BLOCK * DIGEST);
    digests.resize(blocks * BLOCK, 0);
    digests
}

/// `struct verity_sb` of cryptsetup, in a block of its own.
fn superblock(data_blocks: u64, seed: &Seed) -> Vec<u8> {
    let mut block = Vec::with_capacity(BLOCK);
    block.extend_from_slice(b"verity\0\0");
    block.extend_from_slice(&1u32.to_le_bytes()); // version of the superblock
    block.extend_from_slice(&1u32.to_le_bytes()); // hash type: salt first, as all do since 2012
    block.extend_from_slice(&seed.uuid);
    block.extend_from_slice(&fixed::<32>(b"sha256"));
    block.extend_from_slice(&(BLOCK as u32).to_le_bytes()); // of data
    block.extend_from_slice(&(BLOCK as u32).to_le_bytes()); // of hashes
    block.extend_from_slice(&data_blocks.to_le_bytes());
    block.extend_from_slice(&(seed.salt.len() as u16).to_le_bytes());
    block.extend_from_slice(&[0; 6]);
    block.extend_from_slice(&fixed::<256>(&seed.salt));
    block.resize(BLOCK, 0);
    block
}

/// Bytes filled up with zeros.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut field = [0; N];
    field[..bytes.len()].copy_from_slice(bytes);
    field
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    const SEED: Seed =
        Seed { salt: [0xab; 32], uuid: *b"\x12\x34\x56\x78\x12\x34\x12\x34\x12\x34\x12\x34\x56\x78\x9a\xbc" };
    const UUID: &str = "12345678-1234-1234-1234-123456789abc";

    fn data(blocks: usize) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for block in 0..blocks {
            file.write_all(&[(block % 251) as u8; BLOCK]).unwrap();
        }
        file
    }

    /// The hash area and root hash by cryptsetup's own hand. It is a tool that `make deps` installs.
    fn judge(data: &Path, folder: &Path) -> (Vec<u8>, String) {
        let hashes = folder.join("hashes");
        let output = Command::new("/usr/sbin/veritysetup")
            .args(["format", "--uuid", UUID, "--salt", &hex(&SEED.salt)])
            .args([data, &hashes])
            .output()
            .expect("veritysetup is needed for this test: run `make deps`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let root = text.lines().find_map(|line| line.strip_prefix("Root hash:")).unwrap().trim().to_owned();
        (std::fs::read(hashes).unwrap(), root)
    }

    #[test]
    fn every_byte_is_the_one_that_veritysetup_writes() {
        // One block; one level, full and overfull; two levels over several runs of several threads.
        for blocks in [1, 2, 127, 128, 129, 5000, 128 * 128 + 1] {
            let data = data(blocks);
            let folder = tempfile::tempdir().unwrap();
            let (bytes, root) = judge(data.path(), folder.path());
            let tree = Tree::over(data.as_file(), (blocks * BLOCK) as u64, SEED).unwrap();
            assert_eq!(hex(&tree.root_hash), root, "{blocks} blocks");
            assert!(tree.bytes == bytes, "{blocks} blocks: other bytes");
            assert_eq!(tree.data_blocks, blocks as u64);
        }
    }

    #[test]
    fn a_part_of_a_block_is_refused() {
        let data = data(1);
        for size in [0, 1, BLOCK as u64 + 1] {
            assert!(Tree::over(data.as_file(), size, SEED).is_err(), "{size}");
        }
    }
}
