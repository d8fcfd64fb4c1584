//! The disk image: a GPT with the EFI partition (the boot program on FAT) and the root partition (EROFS, and directly
//! behind it its verity superblock and tree). What is zero stays a hole. Nothing here knows what is in the parts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition;
use gpt::partition_types::{EFI, LINUX_ROOT_X64, Type};
use kennel_model::layout::ROOT_PARTITION;

use super::fat::{FatError, Volume};
use super::{BuildError, erofs, verity};
use crate::digest::Sha256;

/// GPT name of the EFI partition.
pub(super) const EFI_PARTITION: &str = "kennel-esp";
const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Room for two boot programs of the largest size allowed, so that one can be put beside the other later.
pub(super) const EFI_SIZE: u64 = 64 * MIB;
const EFI_START: u64 = MIB;
const ROOT_START: u64 = EFI_START + EFI_SIZE;
/// What is compared with zero at a time.
const CHUNK: usize = 64 << 10;

/// What goes onto the disk.
pub(super) struct Parts<'a> {
    /// The boot program.
    pub uki: &'a [u8],
    /// The root file system, and how much of it.
    pub root: (&'a File, u64),
    /// Its hash tree.
    pub verity: &'a verity::Tree,
    /// Every id on the disk is derived from this, which is the same for all versions of an image: ids that changed with
    /// the contents would make the first and last block of the disk others each time.
    pub seed: Sha256,
}

/// Why there is no disk.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiskError {
    /// The file system here.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The EFI partition.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// The partition table.
    #[error("partition table: {0}")]
    Table(String),
}

impl DiskError {
    /// The same, of the file of this path.
    pub(super) fn about(self, path: &Path) -> BuildError {
        match self {
            Self::Io(cause) | Self::Fat(FatError::Io(cause)) => BuildError::Io { path: path.to_owned(), cause },
            Self::Fat(error) => error.into(),
            Self::Table(what) => BuildError::Partitions(what),
        }
    }
}

/// Writes the disk into an empty file.
///
/// # Errors
/// [`DiskError`].
pub(super) fn write(file: &File, parts: &Parts<'_>) -> Result<(), DiskError> {
    let (root, root_size) = parts.root;
    let root_end = (ROOT_START + root_size + parts.verity.bytes.len() as u64).next_multiple_of(MIB);
    file.set_len(root_end + MIB)?;

    let serial = id(&parts.seed, "fat serial").as_fields().0;
    let mut efi = Volume::new(serial);
    efi.add("EFI/BOOT/BOOTX64.EFI", parts.uki)?;
    efi.write(file, EFI_START, EFI_SIZE)?;

    copy(root, root_size, file, ROOT_START)?;
    file.write_all_at(&parts.verity.bytes, ROOT_START + root_size)?;

    let partition = |name: &str, kind: Type, start: u64, end: u64| Partition {
        part_type_guid: kind,
        part_guid: id(&parts.seed, name),
        first_lba: start / SECTOR,
        last_lba: end / SECTOR - 1,
        flags: 0,
        name: name.to_owned(),
    };
    let partitions = BTreeMap::from([
        (1, partition(EFI_PARTITION, EFI, EFI_START, ROOT_START)),
        (2, partition(ROOT_PARTITION, LINUX_ROOT_X64, ROOT_START, root_end)),
    ]);
    write_table(file, partitions, id(&parts.seed, "disk"))
}

/// A GUID for one purpose.
fn id(seed: &Sha256, purpose: &str) -> uuid::Uuid {
    erofs::uuid(&Sha256::of(format!("kennel {purpose} {seed}").as_bytes()))
}

fn write_table(
    mut file: &File,
    partitions: BTreeMap<u32, Partition>,
    guid: uuid::Uuid,
) -> Result<(), DiskError> {
    let fault = |error: gpt::GptError| DiskError::Table(error.to_string());
    let sectors = file.metadata()?.len() / SECTOR;
    let mbr = ProtectiveMBR::with_lb_size(u32::try_from(sectors - 1).unwrap_or(u32::MAX));
    mbr.overwrite_lba0(&mut file).map_err(|error| DiskError::Table(error.to_string()))?;
    let config = gpt::GptConfig::new().writable(true).change_partition_count(true);
    let mut disk = config.create_from_device(file, Some(guid)).map_err(fault)?;
    disk.update_partitions(partitions).map_err(fault)?;
    disk.write().map_err(fault)?;
    Ok(())
}

/// Copies all that is not zero.
fn copy(from: &File, size: u64, to: &File, at: u64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    while done < size {
        let part = &mut buffer[..CHUNK.min((size - done) as usize)];
        from.read_exact_at(part, done)?;
        if part.iter().any(|&byte| byte != 0) {
            to.write_all_at(part, at + done)?;
        }
        done += part.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;

    use super::*;

    fn build(path: &std::path::Path) -> File {
        let root = tempfile::tempfile().unwrap();
        root.set_len(8 * MIB).unwrap();
        root.write_all_at(b"root", 4 * MIB).unwrap();
        let seed = verity::Seed { salt: [1; 32], uuid: [2; 16] };
        let verity = verity::Tree::over(&root, 8 * MIB, seed).unwrap();
        let parts =
            Parts { uki: &[7; 3 << 20], root: (&root, 8 * MIB), verity: &verity, seed: Sha256::of(b"x") };
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
        write(&file, &parts).unwrap();
        file
    }

    #[test]
    fn sgdisk_finds_two_partitions_and_nothing_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let file = build(&path);
        let sgdisk = |arguments: &[&str]| {
            let output = Command::new("/usr/sbin/sgdisk").args(arguments).arg(&path).output();
            let output = output.expect("sgdisk is needed for this test: run `make deps`");
            String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
        };
        let text = sgdisk(&["--verify", "--print"]);
        assert!(text.contains("No problems found"), "{text}");
        for (number, name) in [("1", EFI_PARTITION), ("2", ROOT_PARTITION)] {
            let text = sgdisk(&["--info", number]);
            assert!(text.contains(&format!("Partition name: '{name}'")), "{text}");
        }
        let mut magic = [0; 6];
        file.read_exact_at(&mut magic, ROOT_START + 8 * MIB).unwrap();
        assert_eq!(&magic, b"verity");
        let written = file.metadata().unwrap().blocks() * 512;
        assert!(written < 5 * MIB, "{written} bytes written: holes are lost");
    }

    #[test]
    fn the_same_parts_give_the_same_disk() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["1", "2"].map(|name| folder.path().join(name));
        build(&one);
        build(&two);
        assert!(std::fs::read(one).unwrap() == std::fs::read(two).unwrap());
    }
}
