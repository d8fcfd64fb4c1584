//! How slow the other side of a connection may be: so many bytes in the time in which it was waited for. One that lets a
//! byte through whenever its time is nearly over would hold its place for ever.

use std::time::Duration;

use tokio::time::Instant;

/// What came or went since it was looked at last.
#[derive(Debug, Default)]
pub(crate) struct Slow {
    since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl Slow {
    /// The other side is waited for, from now on or already.
    pub(crate) fn waits(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// So many bytes have come or gone. Answers whether they were too few for the time that was waited for them, which is
    /// looked at after each `window` of waiting.
    pub(crate) fn moved(&mut self, bytes: usize, window: Duration, least_per_s: u32) -> bool {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        let Some(since) = self.since.take() else { return false };
        self.waited += since.elapsed();
        if self.waited < window {
            return false;
        }
        let Self { waited, bytes, .. } = std::mem::take(self);
        u128::from(bytes) * 1000 < u128::from(least_per_s) * waited.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    async fn feed(bytes: usize, pause: Duration) -> bool {
        let mut slow = Slow::default();
        for _ in 0..100 {
            slow.waits(Instant::now());
            tokio::time::advance(pause).await;
            if slow.moved(bytes, WINDOW, 200) {
                return true;
            }
        }
        false
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_too_slow_and_a_bad_connection_is_not() {
        assert!(feed(1, Duration::from_secs(29)).await);
        assert!(feed(100, Duration::from_secs(1)).await);
        assert!(!feed(10_000, Duration::from_secs(29)).await);
        assert!(!feed(300, Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waits_for_it_does_not_count() {
        let mut slow = Slow::default();
        for _ in 0..100 {
            tokio::time::advance(WINDOW).await;
            assert!(!slow.moved(1, WINDOW, 200));
        }
    }
}
