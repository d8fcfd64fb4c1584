//! A count per slot with an upper bound: how many requests wait for a start. A counted place is given back when it is
//! dropped, however the request ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kennel_model::SlotId;
use kennel_model::slot::MAX_SLOTS;

/// One count per slot, all with the same bound.
#[derive(Debug)]
pub(crate) struct Gauge {
    counts: Box<[AtomicU32]>,
    bound: u32,
}

/// One of the slot's places, taken.
#[derive(Debug)]
pub(crate) struct Place {
    gauge: Arc<Gauge>,
    slot: SlotId,
}

impl Gauge {
    /// All counts at zero.
    pub(crate) fn new(bound: u32) -> Arc<Self> {
        Arc::new(Self { counts: (0..MAX_SLOTS).map(|_| AtomicU32::new(0)).collect(), bound })
    }

    /// Takes a place, or nothing when all are taken.
    pub(crate) fn enter(self: &Arc<Self>, slot: SlotId) -> Option<Place> {
        let count = &self.counts[usize::from(slot.index())];
        let raise = |n: u32| (n < self.bound).then_some(n + 1);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raise).ok()?;
        Some(Place { gauge: self.clone(), slot })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gauge.counts[usize::from(self.slot.index())].fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_per_slot_and_places_come_back() {
        let gauge = Gauge::new(2);
        let (a, b) = (SlotId::new(0).unwrap(), SlotId::new(MAX_SLOTS - 1).unwrap());
        let held = (gauge.enter(a), gauge.enter(a));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(gauge.enter(a).is_none());
        assert!(gauge.enter(b).is_some());
        drop(held);
        assert!(gauge.enter(a).is_some());
    }
}
