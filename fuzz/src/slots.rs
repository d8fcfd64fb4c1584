//! The ladder, the table of what a slot's program is doing (`kennel_init::slot::ladder`), under any order of events that a
//! process and those who ask for it can bring about. Kept beside it: a process that is there or not, frozen or not, and
//! how many wait for an answer.

use std::time::Duration;

use kennel_init::slot::ladder::{Action, Event, Relief, Rungs, State, step};
use kennel_model::msg::Depth;

use crate::Numbers;

/// No failed program waits longer than this for its next attempt.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// Within what some bytes make the time pass, or one wait.
const RUNGS: Rungs = Rungs {
    freeze: Some(Duration::from_secs(2)),
    reclaim: Some(Duration::from_secs(5)),
    stop: Some(Duration::from_secs(20)),
    grace: Duration::from_secs(10),
    always_on: false,
};

/// The outside of the table.
#[derive(Debug, Default)]
struct Slot {
    state: State,
    now: Duration,
    process: Option<Process>,
    /// Those who wait for it to run, and for it to be gone.
    starters: u32,
    stoppers: u32,
    /// How deep those want it asleep who wait for that.
    sleepers: Vec<Depth>,
    killed: bool,
}

#[derive(Debug, Default)]
struct Process {
    executed: bool,
    frozen: bool,
}

/// Lets events happen in the order that the bytes give, then ends the slot as the host's end does.
///
/// # Panics
/// When somebody is never answered, two processes run, or a process is forgotten.
pub fn run(data: &[u8]) {
    let mut slot = Slot::default();
    let mut numbers = Numbers::new(data);
    while !numbers.is_empty() {
        slot.happen(&mut numbers);
        slot.judge();
    }
    slot.end();
}

impl Slot {
    fn happen(&mut self, numbers: &mut Numbers<'_>) {
        match numbers.byte() % 18 {
            0 => self.start(true),
            8 => self.start(false),
            9 => self.feed(Event::Idle(self.now)),
            10 => self.settle(),
            11 => self.press(Relief::Reclaim),
            12 => self.press(Relief::Stop),
            13 => self.sleep(Depth::Frozen),
            14 => self.sleep(Depth::Reclaimed),
            15 => self.sleep(Depth::Stopped),
            1 => {
                self.stoppers += 1;
                self.feed(Event::Stop { grace: Duration::from_millis(numbers.word().into()) });
            }
            2 => self.execute(),
            3 => self.process_ends(),
            4 => self.time_passes(Duration::from_millis(numbers.word().into())),
            5 => self.feed(Event::Configured),
            16 => self.is_taken_over(true),
            17 => self.is_taken_over(false),
            6 => self.time_passes(self.state.deadline(&RUNGS).unwrap_or_default().saturating_sub(self.now)),
            // What comes late, of a process that is gone, changes nothing.
            _ if self.process.is_none() => {
                let before = self.state;
                self.feed(Event::Executed);
                self.feed(Event::Ended("late".into()));
                self.feed(Event::Settled);
                self.feed(Event::Idle(self.now));
                assert_eq!(self.state, before);
            }
            _ => {}
        }
    }

    fn start(&mut self, held: bool) {
        self.starters += 1;
        self.feed(Event::Start { held });
        if held && let State::Running(_, idle) = self.state {
            assert_eq!(idle, None, "held, and yet idle: {self:?}");
        }
    }

    /// The host is short of memory: who is needed, or is not there, notices nothing of it.
    fn press(&mut self, relief: Relief) {
        let before = self.state;
        self.feed(Event::Pressure(relief));
        let spared = matches!(
            before,
            State::Stopped
                | State::Starting { .. }
                | State::Running(_, None)
                | State::Stopping { .. }
                | State::Failed { .. }
        );
        assert!(!spared || self.state == before, "{before:?} is to make room: {self:?}");
        if relief == Relief::Stop && !spared {
            assert!(matches!(self.state, State::Stopping { .. }), "it makes no room: {self:?}");
        }
    }

    /// Whoever needs it is not taken it from.
    fn sleep(&mut self, depth: Depth) {
        let before = self.state;
        self.sleepers.push(depth);
        self.feed(Event::Sleep(depth));
        if matches!(before, State::Running(_, None) | State::Starting { .. }) {
            assert_eq!(self.state, before, "put to sleep although needed");
        }
    }

    /// Another program, which runs, is there instead.
    fn is_taken_over(&mut self, held: bool) {
        if matches!(self.state, State::Stopping { .. }) {
            let before = self.state;
            self.feed(Event::TakenOver(held));
            assert_eq!(self.state, before, "who waits for its stop waits");
            return;
        }
        (self.process, self.killed) = (Some(Process { executed: true, frozen: false }), false);
        self.feed(Event::TakenOver(held));
        assert!(matches!(self.state, State::Running(_, idle) if idle.is_none() == held), "{self:?}");
    }

    /// The kernel has done what it was told to.
    fn settle(&mut self) {
        if self.is_frozen() {
            self.feed(Event::Settled);
        }
    }

    fn is_frozen(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.frozen)
    }

    fn execute(&mut self) {
        if let Some(process) = &mut self.process
            && !process.executed
        {
            process.executed = true;
            self.feed(Event::Executed);
        }
    }

    fn process_ends(&mut self) {
        if self.process.take().is_some() {
            self.feed(Event::Ended("over".into()));
        }
    }

    /// The timer goes off when it is due, and then it is set anew: the host must not turn in circles.
    fn time_passes(&mut self, how_much: Duration) {
        self.now += how_much;
        if self.state.deadline(&RUNGS).is_some_and(|at| at <= self.now) {
            self.feed(Event::Timeout);
            assert!(self.state.deadline(&RUNGS).is_none_or(|at| at > self.now), "due again at once: {self:?}");
        }
    }

    fn feed(&mut self, event: Event) {
        let (state, actions) = step(self.state, event, self.now, &RUNGS);
        self.state = state;
        for action in actions {
            self.act(&action);
        }
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Spawn => {
                assert!(self.process.is_none(), "a second process: {self:?}");
                self.process = Some(Process::default());
                self.killed = false;
            }
            Action::Freeze | Action::Thaw => {
                assert!(self.process.is_some(), "nothing to freeze or thaw: {self:?}");
                self.process.iter_mut().for_each(|process| process.frozen = *action == Action::Freeze);
            }
            Action::Reclaim => assert!(self.is_frozen(), "reclaimed from while it runs: {self:?}"),
            Action::Terminate => {
                assert!(self.process.is_some(), "nothing to terminate: {self:?}");
                assert!(!self.is_frozen(), "it would not hear of it: {self:?}");
            }
            Action::Kill => {
                assert!(self.process.is_some(), "nothing to kill: {self:?}");
                self.killed = true;
            }
            Action::AnswerStarters(answer) => {
                assert!(answer.is_err() || !self.is_frozen(), "said to run, and frozen: {self:?}");
                self.starters = 0;
            }
            Action::AnswerStoppers => self.stoppers = 0,
            Action::AnswerSleepers(Err(_)) => self.sleepers.clear(),
            Action::AnswerSleepers(Ok(reached)) => {
                assert!(*reached == Depth::Stopped || self.is_frozen(), "said to sleep: {self:?}");
                self.sleepers.retain(|wanted| wanted > reached);
                if let Some(deeper) = self.sleepers.iter().copied().max() {
                    self.feed(Event::Sleep(deeper));
                }
            }
            Action::Tell(..) => {}
        }
    }

    fn judge(&self) {
        assert_eq!(self.state.is_alive(), self.process.is_some(), "{self:?}");
        let asleep = matches!(
            self.state,
            State::Freezing(..) | State::Frozen(_) | State::Reclaiming(..) | State::Reclaimed(_)
        );
        assert_eq!(asleep, self.is_frozen(), "{self:?}");
        let may_wait =
            matches!(self.state, State::Freezing(..) | State::Reclaiming(..) | State::Stopping { .. });
        assert!(may_wait || self.sleepers.is_empty(), "{self:?}");
        match self.state {
            State::Stopped => assert_eq!((self.starters, self.stoppers), (0, 0), "{self:?}"),
            State::Running(..)
            | State::Freezing(..)
            | State::Frozen(_)
            | State::Reclaiming(..)
            | State::Reclaimed(_) => assert_eq!((self.starters, self.stoppers), (0, 0), "{self:?}"),
            State::Failed { not_before, .. } => {
                assert_eq!((self.starters, self.stoppers), (0, 0), "{self:?}");
                assert!(not_before <= self.now + LONGEST_DELAY, "{self:?}");
            }
            State::Starting { .. } => assert_eq!(self.stoppers, 0, "{self:?}"),
            State::Stopping { .. } => {}
        }
    }

    /// Asked to stop, a program is killed when its time is over, and then whoever waits is told.
    fn end(&mut self) {
        self.stoppers += 1;
        self.feed(Event::Stop { grace: Duration::from_secs(10) });
        self.judge();
        if let Some(deadline) = self.state.deadline(&RUNGS) {
            self.time_passes(deadline.saturating_sub(self.now));
            assert!(self.killed, "it would never end: {self:?}");
        }
        self.process_ends();
        assert_eq!(self.stoppers, 0, "{self:?}");
        self.judge();
    }
}

/// A life with a crash, one with an impatient operator, one that never starts, two down the ladder (to its end, and woken
/// on the way), and two on a host that is short of memory.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        &[0, 2, 3, 0, 4, 232, 3, 0, 2][..],
        &[0, 2, 1, 1, 0, 0, 6, 3, 2, 5],
        &[0, 6, 6, 3, 7, 5, 0],
        &[1, 0, 0, 3, 3],
        &[0, 2, 9, 6, 10, 6, 6, 10, 6, 6, 3],
        &[8, 2, 6, 0, 9, 6, 10, 6, 0, 9, 6, 6, 0],
        &[0, 2, 9, 11, 10, 11, 6, 10, 12, 0, 3],
        &[8, 2, 12, 3, 0, 2, 11, 9, 6, 11, 10, 0],
        &[8, 2, 14, 10, 6, 10, 0, 13, 9, 13, 10, 15, 3],
        &[16, 9, 6, 10, 17, 0, 3, 0, 16, 2, 1, 16, 3, 17, 13, 10, 16],
    ]
    .map(<[u8]>::to_vec)
    .into()
}
