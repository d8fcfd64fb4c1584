//! What the kernel says of the host's memory, and of the time that processes wait for it or for processors. Small files,
//! each read whole; what one of them does not say is 0, and decides nothing.

use std::time::Duration;

use kennel_model::memory::{Memory, Pressure, Reclaimed, Swap};

use crate::fs::read;
use crate::slot::cgroup;

/// What /proc/vmstat counts, in bytes.
const PAGE: u64 = 4096;

/// One look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Figures {
    /// What is shown of it.
    pub(super) memory: Memory,
    /// Time since the kernel's start in which a process waited for memory, in microseconds (PSI's `some total`).
    pub(super) some_us: u64,
    /// In which all that had work did (`full total`).
    pub(super) full_us: u64,
    /// Pages that the kernel has looked at to find free memory for the machine as a whole. What it takes from a control
    /// group for the sake of that group's own limit does not count here (mm/vmscan.c).
    pub(super) scanned: u64,
}

impl Figures {
    /// Looks, into five files.
    pub(super) fn read() -> Self {
        let text = |path: &str| read(path).unwrap_or_default();
        let meminfo = text("/proc/meminfo");
        let psi = text(&psi_file());
        let zram = text("/sys/block/zram0/mm_stat");
        let vmstat = text("/proc/vmstat");
        let [disk_total, disk_used] = on_disks(&text("/proc/swaps"));
        let (some, full) = (Line::of(&psi, "some"), Line::of(&psi, "full"));
        let swap_total = bytes(&meminfo, "SwapTotal");
        Self {
            memory: Memory {
                total_bytes: bytes(&meminfo, "MemTotal"),
                available_bytes: bytes(&meminfo, "MemAvailable"),
                swap: Swap {
                    total_bytes: swap_total,
                    used_bytes: swap_total.saturating_sub(bytes(&meminfo, "SwapFree")),
                    disk_total_bytes: disk_total,
                    disk_used_bytes: disk_used,
                    zram_original_bytes: column(&zram, 0),
                    zram_compressed_bytes: column(&zram, 1),
                    zram_memory_bytes: column(&zram, 2),
                },
                pressure: Pressure { some_avg10_bp: some.avg10_bp, full_avg10_bp: full.avg10_bp },
                reclaimed: Reclaimed {
                    anon_bytes: counter(&vmstat, "pgsteal_anon") * PAGE,
                    file_bytes: counter(&vmstat, "pgsteal_file") * PAGE,
                },
            },
            some_us: some.total_us,
            full_us: full.total_us,
            scanned: counter(&vmstat, "pgscan_kswapd") + counter(&vmstat, "pgscan_direct"),
        }
    }
}

/// The whole machine's PSI for memory: what /proc/pressure/memory is too, where init has no right to write.
pub(super) fn psi_file() -> String {
    format!("{}/memory.pressure", cgroup::ROOT)
}

/// Whether processes wait for processors, from look to look.
#[derive(Debug, Default)]
pub(super) struct Processors {
    /// When the last look was, and the time in which one waited until then, in microseconds.
    last: Option<(Duration, u64)>,
}

impl Processors {
    /// Looks; answers whether for most of the time since the last look nobody waited.
    pub(super) fn look(&mut self, now: Duration) -> bool {
        let psi = read(format!("{}/cpu.pressure", cgroup::ROOT)).unwrap_or_default();
        self.see(Line::of(&psi, "some").total_us, now)
    }

    fn see(&mut self, waited_us: u64, now: Duration) -> bool {
        let before = self.last.replace((now, waited_us));
        before.is_some_and(|(then, before_us)| {
            u128::from(waited_us.saturating_sub(before_us)) * 2 < now.saturating_sub(then).as_micros()
        })
    }
}

/// A line of a PSI file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    avg10_bp: u32,
    total_us: u64,
}

impl Line {
    /// `some avg10=1.23 avg60=0.00 avg300=0.00 total=4567`.
    fn of(text: &str, kind: &str) -> Self {
        let line = text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix(' ')).unwrap_or_default();
        let value = |key| line.split(' ').find_map(|word: &str| word.strip_prefix(key)?.strip_prefix('='));
        Self {
            avg10_bp: value("avg10").and_then(hundredths).unwrap_or_default(),
            total_us: value("total").and_then(|v| v.parse().ok()).unwrap_or_default(),
        }
    }
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

/// One line of /proc/vmstat.
fn counter(vmstat: &str, field: &str) -> u64 {
    let line = vmstat.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Size and use of what /proc/swaps lists beside compressed memory, in bytes: a path, a kind, then both in KiB.
fn on_disks(swaps: &str) -> [u64; 2] {
    let disks = swaps.lines().skip(1).filter(|line| !line.starts_with("/dev/zram"));
    let kib = |line: &str, index| line.split_whitespace().nth(index).and_then(|n| n.parse::<u64>().ok());
    disks.fold([0; 2], |[size, used], line| {
        [size + (kib(line, 2).unwrap_or(0) << 10), used + (kib(line, 3).unwrap_or(0) << 10)]
    })
}

/// One number of zram's `mm_stat` (the kernel's `admin-guide/blockdev/zram.rst`).
fn column(mm_stat: &str, index: usize) -> u64 {
    mm_stat.split_whitespace().nth(index).and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_and_vmstat_are_read_by_whole_names() {
        let text = "MemTotal:       24680000 kB\nMemFree:  5 kB\nMemAvailable:   123 kB\n";
        assert_eq!((bytes(text, "MemTotal"), bytes(text, "MemAvailable")), (24_680_000 << 10, 123 << 10));
        assert_eq!((bytes(text, "Mem"), bytes(text, "SwapTotal")), (0, 0));
        let text = "pgscan_kswapd 12\npgscan_direct 3\npgscan_direct_throttle 9";
        assert_eq!((counter(text, "pgscan_direct"), counter(text, "pgscan")), (3, 0));
    }

    #[test]
    fn disks_are_told_from_compressed_memory() {
        let text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n\
            /dev/zram0                              partition\t200000\t\t100\t\t100\n\
            /dev/dm-1                               partition\t1024\t\t5\t\t10\n";
        assert_eq!(on_disks(text), [1 << 20, 5 << 10]);
        assert_eq!(on_disks(""), [0, 0]);
    }

    #[test]
    fn pressure_is_read_as_the_kernel_prints_it() {
        let text = "some avg10=12.03 avg60=0.50 avg300=0.10 total=8241\nfull avg10=100.00 avg60=0.00 avg300=0.00 total=7";
        assert_eq!(Line::of(text, "some"), Line { avg10_bp: 1203, total_us: 8241 });
        assert_eq!(Line::of(text, "full"), Line { avg10_bp: 10_000, total_us: 7 });
        assert_eq!(Line::of("", "full"), Line::default());
    }

    #[test]
    fn processors_are_idle_when_nobody_waited_for_most_of_the_time() {
        let (mut processors, ms) = (Processors::default(), Duration::from_millis);
        assert!(!processors.see(700, ms(5)), "that may be long ago");
        assert!(processors.see(700 + 49_999, ms(105)));
        assert!(!processors.see(700 + 99_999, ms(205)));
        assert!(!processors.see(700 + 99_999, ms(205)), "no time has passed");
    }

    #[test]
    fn zrams_figures_are_its_first_columns() {
        let text = "  12345678  2345678  3456789        0  4000000      120        3        1        1";
        assert_eq!([0, 1, 2].map(|n| column(text, n)), [12_345_678, 2_345_678, 3_456_789]);
        assert_eq!(column("", 2), 0);
    }
}
