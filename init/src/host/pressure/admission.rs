//! Who is woken next when many are to be: a line, in the order of their coming, and so many wakes under way that there is
//! room for. A wake is under way until the program has answered, its end, or a while at most; until then it takes
//! processors, and memory that nobody has counted yet. Whose wake takes next to no memory does not stand in line, but is
//! known here while it is under way. Pure; nobody is refused here: how long a visitor waits is the proxy's business.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kennel_model::SlotId;

/// A wake that has brought no answer yet keeps others waiting for so many times as long as wakes took lately, but for no less
/// and no more than this. On a slow machine, or one that others want too, all take long; to begin the next beside them makes each
/// slower still, until one after the other is too late for its visitor.
const TIMES: u32 = 3;
const LEAST: Duration = Duration::from_secs(10);
const MOST: Duration = Duration::from_secs(30);

/// What there is for wakes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// So many may be under way at once.
    pub(super) wakes: usize,
    /// Memory, before what those under way have been promised is taken off.
    pub(super) bytes: u64,
}

/// What one wake needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct UnderWay {
    began: Duration,
    until: Duration,
    bytes: u64,
    /// It stood in line.
    in_turn: bool,
}

/// The line, and who has left it at its head.
#[derive(Debug, Default)]
pub(super) struct Admission {
    line: VecDeque<SlotId>,
    /// Also those that take too long, so that it is known how long they took.
    under_way: BTreeMap<SlotId, UnderWay>,
    /// How long wakes took lately: half of it the last one, a quarter the one before.
    usual: Duration,
}

impl Admission {
    /// Stands in line, once.
    pub(super) fn join(&mut self, slot: SlotId) {
        if !self.waits(slot) {
            self.line.push_back(slot);
        }
    }

    /// Whether it stands in line.
    pub(super) fn waits(&self, slot: SlotId) -> bool {
        self.line.contains(&slot)
    }

    /// Who is next.
    pub(super) fn first(&self) -> Option<SlotId> {
        self.line.front().copied()
    }

    /// Lets the first in line go if there is room for it. One always may: nothing gets better by waiting then.
    pub(super) fn admit(&mut self, bytes: u64, room: Room, now: Duration) -> Option<SlotId> {
        let under_way = self.under_way(now);
        let fits = under_way < room.wakes && self.promised(now).saturating_add(bytes) <= room.bytes;
        if !fits && under_way > 0 {
            return None;
        }
        let slot = self.line.pop_front()?;
        let until = now + (self.usual * TIMES).clamp(LEAST, MOST);
        self.under_way.insert(slot, UnderWay { began: now, until, bytes, in_turn: true });
        Some(slot)
    }

    /// Goes without standing in line, and takes nobody's place there.
    pub(super) fn pass(&mut self, slot: SlotId, now: Duration) {
        let wake = UnderWay { began: now, until: now + LEAST, bytes: 0, in_turn: false };
        self.under_way.entry(slot).or_insert(wake);
    }

    /// Whether its wake is.
    pub(super) fn is_under_way(&self, slot: SlotId, now: Duration) -> bool {
        self.under_way.get(&slot).is_some_and(|wake| now < wake.until)
    }

    /// How many wakes of those who stood in line are under way.
    pub(super) fn under_way(&self, now: Duration) -> usize {
        self.counted(now).filter(|wake| wake.in_turn).count()
    }

    /// How many are, with those who did not have to.
    pub(super) fn together(&self, now: Duration) -> usize {
        self.counted(now).count()
    }

    /// Memory that those under way may still take.
    pub(super) fn promised(&self, now: Duration) -> u64 {
        self.counted(now).map(|wake| wake.bytes).sum()
    }

    /// Those that do not take too long.
    fn counted(&self, now: Duration) -> impl Iterator<Item = &UnderWay> {
        self.under_way.values().filter(move |wake| now < wake.until)
    }

    /// A program has answered, or come to its end.
    pub(super) fn over(&mut self, slot: SlotId, now: Duration) {
        if let Some(wake) = self.under_way.remove(&slot).filter(|wake| wake.in_turn) {
            self.usual = (self.usual + now.saturating_sub(wake.began).min(MOST)) / 2;
        }
    }

    /// It need not wait any more; answers whether it did.
    pub(super) fn leave(&mut self, slot: SlotId) -> bool {
        let before = self.line.len();
        self.line.retain(|waiting| *waiting != slot);
        self.line.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const PLENTY: Room = Room { wakes: 9, bytes: 100 * MIB };

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn slot(n: u16) -> SlotId {
        SlotId::new(n).unwrap()
    }

    /// In line, in this order.
    fn line(slots: &[u16]) -> Admission {
        let mut admission = Admission::default();
        slots.iter().for_each(|n| admission.join(slot(*n)));
        admission
    }

    fn admitted(admission: &mut Admission, mib: u64, room: Room) -> Vec<u16> {
        admitted_at(s(1), admission, mib, room)
    }

    fn admitted_at(now: Duration, admission: &mut Admission, mib: u64, room: Room) -> Vec<u16> {
        std::iter::from_fn(|| admission.admit(mib * MIB, room, now)).map(SlotId::index).collect()
    }

    #[test]
    fn so_many_at_once_as_there_are_places_in_the_order_of_their_coming() {
        let mut admission = line(&[5, 2, 9, 2, 7]);
        let room = Room { wakes: 2, ..PLENTY };
        assert_eq!(admitted(&mut admission, 1, room), [5, 2]);
        admission.over(slot(5), s(1));
        admission.over(slot(8), s(1));
        assert_eq!(admitted(&mut admission, 1, room), [9]);
        assert_eq!((admission.first(), admission.under_way(s(1))), (Some(slot(7)), 2));
        assert!(admission.leave(slot(7)) && !admission.leave(slot(7)));
        admission.over(slot(2), s(1));
        assert_eq!(admitted(&mut admission, 1, room), [0u16; 0]);
    }

    #[test]
    fn memory_is_promised_once() {
        let mut admission = line(&[1, 2, 3, 4]);
        assert_eq!(admitted(&mut admission, 40, PLENTY), [1, 2]);
        assert_eq!(admission.promised(s(1)), 80 * MIB);
        assert_eq!(admitted(&mut admission, 20, PLENTY), [3]);
        admission.over(slot(1), s(1));
        assert_eq!(admitted(&mut admission, 40, PLENTY), [4]);
    }

    #[test]
    fn one_may_always_go() {
        let nothing = Room { wakes: 0, bytes: 0 };
        let mut admission = line(&[1, 2]);
        assert_eq!(admitted(&mut admission, 500, nothing), [1]);
        admission.over(slot(1), s(1));
        assert_eq!(admitted(&mut admission, 500, nothing), [2]);
    }

    #[test]
    fn who_never_answers_keeps_others_waiting_for_a_while_only() {
        let mut admission = line(&[1, 2, 3]);
        let room = Room { wakes: 1, bytes: 10 * MIB };
        assert_eq!(admitted(&mut admission, 10, room), [1]);
        let end = s(1) + LEAST;
        let just_before = end - Duration::from_nanos(1);
        assert_eq!(admitted_at(just_before, &mut admission, 10, room), [0u16; 0]);
        assert_eq!((admission.under_way(just_before), admission.promised(just_before)), (1, 10 * MIB));
        // Whoever comes then finds the place free, whether anybody has looked at the time meanwhile or not.
        assert_eq!((admission.under_way(end), admission.promised(end)), (0, 0));
        assert_eq!(admitted_at(end, &mut admission, 10, room), [2]);
        assert_eq!((admission.under_way(end), admission.promised(end)), (1, 10 * MIB));
    }

    #[test]
    fn who_need_not_stand_in_line_is_known_and_takes_nobody_s_place() {
        let mut admission = line(&[1, 2]);
        let room = Room { wakes: 1, ..PLENTY };
        (5..9).for_each(|n| admission.pass(slot(n), s(1)));
        assert_eq!(admitted(&mut admission, 1, room), [1]);
        admission.pass(slot(1), s(1));
        assert_eq!((admission.under_way(s(1)), admission.together(s(1))), (1, 5));
        (1..9).for_each(|n| admission.over(slot(n), s(2)));
        assert_eq!((admission.under_way(s(2)), admission.together(s(2))), (0, 0));
        admission.pass(slot(5), s(2));
        assert!(admission.is_under_way(slot(5), s(3)) && !admission.is_under_way(slot(5), s(2) + LEAST));
    }

    #[test]
    fn where_all_take_long_each_is_waited_for_longer() {
        let room = Room { wakes: 1, ..PLENTY };
        let waited = |took: &[u64]| {
            let mut admission = line(&[1]);
            for took in took {
                admission.join(slot(1));
                admission.admit(1, room, s(100)).unwrap();
                // Also of one that was not waited for to the end.
                admission.over(slot(1), s(100 + took));
            }
            admission.join(slot(1));
            admission.join(slot(2));
            admission.admit(1, room, s(200)).unwrap();
            (200..).find(|now| admission.admit(1, room, s(*now)).is_some()).unwrap() - 200
        };
        assert_eq!(waited(&[]), 10);
        assert_eq!(waited(&[1, 1, 1]), 10);
        assert_eq!(waited(&[12]), 18);
        assert_eq!(waited(&[12, 12]), 27);
        assert_eq!(waited(&[900]), 30);
        assert_eq!(waited(&[900, 1, 1, 1]), 10, "it is forgotten");
    }
}
