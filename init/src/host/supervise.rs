//! When a service that ended is started again, as a pure function of how it fared.

use std::time::Duration;

/// A service that ran this long fared well; the count begins anew.
const STEADY: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// Quick ends in a row after which trying again only fills the console. About a minute and a half has passed then.
const MAX_CRASHES: u32 = 15;

/// What to do about an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start it again after this long; so many quick ends in a row now.
    Restart {
        /// The wait.
        delay: Duration,
        /// To be remembered.
        crashes: u32,
    },
    /// It crashes in a loop.
    GiveUp,
}

/// Decides after an end: how long it ran, and how many quick ends there were before.
pub fn after_end(ran: Duration, crashes: u32) -> Next {
    let crashes = if ran >= STEADY { 1 } else { crashes + 1 };
    if crashes > MAX_CRASHES {
        return Next::GiveUp;
    }
    let delay = FIRST_DELAY.saturating_mul(1 << (crashes - 1).min(10)).min(LONGEST_DELAY);
    Next::Restart { delay, crashes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_ten_seconds_and_then_it_is_given_up() {
        let mut crashes = 0;
        let mut delays = vec![];
        while let Next::Restart { delay, crashes: now } = after_end(Duration::ZERO, crashes) {
            crashes = now;
            delays.push(delay.as_millis());
        }
        assert_eq!(delays[..8], [100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
        assert_eq!(delays.len(), 15);
    }

    #[test]
    fn a_steady_run_clears_the_record() {
        let next = after_end(Duration::from_secs(10), 15);
        assert_eq!(next, Next::Restart { delay: FIRST_DELAY, crashes: 1 });
    }
}
