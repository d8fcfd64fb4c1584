//! Disk images as this program needs them: which blocks have content, the digest of each, what the manifest beside the image
//! says, and whether the image may be published at all. Nothing here knows about AWS.

mod blocks;
mod digest;
mod manifest;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use blocks::{BLOCK, BlockMap};
pub use digest::Digest;
use digest::Hasher;
use manifest::Manifest;

/// What marks a proof image, in the os-release that its boot program carries. The manifest says it too, but it can be lost.
const PROOF: &[u8] = b"VARIANT_ID=proof";
const GIB: u64 = 1 << 30;

/// What an image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Name in its specification.
    pub name: String,
    /// Version in its specification.
    pub version: String,
    /// Root hash of its root partition, where its manifest is there.
    pub root_hash: Option<String>,
    /// Whether its boot program is signed for Secure Boot, where its manifest is there.
    pub signed: Option<bool>,
    /// Secure Boot keys of the hosts that will boot it (`UefiData`), where its manifest has them.
    pub uefi_data: Option<String>,
}

/// An image that may be published.
#[derive(Debug)]
pub struct Image {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// What it is.
    pub facts: Facts,
    /// SHA-256 of the whole file.
    pub digest: Digest,
    /// Its blocks that have content.
    pub blocks: BlockMap,
}

/// Why an image cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Its manifest makes no sense.
    #[error("{}: {cause}", path.display())]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// Where it goes wrong.
        cause: serde_json::Error,
    },
    /// It is empty.
    #[error("{} is empty", .0.display())]
    Empty(PathBuf),
    /// It is not what its manifest says.
    #[error("{} is not the image that its manifest describes: its digest is {found}, not {promised}", path.display())]
    Changed {
        /// The image.
        path: PathBuf,
        /// Its digest.
        found: Digest,
        /// The digest in the manifest.
        promised: Digest,
    },
    /// Some of its slots are open on purpose.
    #[error("{} is a proof image: some of its slots are open on purpose", .0.display())]
    Proof(PathBuf),
    /// Its policy did not pass the proof.
    #[error("{} was built without the proof that its slots are apart", .0.display())]
    Unproved(PathBuf),
    /// A block changed after the digests were taken.
    #[error("block {index} of {} changed while it was being uploaded", path.display())]
    Moving {
        /// The image.
        path: PathBuf,
        /// Which block.
        index: u32,
    },
}

impl Image {
    /// Reads an image once from end to end.
    ///
    /// # Errors
    /// [`ImageError`].
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let io = |cause| ImageError::Io { path: path.to_owned(), cause };
        let manifest = Manifest::beside(path)?;
        if let Some(manifest) = &manifest {
            manifest.may_be_published(path)?;
        }
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        if bytes == 0 {
            return Err(ImageError::Empty(path.to_owned()));
        }
        let read = blocks::read(&file, bytes, PROOF).map_err(io)?;
        if read.found {
            return Err(ImageError::Proof(path.to_owned()));
        }
        if let Some(promised) = manifest.as_ref().map(|manifest| manifest.image.sha256)
            && promised != read.digest
        {
            return Err(ImageError::Changed { path: path.to_owned(), found: read.digest, promised });
        }
        let facts = manifest.map_or_else(|| Manifest::guess(path), Manifest::facts);
        Ok(Self { file, path: path.to_owned(), bytes, facts, digest: read.digest, blocks: read.blocks })
    }

    /// Size of a volume that holds it.
    pub fn gib(&self) -> i32 {
        i32::try_from(self.bytes.div_ceil(GIB)).unwrap_or(i32::MAX)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads a block again, which must be what it was.
    ///
    /// # Errors
    /// [`ImageError::Io`], [`ImageError::Moving`].
    pub fn block(&self, index: u32, digest: Digest) -> Result<Vec<u8>, ImageError> {
        let io = |cause| ImageError::Io { path: self.path.clone(), cause };
        let at = u64::from(index) * BLOCK as u64;
        let mut data = vec![0; BLOCK];
        let length = usize::try_from(self.bytes.saturating_sub(at)).unwrap_or(BLOCK).min(BLOCK);
        self.file.read_exact_at(&mut data[..length], at).map_err(io)?;
        if Digest::of(&data) == digest {
            Ok(data)
        } else {
            Err(ImageError::Moving { path: self.path.clone(), index })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of three blocks and a half, whose second is a hole, and perhaps its manifest.
    fn make(folder: &Path, manifest: Option<&str>) -> PathBuf {
        let path = folder.join("kennel-9.9-x86_64.raw");
        let file = File::create(&path).unwrap();
        file.write_all_at(&[1; BLOCK], 0).unwrap();
        file.write_all_at(&[0; BLOCK], 2 * BLOCK as u64).unwrap();
        file.write_all_at(&[2; BLOCK / 2], 3 * BLOCK as u64).unwrap();
        if let Some(extra) = manifest {
            let digest = Digest::of(&std::fs::read(&path).unwrap());
            let text = format!(
                r#"{{"name":"kennel","version":"9.9","proved":true,"proof":false,
                "image":{{"file":"kennel-9.9-x86_64.raw","sha256":"{digest}"}},"root":{{"verity_root_hash":"ab"}}{extra}}}"#
            );
            std::fs::write(folder.join("manifest.json"), text).unwrap();
        }
        path
    }

    #[test]
    fn holes_are_left_out_and_written_zeros_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let image = Image::open(&make(folder.path(), None)).unwrap();
        assert_eq!(image.blocks.indexes().collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!(image.gib(), 1);
        assert_eq!(image.facts.version, "9.9", "without a manifest the version is in the file's name");
        let mut tail = vec![2; BLOCK / 2];
        tail.resize(BLOCK, 0);
        assert_eq!(image.block(3, Digest::of(&tail)).unwrap(), tail);
    }

    #[test]
    fn the_digest_is_that_of_the_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = make(folder.path(), Some(""));
        let image = Image::open(&path).unwrap();
        assert_eq!(image.digest, Digest::of(&std::fs::read(&path).unwrap()));
        assert_eq!(image.facts.root_hash.as_deref(), Some("ab"));
    }

    #[test]
    fn an_image_that_its_manifest_does_not_describe_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = make(folder.path(), Some(""));
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"!", 7).unwrap();
        assert!(matches!(Image::open(&path), Err(ImageError::Changed { .. })));
    }

    #[test]
    fn proof_images_are_refused_with_and_without_their_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let path = make(folder.path(), Some(""));
        let manifest = folder.path().join("manifest.json");
        let text = std::fs::read_to_string(&manifest).unwrap();
        std::fs::write(&manifest, text.replace(r#""proof":false"#, r#""proof":true"#)).unwrap();
        assert!(matches!(Image::open(&path), Err(ImageError::Proof(_))));
        std::fs::write(&manifest, text.replace(r#""proved":true"#, r#""proved":false"#)).unwrap();
        assert!(matches!(Image::open(&path), Err(ImageError::Unproved(_))));

        std::fs::remove_file(manifest).unwrap();
        assert!(Image::open(&path).is_ok());
        let file = File::options().write(true).open(&path).unwrap();
        // Across the border of two blocks, where it is hardest to see.
        file.write_all_at(b"\nVARIANT_ID=proof\n", 3 * BLOCK as u64 - 9).unwrap();
        assert!(matches!(Image::open(&path), Err(ImageError::Proof(_))));
    }

    #[test]
    fn a_block_that_changes_under_the_upload_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = make(folder.path(), None);
        let image = Image::open(&path).unwrap();
        File::options().write(true).open(&path).unwrap().write_all_at(b"!", 7).unwrap();
        let first = image.blocks.get(0).unwrap();
        assert!(matches!(image.block(0, first), Err(ImageError::Moving { index: 0, .. })));
    }
}
