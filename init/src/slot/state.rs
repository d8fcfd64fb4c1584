//! What a slot's program is doing, as a pure table: `step(state, event, now) -> (state, actions)`. No system call is made
//! here; carrying the actions out is `host/slots.rs`'s work. Who waits for an answer is kept there too: `AnswerStarters`
//! and `AnswerStoppers` answer everybody who waits, so one start serves however many requests asked for it.
//!
//! | state | `Start` | `Stop` | `Executed` | `Ended` | `Timeout` | `Configured` |
//! |---|---|---|---|---|---|---|
//! | stopped | spawn → starting | answer | | | | |
//! | starting | wait | kill → stopping | answer → running | refuse → failed | kill | |
//! | running | answer | terminate → stopping | | → failed | | |
//! | stopping | wait → stopping, again | wait | | answer → stopped, or spawn → starting | kill | |
//! | failed | too early: refuse; else spawn → starting | answer → stopped | | | | → stopped |
//!
//! A program that ends unasked has failed, whatever it says: it is meant to serve. After a first failure it may be tried
//! again at once, so that one crash costs one request. From the second failure in a row on there is a wait, which
//! doubles from one second to thirty, so that a crash loop costs the host little.

use std::time::Duration;

use kennel_model::SlotState;

/// From clone to exec there are only mounts and a few system calls.
const START_LIMIT: Duration = Duration::from_secs(10);
/// After the second failure in a row the next attempt waits this long.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// And at most this long.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// A program that ran this long is not in a crash loop.
const STEADY: Duration = Duration::from_secs(30);

/// What a slot's program is doing. Times are since the kernel's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// No process.
    #[default]
    Stopped,
    /// Cloned, on its way to exec; killed at `deadline`.
    Starting {
        /// When init loses patience.
        deadline: Duration,
        /// In a row, before this attempt.
        failures: u32,
    },
    /// Executing.
    Running {
        /// Since when.
        since: Duration,
        /// In a row, before this success.
        failures: u32,
    },
    /// Asked to end, or being killed.
    Stopping {
        /// When it is killed.
        deadline: Duration,
        /// Somebody wants it started again afterwards.
        again: bool,
    },
    /// It ended unasked.
    Failed {
        /// When it may be started again.
        not_before: Duration,
        /// In a row.
        failures: u32,
    },
}

/// What can happen to a slot's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants it to run.
    Start,
    /// Control wants it stopped, with this much time between SIGTERM and SIGKILL.
    Stop {
        /// The grace.
        grace: Duration,
    },
    /// The exec succeeded.
    Executed,
    /// No process is left, for this reason. A start that could not even clone ends at once.
    Ended(String),
    /// The state's deadline has passed.
    Timeout,
    /// Control has said what it runs from now on.
    Configured,
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Clone the program's process.
    Spawn,
    /// SIGTERM, or SIGKILL at once where it would be ignored.
    Terminate,
    /// SIGKILL to the whole cgroup.
    Kill,
    /// Everybody who waits for it to run is told.
    AnswerStarters(Result<(), String>),
    /// Everybody who waits for it to be gone is told.
    AnswerStoppers,
    /// Control is told the new state and why; the proxy too, when there is no program any more.
    Tell(SlotState, String),
}

impl State {
    /// What control and people see.
    pub const fn public(self) -> SlotState {
        match self {
            Self::Stopped | Self::Starting { .. } => SlotState::Stopped,
            Self::Running { .. } => SlotState::Running,
            Self::Stopping { .. } => SlotState::Stopping,
            Self::Failed { .. } => SlotState::Failed,
        }
    }

    /// When [`Event::Timeout`] is due.
    pub const fn deadline(self) -> Option<Duration> {
        match self {
            Self::Starting { deadline, .. } | Self::Stopping { deadline, .. } => Some(deadline),
            Self::Stopped | Self::Running { .. } | Self::Failed { .. } => None,
        }
    }

    /// Whether there is a process.
    pub const fn is_alive(self) -> bool {
        !matches!(self, Self::Stopped | Self::Failed { .. })
    }
}

/// The table.
pub fn step(state: State, event: Event, now: Duration) -> (State, Vec<Action>) {
    use Action::{AnswerStarters, AnswerStoppers, Kill, Terminate};
    match (state, event) {
        (State::Stopped, Event::Start) => start(now, 0),
        (State::Failed { not_before, failures }, Event::Start) if now >= not_before => start(now, failures),
        (State::Failed { not_before, failures }, Event::Start) => {
            let wait = (not_before - now).as_secs_f32();
            let why = format!("failed {failures} times in a row; the next attempt is in {wait:.1} s");
            (state, vec![AnswerStarters(Err(why))])
        }
        (State::Running { .. }, Event::Start) => (state, vec![AnswerStarters(Ok(()))]),
        (State::Stopping { deadline, .. }, Event::Start) => (State::Stopping { deadline, again: true }, vec![]),

        (State::Stopped | State::Failed { .. }, Event::Stop { .. }) => (State::Stopped, vec![AnswerStoppers]),
        (State::Starting { .. }, Event::Stop { .. }) => {
            let why = "stopped before it had started".to_owned();
            (State::Stopping { deadline: now, again: false }, vec![AnswerStarters(Err(why)), Kill])
        }
        (State::Running { .. }, Event::Stop { grace }) => {
            let stopping = Action::Tell(SlotState::Stopping, "stop requested".to_owned());
            (State::Stopping { deadline: now + grace, again: false }, vec![stopping, Terminate])
        }

        (State::Starting { failures, .. }, Event::Executed) => {
            let running = Action::Tell(SlotState::Running, "started".to_owned());
            (State::Running { since: now, failures }, vec![running, AnswerStarters(Ok(()))])
        }

        (State::Starting { failures, .. }, Event::Ended(why)) => fail(now, failures + 1, why),
        (State::Running { since, failures }, Event::Ended(why)) => {
            let steady = now.saturating_sub(since) >= STEADY;
            fail(now, if steady { 1 } else { failures + 1 }, why)
        }
        (State::Stopping { again, .. }, Event::Ended(why)) => stopped(now, again, why),

        // Kept as it is: the end follows from the kill. The new deadline is for a kill that the kernel delays.
        (State::Starting { failures, .. }, Event::Timeout) => {
            (State::Starting { deadline: now + START_LIMIT, failures }, vec![Kill])
        }
        (State::Stopping { again, .. }, Event::Timeout) => {
            (State::Stopping { deadline: now + START_LIMIT, again }, vec![Kill])
        }

        (State::Failed { .. }, Event::Configured) => (State::Stopped, vec![]),

        (State::Starting { .. }, Event::Start)
        | (State::Stopping { .. }, Event::Stop { .. })
        | (_, Event::Executed | Event::Ended(_) | Event::Timeout | Event::Configured) => (state, vec![]),
    }
}

fn start(now: Duration, failures: u32) -> (State, Vec<Action>) {
    (State::Starting { deadline: now + START_LIMIT, failures }, vec![Action::Spawn])
}

fn fail(now: Duration, failures: u32, why: String) -> (State, Vec<Action>) {
    let refusal = Action::AnswerStarters(Err(why.clone()));
    let state = State::Failed { not_before: now + delay(failures), failures };
    (state, vec![refusal, Action::Tell(SlotState::Failed, why)])
}

/// How long to wait after so many failures in a row.
fn delay(failures: u32) -> Duration {
    match failures.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_DELAY.saturating_mul(1 << doublings.min(5)).min(LONGEST_DELAY),
    }
}

fn stopped(now: Duration, again: bool, why: String) -> (State, Vec<Action>) {
    let mut actions = vec![Action::Tell(SlotState::Stopped, why), Action::AnswerStoppers];
    if !again {
        return (State::Stopped, actions);
    }
    let (state, more) = start(now, 0);
    actions.extend(more);
    (state, actions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{AnswerStarters, AnswerStoppers, Kill, Spawn, Tell, Terminate};

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    const NOW: Duration = s(100);
    const STARTING: State = State::Starting { deadline: s(110), failures: 0 };
    const RUNNING: State = State::Running { since: s(99), failures: 0 };
    const STOPPING: State = State::Stopping { deadline: s(105), again: false };

    fn stop() -> Event {
        Event::Stop { grace: s(10) }
    }

    fn ended() -> Event {
        Event::Ended("over".into())
    }

    fn failed(failures: u32, not_before: u64) -> State {
        State::Failed { not_before: s(not_before), failures }
    }

    #[test]
    fn start_and_stop() {
        let refused = |why: &str| AnswerStarters(Err(why.into()));
        for (state, event, after, actions) in [
            (State::Stopped, Event::Start, STARTING, vec![Spawn]),
            (State::Stopped, stop(), State::Stopped, vec![AnswerStoppers]),
            (STARTING, Event::Start, STARTING, vec![]),
            (
                STARTING,
                stop(),
                State::Stopping { deadline: NOW, again: false },
                vec![refused("stopped before it had started"), Kill],
            ),
            (
                STARTING,
                Event::Executed,
                State::Running { since: NOW, failures: 0 },
                vec![Tell(SlotState::Running, "started".into()), AnswerStarters(Ok(()))],
            ),
            (RUNNING, Event::Start, RUNNING, vec![AnswerStarters(Ok(()))]),
            (
                RUNNING,
                stop(),
                State::Stopping { deadline: s(110), again: false },
                vec![Tell(SlotState::Stopping, "stop requested".into()), Terminate],
            ),
            (STOPPING, stop(), STOPPING, vec![]),
            (STOPPING, Event::Start, State::Stopping { deadline: s(105), again: true }, vec![]),
            (STOPPING, ended(), State::Stopped, vec![Tell(SlotState::Stopped, "over".into()), AnswerStoppers]),
            (
                State::Stopping { deadline: s(105), again: true },
                ended(),
                STARTING,
                vec![Tell(SlotState::Stopped, "over".into()), AnswerStoppers, Spawn],
            ),
        ] {
            assert_eq!(step(state, event.clone(), NOW), (after, actions), "{state:?} {event:?}");
        }
    }

    #[test]
    fn timeouts_kill_and_wait_for_the_end() {
        assert_eq!(step(STARTING, Event::Timeout, s(110)).1, vec![Kill]);
        assert_eq!(step(STOPPING, Event::Timeout, s(105)).1, vec![Kill]);
        assert_eq!(step(RUNNING, Event::Timeout, NOW), (RUNNING, vec![]));
    }

    #[test]
    fn an_end_that_nobody_asked_for_is_a_failure() {
        for state in [STARTING, RUNNING] {
            let (after, actions) = step(state, ended(), NOW);
            assert_eq!(after, failed(1, 100));
            assert_eq!(
                actions,
                vec![AnswerStarters(Err("over".into())), Tell(SlotState::Failed, "over".into())]
            );
        }
    }

    #[test]
    fn one_crash_keeps_nobody_waiting() {
        let (crashed, _) = step(RUNNING, ended(), NOW);
        assert_eq!(
            step(crashed, Event::Start, NOW),
            (State::Starting { deadline: s(110), failures: 1 }, vec![Spawn])
        );
    }

    #[test]
    fn a_crash_loop_slows_down_to_one_attempt_in_thirty_seconds() {
        let mut state = State::Stopped;
        let mut now = s(0);
        let mut delays = vec![];
        for _ in 0..8 {
            state = step(state, Event::Start, now).0;
            state = step(state, Event::Executed, now).0;
            state = step(state, ended(), now).0;
            let State::Failed { not_before, .. } = state else { panic!("{state:?}") };
            delays.push((not_before - now).as_secs());
            now = not_before;
        }
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_failed_slot_is_not_started_too_early() {
        let (state, actions) = step(failed(2, 101), Event::Start, NOW);
        assert_eq!(state, failed(2, 101));
        assert!(matches!(&actions[..], [AnswerStarters(Err(why))] if why.contains("in 1.0 s")), "{actions:?}");
        let (state, actions) = step(failed(2, 100), Event::Start, NOW);
        assert_eq!((state, actions), (State::Starting { deadline: s(110), failures: 2 }, vec![Spawn]));
    }

    #[test]
    fn long_service_and_a_deploy_clear_the_record() {
        let steady = State::Running { since: s(10), failures: 7 };
        assert_eq!(step(steady, ended(), NOW).0, failed(1, 100));
        assert_eq!(step(failed(7, 999), Event::Configured, NOW), (State::Stopped, vec![]));
        assert_eq!(step(failed(7, 999), stop(), NOW), (State::Stopped, vec![AnswerStoppers]));
    }

    #[test]
    fn what_comes_too_late_changes_nothing() {
        for event in [Event::Executed, ended(), Event::Timeout, Event::Configured] {
            assert_eq!(step(State::Stopped, event, NOW), (State::Stopped, vec![]));
        }
        assert_eq!(step(STOPPING, Event::Executed, NOW), (STOPPING, vec![]));
        assert_eq!(step(RUNNING, Event::Configured, NOW), (RUNNING, vec![]));
    }
}
