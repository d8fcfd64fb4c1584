//! When a call is made again: with growing, random pauses, only for failures that pass, and never beyond the deadline. And
//! when what is waited for is looked at again.

use std::time::{Duration, Instant};

/// The first pause is at most this long.
const FIRST: Duration = Duration::from_millis(200);
/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(10);
/// So often is a call made whose failure is not throttling. Throttling passes by itself, so only the deadline ends it.
pub const ATTEMPTS: u32 = 6;

/// The first look at what is waited for comes after this time, further ones later and later.
const SOON: Duration = Duration::from_millis(250);
const LATER: Duration = Duration::from_secs(5);

/// The pause after so many failures (at least one): between half and the whole of a span that doubles, so that many callers
/// who failed together do not come back together.
pub fn pause(failures: u32) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Pauses between looks, until a deadline.
#[derive(Debug)]
pub struct Looks {
    pause: Duration,
    since: Instant,
    deadline: Instant,
}

impl Looks {
    /// The first pause is short.
    pub fn until(deadline: Instant) -> Self {
        Self { pause: SOON, since: Instant::now(), deadline }
    }

    /// For how long has been looked.
    pub fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    /// Waits before the next look; says no when there is no time for one.
    pub async fn again(&mut self) -> bool {
        if Instant::now() + self.pause >= self.deadline {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LATER);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_in_bounds() {
        for failures in 1..40 {
            let whole = FIRST.saturating_mul(1 << (failures - 1).min(16)).min(LONGEST);
            for _ in 0..50 {
                let pause = pause(failures);
                assert!(pause >= whole / 2 && pause <= whole, "{failures}: {pause:?}");
            }
        }
    }
}
