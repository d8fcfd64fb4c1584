//! Whose program may be sent a request without asking init first, and how many requests each slot has in flight. A lease
//! is init's word that the program is awake and stays so: init grants one with each wake, and the proxy gives it back
//! when nobody has needed the program for a moment. So a busy tenant costs init nothing, and init never puts one to sleep
//! that has a request in flight. A program's end ends its lease too.
//!
//! Lease and count are one number, so that none is given back while a request comes in.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
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
    /// The lease's number above, 0 for none; requests in flight below.
    word: AtomicU64,
    /// When the last request ended or the lease was granted, in milliseconds since `born`.
    used_ms: AtomicU64,
    /// How often another program has taken over.
    turn: AtomicU32,
    /// Requests in flight that came in even turns, and in odd ones. A program that has been taken over from for two turns has
    /// been asked to end, so that what it has still is not told from what is new, and need not be.
    of_turn: [AtomicU32; 2],
}

/// Which of two.
const fn parity(turn: u32) -> usize {
    (turn % 2) as usize
}

/// A request in flight; given back when it is dropped, however it ends.
#[derive(Debug)]
pub(crate) struct Visit {
    leases: Arc<Leases>,
    slot: SlotId,
    turn: u32,
}

const fn lease(word: u64) -> RequestId {
    (word >> 32) as RequestId
}

const fn visits(word: u64) -> u32 {
    word as u32
}

const fn word(lease: RequestId, visits: u32) -> u64 {
    ((lease as u64) << 32) | visits as u64
}

impl Leases {
    /// No lease and no request.
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            slots: (0..MAX_SLOTS).map(|_| Slot::default()).collect(),
            bound: limits.slot_requests,
            idle: limits.lease_idle,
            born: Instant::now(),
            granted: Notify::new(),
        })
    }

    /// Counts a request in, or nothing when there are too many.
    pub(crate) fn enter(self: &Arc<Self>, slot: SlotId) -> Option<Visit> {
        let raise = |old| (visits(old) < self.bound).then_some(old + 1);
        let of = self.at(slot);
        of.word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, raise).ok()?;
        // Before anything is connected to: what goes to the program before is never counted as the next one's.
        let turn = of.turn.load(Ordering::Acquire);
        of.of_turn[parity(turn)].fetch_add(1, Ordering::Relaxed);
        Some(Visit { leases: self.clone(), slot, turn })
    }

    /// Another program has the slot from now on; which turn that ends.
    pub(crate) fn takes_over(&self, slot: SlotId) -> u32 {
        self.at(slot).turn.fetch_add(1, Ordering::AcqRel)
    }

    /// Whether nothing is in flight any more that came in that turn or, which is as good, another has taken over since.
    pub(crate) fn has_left(&self, slot: SlotId, turn: u32) -> bool {
        let of = self.at(slot);
        of.turn.load(Ordering::Acquire) != turn.wrapping_add(1)
            || of.of_turn[parity(turn)].load(Ordering::Acquire) == 0
    }

    /// Init has granted a lease, the last that counts.
    pub(crate) fn grant(&self, slot: SlotId, id: RequestId) {
        self.at(slot).used_ms.store(self.now_ms(), Ordering::Relaxed);
        self.set(slot, id);
        self.granted.notify_one();
    }

    /// The slot's program has ended, or is asked to.
    pub(crate) fn revoke(&self, slot: SlotId) {
        self.set(slot, 0);
    }

    /// Whether init holds the program awake.
    pub(crate) fn is_leased(&self, slot: SlotId) -> bool {
        lease(self.at(slot).word.load(Ordering::Relaxed)) != 0
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
            let old = self.at(slot).word.load(Ordering::Relaxed);
            if lease(old) == 0 {
                continue;
            }
            match self.end_if_idle(slot, old) {
                Some(idle_ms) => {
                    shared.tally.tell_of(slot, &shared.init).await;
                    let message = FromProxy::Idle { slot, lease: lease(old), idle_ms };
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
    fn end_if_idle(&self, slot: SlotId, old: u64) -> Option<u32> {
        let idle_ms = self.now_ms().saturating_sub(self.at(slot).used_ms.load(Ordering::Relaxed));
        if visits(old) > 0 || u128::from(idle_ms) < self.idle.as_millis() {
            return None;
        }
        let ended = self.at(slot).word.compare_exchange(old, 0, Ordering::Relaxed, Ordering::Relaxed);
        ended.ok().map(|_| u32::try_from(idle_ms).unwrap_or(u32::MAX))
    }

    fn set(&self, slot: SlotId, id: RequestId) {
        let replace = |old| Some(word(id, visits(old)));
        _ = self.at(slot).word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, replace);
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
        slot.word.fetch_sub(1, Ordering::Release);
        slot.of_turn[parity(self.turn)].fetch_sub(1, Ordering::Release);
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
        leases.end_if_idle(slot(n), leases.at(slot(n)).word.load(Ordering::Relaxed))
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
        assert_eq!(leases.at(slot(1)).word.load(Ordering::Relaxed), 0);
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
        let seen = leases.at(slot(1)).word.load(Ordering::Relaxed);
        let visit = leases.enter(slot(1)).unwrap();
        assert_eq!(leases.end_if_idle(slot(1), seen), None);
        assert!(visit.is_leased());
        leases.revoke(slot(1));
        assert!(!visit.is_leased());
        drop(visit);
        assert_eq!(leases.at(slot(1)).word.load(Ordering::Relaxed), 0);
    }
}
