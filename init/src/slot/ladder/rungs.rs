//! When a program goes down the ladder, as its limits have it.

use std::time::Duration;

use kennel_model::Limits;

/// How long nobody has to need a program for each rung down; never when absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rungs {
    /// Until it is frozen.
    pub freeze: Option<Duration>,
    /// Until its memory goes to swap.
    pub reclaim: Option<Duration>,
    /// Until it is stopped.
    pub stop: Option<Duration>,
    /// Between SIGTERM and SIGKILL when it is.
    pub grace: Duration,
    /// Started again when it has ended unasked.
    pub always_on: bool,
}

impl Rungs {
    /// Whether the program may be stopped to make room: a request would bring it back, and nothing is missed until then.
    pub const fn gives_way(&self) -> bool {
        self.freeze.is_some() && !self.always_on
    }
}

impl From<&Limits> for Rungs {
    fn from(limits: &Limits) -> Self {
        let seconds = |s: Option<u32>| s.map(|s| Duration::from_secs(s.into()));
        Self {
            freeze: seconds(limits.freeze_after_s),
            // What is reserved stays.
            reclaim: seconds(limits.reclaim_after_s.filter(|_| limits.memory_reserved_bytes == 0)),
            stop: seconds(limits.stop_after_s.filter(|_| !limits.always_on)),
            grace: Duration::from_millis(limits.stop_grace_ms.into()),
            always_on: limits.always_on,
        }
    }
}
