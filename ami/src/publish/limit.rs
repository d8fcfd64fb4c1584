//! How many blocks are sent at a time, and how long one may take before a second attempt is sent beside it. Both are learned
//! while sending: the line and the account's quota are not known before.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// At first.
const START: f64 = 64.0;
/// At most: twice of what AWS asks to begin with, and 64 MiB of memory.
const MOST: f64 = 128.0;
/// Throttling is answered once in this time: what was sent before the answer came would be counted again and again.
const CUT_EVERY: Duration = Duration::from_secs(1);
/// So many times of recent blocks are remembered.
const REMEMBERED: usize = 64;
/// Fewer than so many tell nothing yet.
const ENOUGH: usize = 8;
/// A block is stalled when it has taken so many times what half of the recent ones took.
const STALLED: u32 = 4;

/// How many at a time: one more for each round that went well, half as many when AWS throttles or the line cannot carry them.
#[derive(Debug)]
pub(super) struct Limit {
    now: f64,
    cut: Option<Instant>,
}

impl Default for Limit {
    fn default() -> Self {
        Self { now: START, cut: None }
    }
}

impl Limit {
    /// So many may be under way.
    pub(super) const fn now(&self) -> usize {
        self.now as usize
    }

    /// A block arrived.
    pub(super) fn arrived(&mut self) {
        self.now = (self.now + 1.0 / self.now).min(MOST);
    }

    /// A block was turned away, or did not make it in time.
    pub(super) fn too_many(&mut self, at: Instant) {
        if self.cut.is_none_or(|cut| at.duration_since(cut) >= CUT_EVERY) {
            self.now = (self.now / 2.0).max(1.0);
            self.cut = Some(at);
        }
    }
}

/// How long recent blocks took.
#[derive(Debug)]
pub(super) struct Times {
    recent: VecDeque<Duration>,
    floor: Duration,
}

impl Times {
    /// No block that took less than `floor` is called stalled.
    pub(super) const fn new(floor: Duration) -> Self {
        Self { recent: VecDeque::new(), floor }
    }

    /// A block took so long.
    pub(super) fn took(&mut self, time: Duration) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(time);
    }

    /// What takes longer is stalled; nothing, as long as too little is known.
    pub(super) fn stalled(&self) -> Option<Duration> {
        if self.recent.len() < ENOUGH {
            return None;
        }
        let mut sorted: Vec<_> = self.recent.iter().copied().collect();
        sorted.sort_unstable();
        Some((sorted[sorted.len() / 2] * STALLED).max(self.floor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_halves_once_and_success_recovers_slowly() {
        let mut limit = Limit::default();
        let start = Instant::now();
        assert_eq!(limit.now(), 64);
        for _ in 0..20 {
            limit.too_many(start);
        }
        assert_eq!(limit.now(), 32);
        limit.too_many(start + CUT_EVERY);
        assert_eq!(limit.now(), 16);
        for _ in 0..17 {
            limit.arrived();
        }
        assert_eq!(limit.now(), 17);
    }

    #[test]
    fn there_is_always_one_and_never_too_many() {
        let mut limit = Limit::default();
        let start = Instant::now();
        for second in 0..30 {
            limit.too_many(start + CUT_EVERY * second);
        }
        assert_eq!(limit.now(), 1);
        for _ in 0..100_000 {
            limit.arrived();
        }
        assert_eq!(limit.now(), 128);
    }

    #[test]
    fn stalled_is_measured_by_what_is_usual() {
        let mut times = Times::new(Duration::from_millis(10));
        assert_eq!(times.stalled(), None);
        for _ in 0..REMEMBERED {
            times.took(Duration::from_millis(1));
        }
        assert_eq!(times.stalled(), Some(Duration::from_millis(10)));
        for _ in 0..REMEMBERED {
            times.took(Duration::from_millis(50));
        }
        assert_eq!(times.stalled(), Some(Duration::from_millis(200)));
    }
}
