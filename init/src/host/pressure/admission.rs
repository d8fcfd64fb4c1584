//! Who may be started when all that has work waits for memory: so many a second, in the order of their coming. What runs or
//! is merely frozen needs no admission. Pure; nobody is refused here: how long a visitor waits is the proxy's business.

use std::collections::VecDeque;
use std::time::Duration;

use kennel_model::SlotId;

/// Between two starts while memory is what everybody waits for.
const STRAINED: Duration = Duration::from_millis(125);
/// And afterwards, until nobody stands in line any more.
const RELIEVED: Duration = Duration::from_millis(20);

/// The line.
#[derive(Debug, Default)]
pub(super) struct Admission {
    line: VecDeque<SlotId>,
    /// When the next one may be started, in time since the kernel's start.
    next: Duration,
}

impl Admission {
    /// Whether a slot may be started now; if not, it stands in line.
    pub(super) fn ask(&mut self, slot: SlotId, strained: bool, now: Duration) -> bool {
        if self.line.is_empty() && (!strained || now >= self.next) {
            self.next = now + STRAINED;
            return true;
        }
        if !self.line.contains(&slot) {
            self.line.push_back(slot);
        }
        false
    }

    /// Who may be started now.
    pub(super) fn take(&mut self, strained: bool, now: Duration) -> Option<SlotId> {
        if now < self.next {
            return None;
        }
        let slot = self.line.pop_front()?;
        self.next = now + if strained { STRAINED } else { RELIEVED };
        Some(slot)
    }

    /// When to look again.
    pub(super) fn due(&self) -> Option<Duration> {
        (!self.line.is_empty()).then_some(self.next)
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

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn slot(n: u16) -> SlotId {
        SlotId::new(n).unwrap()
    }

    #[test]
    fn nobody_waits_while_there_is_memory() {
        let mut admission = Admission::default();
        assert!((0..200).all(|n| admission.ask(slot(n), false, ms(1))));
        assert_eq!(admission.due(), None);
    }

    #[test]
    fn starts_come_one_after_the_other_in_their_order() {
        let mut admission = Admission::default();
        assert!(admission.ask(slot(1), true, ms(1000)));
        for n in [5, 2, 9, 2] {
            assert!(!admission.ask(slot(n), true, ms(1001)));
        }
        assert_eq!(admission.due(), Some(ms(1125)));
        assert_eq!(admission.take(true, ms(1124)), None);
        assert_eq!(admission.take(true, ms(1125)), Some(slot(5)));
        assert_eq!(admission.take(true, ms(1125)), None);
        assert!(!admission.ask(slot(7), false, ms(1200)), "behind those who came before");
        assert_eq!(admission.take(false, ms(1250)), Some(slot(2)));
        assert_eq!(admission.take(false, ms(1270)), Some(slot(9)));
        assert!(admission.leave(slot(7)) && !admission.leave(slot(7)));
        assert_eq!((admission.due(), admission.take(false, ms(2000))), (None, None));
    }
}
