//! A sum per slot with an upper bound: how many requests wait for a start, and how much they hold. A counted place is given back when it is
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

/// Some of the slot's places, taken.
#[derive(Debug)]
pub(crate) struct Place {
    gauge: Arc<Gauge>,
    slot: SlotId,
    weight: u32,
}

impl Gauge {
    /// All counts at zero.
    pub(crate) fn new(bound: u32) -> Arc<Self> {
        Arc::new(Self { counts: (0..MAX_SLOTS).map(|_| AtomicU32::new(0)).collect(), bound })
    }

    /// Takes so many places, or nothing when there are not as many.
    pub(crate) fn enter(self: &Arc<Self>, slot: SlotId, weight: u32) -> Option<Place> {
        let count = &self.counts[usize::from(slot.index())];
        let raise = |n: u32| n.checked_add(weight).filter(|sum| *sum <= self.bound);
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raise).ok()?;
        Some(Place { gauge: self.clone(), slot, weight })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gauge.counts[usize::from(self.slot.index())].fetch_sub(self.weight, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_per_slot_and_places_come_back() {
        let gauge = Gauge::new(2);
        let (a, b) = (SlotId::new(0).unwrap(), SlotId::new(MAX_SLOTS - 1).unwrap());
        let held = (gauge.enter(a, 1), gauge.enter(a, 1));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(gauge.enter(a, 1).is_none());
        assert!(gauge.enter(b, 3).is_none());
        assert!(gauge.enter(b, 2).is_some());
        drop(held);
        assert!(gauge.enter(a, 2).is_some());
    }
}
