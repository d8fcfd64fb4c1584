//! What the kernel says of the host's memory. Small files, each read whole; what one of them does not say is 0, and
//! decides nothing.

use kennel_model::memory::{Memory, Pressure, Swap};

use crate::fs::read;
use crate::slot::cgroup;

/// Looks.
pub(super) fn read_memory() -> Memory {
    let text = |path: &str| read(path).unwrap_or_default();
    let (meminfo, psi, zram) = (text("/proc/meminfo"), text(&psi_file()), text("/sys/block/zram0/mm_stat"));
    let swap_total = bytes(&meminfo, "SwapTotal");
    Memory {
        total_bytes: bytes(&meminfo, "MemTotal"),
        available_bytes: bytes(&meminfo, "MemAvailable"),
        swap: Swap {
            total_bytes: swap_total,
            used_bytes: swap_total.saturating_sub(bytes(&meminfo, "SwapFree")),
            zram_original_bytes: column(&zram, 0),
            zram_compressed_bytes: column(&zram, 1),
            zram_memory_bytes: column(&zram, 2),
        },
        pressure: Pressure { some_avg10_bp: avg10_bp(&psi, "some"), full_avg10_bp: avg10_bp(&psi, "full") },
    }
}

/// The whole machine's PSI for memory: what /proc/pressure/memory is too, where init has no right to write.
fn psi_file() -> String {
    format!("{}/memory.pressure", cgroup::ROOT)
}

/// `some avg10=1.23 avg60=0.00 avg300=0.00 total=4567`.
fn avg10_bp(psi: &str, kind: &str) -> u32 {
    let line = psi.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(" avg10="));
    line.and_then(|line| hundredths(line.split(' ').next()?)).unwrap_or(0)
}

/// The kernel prints two digits behind the point, always.
fn hundredths(percent: &str) -> Option<u32> {
    let (whole, part) = percent.split_once('.')?;
    let (whole, part): (u32, u32) = (whole.parse().ok()?, part.parse().ok()?);
    whole.checked_mul(100)?.checked_add(part)
}

/// One line of /proc/meminfo, which counts in KiB.
fn bytes(meminfo: &str, field: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map_or(0, |kib| kib << 10)
}

/// One number of zram's `mm_stat` (the kernel's `admin-guide/blockdev/zram.rst`).
fn column(mm_stat: &str, index: usize) -> u64 {
    mm_stat.split_whitespace().nth(index).and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read_by_whole_names() {
        let text = "MemTotal:       24680000 kB\nMemFree:  5 kB\nMemAvailable:   123 kB\n";
        assert_eq!((bytes(text, "MemTotal"), bytes(text, "MemAvailable")), (24_680_000 << 10, 123 << 10));
        assert_eq!((bytes(text, "Mem"), bytes(text, "SwapTotal")), (0, 0));
    }

    #[test]
    fn pressure_is_read_as_the_kernel_prints_it() {
        let text = "some avg10=12.03 avg60=0.50 avg300=0.10 total=8241\nfull avg10=100.00 avg60=0.00 avg300=0.00 total=7";
        assert_eq!((avg10_bp(text, "some"), avg10_bp(text, "full"), avg10_bp("", "full")), (1203, 10_000, 0));
    }

    #[test]
    fn zrams_figures_are_its_first_columns() {
        let text = "  12345678  2345678  3456789        0  4000000      120        3        1        1";
        assert_eq!([0, 1, 2].map(|n| column(text, n)), [12_345_678, 2_345_678, 3_456_789]);
        assert_eq!(column("", 2), 0);
    }
}
