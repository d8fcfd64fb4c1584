//! The generic cell rate algorithm (ITU-T I.371): what comes evenly always passes, and some of it may come at once. One
//! point in time is all that has to be kept.

use std::time::Duration;

use tokio::time::Instant;

/// When the next would be due if they came evenly.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Due(Option<Instant>);

impl Due {
    /// Lets one pass that counts for `interval`, unless it comes more than `ahead` before it is due.
    ///
    /// # Errors
    /// How long until it may come.
    pub(crate) fn pass(&mut self, now: Instant, interval: Duration, ahead: Duration) -> Result<(), Duration> {
        match self.early(now).checked_sub(ahead) {
            Some(early) if !early.is_zero() => Err(early),
            _ => {
                self.count(now, interval);
                Ok(())
            }
        }
    }

    /// Something that counts for `interval` has passed.
    pub(crate) fn count(&mut self, now: Instant, interval: Duration) {
        self.0 = Some(self.0.map_or(now, |due| due.max(now)) + interval);
    }

    /// How long until the next is due.
    pub(crate) fn early(&self, now: Instant) -> Duration {
        self.0.map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn some_come_at_once_and_then_one_an_interval() {
        const INTERVAL: Duration = Duration::from_millis(100);
        let mut due = Due::default();
        let mut pass = || due.pass(Instant::now(), INTERVAL, INTERVAL * 2);
        assert!(pass().is_ok() && pass().is_ok() && pass().is_ok());
        assert_eq!(pass(), Err(INTERVAL));
        tokio::time::advance(INTERVAL).await;
        assert!(pass().is_ok());
        assert_eq!(pass(), Err(INTERVAL));
        tokio::time::advance(INTERVAL * 100).await;
        assert!(pass().is_ok() && pass().is_ok() && pass().is_ok(), "no more than at first is saved up");
        assert!(pass().is_err());
    }
}
