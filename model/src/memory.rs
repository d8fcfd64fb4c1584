//! The host's memory, as init reads it from the kernel and as the API shows it.

use serde::{Deserialize, Serialize};

/// All of it, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// `MemTotal` of /proc/meminfo, in bytes.
    pub total_bytes: u64,
    /// `MemAvailable` of /proc/meminfo, in bytes.
    pub available_bytes: u64,
    /// Swap.
    pub swap: Swap,
    /// How much programs wait for memory.
    pub pressure: Pressure,
    /// What the kernel has taken to make room.
    pub reclaimed: Reclaimed,
}

/// Where memory goes that nobody has used for a while: compressed, into memory (zram); and when that is full, encrypted, to a
/// disk, on machines that have one for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// `SwapTotal` of /proc/meminfo, in bytes.
    pub total_bytes: u64,
    /// `SwapTotal` less `SwapFree`, in bytes.
    pub used_bytes: u64,
    /// The disk's part of `total_bytes` (/proc/swaps), in bytes; 0 where there is none, and from hosts that know of none.
    #[serde(default)]
    pub disk_total_bytes: u64,
    /// The disk's part of `used_bytes`.
    #[serde(default)]
    pub disk_used_bytes: u64,
    /// What zram holds, in bytes before compressing (`orig_data_size` of its `mm_stat`).
    pub zram_original_bytes: u64,
    /// The same after compressing (`compr_data_size`).
    pub zram_compressed_bytes: u64,
    /// The memory that zram takes for it, gaps between compressed pages included (`mem_used_total`).
    pub zram_memory_bytes: u64,
}

/// What the kernel has taken out of RAM since it started, by itself or as init told it to; from /proc/vmstat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reclaimed {
    /// Programs' own memory, which went to swap (`pgsteal_anon`), in bytes.
    pub anon_bytes: u64,
    /// Pages of files, which can be read again (`pgsteal_file`), in bytes.
    pub file_bytes: u64,
}

/// The kernel's pressure stall information for memory (PSI), in hundredths of a percent of the last ten seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// In which at least one process waited for memory (`some avg10`).
    pub some_avg10_bp: u32,
    /// In which all that had work waited for memory (`full avg10`).
    pub full_avg10_bp: u32,
}
