//! Memory of connections that were parked, on its way back to the kernel: the heap keeps what is free between what is not.
//! When many have been parked, and not for each.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// So many are worth a look at the whole heap: together they held about a MiB.
const MANY: u32 = 64;
/// Between two looks, each of which may take milliseconds.
const PAUSE: Duration = Duration::from_secs(2);

/// How many were parked since the heap was looked at.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    count: AtomicU32,
    many: Notify,
}

impl Parked {
    /// A connection has given back what it held.
    pub(crate) fn one_more(&self) {
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 == MANY {
            self.many.notify_one();
        }
    }

    /// Runs for ever, and sleeps while few are parked.
    pub(crate) async fn give_back_forever(&self) {
        loop {
            self.many.notified().await;
            tokio::time::sleep(PAUSE).await;
            self.count.store(0, Ordering::Relaxed);
            kennel_sys::heap::trim();
        }
    }
}
