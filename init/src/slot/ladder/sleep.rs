//! An operator's wish that a program goes to sleep: down the ladder without waiting for the time. It never takes a program
//! from a visitor; that is what stopping is for. The wishes that wait are answered on the way by what comes first: the rung,
//! or that it will not be reached.
//!
//! | state | to frozen | to reclaimed | to stopped |
//! |---|---|---|---|
//! | stopped, failed | answer | answer | answer |
//! | starting; stopping, again | refuse | refuse | refuse |
//! | running, and needed | refuse | refuse | refuse |
//! | running, and nobody's | freeze → freezing | freeze → freezing | terminate → stopping |
//! | freezing | wait | wait | thaw, terminate → stopping |
//! | frozen | answer | → reclaiming | thaw, terminate → stopping |
//! | reclaiming | answer | wait | thaw, terminate → stopping |
//! | reclaimed | answer | answer | thaw, terminate → stopping |
//! | stopping | wait | wait | wait |
//!
//! Who is answered with a rung above his wish is put through the table again by the host.

use std::time::Duration;

use kennel_model::msg::Depth;

use super::{Action, Asleep, FREEZE_LIMIT, RECLAIM_PAUSE, Rungs, State, stop};

const WHY: &str = "put to sleep by an operator";

/// The table.
pub(super) fn step(state: State, depth: Depth, now: Duration, rungs: &Rungs) -> (State, Vec<Action>) {
    let is = |depth| (state, vec![Action::AnswerSleepers(Ok(depth))]);
    let refused = |why: &str| (state, vec![Action::AnswerSleepers(Err(why.to_owned()))]);
    let stopping = |how| stop(now + rungs.grace, WHY.to_owned(), how);
    match (state, depth) {
        (State::Stopped | State::Failed { .. }, _) => is(Depth::Stopped),
        (State::Starting { .. } | State::Stopping { again: Some(_), .. }, _) => refused("it is starting"),
        (State::Running(_, None), _) => refused("a request is in flight, or has ended just now"),
        (State::Running(_, Some(_)), Depth::Stopped) => stopping(vec![Action::Terminate]),
        (State::Running(life, Some(idle)), _) => {
            (State::Freezing(Asleep { life, idle, short: false }, now + FREEZE_LIMIT), vec![Action::Freeze])
        }
        (
            State::Freezing(..) | State::Frozen(_) | State::Reclaiming(..) | State::Reclaimed(_),
            Depth::Stopped,
        ) => stopping(vec![Action::Thaw, Action::Terminate]),
        (State::Frozen(_) | State::Reclaiming(..), Depth::Frozen) => is(Depth::Frozen),
        (State::Frozen(asleep), Depth::Reclaimed) => {
            (State::Reclaiming(asleep, now + RECLAIM_PAUSE), vec![Action::Reclaim])
        }
        (State::Reclaimed(_), _) => is(Depth::Reclaimed),
        (State::Freezing(..) | State::Reclaiming(..) | State::Stopping { .. }, _) => (state, vec![]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Life, step as whole};
    use super::*;
    use kennel_model::msg::Rung;

    const fn s(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    const NOW: Duration = s(1000);
    const LIFE: Life = Life { since: s(10), failures: 0 };
    const ASLEEP: Asleep = Asleep { life: LIFE, idle: s(990), short: false };
    const DEPTHS: [Depth; 3] = [Depth::Frozen, Depth::Reclaimed, Depth::Stopped];

    fn go(state: State, event: Event) -> (State, Vec<Action>) {
        let rungs = Rungs::from(&kennel_model::Limits::default());
        whole(state, event, NOW, &rungs)
    }

    fn answers(state: State, depth: Depth) -> Option<Result<Depth, String>> {
        let (after, actions) = go(state, Event::Sleep(depth));
        match &actions[..] {
            [Action::AnswerSleepers(answer)] => {
                assert_eq!(after, state);
                Some(answer.clone())
            }
            _ => None,
        }
    }

    #[test]
    fn every_row() {
        let idle = State::Running(LIFE, Some(s(990)));
        let freezing = State::Freezing(ASLEEP, s(1010));
        let reclaiming = State::Reclaiming(ASLEEP, NOW + RECLAIM_PAUSE);
        let (frozen, reclaimed) = (State::Frozen(ASLEEP), State::Reclaimed(ASLEEP));
        for depth in [Depth::Frozen, Depth::Reclaimed] {
            assert_eq!(go(idle, Event::Sleep(depth)), (freezing, vec![Action::Freeze]));
            assert_eq!(go(freezing, Event::Sleep(depth)), (freezing, vec![]));
            assert_eq!(answers(reclaimed, depth), Some(Ok(Depth::Reclaimed)));
        }
        assert_eq!(answers(frozen, Depth::Frozen), Some(Ok(Depth::Frozen)));
        assert_eq!(answers(reclaiming, Depth::Frozen), Some(Ok(Depth::Frozen)));
        assert_eq!(go(frozen, Event::Sleep(Depth::Reclaimed)), (reclaiming, vec![Action::Reclaim]));
        assert_eq!(go(reclaiming, Event::Sleep(Depth::Reclaimed)), (reclaiming, vec![]));
        for state in [freezing, frozen, reclaiming, reclaimed] {
            let (after, actions) = go(state, Event::Sleep(Depth::Stopped));
            assert_eq!(after, State::Stopping { deadline: s(1010), again: None });
            assert_eq!(actions[1..], [Action::Thaw, Action::Terminate]);
        }
        let (after, actions) = go(idle, Event::Sleep(Depth::Stopped));
        assert_eq!(after, State::Stopping { deadline: s(1010), again: None });
        assert_eq!(actions[1..], [Action::Terminate]);
    }

    #[test]
    fn nobody_is_taken_a_program_from() {
        let starting = State::Starting { deadline: s(1010), failures: 0, held: true };
        let again = State::Stopping { deadline: s(1010), again: Some(true) };
        for depth in DEPTHS {
            for state in [State::Running(LIFE, None), starting, again] {
                assert!(matches!(answers(state, depth), Some(Err(_))), "{state:?}");
            }
            let stopping = State::Stopping { deadline: s(1010), again: None };
            assert_eq!(go(stopping, Event::Sleep(depth)), (stopping, vec![]));
            let failed = State::Failed { not_before: s(1010), failures: 3 };
            for state in [State::Stopped, failed] {
                assert_eq!(answers(state, depth), Some(Ok(Depth::Stopped)));
            }
        }
    }

    #[test]
    fn who_waits_is_told_what_became_of_it() {
        let freezing = State::Freezing(ASLEEP, NOW);
        let reclaiming = State::Reclaiming(ASLEEP, NOW);
        let stopping = State::Stopping { deadline: NOW, again: None };
        for (state, event, answer) in [
            (freezing, Event::Settled, Some(Depth::Frozen)),
            (freezing, Event::Timeout, None),
            (freezing, Event::Start { held: true }, None),
            (freezing, Event::Ended("over".into()), Some(Depth::Stopped)),
            (reclaiming, Event::Settled, Some(Depth::Reclaimed)),
            (reclaiming, Event::Start { held: false }, None),
            (stopping, Event::Ended("over".into()), Some(Depth::Stopped)),
        ] {
            let told = go(state, event.clone()).1.into_iter().find_map(|action| match action {
                Action::AnswerSleepers(answer) => Some(answer.ok()),
                _ => None,
            });
            assert_eq!(told, Some(answer), "{state:?} {event:?}");
        }
        assert!(
            go(freezing, Event::Start { held: true }).1.contains(&Action::AnswerStarters(Ok(Rung::Frozen)))
        );
    }
}
