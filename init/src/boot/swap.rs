//! Swap to compressed memory: one zram device of twice the memory's size.
//!
//! What a small idle Node.js program leaves (7 MiB) becomes 1.9 MiB by zstd, a page in 23 µs and back in 8, and 2.7 MiB by
//! lz4, in 7 µs and back in 3 (its pages one by one, libzstd 1.5.4 at the kernel's level 3 and lz4 1.9.4). Programs sleep long
//! and wake seldom. A wake is 1800 pages at the most, 10 ms more by zstd, and where lz4 has room for ten that sleep,
//! zstd has for fourteen.
//!
//! The size is the most that may go there, counted before compressing. Half of the memory, full of what was compressed to a
//! little more than a quarter, is nearly twice the memory; from there on `host/pressure` stops programs. An empty device
//! costs 24 bytes a page in the kernel (`struct zram_table_entry`), 1.2 % of the memory; one that is too small would leave
//! memory to programs that nobody needs.
//!
//! With a disk behind it, it is half of the memory: the kernel goes on to the disk only when the device is full, counted before
//! compressing, and one that holds what does not compress is to be full before it takes more than that.

use std::fs::{self, File};
use std::io::Write as _;

use kennel_model::labels;

use crate::fs::{label, write};
use crate::say;
use crate::step::{Failed, Step};

const PAGE: usize = 4096;

/// Filled first.
const PRIORITY: u16 = 100;
/// Of the memory's size.
const TIMES: u64 = 2;

/// Sets the device up and swaps to it. `disk`: there is one behind it.
///
/// # Errors
/// The system's.
pub(super) fn start(disk: bool) -> Result<(), Failed> {
    let size = size(memory()?, disk);
    write("/sys/block/zram0/comp_algorithm", "zstd")?;
    write("/sys/block/zram0/disksize", size.to_string())?;
    label("/dev/zram0", &labels::object(labels::SWAP_DISK))?;
    write_header("/dev/zram0", size)?;
    kennel_sys::power::swap_on(c"/dev/zram0", PRIORITY, false).step(|| "swap to /dev/zram0".to_owned())?;
    say!("swap: {} MiB of compressed memory", size >> 20);
    Ok(())
}

/// What may go to compressed memory, before compressing.
const fn size(memory: u64, disk: bool) -> u64 {
    let most = if disk { memory / 2 } else { memory * TIMES };
    most / PAGE as u64 * PAGE as u64
}

/// Makes a device of this size swap space.
///
/// # Errors
/// The system's.
pub(super) fn write_header(device: &str, size: u64) -> Result<(), Failed> {
    let write = || {
        let mut disk = File::options().write(true).open(device)?;
        disk.write_all(&header(size))?;
        disk.sync_all()
    };
    write().step(|| format!("write to {device}"))
}

/// The machine's memory in bytes.
///
/// # Errors
/// It cannot be read.
pub(super) fn memory() -> Result<u64, Failed> {
    let text = fs::read_to_string("/proc/meminfo").step(|| "read /proc/meminfo".to_owned())?;
    let kib =
        text.lines().find_map(|l| l.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|k| k << 10).ok_or_else(|| Failed::new("read /proc/meminfo", "it has no MemTotal"))
}

/// `union swap_header` of <linux/swap.h>: version 1, the last page, no bad pages, and the magic at the page's end.
fn header(size: u64) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    let last = u32::try_from(size / PAGE as u64).unwrap_or(u32::MAX).saturating_sub(1);
    page[1024..1028].copy_from_slice(&1u32.to_ne_bytes());
    page[1028..1032].copy_from_slice(&last.to_ne_bytes());
    page[PAGE - 10..].copy_from_slice(b"SWAPSPACE2");
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_mkswaps() {
        let page = header(1 << 20);
        assert_eq!(page[1024..1036], [1, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&page[4086..], b"SWAPSPACE2");
        assert!(page[..1024].iter().all(|b| *b == 0));
    }
}
