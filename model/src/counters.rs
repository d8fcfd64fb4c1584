//! What slots have used since the host started, and what they use now: as init knows it from the kernel and the proxy, and
//! tells control on request. What is charged to whom, and for how long it is kept, is control's.
//!
//! Everything spent only grows while the host is up and the slot has the same tenant: init keeps what ended programs have
//! used, so whoever looks twice sees the difference, however often he or a program died in between.

use serde::{Deserialize, Serialize};

use crate::msg::{MAX_MESSAGE_BYTES, Rung};
use crate::{SlotId, SlotState};

/// Slots in one answer at most; so many fit into a message whatever they have spent.
pub const MAX_SLOTS_TOLD: usize = 200;
/// Most bytes that one slot takes in a message: 25 numbers of at most 10 bytes, and some small ones.
const SLOT_BYTES: usize = 300;
const _: () = assert!(MAX_SLOTS_TOLD * SLOT_BYTES < MAX_MESSAGE_BYTES);

/// Init's answer to [`crate::msg::ControlRequest::Counters`]: a piece of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Random, another one after each start of the host: what was spent begins anew with it.
    pub boot: u64,
    /// When it was looked, in milliseconds since the kernel started, on the clock that nobody can set.
    pub uptime_ms: u64,
    /// Slots that run or have run something, in order. At most [`MAX_SLOTS_TOLD`].
    pub slots: Vec<(SlotId, SlotCounters)>,
    /// From where to ask on; nothing when this was the last piece.
    pub next: Option<SlotId>,
}

/// One slot's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotCounters {
    /// What it does.
    pub state: SlotState,
    /// Since when, in milliseconds since the kernel started.
    pub since_ms: u64,
    /// What it holds now.
    pub holds: Holds,
    /// What it has spent.
    pub spent: Spent,
}

/// What a slot's program holds at a moment, in bytes, as its cgroup counts. All zero when there is no program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// `memory.current`: all that is charged to it and in RAM.
    pub resident: u64,
    /// Of that, `anon` of `memory.stat`: what only the program has.
    pub anon: u64,
    /// Of that, `file`: what was read of files first by it, its `/tmp` among them.
    pub file: u64,
    /// Of that, `kernel`: what the kernel keeps for it.
    pub kernel: u64,
    /// Of that, `pagetables`.
    pub page_tables: u64,
    /// `memory.swap.current`: what is in swap, before compression.
    pub swap: u64,
    /// `pids.current`: processes and threads.
    pub pids: u32,
    /// `pgsteal` of `memory.stat`, in bytes: what was taken from it to make room since its program started.
    #[serde(default)]
    pub reclaimed: u64,
}

/// What went through the proxy for a slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Requests that were passed to the program.
    pub requests: u64,
    /// Bytes of requests' bodies, and of what visitors sent over WebSockets.
    pub bytes_in: u64,
    /// Bytes of responses' bodies, and of what went to visitors over WebSockets.
    pub bytes_out: u64,
    /// How long requests waited for the program to be woken, together, in milliseconds.
    pub queued_ms: u64,
}

/// What a slot has spent since the host started. Memory is counted in KiB·ms: whole numbers, since the kernel counts pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Processor time (`usage_usec` of `cpu.stat`), in microseconds.
    pub cpu_us: u64,
    /// Memory in RAM while it ran.
    pub running_kib_ms: u64,
    /// Memory in RAM while it was frozen.
    pub frozen_kib_ms: u64,
    /// Memory in RAM while it was reclaimed: what did not go to swap.
    pub reclaimed_kib_ms: u64,
    /// Memory in swap, whatever it did.
    pub swap_kib_ms: u64,
    /// What went through the proxy.
    pub traffic: Traffic,
    /// Times it was woken from being frozen.
    pub woken_frozen: u64,
    /// Times it was woken from being reclaimed.
    pub woken_reclaimed: u64,
    /// Times it was started.
    pub woken_stopped: u64,
    /// Times something of it was killed for want of memory.
    pub oom_kills: u64,
}

impl Traffic {
    /// Adds up.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            bytes_in: self.bytes_in.saturating_add(other.bytes_in),
            bytes_out: self.bytes_out.saturating_add(other.bytes_out),
            queued_ms: self.queued_ms.saturating_add(other.queued_ms),
        }
    }
}

impl Spent {
    /// How many numbers it consists of.
    pub const COUNT: usize = 13;
    /// Their names, where they are columns.
    pub const NAMES: [&str; Self::COUNT] = [
        "cpu_us",
        "running_kib_ms",
        "frozen_kib_ms",
        "reclaimed_kib_ms",
        "swap_kib_ms",
        "requests",
        "bytes_in",
        "bytes_out",
        "queued_ms",
        "woken_frozen",
        "woken_reclaimed",
        "woken_stopped",
        "oom_kills",
    ];

    /// Its numbers in the order of [`Self::NAMES`].
    pub const fn numbers(&self) -> [u64; Self::COUNT] {
        let Self { cpu_us, running_kib_ms, frozen_kib_ms, reclaimed_kib_ms, swap_kib_ms, traffic, .. } = *self;
        let Traffic { requests, bytes_in, bytes_out, queued_ms } = traffic;
        [
            cpu_us,
            running_kib_ms,
            frozen_kib_ms,
            reclaimed_kib_ms,
            swap_kib_ms,
            requests,
            bytes_in,
            bytes_out,
            queued_ms,
            self.woken_frozen,
            self.woken_reclaimed,
            self.woken_stopped,
            self.oom_kills,
        ]
    }

    /// The reverse of [`Self::numbers`].
    pub const fn of(numbers: [u64; Self::COUNT]) -> Self {
        let [cpu_us, running_kib_ms, frozen_kib_ms, reclaimed_kib_ms, swap_kib_ms, rest @ ..] = numbers;
        let [requests, bytes_in, bytes_out, queued_ms, rest @ ..] = rest;
        let [woken_frozen, woken_reclaimed, woken_stopped, oom_kills] = rest;
        Self {
            cpu_us,
            running_kib_ms,
            frozen_kib_ms,
            reclaimed_kib_ms,
            swap_kib_ms,
            traffic: Traffic { requests, bytes_in, bytes_out, queued_ms },
            woken_frozen,
            woken_reclaimed,
            woken_stopped,
            oom_kills,
        }
    }

    /// Adds up.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What was spent since an earlier look at the same slot. What is less than it was has begun anew.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        self.with(earlier, |now, before| now.checked_sub(before).unwrap_or(now))
    }

    /// Counts a wake.
    pub fn count_wake(&mut self, from: Rung) {
        match from {
            Rung::Running => {}
            Rung::Frozen => self.woken_frozen += 1,
            Rung::Reclaimed => self.woken_reclaimed += 1,
            Rung::Stopped => self.woken_stopped += 1,
        }
    }

    /// All wakes.
    pub const fn woken(&self) -> u64 {
        self.woken_frozen + self.woken_reclaimed + self.woken_stopped
    }

    fn with(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        let (ours, theirs) = (self.numbers(), other.numbers());
        Self::of(std::array::from_fn(|n| combine(ours[n], theirs[n])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg::{ControlReply, ToControl, encode};

    #[test]
    fn the_largest_piece_fits_into_a_message() {
        let most = u64::MAX;
        let holds = Holds {
            resident: most,
            anon: most,
            file: most,
            kernel: most,
            page_tables: most,
            swap: most,
            pids: u32::MAX,
            reclaimed: most,
        };
        let slot = SlotId::new(4095).unwrap();
        let spent = Spent::of([most; Spent::COUNT]);
        let counters = SlotCounters { state: SlotState::Reclaimed, since_ms: most, holds, spent };
        let piece = Counters {
            boot: most,
            uptime_ms: most,
            slots: vec![(slot, counters); MAX_SLOTS_TOLD],
            next: Some(slot),
        };
        let reply = ToControl::Reply { id: u32::MAX, result: Ok(ControlReply::Counters(Box::new(piece))) };
        assert!(encode(&reply).is_ok());
    }

    #[test]
    fn numbers_go_there_and_back() {
        let numbers = std::array::from_fn(|n| n as u64 + 1);
        assert_eq!(Spent::of(numbers).numbers(), numbers);
    }

    #[test]
    fn what_began_anew_counts_from_zero() {
        let before = Spent { cpu_us: 9, oom_kills: 2, ..Spent::default() };
        let now = Spent { cpu_us: 3, oom_kills: 5, ..Spent::default() };
        assert_eq!(now.since(&before), Spent { cpu_us: 3, oom_kills: 3, ..Spent::default() });
    }
}
