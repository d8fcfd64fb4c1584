//! The rows of the rungs below running, of the table in `ladder.rs`. Each is left upwards in the same way.

use std::time::Duration;

use kennel_model::SlotState;
use kennel_model::msg::{Depth, Rung};

use super::Action::{self, AnswerSleepers, AnswerStarters, Reclaim, Tell, Terminate, Thaw};
use super::{Asleep, Event, RECLAIM_PAUSE, Relief, Rungs, SHORT_PAUSE, State, died, due, quiet, stop};

/// The table, from `asleep` on `rung`.
pub(super) fn step(
    state: State,
    asleep: Asleep,
    rung: Rung,
    event: Event,
    now: Duration,
    rungs: &Rungs,
) -> (State, Vec<Action>) {
    let Asleep { life, idle, .. } = asleep;
    let short = Asleep { short: true, ..asleep };
    match (state, event) {
        (_, Event::Start { held }) => {
            let awake = Tell(SlotState::Running, "woken".to_owned());
            let idle = (!held).then_some(now);
            let woken = AnswerSleepers(Err("somebody has woken it".to_owned()));
            (State::Running(life, idle), vec![Thaw, awake, AnswerStarters(Ok(rung)), woken])
        }
        (_, Event::Stop { grace }) => stop(now + grace, "stop requested".to_owned(), vec![Thaw, Terminate]),
        (_, Event::Ended(why)) => died(life, now, why),
        (State::Freezing(..), Event::Settled) => {
            let frozen = Tell(SlotState::Frozen, quiet(asleep, now));
            let answer = AnswerSleepers(Ok(Depth::Frozen));
            match asleep.short {
                true => (State::Reclaiming(asleep, next(asleep, now)), vec![frozen, answer, Reclaim]),
                false => (State::Frozen(asleep), vec![frozen, answer]),
            }
        }
        // Tried again after as long as the first time.
        (State::Freezing(..), Event::Timeout) => {
            let awake = AnswerSleepers(Err("a process of it does not freeze".to_owned()));
            (State::Running(life, Some(now)), vec![Thaw, awake])
        }
        (State::Frozen(_) | State::Reclaimed(_), Event::Timeout) if due(rungs.stop, idle, now) => {
            stop(now + rungs.grace, quiet(asleep, now), vec![Thaw, Terminate])
        }
        (_, Event::Pressure(Relief::Stop)) if rungs.gives_way() => {
            stop(now + rungs.grace, quiet(short, now), vec![Thaw, Terminate])
        }
        (State::Freezing(_, deadline), Event::Pressure(Relief::Reclaim)) => {
            (State::Freezing(short, deadline), vec![])
        }
        (State::Frozen(_), Event::Pressure(Relief::Reclaim)) => {
            (State::Reclaiming(short, next(short, now)), vec![Reclaim])
        }
        (State::Frozen(_) | State::Reclaiming(..), Event::Timeout) => {
            (State::Reclaiming(asleep, next(asleep, now)), vec![Reclaim])
        }
        (State::Reclaiming(..), Event::Settled) => {
            let reclaimed = Tell(SlotState::Reclaimed, quiet(asleep, now));
            (State::Reclaimed(asleep), vec![reclaimed, AnswerSleepers(Ok(Depth::Reclaimed))])
        }
        (_, _) => (state, vec![]),
    }
}

/// When the next slice is due.
fn next(asleep: Asleep, now: Duration) -> Duration {
    now + if asleep.short { SHORT_PAUSE } else { RECLAIM_PAUSE }
}
