//! What the kernel counts of a slot's cgroup, read from its files. A file that is not there, as the program has ended
//! meanwhile, reads as nothing. Adding up is `meter`'s.

use kennel_model::counters::Holds;

use super::cgroup::{Cgroup, field};
use super::meter::{Counted, Memory};
use crate::fs::read;

/// What `memory.stat` counts events in, in bytes.
const PAGE: u64 = 4096;

impl Cgroup {
    /// Processor time and kills. Two files.
    pub fn counted(&self) -> Counted {
        let cpu_us = read(self.file("cpu.stat")).map_or(0, |text| field(&text, "usage_usec"));
        Counted { cpu_us, oom_kills: self.oom_kills() }
    }

    /// Memory in RAM and in swap. Two files.
    pub fn memory(&self) -> Memory {
        Memory { resident: self.number("memory.current") >> 10, swap: self.swapped_bytes() >> 10 }
    }

    /// Memory in swap.
    pub fn swapped_bytes(&self) -> u64 {
        self.number("memory.swap.current")
    }

    /// What it holds now, by kind. Two files beside its memory, which was read already.
    pub fn holds(&self, memory: Memory) -> Holds {
        let stat = read(self.file("memory.stat")).unwrap_or_default();
        Holds {
            resident: memory.resident << 10,
            anon: field(&stat, "anon"),
            file: field(&stat, "file"),
            kernel: field(&stat, "kernel"),
            page_tables: field(&stat, "pagetables"),
            swap: memory.swap << 10,
            pids: u32::try_from(self.number("pids.current")).unwrap_or(u32::MAX),
            reclaimed: field(&stat, "pgsteal") * PAGE,
        }
    }

    fn number(&self, file: &str) -> u64 {
        read(self.file(file)).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}
