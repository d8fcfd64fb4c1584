//! What a slot spends, added up from looks at it: a pure account, which is told what each look saw. Looks are taken when its
//! state changes, when the proxy gives its lease back, and when control asks; between two of them memory is taken to have
//! gone evenly from the one to the other. Times are since the kernel's start, on the clock that nobody can set.
//!
//! What a program used is not lost with its cgroup: the last look at it is added to what the ones before it have used.

#[cfg(test)]
mod tests;

use std::time::Duration;

use kennel_model::SlotState;
use kennel_model::counters::{Spent, Traffic};
use kennel_model::msg::Rung;

/// Memory of a program at a moment, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// In RAM.
    pub resident: u64,
    /// In swap.
    pub swap: u64,
}

/// What the kernel counts of a program from its start to its end, and loses then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Processor time in microseconds.
    pub cpu_us: u64,
    /// Kills for want of memory.
    pub oom_kills: u64,
}

/// One slot's account.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    /// Without what the program of now has counted.
    spent: Spent,
    counted: Counted,
    state: Option<SlotState>,
    since: Duration,
    /// The last look at its memory; none while there is no program.
    seen: Option<(Duration, Memory)>,
    /// What it held when it was last looked at, in KiB; its program may have ended since.
    held: Option<u64>,
    woken: Option<Rung>,
}

impl Meter {
    /// A look at the memory of a program.
    pub fn see(&mut self, now: Duration, memory: Memory) {
        self.charge(now, memory);
        self.seen = Some((now, memory));
        self.held = Some(memory.resident + memory.swap);
    }

    /// A look at what the kernel has counted; the last one counts.
    pub fn count(&mut self, counted: Counted) {
        self.counted.cpu_us = self.counted.cpu_us.max(counted.cpu_us);
        self.counted.oom_kills = self.counted.oom_kills.max(counted.oom_kills);
    }

    /// It does something else from now on.
    pub fn moved(&mut self, now: Duration, state: SlotState, from: Rung) {
        if state == SlotState::Running && from != Rung::Running {
            self.spent.count_wake(from);
            self.woken = Some(from);
        }
        if self.state != Some(state) {
            (self.state, self.since) = (Some(state), now);
        }
    }

    /// Nothing is left of its program. It is taken to have held until now what it was last seen to hold.
    pub fn ended(&mut self, now: Duration) {
        if let Some((_, memory)) = self.seen {
            self.charge(now, memory);
        }
        self.seen = None;
        let counted = std::mem::take(&mut self.counted);
        self.add(counted);
    }

    /// What something else of the slot's than its program has used from its start to its end.
    pub fn add(&mut self, Counted { cpu_us, oom_kills }: Counted) {
        self.spent = self.spent.plus(&Spent { cpu_us, oom_kills, ..Spent::default() });
    }

    /// The proxy says what went through.
    pub fn passed(&mut self, traffic: Traffic) {
        self.spent.traffic = self.spent.traffic.plus(traffic);
    }

    /// What its program held in RAM and swap when it was last looked at, this one or the one before, in KiB.
    pub const fn held(&self) -> Option<u64> {
        self.held
    }

    /// Where the last wake found it, unless that was told already.
    pub const fn take_wake(&mut self) -> Option<Rung> {
        self.woken.take()
    }

    /// Since when it does what it does.
    pub const fn since(&self) -> Duration {
        self.since
    }

    /// Whether there is anything to tell.
    pub fn is_blank(&self) -> bool {
        self.state.is_none() && self.spent == Spent::default()
    }

    /// All that it has spent.
    pub fn spent(&self) -> Spent {
        let Counted { cpu_us, oom_kills } = self.counted;
        self.spent.plus(&Spent { cpu_us, oom_kills, ..Spent::default() })
    }

    /// Charges memory from the last look to this one to the rung of that time.
    fn charge(&mut self, now: Duration, memory: Memory) {
        let Some((then, before)) = self.seen else { return };
        let rung = match self.state {
            Some(SlotState::Frozen) => &mut self.spent.frozen_kib_ms,
            Some(SlotState::Reclaimed) => &mut self.spent.reclaimed_kib_ms,
            _ => &mut self.spent.running_kib_ms,
        };
        // Whole milliseconds on both sides, so that nothing is lost between however many looks.
        let ms = millis(now).saturating_sub(millis(then));
        let even = |a: u64, b: u64| (a.saturating_add(b) / 2).saturating_mul(ms);
        *rung = rung.saturating_add(even(before.resident, memory.resident));
        self.spent.swap_kib_ms = self.spent.swap_kib_ms.saturating_add(even(before.swap, memory.swap));
    }
}

/// Whole milliseconds.
pub fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}
