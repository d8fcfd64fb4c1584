//! The row of the table in `ladder.rs` for another program that is the slot's from now on, and runs already. What becomes of the
//! one before, and of its process, is `host/trials.rs`'s business.

use std::time::Duration;

use kennel_model::SlotState;
use kennel_model::msg::Rung;

use super::{Action, Life, State};

/// The row. Not out of a stop: who wants it stopped waits for that.
pub(super) fn step(state: State, held: bool, now: Duration) -> (State, Vec<Action>) {
    if matches!(state, State::Stopping { .. }) {
        return (state, vec![]);
    }
    let told = Action::Tell(SlotState::Running, "a release that was tried takes over".to_owned());
    let woken = Action::AnswerSleepers(Err("another release has taken over".to_owned()));
    let life = Life { since: now, failures: 0 };
    let running = State::Running(life, (!held).then_some(now));
    (running, vec![told, Action::AnswerStarters(Ok(Rung::Running)), woken])
}
