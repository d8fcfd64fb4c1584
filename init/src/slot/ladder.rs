//! The ladder: what a slot's program is doing, as a pure table: `step(state, event, now) -> (state, actions)`. No system
//! call is made here; carrying the actions out is `host/slots.rs`'s work. Who waits for an answer is kept there too:
//! `AnswerStarters` and `AnswerStoppers` answer everybody who waits, so one start serves however many requests asked for it.
//!
//! | state | `Start` | `Idle` | `Stop` | `Executed` | `Settled` | `Ended` | `Timeout` | `Pressure`: reclaim | stop |
//! |---|---|---|---|---|---|---|---|---|---|
//! | stopped | spawn → starting | | answer | | | | | | |
//! | starting | wait | let go | kill → stopping | answer → running | | refuse → failed | kill | | |
//! | running | answer | idle from then on | terminate → stopping | | | → failed | if idle: freeze → freezing, or terminate → stopping | if idle: freeze → freezing, or reclaim a slice | if idle and it gives way: terminate → stopping |
//! | freezing | thaw, answer → running | | thaw, terminate → stopping | | → frozen, or → reclaiming | → failed | thaw → running | → reclaiming then | if it gives way: thaw, terminate → stopping |
//! | frozen | thaw, answer → running | | thaw, terminate → stopping | | | → failed | → reclaiming, or thaw, terminate → stopping | → reclaiming | if it gives way: thaw, terminate → stopping |
//! | reclaiming | thaw, answer → running | | thaw, terminate → stopping | | → reclaimed | → failed | reclaim a slice | | if it gives way: thaw, terminate → stopping |
//! | reclaimed | thaw, answer → running | | thaw, terminate → stopping | | | → failed | thaw, terminate → stopping | | if it gives way: thaw, terminate → stopping |
//! | stopping | wait → stopping, again | let go | wait | | | answer → stopped, or spawn → starting | kill | | |
//! | failed | too early: refuse; else spawn → starting | | answer → stopped | | | | if always on: spawn → starting | | |
//!
//! `Sleep`, by hand, has a table of its own in `ladder/sleep.rs`, and `TakenOver` its row in `ladder/taken_over.rs`.
//!
//! `Configured` (a deploy, other limits) clears a failure's record; what is awake or asleep goes on, by the new limits.
//! There is no state of thawing: once the kernel has taken the order, every process can run again.
//!
//! `Pressure` comes when the host's memory is short, to whom `host/pressure` chose, and asks for no times. Freezing alone makes
//! no room, so that it goes on to reclaiming. A program that must not be frozen gives of its memory while it runs. It works
//! without being asked, and one that is always on is meant to: neither gives way to others by being stopped.
//!
//! Who starts it for a visitor holds it: it is needed until `Idle` says since when it is not. Times of the way down count
//! from there, on the clock that nobody can set. A rung that is later than a deeper one is passed over.
//!
//! A program that ends unasked has failed, whatever it says: it is meant to serve. After a first failure it may be tried
//! again at once, so that one crash costs one request. From the second failure in a row on there is a wait, which
//! doubles from one second to thirty, so that a crash loop costs the host little. One that is always on is tried again
//! as soon as it may be, without being asked for.

mod asleep;
mod rungs;
mod sleep;
mod taken_over;
#[cfg(test)]
mod tests;

use std::time::Duration;

use kennel_model::SlotState;
use kennel_model::msg::{Depth, Rung};

pub use rungs::Rungs;

/// From clone to exec there are only mounts and a few system calls: some milliseconds, and more than ten seconds were seen
/// on processors that fifty others wanted. Whoever takes longer hangs, say in a disk.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A kill is said again after so long: the kernel may delay it.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// A process that is within the kernel freezes when it comes out. One that does not come out, say from a disk that does
/// not answer, is left awake.
const FREEZE_LIMIT: Duration = Duration::from_secs(10);
/// Between two slices others get their turn; less of it when these wait for memory.
const RECLAIM_PAUSE: Duration = Duration::from_millis(40);
const SHORT_PAUSE: Duration = Duration::from_millis(10);
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
        /// A visitor waits.
        held: bool,
    },
    /// Executing. Needed, or nobody's since then.
    Running(Life, Option<Duration>),
    /// The kernel has been told to freeze it, and has until the deadline.
    Freezing(Asleep, Duration),
    /// No process of it runs.
    Frozen(Asleep),
    /// Its memory goes to swap, slice by slice; when the next is due.
    Reclaiming(Asleep, Duration),
    /// What could go has gone.
    Reclaimed(Asleep),
    /// Asked to end, or being killed.
    Stopping {
        /// When it is killed.
        deadline: Duration,
        /// Whether somebody wants it started again afterwards, and if so, whether a visitor.
        again: Option<bool>,
    },
    /// It ended unasked.
    Failed {
        /// When it may be started again.
        not_before: Duration,
        /// In a row.
        failures: u32,
    },
}

/// A program that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When.
    pub since: Duration,
    /// In a row, before this success.
    pub failures: u32,
}

/// A program that nobody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asleep {
    /// Its start.
    pub life: Life,
    /// Since when.
    pub idle: Duration,
    /// It makes room, as the host's memory is short; its times did not ask for it.
    pub short: bool,
}

/// How a program is to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relief {
    /// Its memory goes to swap.
    Reclaim,
    /// It ends.
    Stop,
}

/// What can happen to a slot's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants it to run; a visitor holds it until [`Event::Idle`].
    Start {
        /// For a visitor.
        held: bool,
    },
    /// Nobody has held it since then.
    Idle(Duration),
    /// Control wants it stopped, with this much time between SIGTERM and SIGKILL.
    Stop {
        /// The grace.
        grace: Duration,
    },
    /// An operator wants it asleep, this deep.
    Sleep(Depth),
    /// The exec succeeded.
    Executed,
    /// It is frozen; or no more of its memory goes to swap.
    Settled,
    /// No process is left, for this reason. A start that could not even clone ends at once.
    Ended(String),
    /// The state's deadline has passed.
    Timeout,
    /// Control has said what it runs from now on, and within which limits.
    Configured,
    /// Another program, which runs already, is the slot's from now on; a visitor holds it, or not.
    TakenOver(bool),
    /// The host's memory is short, and this program's turn has come.
    Pressure(Relief),
}

/// What is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Clone the program's process.
    Spawn,
    /// Let none of its processes run; [`Event::Settled`] when it is so.
    Freeze,
    /// Let them run.
    Thaw,
    /// Move a slice of its memory to swap; [`Event::Settled`] when there was none left to move.
    Reclaim,
    /// SIGTERM, or SIGKILL at once where it would be ignored.
    Terminate,
    /// SIGKILL to the whole cgroup.
    Kill,
    /// Everybody who waits for it to run is told, with where it was found.
    AnswerStarters(Result<Rung, String>),
    /// Everybody who waits for it to be gone is told.
    AnswerStoppers,
    /// It is asleep, this deep: who wanted it so is told, and for who wants more there is another [`Event::Sleep`]. Or it
    /// is not going to be, and everybody is told.
    AnswerSleepers(Result<Depth, String>),
    /// Control is told the new state and why, with who wanted it if somebody waits for it to run; the proxy is told what
    /// concerns it.
    Tell(SlotState, String),
}

impl State {
    /// What control and people see.
    pub const fn public(self) -> SlotState {
        match self {
            Self::Stopped | Self::Starting { .. } => SlotState::Stopped,
            Self::Running(..) | Self::Freezing(..) => SlotState::Running,
            Self::Frozen(_) | Self::Reclaiming(..) => SlotState::Frozen,
            Self::Reclaimed(_) => SlotState::Reclaimed,
            Self::Stopping { .. } => SlotState::Stopping,
            Self::Failed { .. } => SlotState::Failed,
        }
    }

    /// When [`Event::Timeout`] is due.
    pub fn deadline(self, rungs: &Rungs) -> Option<Duration> {
        let stop = |idle| rungs.stop.map(|after| idle + after);
        let or_stop =
            |rung: Option<Duration>, idle| rung.map(|after| idle + after).into_iter().chain(stop(idle)).min();
        match self {
            Self::Starting { deadline, .. } | Self::Stopping { deadline, .. } | Self::Freezing(_, deadline) => {
                Some(deadline)
            }
            Self::Running(_, Some(idle)) => or_stop(rungs.freeze, idle),
            Self::Frozen(Asleep { idle, .. }) => or_stop(rungs.reclaim, idle),
            Self::Reclaiming(_, next) => Some(next),
            Self::Reclaimed(Asleep { idle, .. }) => stop(idle),
            Self::Failed { not_before, .. } => rungs.always_on.then_some(not_before),
            Self::Stopped | Self::Running(_, None) => None,
        }
    }

    /// Whether it has a process that is frozen, or about to be.
    pub const fn is_asleep(self) -> bool {
        self.asleep().is_some()
    }

    /// Whether there is a process.
    pub const fn is_alive(self) -> bool {
        !matches!(self, Self::Stopped | Self::Failed { .. })
    }

    /// The rung of [`Self::public`].
    pub const fn rung(self) -> Rung {
        match self.public() {
            SlotState::Running => Rung::Running,
            SlotState::Frozen => Rung::Frozen,
            SlotState::Reclaimed => Rung::Reclaimed,
            SlotState::Stopped | SlotState::Stopping | SlotState::Failed => Rung::Stopped,
        }
    }

    /// A program that is on its way down, or has arrived.
    const fn asleep(self) -> Option<(Asleep, Rung)> {
        match self {
            Self::Freezing(asleep, _) | Self::Frozen(asleep) => Some((asleep, Rung::Frozen)),
            Self::Reclaiming(asleep, _) | Self::Reclaimed(asleep) => Some((asleep, Rung::Reclaimed)),
            _ => None,
        }
    }
}

/// The table.
pub fn step(state: State, event: Event, now: Duration, rungs: &Rungs) -> (State, Vec<Action>) {
    use Action::{AnswerStarters, AnswerStoppers, Kill, Tell, Terminate};
    if let Event::Sleep(depth) = event {
        return sleep::step(state, depth, now, rungs);
    }
    if let Event::TakenOver(held) = event {
        return taken_over::step(state, held, now);
    }
    if let Some((asleep, rung)) = state.asleep() {
        return asleep::step(state, asleep, rung, event, now, rungs);
    }
    match (state, event) {
        (State::Stopped, Event::Start { held }) => start(now, 0, held),
        (State::Failed { not_before, failures }, Event::Start { held }) if now >= not_before => {
            start(now, failures, held)
        }
        (State::Failed { not_before, failures }, Event::Start { .. }) => {
            let wait = (not_before - now).as_secs_f32();
            let why = format!("failed {failures} times in a row; the next attempt is in {wait:.1} s");
            (state, vec![AnswerStarters(Err(why))])
        }
        (State::Starting { deadline, failures, held: before }, Event::Start { held }) => {
            (State::Starting { deadline, failures, held: held || before }, vec![])
        }
        (State::Running(life, idle), Event::Start { held }) => {
            let idle = if held { None } else { idle.map(|_| now) };
            (State::Running(life, idle), vec![AnswerStarters(Ok(Rung::Running))])
        }
        (State::Stopping { deadline, again }, Event::Start { held }) => {
            (State::Stopping { deadline, again: Some(held || again == Some(true)) }, vec![])
        }

        (State::Running(life, None), Event::Idle(since)) => (State::Running(life, Some(since)), vec![]),
        (State::Starting { deadline, failures, .. }, Event::Idle(_)) => {
            (State::Starting { deadline, failures, held: false }, vec![])
        }
        (State::Stopping { deadline, again: Some(_) }, Event::Idle(_)) => {
            (State::Stopping { deadline, again: Some(false) }, vec![])
        }

        (State::Stopped | State::Failed { .. }, Event::Stop { .. }) => (State::Stopped, vec![AnswerStoppers]),
        (State::Starting { .. }, Event::Stop { .. }) => {
            let why = "stopped before it had started".to_owned();
            (State::Stopping { deadline: now, again: None }, vec![AnswerStarters(Err(why)), Kill])
        }
        (State::Running(..), Event::Stop { grace }) => {
            stop(now + grace, "stop requested".to_owned(), vec![Terminate])
        }

        (State::Starting { failures, held, .. }, Event::Executed) => {
            let life = Life { since: now, failures };
            let idle = (!held).then_some(now);
            let running = Tell(SlotState::Running, "started".to_owned());
            (State::Running(life, idle), vec![running, AnswerStarters(Ok(Rung::Stopped))])
        }

        (State::Starting { failures, .. }, Event::Ended(why)) => fail(now, failures + 1, why),
        (State::Running(life, _), Event::Ended(why)) => died(life, now, why),
        (State::Stopping { again, .. }, Event::Ended(why)) => stopped(now, again, why),

        // Kept as it is: the end follows from the kill.
        (State::Starting { failures, held, .. }, Event::Timeout) => {
            (State::Starting { deadline: now + KILL_LIMIT, failures, held }, vec![Kill])
        }
        (State::Stopping { again, .. }, Event::Timeout) => {
            (State::Stopping { deadline: now + KILL_LIMIT, again }, vec![Kill])
        }
        (State::Running(life, Some(idle)), Event::Timeout) => {
            let asleep = Asleep { life, idle, short: false };
            match due(rungs.stop, idle, now) {
                true => stop(now + rungs.grace, quiet(asleep, now), vec![Terminate]),
                false => (State::Freezing(asleep, now + FREEZE_LIMIT), vec![Action::Freeze]),
            }
        }

        (State::Running(life, Some(idle)), Event::Pressure(relief)) => {
            let asleep = Asleep { life, idle, short: true };
            match relief {
                Relief::Reclaim if rungs.freeze.is_some() => {
                    (State::Freezing(asleep, now + FREEZE_LIMIT), vec![Action::Freeze])
                }
                Relief::Reclaim => (state, vec![Action::Reclaim]),
                Relief::Stop if rungs.gives_way() => {
                    stop(now + rungs.grace, quiet(asleep, now), vec![Terminate])
                }
                Relief::Stop => (state, vec![]),
            }
        }

        (State::Failed { failures, .. }, Event::Timeout) => start(now, failures, false),
        (State::Failed { .. }, Event::Configured) => (State::Stopped, vec![]),
        (_, _) => (state, vec![]),
    }
}

fn due(rung: Option<Duration>, idle: Duration, now: Duration) -> bool {
    rung.is_some_and(|after| idle + after <= now)
}

fn quiet(asleep: Asleep, now: Duration) -> String {
    let seconds = now.saturating_sub(asleep.idle).as_secs();
    match asleep.short {
        true => format!("the host is short of memory; not needed for {seconds} s"),
        false => format!("not needed for {seconds} s"),
    }
}

fn start(now: Duration, failures: u32, held: bool) -> (State, Vec<Action>) {
    (State::Starting { deadline: now + START_LIMIT, failures, held }, vec![Action::Spawn])
}

fn stop(deadline: Duration, why: String, how: Vec<Action>) -> (State, Vec<Action>) {
    let stopping = Action::Tell(SlotState::Stopping, why);
    (State::Stopping { deadline, again: None }, std::iter::once(stopping).chain(how).collect())
}

fn died(life: Life, now: Duration, why: String) -> (State, Vec<Action>) {
    let steady = now.saturating_sub(life.since) >= STEADY;
    fail(now, if steady { 1 } else { life.failures + 1 }, why)
}

fn fail(now: Duration, failures: u32, why: String) -> (State, Vec<Action>) {
    let answers = [Action::AnswerStarters(Err(why.clone())), Action::AnswerSleepers(Ok(Depth::Stopped))];
    let state = State::Failed { not_before: now + delay(failures), failures };
    (state, answers.into_iter().chain([Action::Tell(SlotState::Failed, why)]).collect())
}

/// How long to wait after so many failures in a row.
fn delay(failures: u32) -> Duration {
    match failures.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_DELAY.saturating_mul(1 << doublings.min(5)).min(LONGEST_DELAY),
    }
}

fn stopped(now: Duration, again: Option<bool>, why: String) -> (State, Vec<Action>) {
    let asleep = Action::AnswerSleepers(Ok(Depth::Stopped));
    let mut actions = vec![Action::Tell(SlotState::Stopped, why), Action::AnswerStoppers, asleep];
    let Some(held) = again else { return (State::Stopped, actions) };
    let (state, more) = start(now, 0, held);
    actions.extend(more);
    (state, actions)
}
