//! Starts under way: at most one per slot, however many requests wait for it. This is the table and its rules;
//! carrying a start out is `wake`'s work.
//!
//! | phase | meets | becomes |
//! |---|---|---|
//! | `Asked` | init's answer Ok | `Awake`, with where the program was found |
//! | `Asked` | init's refusal | `Busy` or `Refused`, the end |
//! | `Asked` | `Down` | stays: that was the program before, init's messages come in order |
//! | `Awake` | `Down` | `Died`, the end |
//! | `Awake` | a connection is made | `Listens`, the end |
//! | `Asked` | its turn does not come in time | `Busy`, the end |
//! | `Awake` | the route's time is over | `Late`, the end |

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kennel_model::SlotId;
use kennel_model::msg::{Refusal, RequestId, Rung};
use tokio::sync::watch;

use crate::log;

/// How far a start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Init has been asked, or is about to be.
    Asked,
    /// Init has started the program, or let it run again.
    Awake(Rung),
    /// It accepts connections.
    Listens,
    /// Init cannot do it now.
    Busy,
    /// Init cannot do it.
    Refused,
    /// The program ended before it listened.
    Died,
    /// It did not listen in time.
    Late,
}

impl Phase {
    /// Whether nothing follows.
    pub(crate) fn is_end(self) -> bool {
        !matches!(self, Self::Asked | Self::Awake(_))
    }
}

#[derive(Debug)]
struct Start {
    id: RequestId,
    phase: watch::Sender<Phase>,
}

/// The starts under way.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    by_slot: Mutex<HashMap<SlotId, Start>>,
    last_id: AtomicU32,
}

/// What a request that finds nobody listening gets.
#[derive(Debug)]
pub(crate) struct Joined {
    /// Follows the start.
    pub(crate) phase: watch::Receiver<Phase>,
    /// Set for the one request that has to see to it that the start is carried out.
    pub(crate) to_carry_out: Option<RequestId>,
}

impl Starts {
    /// Joins the slot's start, or begins one.
    pub(crate) fn join(&self, slot: SlotId) -> Joined {
        let mut starts = self.lock();
        // One that has ended is about to be removed.
        if let Some(start) = starts.get(&slot).filter(|start| !start.phase.borrow().is_end()) {
            return Joined { phase: start.phase.subscribe(), to_carry_out: None };
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
        let (sender, phase) = watch::channel(Phase::Asked);
        starts.insert(slot, Start { id, phase: sender });
        Joined { phase, to_carry_out: Some(id) }
    }

    /// Init's answer.
    pub(crate) fn answered(&self, id: RequestId, result: &Result<Rung, Refusal>) {
        let next = match result {
            Ok(rung) => Phase::Awake(*rung),
            Err(Refusal::Busy(_)) => Phase::Busy,
            Err(_) => Phase::Refused,
        };
        let starts = self.lock();
        let Some((slot, start)) = starts.iter().find(|(_, start)| start.id == id) else {
            return; // It came after the end of the start.
        };
        if let Err(refusal) = result {
            log::line(format_args!("slot {slot} was not started: {refusal}"));
        }
        start.step(|now| now == Phase::Asked, next);
    }

    /// Init says that the slot's program ended.
    pub(crate) fn down(&self, slot: SlotId) {
        if let Some(start) = self.lock().get(&slot) {
            start.step(|now| matches!(now, Phase::Awake(_)), Phase::Died);
        }
    }

    /// Ends a start and tells everyone who waits for it. The next may be under way already.
    pub(crate) fn end(&self, slot: SlotId, id: RequestId, phase: Phase) {
        let mut starts = self.lock();
        if let Entry::Occupied(start) = starts.entry(slot)
            && start.get().id == id
        {
            start.remove().step(|now| !now.is_end(), phase);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SlotId, Start>> {
        self.by_slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Start {
    fn step(&self, from: impl FnOnce(Phase) -> bool, to: Phase) {
        self.phase.send_if_modified(|now| {
            let fits = from(*now);
            if fits {
                *now = to;
            }
            fits
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> SlotId {
        SlotId::new(3).unwrap()
    }

    #[test]
    fn only_the_first_carries_out() {
        let starts = Starts::default();
        let first = starts.join(slot());
        let id = first.to_carry_out.unwrap();
        assert!(starts.join(slot()).to_carry_out.is_none());
        starts.end(slot(), id, Phase::Listens);
        assert_eq!(*first.phase.borrow(), Phase::Listens);
        assert!(starts.join(slot()).to_carry_out.is_some());
    }

    #[test]
    fn who_comes_after_the_end_begins_anew_and_is_not_ended_with_the_one_before() {
        let starts = Starts::default();
        let first = starts.join(slot()).to_carry_out.unwrap();
        starts.answered(first, &Ok(Rung::Stopped));
        starts.down(slot());
        let next = starts.join(slot());
        assert!(next.to_carry_out.is_some_and(|id| id != first));
        starts.end(slot(), first, Phase::Died);
        assert_eq!(*next.phase.borrow(), Phase::Asked);
    }

    #[test]
    fn the_program_before_does_not_count_as_died() {
        let starts = Starts::default();
        let joined = starts.join(slot());
        starts.down(slot());
        assert_eq!(*joined.phase.borrow(), Phase::Asked);
        starts.answered(joined.to_carry_out.unwrap(), &Ok(Rung::Stopped));
        assert_eq!(*joined.phase.borrow(), Phase::Awake(Rung::Stopped));
        starts.down(slot());
        assert_eq!(*joined.phase.borrow(), Phase::Died);
        starts.end(slot(), joined.to_carry_out.unwrap(), Phase::Late);
        assert_eq!(*joined.phase.borrow(), Phase::Died, "the end is the end");
    }

    #[test]
    fn refusals_are_told_apart_and_stray_answers_ignored() {
        let starts = Starts::default();
        for (refusal, phase) in [
            (Refusal::Busy("stopping".into()), Phase::Busy),
            (Refusal::Failed("clone3".into()), Phase::Refused),
            (Refusal::Invalid("never configured".into()), Phase::Refused),
        ] {
            let joined = starts.join(slot());
            let id = joined.to_carry_out.unwrap();
            starts.answered(id.wrapping_add(9), &Ok(Rung::Stopped));
            assert_eq!(*joined.phase.borrow(), Phase::Asked);
            starts.answered(id, &Err(refusal));
            assert_eq!(*joined.phase.borrow(), phase);
            starts.end(slot(), id, phase);
        }
    }
}
