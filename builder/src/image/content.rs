//! The bytes of a file of a tree, which stay where they are (in memory, or in a file of the cache or of this computer)
//! until they are needed.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::digest::Sha256;

/// The bytes of a file, wherever they are, and their digest.
#[derive(Debug, Clone)]
pub struct Content {
    digest: Sha256,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Bytes(Arc<[u8]>),
    Slice { file: Arc<File>, offset: u64, size: u64 },
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Content {}

impl Content {
    /// Bytes in memory.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self { digest: Sha256::of(&bytes), source: Source::Bytes(bytes) }
    }

    /// Part of a file; the digest is that of just these bytes.
    pub fn slice(file: Arc<File>, offset: u64, size: u64, digest: Sha256) -> Self {
        Self { digest, source: Source::Slice { file, offset, size } }
    }

    /// A whole file, read once for its digest.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (digest, size) = Sha256::of_reader(&mut file)?;
        Ok(Self::slice(Arc::new(file), 0, size, digest))
    }

    /// Digest of the bytes.
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// How many bytes.
    pub fn size(&self) -> u64 {
        match &self.source {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Slice { size, .. } => *size,
        }
    }

    /// Up to `most` bytes from the start.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn head(&self, most: u64) -> io::Result<Vec<u8>> {
        let size = self.size().min(most);
        match &self.source {
            Source::Bytes(bytes) => Ok(bytes[..size as usize].to_vec()),
            Source::Slice { file, offset, .. } => {
                let mut buffer = vec![0; size as usize];
                file.read_exact_at(&mut buffer, *offset)?;
                Ok(buffer)
            }
        }
    }

    /// All bytes.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        self.head(u64::MAX)
    }

    /// Copies all bytes.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub fn copy_to(&self, out: &mut impl Write) -> io::Result<()> {
        match &self.source {
            Source::Bytes(bytes) => out.write_all(bytes),
            Source::Slice { file, offset, size } => {
                let mut buffer = vec![0; (*size).min(1 << 20) as usize];
                let mut done = 0;
                while done < *size {
                    let part = buffer.len().min((size - done) as usize);
                    file.read_exact_at(&mut buffer[..part], offset + done)?;
                    out.write_all(&buffer[..part])?;
                    done += part as u64;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_the_same_from_memory_and_from_a_file() {
        let bytes: Vec<u8> = (0..3 << 20).map(|i: u32| (i >> 4) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let [memory, disk] = [Content::bytes(bytes.clone()), Content::file(file.path()).unwrap()];
        assert_eq!(memory, disk);
        for content in [memory, disk] {
            let mut copy = Vec::new();
            content.copy_to(&mut copy).unwrap();
            assert!(copy == bytes && content.read().unwrap() == bytes);
            assert_eq!(content.head(3).unwrap(), &bytes[..3]);
        }
    }
}
