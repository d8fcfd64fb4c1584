//! Makes the data volume's file system so that a power cut at any moment does no harm. The last MiB of the disk stays
//! outside of the file system. A mark is there from before the first write of mke2fs until after its last one is on the
//! disk, and only then is the file system mounted: with the mark, whatever else is there holds no data of anybody's.
//! Which disk is formatted is decided in `volume.rs`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use kennel_model::layout::DATA_LABEL;

use super::tool::Tool;
use crate::step::{Failed, Step};

/// At the end of the disk, outside of the file system: no tenant can write there what looks like the mark.
pub(super) const RESERVED: u64 = 1 << 20;
/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
const MARK: &[u8] = b"kennel: formatting began here and has not ended\n";
/// What the file system counts in.
pub(super) const BLOCK: u64 = 4096;
/// Formatting is lazy: the kernel initializes the rest when it is mounted.
const LIMIT: Duration = Duration::from_secs(300);

/// Formats a disk of this size.
///
/// # Errors
/// The mark cannot be written, or mke2fs failed.
pub(super) fn format(path: &str, size: u64) -> Result<(), Failed> {
    write_mark(path, size, true).step(|| format!("mark {path}"))?;
    let arguments = arguments(path, size);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match Tool::for_disks("/usr/sbin/mke2fs", &arguments).run(LIMIT)? {
        0 => write_mark(path, size, false).step(|| format!("unmark {path}")),
        code => Err(Failed::new(format!("format {path}"), format!("mke2fs ended with {code}"))),
    }
}

/// Whether formatting was begun on this disk and not ended. Nothing else is in the last MiB then.
///
/// # Errors
/// The reader's.
pub(super) fn begun(disk: &mut (impl Read + Seek), size: u64) -> io::Result<bool> {
    disk.seek(SeekFrom::Start(size - RESERVED))?;
    let mut start = [0; SECTOR];
    disk.read_exact(&mut start)?;
    if start != mark(size) {
        return Ok(false);
    }
    let mut rest = Vec::new();
    disk.take(RESERVED - SECTOR as u64).read_to_end(&mut rest)?;
    Ok(rest.iter().all(|byte| *byte == 0))
}

/// The mark holds the size, so that one that was copied to another disk is none.
fn mark(size: u64) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    let bytes = MARK.iter().copied().chain(size.to_le_bytes());
    sector.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    sector
}

fn write_mark(path: &str, size: u64, there: bool) -> io::Result<()> {
    let disk = File::options().write(true).open(path)?;
    // All that was written to the disk before, by whomever, comes to rest before it.
    disk.sync_all()?;
    disk.write_all_at(&if there { mark(size) } else { [0; SECTOR] }, size - RESERVED)?;
    disk.sync_all()
}

fn arguments(path: &str, size: u64) -> Vec<String> {
    let options = "lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0,quotatype=prjquota";
    let (block, blocks) = (BLOCK.to_string(), ((size - RESERVED) / BLOCK).to_string());
    let fixed =
        ["-q", "-F", "-t", "ext4", "-L", DATA_LABEL, "-O", "quota,project", "-E", options, "-b", &block];
    fixed.iter().map(|s| (*s).to_owned()).chain([path.to_owned(), blocks]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::disks::{Content, content};
    use std::process::Command;

    const SIZE: u64 = 96 << 20;

    /// A disk of which formatting was begun, and the same formatted to the end.
    fn disks() -> (tempfile::NamedTempFile, tempfile::NamedTempFile) {
        let disk = || {
            let file = tempfile::NamedTempFile::new().unwrap();
            file.as_file().set_len(SIZE).unwrap();
            write_mark(file.path().to_str().unwrap(), SIZE, true).unwrap();
            file
        };
        let (begun, ended) = (disk(), disk());
        let arguments = arguments(ended.path().to_str().unwrap(), SIZE);
        assert!(Command::new("/usr/sbin/mke2fs").args(arguments).status().unwrap().success());
        (begun, ended)
    }

    fn found(disk: &tempfile::NamedTempFile) -> Content {
        content(&mut disk.reopen().unwrap(), SIZE).unwrap()
    }

    fn block(disk: &tempfile::NamedTempFile, number: u64) -> Vec<u8> {
        let mut block = vec![0; BLOCK as usize];
        disk.as_file().read_exact_at(&mut block, number * BLOCK).unwrap();
        block
    }

    #[test]
    fn whatever_part_of_a_format_reached_the_disk_it_is_begun_anew() {
        let (disk, whole) = disks();
        let written: Vec<_> = (0..SIZE / BLOCK).filter(|n| block(&whole, *n).iter().any(|b| *b != 0)).collect();
        assert!(written.len() > 10, "{written:?}");
        // Any order is possible: upwards leaves the superblock without the rest, downwards the rest without it.
        let upwards = written.clone();
        let downwards: Vec<_> = written.iter().rev().copied().collect();
        for order in [upwards, downwards] {
            for number in &order {
                assert_eq!(found(&disk), Content::Unfinished, "before block {number}");
                disk.as_file().write_all_at(&block(&whole, *number), number * BLOCK).unwrap();
            }
            assert_eq!(found(&disk), Content::Unfinished, "with all of it");
            for number in order.iter().filter(|n| **n < (SIZE - RESERVED) / BLOCK) {
                disk.as_file().write_all_at(&[0; BLOCK as usize], number * BLOCK).unwrap();
            }
        }
    }

    #[test]
    fn once_it_has_ended_the_volume_is_ours() {
        let (_, disk) = disks();
        write_mark(disk.path().to_str().unwrap(), SIZE, false).unwrap();
        assert_eq!(found(&disk), Content::Ours);
    }

    #[test]
    fn a_mark_that_could_be_a_tenants_counts_for_nothing() {
        let (_, disk) = disks();
        // A volume whose file system reaches to the end of the disk: the mark lies in a file of somebody's.
        let blocks = u32::try_from(SIZE / BLOCK).unwrap();
        disk.as_file().write_all_at(&blocks.to_le_bytes(), 1024 + 4).unwrap();
        assert_eq!(found(&disk), Content::Ours);
    }

    #[test]
    fn what_came_onto_a_marked_disk_is_left_alone() {
        let foreign = |at: u64, bytes: &[u8]| {
            let disk = tempfile::NamedTempFile::new().unwrap();
            disk.as_file().set_len(SIZE).unwrap();
            write_mark(disk.path().to_str().unwrap(), SIZE, true).unwrap();
            disk.as_file().write_all_at(bytes, at).unwrap();
            assert!(matches!(found(&disk), Content::Foreign(_)), "{bytes:?} at {at}");
        };
        foreign(0, b"XFSB");
        foreign(510, &[0x55, 0xaa]);
        foreign(0x1_0040, b"_BHRfS_M");
        foreign(0x8001, b"CD001");
        foreign(4086, b"SWAPSPACE2");
        foreign(1024 + 56, &[0x53, 0xef]);
        foreign(SIZE - 512, b"EFI PART");
    }

    #[test]
    fn a_mark_is_for_one_size() {
        let (disk, _) = disks();
        disk.as_file().set_len(SIZE + RESERVED).unwrap();
        assert!(!begun(&mut disk.reopen().unwrap(), SIZE + RESERVED).unwrap());
    }
}
