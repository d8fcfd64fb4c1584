//! Deadlines: when the event loop has to wake without an event. A deadline is never taken back; whoever is told that it
//! has passed looks whether it still means anything.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::task::TaskId;

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A slot's start or stop.
    Slot(SlotId),
    /// `kennel-unpack` in a slot.
    Job(SlotId),
    /// A task that was asked to end, or is to be.
    Task(TaskId),
    /// A slot's cgroup that should have become empty.
    Cgroup(SlotId),
    /// A program of the packet filter's, or the pause before another try.
    Filter,
    /// The end of an address' life.
    Network,
    /// A service to be started again or to have ended, by its place in the table.
    Service(usize),
    /// The next look at the clock.
    Clock,
    /// The next look at the memory.
    Memory,
    /// The next start of those that stand in line.
    Admission,
    /// Requests in flight have had their time.
    Drain,
    /// The next phase of the shutdown.
    Ending,
}

/// All deadlines, the next one first.
#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Duration, Timer)>>,
}

impl Timers {
    /// Adds a deadline, in time since the kernel's start.
    pub fn arm(&mut self, at: Duration, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    /// How long until the next one.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, _))| at.saturating_sub(now))
    }

    /// Takes one that has passed.
    pub fn due(&mut self, now: Duration) -> Option<Timer> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_their_order_and_not_too_early() {
        let s = Duration::from_secs;
        let mut timers = Timers::default();
        assert_eq!(timers.wait(s(0)), None);
        timers.arm(s(9), Timer::Ending);
        timers.arm(s(5), Timer::Service(1));
        assert_eq!(timers.wait(s(2)), Some(s(3)));
        assert_eq!(timers.due(s(4)), None);
        assert_eq!(timers.due(s(10)), Some(Timer::Service(1)));
        assert_eq!(timers.wait(s(10)), Some(s(0)));
        assert_eq!(timers.due(s(10)), Some(Timer::Ending));
        assert_eq!(timers.due(s(10)), None);
    }
}
