//! What goes through for each slot, counted here and told to init: what changed, every few seconds, and the last of it
//! before a lease is given back. Who counts what is marked by a [`Meter`]; what it is counted for is control's business.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::counters::Traffic;
use kennel_model::msg::{FromProxy, MAX_PASSED};
use kennel_model::slot::MAX_SLOTS;
use tokio::sync::Notify;

use crate::link::Link;
use crate::log;

/// How often init is told, while there is something to tell. A proxy that is killed takes so much with it.
const EVERY: Duration = Duration::from_secs(5);

/// All slots' counts since init was told last.
#[derive(Debug)]
pub(crate) struct Tally {
    slots: Box<[Counts]>,
    changed: AtomicBool,
    news: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    queued_ms: AtomicU64,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From a visitor.
    In,
    /// To one.
    Out,
}

/// Counts bytes of one slot in one direction.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    tally: Arc<Tally>,
    slot: SlotId,
    way: Way,
    /// Of one request.
    also: Option<Arc<AtomicU64>>,
}

impl Meter {
    /// Counts there as well.
    pub(crate) fn and(self, also: Option<Arc<AtomicU64>>) -> Self {
        Self { also, ..self }
    }

    /// So many went through.
    pub(crate) fn count(&self, bytes: usize) {
        let counts = self.tally.at(self.slot);
        let counter = if self.way == Way::In { &counts.bytes_in } else { &counts.bytes_out };
        self.tally.add(counter, bytes as u64);
        if let Some(also) = &self.also {
            also.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

impl Tally {
    /// Nothing went through yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            slots: (0..MAX_SLOTS).map(|_| Counts::default()).collect(),
            changed: AtomicBool::new(false),
            news: Notify::new(),
        })
    }

    /// For bytes of a slot.
    pub(crate) fn meter(self: &Arc<Self>, slot: SlotId, way: Way) -> Meter {
        Meter { tally: self.clone(), slot, way, also: None }
    }

    /// A request is passed to the slot's program.
    pub(crate) fn request(&self, slot: SlotId) {
        self.add(&self.at(slot).requests, 1);
    }

    /// A request has waited so long for the slot's program to be woken.
    pub(crate) fn queued(&self, slot: SlotId, time: Duration) {
        self.add(&self.at(slot).queued_ms, u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }

    /// Tells init what changed. Runs for ever, and sleeps while nothing does.
    pub(crate) async fn tell_forever(&self, init: &Link) {
        loop {
            self.news.notified().await;
            tokio::time::sleep(EVERY).await;
            self.tell(init).await;
        }
    }

    /// Tells init what it does not know yet.
    pub(crate) async fn tell(&self, init: &Link) {
        self.changed.store(false, Ordering::Relaxed);
        let slots = (0..MAX_SLOTS).filter_map(|n| SlotId::new(n).ok());
        let passed: Vec<_> = slots.filter_map(|slot| Some((slot, self.take(slot)?))).collect();
        for piece in passed.chunks(MAX_PASSED) {
            say(init, piece.to_vec()).await;
        }
    }

    /// Tells init what it does not know of one slot.
    pub(crate) async fn tell_of(&self, slot: SlotId, init: &Link) {
        if let Some(traffic) = self.take(slot) {
            say(init, vec![(slot, traffic)]).await;
        }
    }

    fn take(&self, slot: SlotId) -> Option<Traffic> {
        let counts = self.at(slot);
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        let traffic = Traffic {
            requests: take(&counts.requests),
            bytes_in: take(&counts.bytes_in),
            bytes_out: take(&counts.bytes_out),
            queued_ms: take(&counts.queued_ms),
        };
        (traffic != Traffic::default()).then_some(traffic)
    }

    fn add(&self, counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
        if n > 0 && !self.changed.swap(true, Ordering::Relaxed) {
            self.news.notify_one();
        }
    }

    fn at(&self, slot: SlotId) -> &Counts {
        &self.slots[usize::from(slot.index())]
    }
}

async fn say(init: &Link, passed: Vec<(SlotId, Traffic)>) {
    if let Err(e) = init.send(&FromProxy::Passed(passed)).await {
        log::line(format_args!("cannot say what went through: {e}"));
    }
}
