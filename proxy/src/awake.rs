//! What is known of each slot's program beside its lease: whether it is awake, and which release of it, as init tells; whether
//! it has been found ready; and how its last start went. What follows from that for a request is decided in `asleep`.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use kennel_model::slot::MAX_SLOTS;
use kennel_model::{ReleaseId, SlotId};

/// All slots' programs.
#[derive(Debug)]
pub(crate) struct Awake {
    slots: Box<[Slot]>,
}

#[derive(Debug, Default)]
struct Slot {
    /// The release that is awake; 0 for none, as the first release is 1.
    release: AtomicU32,
    ready: AtomicBool,
    /// Whose last start came to nothing; 0 for none.
    failed: AtomicU32,
}

impl Awake {
    /// All asleep.
    pub(crate) fn new() -> Self {
        Self { slots: (0..MAX_SLOTS).map(|_| Slot::default()).collect() }
    }

    /// Init says that this release is awake, or that it is asleep.
    pub(crate) fn set(&self, slot: SlotId, release: Option<ReleaseId>) {
        self.at(slot).release.store(release.map_or(0, |release| release.0), Ordering::Relaxed);
    }

    /// Init says that the program has ended.
    pub(crate) fn down(&self, slot: SlotId) {
        self.set(slot, None);
        self.at(slot).ready.store(false, Ordering::Relaxed);
    }

    /// Whether a program is awake.
    pub(crate) fn is_awake(&self, slot: SlotId) -> bool {
        self.at(slot).release.load(Ordering::Relaxed) != 0
    }

    /// Whether this release is awake. For a moment after a deploy the one before still is.
    pub(crate) fn runs(&self, slot: SlotId, release: ReleaseId) -> bool {
        self.at(slot).release.load(Ordering::Relaxed) == release.0
    }

    /// A start or wake of this release has ended, well or not.
    pub(crate) fn ended(&self, slot: SlotId, release: ReleaseId, ready: bool) {
        self.at(slot).ready.store(ready, Ordering::Relaxed);
        self.at(slot).failed.store(if ready { 0 } else { release.0 }, Ordering::Relaxed);
    }

    /// Whether it has been found ready, and has not ended since.
    pub(crate) fn is_ready(&self, slot: SlotId) -> bool {
        self.at(slot).ready.load(Ordering::Relaxed)
    }

    /// Whether the last start of this release came to nothing.
    pub(crate) fn has_failed(&self, slot: SlotId, release: ReleaseId) -> bool {
        self.at(slot).failed.load(Ordering::Relaxed) == release.0
    }

    fn at(&self, slot: SlotId) -> &Slot {
        &self.slots[usize::from(slot.index())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_init_and_the_starts_say_is_known() {
        let (awake, slot) = (Awake::new(), SlotId::new(9).unwrap());
        assert!(!awake.is_awake(slot) && !awake.is_ready(slot) && !awake.has_failed(slot, ReleaseId(3)));
        awake.set(slot, Some(ReleaseId(3)));
        awake.ended(slot, ReleaseId(3), true);
        assert!(awake.is_awake(slot) && awake.runs(slot, ReleaseId(3)) && !awake.runs(slot, ReleaseId(4)));
        awake.set(slot, None);
        assert!(!awake.is_awake(slot) && awake.is_ready(slot), "frozen, it is as ready as before");
        awake.down(slot);
        assert!(!awake.is_ready(slot));
        awake.ended(slot, ReleaseId(3), false);
        assert!(awake.has_failed(slot, ReleaseId(3)) && !awake.has_failed(slot, ReleaseId(4)));
    }
}
