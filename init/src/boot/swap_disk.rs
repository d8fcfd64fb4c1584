//! Swap to a disk, behind compressed memory: an instance-store disk of EC2, or one whose serial number is `kennel-swap`. What goes
//! there is encrypted (dm-crypt) with a key that is made at each boot and is nowhere but in the kernel's memory.
//!
//! A disk is taken when it is blank, or has been taken before: then the first sector says so, and otherwise the first 8 MiB and the
//! last are as blank as they were, since the encrypted part lies between. So whatever anybody has put there since, a file system,
//! a partition table, a RAID's second copy, is seen, and the disk is left alone.
//!
//! The table's options, and those that it has not:
//! - `sector_size:4096`: a page is encrypted as one, not as eight.
//! - `allow_discards`: at each boot the disk is told that nothing on it counts, which spares a flash disk from keeping
//!   ciphertext that nobody can read any more. Whoever has the disk learns from that how much was swapped since the boot, and
//!   nothing else. Single pages that are freed are not told: that would be work for the disk while memory is wanted.
//! - not `no_write_workqueue`: then whoever makes room would encrypt, and for what is put to sleep that is init. Not
//!   `no_read_workqueue`: then what is read would be decrypted in the interrupt. The queues that do it instead can be used
//!   while there is no memory (they have a thread of their own, `WQ_MEM_RECLAIM`), and the kernel bounds what is under way to
//!   8 MiB (`swap_bios` of dm-mod).

use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;

use kennel_model::labels;
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

use super::disks::{self, BLANK_END, BLANK_START, SMALLEST, is_zero};
use super::{swap, tolerate};
use crate::fs::label;
use crate::say;
use crate::step::{Failed, Step};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
const MARK: &[u8] = b"kennel: swap, encrypted with a key that is gone with the boot that made it\n";
/// The kernel has 3 bytes for each page of swap, used or not, so a large disk would take memory that is wanted: of the
/// memory's size this is the most that is used. It takes 0.6 % of the memory.
const TIMES: u64 = 8;
/// A page, and what is encrypted as one.
const PAGE: u64 = 4096;
/// Below zram's: it is used when that is full.
const PRIORITY: u16 = 10;
/// AES-256-XTS takes two keys of 256 bits.
const KEY_BYTES: usize = 64;
const NAME: &str = "kennel-swap";

/// What a disk that is meant for swap holds.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    /// What an earlier boot left, which nobody can read.
    Ours,
    /// Nothing at all.
    Blank,
    /// Something else; in words.
    Foreign(String),
}

/// The disks that are meant for swap.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SwapDisks {
    chosen: Option<SwapDisk>,
    /// Devices that hold something else, with what is to be said of them.
    left_alone: Vec<(String, String)>,
}

/// A disk that can be swapped to.
#[derive(Debug, PartialEq, Eq)]
struct SwapDisk {
    device: String,
    /// It was swapped to before.
    marked: bool,
}

/// Looks for a disk that can be swapped to. Those that were there when the machine started are all known by now: the kernel
/// has waited for disks whose drivers are built in (NVMe), and modules have when they are loaded.
pub(super) fn find() -> SwapDisks {
    let meant = disks::other_disks().into_iter().filter(|disk| disks::is_for_swap(disk).is_some());
    choose(meant.map(|device| {
        let content = look_at(&device).unwrap_or_else(|e| Content::Foreign(format!("reading it: {e}")));
        (device, content)
    }))
}

fn look_at(device: &str) -> io::Result<Content> {
    if disks::has_partitions(device) {
        return Ok(Content::Foreign("it has partitions".to_owned()));
    }
    content(&mut File::open(format!("/dev/{device}"))?, disks::size(device))
}

/// One is enough; the one that was taken before, if there is one.
fn choose(disks: impl Iterator<Item = (String, Content)>) -> SwapDisks {
    let mut found = SwapDisks::default();
    for (device, content) in disks {
        let marked = content == Content::Ours;
        match content {
            Content::Foreign(why) => found.left_alone.push((device, why)),
            Content::Ours | Content::Blank => {
                if found.chosen.as_ref().is_none_or(|before| marked && !before.marked) {
                    found.chosen = Some(SwapDisk { device, marked });
                }
            }
        }
    }
    found
}

/// Finds out what a disk of this size holds.
fn content(disk: &mut (impl Read + Seek), size: u64) -> io::Result<Content> {
    if size < SMALLEST {
        return Ok(Content::Foreign(format!("it has {size} bytes, less than {SMALLEST}")));
    }
    let mut first = [0; SECTOR];
    disk.seek(SeekFrom::Start(0))?;
    disk.read_exact(&mut first)?;
    let ours = first == mark(size);
    let blank = first.iter().all(|byte| *byte == 0);
    let rest = BLANK_START - SECTOR as u64;
    if (ours || blank) && is_zero(disk, SECTOR as u64, rest)? && is_zero(disk, size - BLANK_END, BLANK_END)? {
        return Ok(if ours { Content::Ours } else { Content::Blank });
    }
    Ok(Content::Foreign("it holds something that is not Kennel's swap".to_owned()))
}

/// The first sector. It holds the size, so that one that was copied to another disk is none.
fn mark(size: u64) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    let bytes = MARK.iter().copied().chain(size.to_le_bytes());
    sector.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    sector
}

impl SwapDisks {
    /// Whether there is one to swap to.
    pub(super) const fn are_found(&self) -> bool {
        self.chosen.is_some()
    }

    /// Swaps to the one that was found, and answers whether that is so; the host does without it otherwise, and the console
    /// has the reason.
    pub(super) fn start(&self) -> bool {
        for (device, why) in &self.left_alone {
            say!("FAILED to swap to /dev/{device}, which is left alone: {why}");
        }
        self.chosen.as_ref().is_some_and(|disk| tolerate(disk.start()).is_some())
    }
}

impl SwapDisk {
    /// Swaps to it.
    ///
    /// # Errors
    /// The system's, with the step that failed.
    fn start(&self) -> Result<(), Failed> {
        let path = format!("/dev/{}", self.device);
        let size = disks::size(&self.device);
        label(&path, &labels::object(labels::SWAP_DISK))?;
        if !self.marked {
            write_mark(&path, size).step(|| format!("mark {path}"))?;
        }
        let length = length(size, swap::memory()?);
        let key = new_key()?;
        let table = table(&path, &key);
        let number = kennel_sys::dm::create_secret(NAME, "crypt", length / SECTOR as u64, &table)
            .step(|| format!("encrypt {path}"))?;
        let device = format!("/dev/dm-{number}");
        swap::write_header(&device, length)?;
        let c_device = CString::new(device.as_str()).step(|| format!("swap to {device}"))?;
        kennel_sys::power::swap_on(&c_device, PRIORITY, true).step(|| format!("swap to {device}"))?;
        say!("swap: {} MiB of {path}, encrypted with a key of this boot", length >> 20);
        Ok(())
    }
}

fn write_mark(path: &str, size: u64) -> io::Result<()> {
    let disk = File::options().write(true).open(path)?;
    disk.write_all_at(&mark(size), 0)?;
    disk.sync_all()
}

/// How much of a disk is used in a machine with so much memory, in bytes.
fn length(disk: u64, memory: u64) -> u64 {
    (disk - BLANK_START - BLANK_END).min(memory * TIMES) / PAGE * PAGE
}

/// # Errors
/// The system's.
fn new_key() -> Result<Zeroizing<[u8; KEY_BYTES]>, Failed> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let what = || "make a key for swap".to_owned();
    match getrandom(&mut key[..], GetRandomFlags::empty()).step(what)? {
        KEY_BYTES => Ok(key),
        n => Err(Failed::new(what(), format!("there are {n} random bytes"))),
    }
}

/// The target's parameters (kernel: `admin-guide/device-mapper/dm-crypt.rst`).
fn table(path: &str, key: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    let offset = BLANK_START / SECTOR as u64;
    // Text that outgrew its room would leave a copy of the key behind.
    let mut table = Zeroizing::new(String::with_capacity(256 + path.len() + 2 * KEY_BYTES));
    table.push_str("aes-xts-plain64 ");
    for byte in key {
        for digit in [byte >> 4, byte & 15] {
            table.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
    }
    // Writing to a String does not fail.
    let _ = write!(table, " 0 {path} {offset} 2 allow_discards sector_size:{PAGE}");
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: u64 = 96 << 20;
    /// Beginnings and ends of what may be on a disk, with their places: see blkid's list (util-linux, `libblkid/src`).
    /// A negative place counts from the end.
    const SIGNATURES: [(i64, &[u8]); 26] = [
        (0, b"XFSB"),
        (0, b"LUKS\xba\xbe"),
        (0, b"hsqs"),
        (0, b"BitKeeper"),
        (3, b"NTFS    "),
        (3, b"-FVE-FS-"),
        (0x36, b"FAT16   "),
        (0x52, b"FAT32   "),
        (510, &[0x55, 0xaa]),
        (512, b"LABELONE"),
        (512, b"EFI PART"),
        (1024 + 56, &[0x53, 0xef]),
        (1024, b"\xe2\xe1\xf5\xe0"),
        (4086, b"SWAPSPACE2"),
        (4096, &[0xfc, 0x4e, 0x2b, 0xa9]),
        (4096 + 24, &[0xc6, 0x85, 0x73, 0xf6]),
        (0x8001, b"CD001"),
        (0x8000, b"JFS1"),
        (0x1_0040, b"_BHRfS_M"),
        (0x1_0034, b"ReIsErFs"),
        (0x2_0000, b"\x0c\xb1\xba\x00"),
        (0x10_0000, b"\x0d\xd0\x01\xc0"),
        (0x20_0000, b"VMFS"),
        (-512, b"EFI PART"),
        (-512, b"LSI     "),
        (-(64 << 10), &[0xfc, 0x4e, 0x2b, 0xa9]),
    ];

    fn judged(size: u64, writes: &[(u64, &[u8])]) -> Content {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        for (at, bytes) in writes {
            file.write_all_at(bytes, *at).unwrap();
        }
        content(&mut file, size).unwrap()
    }

    #[test]
    fn a_blank_disk_is_taken_and_known_again_whatever_was_swapped() {
        let mark = mark(SIZE);
        let between = vec![0x5a; usize::try_from(SIZE - BLANK_START - BLANK_END).unwrap()];
        assert_eq!(judged(SIZE, &[]), Content::Blank);
        assert_eq!(judged(SIZE, &[(0, &mark)]), Content::Ours);
        assert_eq!(judged(SIZE, &[(0, &mark), (BLANK_START, &between)]), Content::Ours);
        assert!(matches!(
            judged(SIZE, &[(BLANK_START, &between), (BLANK_START - 1, b"x")]),
            Content::Foreign(_)
        ));
    }

    #[test]
    fn what_has_a_signature_is_left_alone_marked_or_not() {
        for (at, bytes) in SIGNATURES {
            let at = if at < 0 { SIZE.checked_add_signed(at).unwrap() } else { at.cast_unsigned() };
            for before in [&[][..], &mark(SIZE)] {
                let found = judged(SIZE, &[(0, before), (at, bytes)]);
                assert!(matches!(found, Content::Foreign(_)), "{bytes:?} at {at}: {found:?}");
            }
        }
    }

    #[test]
    fn a_mark_that_is_not_whole_or_of_another_disk_is_none() {
        let whole = mark(SIZE);
        for length in 1..MARK.len() {
            assert!(matches!(judged(SIZE, &[(0, &whole[..length])]), Content::Foreign(_)), "{length}");
        }
        assert!(matches!(judged(SIZE, &[(0, &mark(SIZE * 2))]), Content::Foreign(_)));
        assert!(matches!(judged(SMALLEST - 512, &[]), Content::Foreign(_)), "too small");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Nothing that anybody writes where signatures are goes unseen.
        #[test]
        fn one_byte_outside_of_the_encrypted_part_is_enough(
            marked: bool, end: bool, place in 0..BLANK_START, byte in 1u8..,
        ) {
            let at = if end { SIZE - BLANK_END + place % BLANK_END } else { place };
            let mark = mark(SIZE);
            let before: &[u8] = if marked { &mark } else { &[] };
            let same = before.get(usize::try_from(at).unwrap()).is_some_and(|b| *b == byte);
            prop_assume!(!same);
            let is_foreign = matches!(judged(SIZE, &[(0, before), (at, &[byte])]), Content::Foreign(_));
            prop_assert!(is_foreign);
        }
    }

    #[test]
    fn a_disk_that_was_taken_comes_before_blank_ones() {
        let foreign = || Content::Foreign("it has partitions".into());
        let chosen = |disks: Vec<(&str, Content)>| {
            let found = choose(disks.into_iter().map(|(disk, content)| (disk.to_owned(), content)));
            (found.chosen.map(|disk| (disk.device, disk.marked)), found.left_alone.len())
        };
        let disk = |name: &str, marked| Some((name.to_owned(), marked));
        assert_eq!(chosen(vec![("a", Content::Blank), ("b", Content::Ours)]), (disk("b", true), 0));
        assert_eq!(chosen(vec![("a", Content::Ours), ("b", Content::Ours)]), (disk("a", true), 0));
        assert_eq!(chosen(vec![("a", foreign()), ("b", Content::Blank)]), (disk("b", false), 1));
        assert_eq!(chosen(vec![("a", Content::Blank), ("b", Content::Blank)]), (disk("a", false), 0));
        assert_eq!(chosen(vec![("a", foreign())]), (None, 1));
    }

    #[test]
    fn the_encrypted_part_lies_between_what_is_looked_at() {
        assert_eq!(length(SIZE, 1 << 30), SIZE - BLANK_START - BLANK_END);
        assert_eq!(length(SIZE + 512, 1 << 30), SIZE - BLANK_START - BLANK_END);
        assert_eq!(length(1 << 40, 1 << 30), 8 << 30);
    }

    #[test]
    fn the_table_is_what_the_kernel_documents() {
        let key: [u8; KEY_BYTES] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let table = table("/dev/nvme1n1", &key);
        let digits: String = (0..64).map(|byte| format!("{byte:02x}")).collect();
        let expected =
            format!("aes-xts-plain64 {digits} 0 /dev/nvme1n1 16384 2 allow_discards sector_size:4096");
        assert_eq!(*table, expected);
        assert!(table.capacity() > table.len() + 64, "it has not grown");
    }

    #[test]
    fn a_key_is_never_the_same() {
        assert_ne!(*new_key().unwrap(), *new_key().unwrap());
    }
}
