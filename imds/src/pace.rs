//! When the service is asked again: soon at first, since the network may not be there yet, then less and less often.

use std::time::Duration;

/// The first pause after a failure.
const FIRST: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST: Duration = Duration::from_secs(15);
/// Failures in a row before anybody is told: an address takes a while to come.
const PATIENCE: u32 = 6;

/// Failures in a row.
#[derive(Debug, Default)]
pub struct Pace {
    failures: u32,
}

impl Pace {
    /// Another failure; how long to wait.
    pub fn failed(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// An answer came.
    pub const fn answered(&mut self) {
        self.failures = 0;
    }

    /// Whether it is time to say that nothing answers.
    pub const fn is_trouble(&self) -> bool {
        self.failures >= PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        let mut pace = Pace::default();
        let pauses: Vec<_> = (0..8).map(|_| pace.failed().as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
        assert!(pace.is_trouble());
        pace.answered();
        assert!(!pace.is_trouble());
        assert_eq!(pace.failed().as_millis(), 250);
        for _ in 0..100_000 {
            assert!(pace.failed() <= LONGEST);
        }
    }
}
