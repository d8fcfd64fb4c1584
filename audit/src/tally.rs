//! Denials counted by kind, with bounds: whoever tries ten thousand times, or in ten thousand ways, is a few lines and
//! a count. One actor's flood takes nothing from the others.

use std::collections::BTreeMap;
use std::ops::Bound;

use kennel_model::denial::{Act, Actor, Batch, Counted, Denial, MAX_BATCH};

/// Kinds that are told apart of one actor between two batches; more are only counted.
const MAX_KINDS: usize = 16;
/// Actors that wait for their batch. More than there are slots and domains on a host.
const MAX_ACTORS: usize = 5000;
/// Kinds of one actor in one batch, so that each batch has room for several actors.
const MAX_SHARE: usize = 8;

/// What was seen and not sent yet.
#[derive(Debug, Default)]
pub struct Tally {
    actors: BTreeMap<Actor, Kinds>,
    lost: u64,
    /// Whose turn was last.
    last: Option<Actor>,
}

type Kinds = BTreeMap<(Act, String), u64>;

impl Tally {
    /// Counts one denial.
    pub fn add(&mut self, denial: Denial) {
        if self.actors.len() >= MAX_ACTORS && !self.actors.contains_key(&denial.actor) {
            return self.lose(1);
        }
        let kinds = self.actors.entry(denial.actor).or_default();
        let mut kind = (denial.act, denial.program);
        if kinds.len() >= MAX_KINDS && !kinds.contains_key(&kind) {
            kind = (Act::Others, String::new());
        }
        let count = kinds.entry(kind).or_default();
        *count = count.saturating_add(1);
    }

    /// Counts records that nobody saw.
    pub const fn lose(&mut self, count: u64) {
        self.lost = self.lost.saturating_add(count);
    }

    /// Whether there is anything to send.
    pub fn is_empty(&self) -> bool {
        self.actors.is_empty() && self.lost == 0
    }

    /// Takes what fits into one message, from the actors in turn.
    pub fn take(&mut self) -> Batch {
        let mut counted = Vec::new();
        let mut turns = self.actors.len();
        while counted.len() < MAX_BATCH && turns > 0 {
            turns -= 1;
            let Some(actor) = self.next() else { break };
            let share = MAX_SHARE.min(MAX_BATCH - counted.len());
            if let Some(kinds) = self.actors.get_mut(&actor) {
                for _ in 0..share {
                    let Some(((act, program), count)) = kinds.pop_first() else { break };
                    counted.push(Counted { denial: Denial { actor: actor.clone(), program, act }, count });
                }
                if kinds.is_empty() {
                    self.actors.remove(&actor);
                }
            }
            self.last = Some(actor);
        }
        Batch { counted, lost: std::mem::take(&mut self.lost) }
    }

    /// The actor after the one whose turn was last.
    fn next(&self) -> Option<Actor> {
        let after = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.actors.range::<Actor, _>((after, Bound::Unbounded));
        rest.next().or_else(|| self.actors.first_key_value()).map(|(actor, _)| actor.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::SlotId;

    fn tenant(n: u16) -> Actor {
        Actor::Tenant(SlotId::new(n).unwrap())
    }

    fn denial(n: u16, number: u32) -> Denial {
        let act = Act::SystemCall { number, foreign: false };
        Denial { actor: tenant(n), program: "x".into(), act }
    }

    #[test]
    fn ten_thousand_times_is_one_line_and_a_count() {
        let mut tally = Tally::default();
        (0..10_000).for_each(|_| tally.add(denial(1, 165)));
        let batch = tally.take();
        assert_eq!(batch, Batch { counted: vec![Counted { denial: denial(1, 165), count: 10_000 }], lost: 0 });
        assert!(tally.is_empty());
        assert_eq!(tally.take(), Batch::default());
    }

    #[test]
    fn ten_thousand_ways_are_a_few_lines_and_nothing_is_lost() {
        let mut tally = Tally::default();
        (0..10_000).for_each(|n| tally.add(denial(1, n)));
        let (mut kinds, mut total) = (0, 0);
        while !tally.is_empty() {
            let batch = tally.take();
            kinds += batch.counted.len();
            total += batch.counted.iter().map(|c| c.count).sum::<u64>();
        }
        assert_eq!((kinds, total), (MAX_KINDS + 1, 10_000));
    }

    #[test]
    fn a_flood_does_not_keep_the_others_waiting() {
        let mut tally = Tally::default();
        for slot in 0..5 {
            (0..100).for_each(|n| tally.add(denial(slot, n)));
        }
        tally.add(denial(9, 1));
        let batch = tally.take();
        assert_eq!(batch.counted.len(), 5 * MAX_SHARE + 1);
        assert!(batch.counted.iter().any(|c| c.denial.actor == tenant(9)));
    }

    #[test]
    fn every_actor_has_its_turn_before_one_has_a_second() {
        let mut tally = Tally::default();
        (0..100).for_each(|slot| tally.add(denial(slot, 1)));
        let first = tally.take().counted;
        (0..100).for_each(|slot| tally.add(denial(slot, 2)));
        let second = tally.take().counted;
        assert_eq!((first.len(), second[0].denial.actor.clone()), (MAX_BATCH, tenant(48)));
    }

    #[test]
    fn what_nobody_saw_is_said_once() {
        let mut tally = Tally::default();
        tally.lose(3);
        tally.lose(4);
        assert!(!tally.is_empty());
        assert_eq!(tally.take().lost, 7);
        assert!(tally.is_empty());
    }
}
