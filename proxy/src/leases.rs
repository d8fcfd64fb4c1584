//! Whose program may be sent a request without asking init first, and how many requests each slot has in flight. A lease
//! is init's word that the program is awake and stays so: init grants one with each wake, and the proxy gives it back
//! when nobody has needed the program for a moment. So a busy tenant costs init nothing, and init never puts one to sleep
//! that has a request in flight. A program's end ends its lease too.
//!
//! Lease and counts are one number, so that none is given back while a request comes in, and each request changes it twice and
//! nothing else that others look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::msg::{FromProxy, RequestId};
use kennel_model::slot::MAX_SLOTS;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::Limits;
use crate::log;
use crate::shared::Shared;

/// All slots' leases and counts.
#[derive(Debug)]
pub(crate) struct Leases {
    slots: Box<[Slot]>,
    bound: u32,
    idle: Duration,
    born: Instant,
    granted: Notify,
}

#[derive(Debug, Default)]
struct Slot {
    word: AtomicU64,
    /// When the last request ended or the lease was granted, in milliseconds since `born`.
    used_ms: AtomicU64,
}

/// What is known of a slot, in the bits of its number, from the highest on: the lease (32), 0 for none; how often another program
/// has taken over, its turn (8); requests in flight that came in odd turns (12), and in even ones (12). A program that has been taken
/// over from for two turns has been asked to end, so that what it has still is not told from what is new, and need not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word(u64);

/// Requests in flight that can be counted.
const MOST: u32 = (1 << COUNT_BITS) - 1;
const COUNT_BITS: u32 = 12;
const TURN_SHIFT: u32 = 2 * COUNT_BITS;
const LEASE_SHIFT: u32 = TURN_SHIFT + u8::BITS;

impl Word {
    const fn lease(self) -> RequestId {
        (self.0 >> LEASE_SHIFT) as RequestId
    }

    const fn with_lease(self, lease: RequestId) -> Self {
        let rest = self.0 & ((1 << LEASE_SHIFT) - 1);
        Self(((lease as u64) << LEASE_SHIFT) | rest)
    }

    const fn turn(self) -> u8 {
        (self.0 >> TURN_SHIFT) as u8
    }

    const fn in_next_turn(self) -> Self {
        let turn = (self.turn().wrapping_add(1) as u64) << TURN_SHIFT;
        Self(self.0 & !((u8::MAX as u64) << TURN_SHIFT) | turn)
    }

    /// Requests of this turn and of those two, four before it and after it.
    const fn of(self, turn: u8) -> u32 {
        (self.0 / one_of(turn)) as u32 & MOST
    }

    const fn visits(self) -> u32 {
        self.of(0) + self.of(1)
    }
}

/// What a request of a turn adds.
const fn one_of(turn: u8) -> u64 {
    1 << (COUNT_BITS * (turn as u32 % 2))
}

/// A request in flight; given back when it is dropped, however it ends.
#[derive(Debug)]
pub(crate) struct Visit {
    leases: Arc<Leases>,
    slot: SlotId,
    turn: u8,
}

impl Leases {
    /// No lease and no request.
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            slots: (0..MAX_SLOTS).map(|_| Slot::default()).collect(),
            bound: limits.slot_requests.min(MOST),
            idle: limits.lease_idle,
            born: Instant::now(),
            granted: Notify::new(),
        })
    }

    /// Counts a request in, or nothing when there are too many.
    pub(crate) fn enter(self: &Arc<Self>, slot: SlotId) -> Option<Visit> {
        let raise = |old| (Word(old).visits() < self.bound).then_some(old + one_of(Word(old).turn()));
        // Before anything is connected to: what goes to the program before is never counted as the next one's.
        let old = self.at(slot).word.fetch_update(Ordering::Acquire, Ordering::Relaxed, raise).ok()?;
        Some(Visit { leases: self.clone(), slot, turn: Word(old).turn() })
    }

    /// Another program has the slot from now on; which turn that ends.
    pub(crate) fn takes_over(&self, slot: SlotId) -> u8 {
        self.change(slot, Word::in_next_turn).turn()
    }

    /// Whether nothing is in flight any more that came in that turn or, which is as good, another has taken over since.
    pub(crate) fn has_left(&self, slot: SlotId, turn: u8) -> bool {
        let now = self.look(slot);
        now.turn() != turn.wrapping_add(1) || now.of(turn) == 0
    }

    /// Init has granted a lease, the last that counts.
    pub(crate) fn grant(&self, slot: SlotId, id: RequestId) {
        self.at(slot).used_ms.store(self.now_ms(), Ordering::Relaxed);
        self.change(slot, |word| word.with_lease(id));
        self.granted.notify_one();
    }

    /// The slot's program has ended, or is asked to.
    pub(crate) fn revoke(&self, slot: SlotId) {
        self.change(slot, |word| word.with_lease(0));
    }

    /// Whether init holds the program awake.
    pub(crate) fn is_leased(&self, slot: SlotId) -> bool {
        self.look(slot).lease() != 0
    }

    /// Gives back what nobody needs. Runs for ever, and sleeps while nothing is held.
    pub(crate) async fn give_back_forever(&self, shared: &Shared) {
        loop {
            self.granted.notified().await;
            while self.give_back(shared).await {
                tokio::time::sleep(self.idle / 2).await;
            }
        }
    }

    /// Whether anything is still held.
    async fn give_back(&self, shared: &Shared) -> bool {
        let mut held = false;
        for index in 0..MAX_SLOTS {
            let Ok(slot) = SlotId::new(index) else { break };
            let old = self.look(slot);
            if old.lease() == 0 {
                continue;
            }
            match self.end_if_idle(slot, old) {
                Some(idle_ms) => {
                    shared.tally.tell_of(slot, &shared.init).await;
                    let message = FromProxy::Idle { slot, lease: old.lease(), idle_ms };
                    if let Err(e) = shared.init.send(&message).await {
                        log::line(format_args!("cannot give back the lease of slot {slot}: {e}"));
                    }
                }
                None => held = true,
            }
        }
        held
    }

    /// Ends a lease that nobody has needed for long enough; answers for how long, in milliseconds.
    fn end_if_idle(&self, slot: SlotId, old: Word) -> Option<u32> {
        let idle_ms = self.now_ms().saturating_sub(self.at(slot).used_ms.load(Ordering::Relaxed));
        if old.visits() > 0 || u128::from(idle_ms) < self.idle.as_millis() {
            return None;
        }
        let given_back = old.with_lease(0).0;
        let ended =
            self.at(slot).word.compare_exchange(old.0, given_back, Ordering::Relaxed, Ordering::Relaxed);
        ended.ok().map(|_| u32::try_from(idle_ms).unwrap_or(u32::MAX))
    }

    fn look(&self, slot: SlotId) -> Word {
        Word(self.at(slot).word.load(Ordering::Acquire))
    }

    /// What was before.
    fn change(&self, slot: SlotId, what: impl Fn(Word) -> Word) -> Word {
        let change = |old| Some(what(Word(old)).0);
        let before = self.at(slot).word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, change);
        Word(before.unwrap_or_else(|now| now))
    }

    fn at(&self, slot: SlotId) -> &Slot {
        &self.slots[usize::from(slot.index())]
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Visit {
    /// Whether init holds the program awake.
    pub(crate) fn is_leased(&self) -> bool {
        self.leases.is_leased(self.slot)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let slot = self.leases.at(self.slot);
        // Before the count, so that none finds the count at zero and an older time.
        slot.used_ms.store(self.leases.now_ms(), Ordering::Release);
        slot.word.fetch_sub(one_of(self.turn), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(n: u16) -> SlotId {
        SlotId::new(n).unwrap()
    }

    fn leases(slot_requests: u32) -> Arc<Leases> {
        Leases::new(&Limits { slot_requests, ..Limits::default() })
    }

    fn idle(leases: &Leases, n: u16) -> Option<u32> {
        leases.end_if_idle(slot(n), leases.look(slot(n)))
    }

    #[test]
    fn the_bound_holds_per_slot_and_places_come_back() {
        let leases = leases(2);
        let held = (leases.enter(slot(0)), leases.enter(slot(0)));
        assert!(held.0.is_some() && held.1.is_some());
        leases.grant(slot(0), u32::MAX);
        assert!(leases.enter(slot(0)).is_none(), "the lease is not counted");
        assert!(leases.enter(slot(MAX_SLOTS - 1)).is_some());
        drop(held);
        assert!(leases.enter(slot(0)).unwrap().is_leased());
    }

    #[test]
    fn what_the_program_before_was_given_is_told_from_what_is_new() {
        let leases = leases(9);
        let (old, other) = (leases.enter(slot(1)), leases.enter(slot(2)));
        let turn = leases.takes_over(slot(1));
        let new = leases.enter(slot(1));
        assert!(!leases.has_left(slot(1), turn));
        drop(old);
        assert!(leases.has_left(slot(1), turn), "what is new does not count, nor what is another's");
        let next = leases.takes_over(slot(1));
        assert!(!leases.has_left(slot(1), next));
        assert!(leases.has_left(slot(1), turn), "two turns ago");
        drop((new, other));
        assert!(leases.has_left(slot(1), next));
        assert_eq!((leases.look(slot(1)).visits(), leases.look(slot(1)).turn()), (0, 2));
    }

    #[test]
    fn the_parts_of_the_number_do_not_touch_each_other() {
        let leases = leases(u32::MAX);
        let at = slot(3);
        for turn in 0..=u16::from(u8::MAX) {
            leases.grant(at, u32::MAX - u32::from(turn));
            let held: Vec<_> = (0..=MOST).filter_map(|_| leases.enter(at)).collect();
            assert_eq!(held.len(), MOST as usize, "and no more");
            let before = leases.takes_over(at);
            assert_eq!((u16::from(before), leases.has_left(at, before)), (turn, false));
            assert_eq!(leases.look(at).lease(), u32::MAX - u32::from(turn));
            drop(held);
            assert!(leases.has_left(at, before));
        }
        leases.revoke(at);
        assert_eq!(leases.look(at), Word(0), "after so many turns it is the first again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_given_back_when_nobody_has_needed_it_and_not_before() {
        let leases = leases(9);
        let step = Limits::default().lease_idle;
        leases.grant(slot(1), 7);
        let visit = leases.enter(slot(1)).unwrap();
        tokio::time::advance(step * 100).await;
        assert_eq!(idle(&leases, 1), None, "a request is in flight");
        drop(visit);
        tokio::time::advance(step / 2).await;
        assert_eq!(idle(&leases, 1), None);
        tokio::time::advance(step / 2).await;
        assert_eq!(idle(&leases, 1).map(|ms| Duration::from_millis(ms.into())), Some(step));
        assert!(!leases.enter(slot(1)).unwrap().is_leased());
    }

    #[tokio::test(start_paused = true)]
    async fn who_came_in_meanwhile_keeps_it() {
        let leases = leases(9);
        leases.grant(slot(1), 7);
        tokio::time::advance(Limits::default().lease_idle).await;
        let seen = leases.look(slot(1));
        let visit = leases.enter(slot(1)).unwrap();
        assert_eq!(leases.end_if_idle(slot(1), seen), None);
        assert!(visit.is_leased());
        leases.revoke(slot(1));
        assert!(!visit.is_leased());
        drop(visit);
        assert_eq!(leases.look(slot(1)), Word(0));
    }
}
