//! Disks as the kernel lists them, and what is on one. Looks only; what follows from it is decided in `volume.rs`.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use kennel_model::layout::{DATA_LABEL, ROOT_PARTITION, SWAP_SERIAL};

use super::format;

const BLOCK_CLASS: &str = "/sys/class/block";
/// How much of the start of a disk must be zero for it to count as blank.
pub(super) const BLANK_START: u64 = 8 << 20;
/// And of its end, where RAID and GPT keep their second copies.
pub(super) const BLANK_END: u64 = 1 << 20;
/// A smaller disk is not meant as a data volume, nor for swap.
pub(super) const SMALLEST: u64 = 64 << 20;
/// What begins within the first 8 MiB, but leaves the places free that are looked at for an ext file system; and where.
const SIGNATURES: [(u64, &[u8]); 9] = [
    (4086, b"SWAPSPACE2"),
    (4096, &[0xfc, 0x4e, 0x2b, 0xa9]), // Linux software RAID
    (4096 + 24, &[0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca]), // bcache
    (4096 + 24, &[0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9]), // bcachefs
    (0x8000, b"JFS1"),
    (0x8001, b"CD001"),
    (0x1_0034, b"ReIsEr"),
    (0x1_0040, b"_BHRfS_M"),               // btrfs
    (0x1_055c, &[0x19, 0x01, 0x54, 0x19]), // UFS2
];
/// What the disks inside EC2's machines call themselves; EBS volumes are "Amazon Elastic Block Store".
const INSTANCE_STORE: &str = "Amazon EC2 NVMe Instance Storage";
/// Kinds of block device that are no disk.
const NO_DISKS: [&str; 7] = ["loop", "ram", "zram", "dm-", "sr", "fd", "md"];

/// The kernel's name of the partition with this GPT name.
pub(crate) fn partition(name: &str) -> Option<String> {
    let wanted = format!("PARTNAME={name}");
    names().find(|device| {
        fs::read_to_string(sysfs(device).join("uevent")).is_ok_and(|text| text.lines().any(|l| l == wanted))
    })
}

/// Every whole disk but the one that was booted from.
pub(super) fn other_disks() -> Vec<String> {
    let boot_disk = partition(ROOT_PARTITION).and_then(|p| disk_of(&p));
    let mut disks: Vec<_> = names()
        .filter(|d| !NO_DISKS.iter().any(|kind| d.starts_with(kind)))
        .filter(|d| !sysfs(d).join("partition").exists() && size(d) > 0)
        .filter(|d| Some(d) != boot_disk.as_ref())
        .collect();
    disks.sort();
    disks
}

/// The size of a disk in bytes; 0 when there is no medium.
pub(super) fn size(disk: &str) -> u64 {
    let sectors = fs::read_to_string(sysfs(disk).join("size")).ok();
    sectors.and_then(|s| s.trim().parse::<u64>().ok()).unwrap_or(0) * 512
}

/// The serial number of a disk: on EC2 the volume's id without its hyphen.
pub(super) fn serial(disk: &str) -> Option<String> {
    // An NVMe disk's is its controller's, a virtio disk's its own.
    let serial = of_controller(disk, "serial").or_else(|| fact(&sysfs(disk).join("serial")))?;
    // It is printed: another controller's may be any bytes.
    serial.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)).then_some(serial)
}

/// Whether what is on a disk is gone when the machine is stopped.
fn is_lost_at_a_stop(disk: &str) -> bool {
    of_controller(disk, "model").is_some_and(|model| model == INSTANCE_STORE)
}

/// Why a disk is for swap and not for data, if it is.
pub(super) fn is_for_swap(disk: &str) -> Option<&'static str> {
    if is_lost_at_a_stop(disk) {
        return Some("it is instance storage, which is lost when the machine is stopped");
    }
    (serial(disk)? == SWAP_SERIAL).then_some("by its serial number it is for swap")
}

/// What an NVMe disk's controller says of itself.
fn of_controller(disk: &str, fact: &str) -> Option<String> {
    self::fact(&sysfs(disk).join("device").join(fact))
}

fn fact(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Whether the kernel found partitions on a disk.
pub(super) fn has_partitions(disk: &str) -> bool {
    names().any(|d| d != disk && disk_of(&d).as_deref() == Some(disk))
}

fn names() -> impl Iterator<Item = String> {
    let entries = fs::read_dir(BLOCK_CLASS).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

fn sysfs(device: &str) -> PathBuf {
    Path::new(BLOCK_CLASS).join(device)
}

/// The disk that a partition is on: its folder is in the disk's.
fn disk_of(device: &str) -> Option<String> {
    if !sysfs(device).join("partition").exists() {
        return None;
    }
    let path = fs::canonicalize(sysfs(device)).ok()?;
    Some(path.parent()?.file_name()?.to_str()?.to_owned())
}

/// What a disk holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A data volume of ours.
    Ours,
    /// Nothing at all.
    Blank,
    /// A data volume in the making, which a power cut left unfinished: nobody's data is on it.
    Unfinished,
    /// Something else; in words.
    Foreign(String),
}

/// The size of the file system on a disk, by its superblock.
///
/// # Errors
/// The reader's.
pub(super) fn volume_size(disk: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    Ok(Ext::on(disk)?.map(|volume| volume.size))
}

/// Finds out what a disk of this size holds.
///
/// # Errors
/// The reader's.
pub(super) fn content(disk: &mut (impl Read + Seek), size: u64) -> io::Result<Content> {
    if size < SMALLEST {
        return Ok(Content::Foreign(format!("it has {size} bytes, less than {SMALLEST}")));
    }
    let begun = format::begun(disk, size)?;
    if let Some(volume) = Ext::on(disk)? {
        return Ok(match volume.label == DATA_LABEL {
            true if begun && volume.size <= size - format::RESERVED => Content::Unfinished,
            true => Content::Ours,
            false => Content::Foreign(format!("it holds an ext file system with the label {:?}", volume.label)),
        });
    }
    if begun && is_zero(disk, 0, 1024)? && !has_signature(disk)? {
        return Ok(Content::Unfinished);
    }
    if is_zero(disk, 0, BLANK_START)? && is_zero(disk, size - BLANK_END, BLANK_END)? {
        return Ok(Content::Blank);
    }
    Ok(Content::Foreign("it holds something that is not Kennel's".to_owned()))
}

/// What the superblock of an ext2, ext3 or ext4 file system says (kernel: `filesystems/ext4/super.rst`).
struct Ext {
    label: String,
    size: u64,
}

impl Ext {
    fn on(disk: &mut (impl Read + Seek)) -> io::Result<Option<Self>> {
        let mut superblock = [0; 1024];
        disk.seek(SeekFrom::Start(1024))?;
        disk.read_exact(&mut superblock)?;
        let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| superblock[at + i]));
        if superblock[56..58] != [0x53, 0xef] {
            return Ok(None);
        }
        let label = superblock[120..136].split(|b| *b == 0).next().unwrap_or_default();
        let blocks = u64::from(number(0x150)) << 32 | u64::from(number(4));
        let size = blocks.saturating_mul(1024u64.checked_shl(number(24)).unwrap_or(u64::MAX));
        Ok(Some(Self { label: String::from_utf8_lossy(label).into_owned(), size }))
    }
}

fn has_signature(disk: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut buffer = [0; 16];
    for (at, signature) in SIGNATURES {
        let found = &mut buffer[..signature.len()];
        disk.seek(SeekFrom::Start(at))?;
        disk.read_exact(found)?;
        if found == signature {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn is_zero(disk: &mut (impl Read + Seek), from: u64, length: u64) -> io::Result<bool> {
    disk.seek(SeekFrom::Start(from))?;
    let mut buffer = [0; 64 << 10];
    let mut left = length;
    while left > 0 {
        let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        disk.read_exact(&mut buffer[..part])?;
        if buffer[..part].iter().any(|b| *b != 0) {
            return Ok(false);
        }
        left -= part as u64;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    fn disk(size: u64, writes: &[(u64, &[u8])]) -> Content {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for (at, bytes) in writes {
            FileExt::write_all_at(&file as &File, bytes, *at).unwrap();
        }
        content(&mut file, size).unwrap()
    }

    #[test]
    fn only_zeros_are_blank() {
        assert_eq!(disk(SMALLEST, &[]), Content::Blank);
        for at in [0, 511, 4096, BLANK_START - 1, SMALLEST - BLANK_END, SMALLEST - 1] {
            assert!(matches!(disk(SMALLEST, &[(at, b"x")]), Content::Foreign(_)), "{at}");
        }
        // A stray bit in the middle is not looked for: no file system, RAID or partition table lives there alone.
        assert_eq!(disk(SMALLEST, &[(20 << 20, b"x")]), Content::Blank);
    }

    #[test]
    fn a_file_system_is_known_by_its_label() {
        let magic: (u64, &[u8]) = (1024 + 56, &[0x53, 0xef]);
        assert_eq!(disk(SMALLEST, &[magic, (1024 + 120, b"kennel-data")]), Content::Ours);
        let other = disk(SMALLEST, &[magic, (1024 + 120, b"kennel-data-2")]);
        assert!(matches!(other, Content::Foreign(why) if why.contains("kennel-data-2")));
        assert!(matches!(disk(SMALLEST, &[magic]), Content::Foreign(_)));
    }

    #[test]
    fn a_tiny_disk_is_left_alone() {
        assert!(matches!(disk(SMALLEST - 512, &[]), Content::Foreign(_)));
    }
}
