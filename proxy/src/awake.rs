//! What is known of each slot's program beside its lease: whether it is awake, and which release of it, as init tells; whether
//! it has been found ready, and when it began to listen; and how its last start went. What follows from that for a request is
//! decided in `asleep` and `exchange`.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use kennel_model::slot::MAX_SLOTS;
use kennel_model::{ReleaseId, SlotId};
use tokio::time::Instant;

/// All slots' programs.
#[derive(Debug)]
pub(crate) struct Awake {
    slots: Box<[Slot]>,
    born: Instant,
}

/// One start of a program, told from its other ones by when it was found to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life(u64);

#[derive(Debug, Default)]
struct Slot {
    /// The release that is awake; 0 for none, as the first release is 1.
    release: AtomicU32,
    /// Where its program listens; 0 for the slot's first port.
    port: AtomicU16,
    ready: AtomicBool,
    /// Whose last start came to nothing; 0 for none.
    failed: AtomicU32,
    /// When the request came that woke it, in milliseconds since `born` and one; 0 once it has answered.
    asked_ms: AtomicU64,
    /// How often it has been asked to end.
    endings: AtomicU32,
    /// When it was found to listen after its start, in milliseconds since `born` and one more; 0 if it has ended since, or been asked to.
    listens_ms: AtomicU64,
}

impl Awake {
    /// All asleep.
    pub(crate) fn new() -> Self {
        Self { slots: (0..MAX_SLOTS).map(|_| Slot::default()).collect(), born: Instant::now() }
    }

    /// Init says that this release is awake, or that it is asleep.
    pub(crate) fn set(&self, slot: SlotId, release: Option<ReleaseId>) {
        self.at(slot).release.store(release.map_or(0, |release| release.0), Ordering::Relaxed);
    }

    /// Where its program listens.
    pub(crate) fn port(&self, slot: SlotId) -> u16 {
        match self.at(slot).port.load(Ordering::Relaxed) {
            0 => slot.port(),
            port => port,
        }
    }

    /// Another program, which was found ready, is the slot's, at this port; the one before is about to be asked to end.
    pub(crate) fn moved(&self, slot: SlotId, port: u16) {
        let of = self.at(slot);
        of.port.store(port, Ordering::Relaxed);
        of.listens_ms.store(0, Ordering::Relaxed);
        of.ready.store(true, Ordering::Relaxed);
        of.failed.store(0, Ordering::Relaxed);
        of.endings.fetch_add(1, Ordering::Relaxed);
    }

    /// Init asks the program to end.
    pub(crate) fn ending(&self, slot: SlotId) {
        self.set(slot, None);
        self.at(slot).listens_ms.store(0, Ordering::Relaxed);
        self.at(slot).endings.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was asked to, for who wants to know whether it has been since.
    pub(crate) fn endings(&self, slot: SlotId) -> u32 {
        self.at(slot).endings.load(Ordering::Relaxed)
    }

    /// Init says that the program has ended.
    pub(crate) fn down(&self, slot: SlotId) {
        self.set(slot, None);
        self.at(slot).ready.store(false, Ordering::Relaxed);
        self.at(slot).listens_ms.store(0, Ordering::Relaxed);
    }

    /// It was started, and listens now.
    pub(crate) fn listens(&self, slot: SlotId) {
        self.at(slot).listens_ms.store(self.ms(Instant::now()) + 1, Ordering::Relaxed);
    }

    /// Its life now, if it began after its start was seen here.
    pub(crate) fn life(&self, slot: SlotId) -> Option<Life> {
        let since = self.at(slot).listens_ms.load(Ordering::Relaxed);
        (since != 0).then_some(Life(since))
    }

    /// Whether this life goes on, and is younger than that.
    pub(crate) fn is_young(&self, slot: SlotId, life: Life, bound: Duration) -> bool {
        self.life(slot) == Some(life)
            && u128::from((self.ms(Instant::now()) + 1).saturating_sub(life.0)) < bound.as_millis()
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

    /// It was woken for a request that came then.
    pub(crate) fn woken(&self, slot: SlotId, came: Instant) {
        self.at(slot).asked_ms.store(self.ms(came) + 1, Ordering::Relaxed);
    }

    /// A request has been answered, or failed. If it is the first since a wake: how long after the request that woke it,
    /// in milliseconds.
    pub(crate) fn answered(&self, slot: SlotId) -> Option<u64> {
        let asked = &self.at(slot).asked_ms;
        if asked.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let since = asked.swap(0, Ordering::Relaxed).checked_sub(1)?;
        Some(self.ms(Instant::now()).saturating_sub(since))
    }

    fn ms(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn at(&self, slot: SlotId) -> &Slot {
        &self.slots[usize::from(slot.index())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_after_a_wake_is_known() {
        let (awake, slot) = (Awake::new(), SlotId::new(9).unwrap());
        assert_eq!(awake.answered(slot), None);
        awake.woken(slot, Instant::now());
        tokio::time::advance(Duration::from_millis(30)).await;
        assert_eq!((awake.answered(slot), awake.answered(slot)), (Some(30), None));
    }

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

    #[test]
    fn a_program_that_takes_over_is_ready_elsewhere() {
        let (awake, slot) = (Awake::new(), SlotId::new(9).unwrap());
        awake.ended(slot, ReleaseId(3), false);
        let (port, endings) = (awake.port(slot), awake.endings(slot));
        awake.moved(slot, port + 1);
        assert_eq!((port, awake.port(slot), awake.endings(slot)), (slot.port(), slot.port() + 1, endings + 1));
        assert!(awake.is_ready(slot) && !awake.has_failed(slot, ReleaseId(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_is_young_for_a_while_and_ends_with_its_program() {
        let (awake, slot, bound) = (Awake::new(), SlotId::new(9).unwrap(), Duration::from_secs(5));
        assert_eq!(awake.life(slot), None);
        awake.listens(slot);
        let first = awake.life(slot).unwrap();
        assert!(awake.is_young(slot, first, bound));
        tokio::time::advance(bound).await;
        assert!(!awake.is_young(slot, first, bound));
        awake.down(slot);
        awake.listens(slot);
        assert!(!awake.is_young(slot, first, bound), "that is another");
        assert!(awake.is_young(slot, awake.life(slot).unwrap(), bound));
    }
}
