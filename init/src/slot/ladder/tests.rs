//! The ladder row by row. Its promises under any order of events are `fuzz/src/slots.rs`.

use kennel_model::Limits;

use super::*;
use Action::{
    AnswerSleepers, AnswerStarters, AnswerStoppers, Freeze, Kill, Reclaim, Spawn, Tell, Terminate, Thaw,
};

const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

const NOW: Duration = s(1000);
const RUNGS: Rungs =
    Rungs { freeze: Some(s(30)), reclaim: Some(s(120)), stop: Some(s(3600)), grace: s(10), always_on: false };
const STARTING: State = State::Starting { deadline: s(1060), failures: 0, held: true };
const LIFE: Life = Life { since: s(999), failures: 0 };
const RUNNING: State = State::Running(LIFE, None);
const STOPPING: State = State::Stopping { deadline: s(1005), again: None };
const ASLEEP: Asleep = Asleep { life: LIFE, idle: s(880), short: false };
const HELD: Event = Event::Start { held: true };

fn go(state: State, event: Event) -> (State, Vec<Action>) {
    step(state, event, NOW, &RUNGS)
}

fn stop_event() -> Event {
    Event::Stop { grace: s(10) }
}

fn ended() -> Event {
    Event::Ended("over".into())
}

fn told(state: SlotState, why: &str) -> Action {
    Tell(state, why.into())
}

fn gone() -> Action {
    AnswerSleepers(Ok(Depth::Stopped))
}

fn failed(failures: u32, not_before: u64) -> State {
    State::Failed { not_before: s(not_before), failures }
}

fn each_asleep() -> [(State, Rung); 4] {
    [
        (State::Freezing(ASLEEP, s(1005)), Rung::Frozen),
        (State::Frozen(ASLEEP), Rung::Frozen),
        (State::Reclaiming(ASLEEP, NOW), Rung::Reclaimed),
        (State::Reclaimed(ASLEEP), Rung::Reclaimed),
    ]
}

#[test]
fn start_and_stop() {
    let refused = |why: &str| AnswerStarters(Err(why.into()));
    let stopping = State::Stopping { deadline: s(1010), again: None };
    for (state, event, after, actions) in [
        (State::Stopped, HELD, STARTING, vec![Spawn]),
        (State::Stopped, stop_event(), State::Stopped, vec![AnswerStoppers]),
        (STARTING, HELD, STARTING, vec![]),
        (
            STARTING,
            stop_event(),
            State::Stopping { deadline: NOW, again: None },
            vec![refused("stopped before it had started"), Kill],
        ),
        (
            STARTING,
            Event::Executed,
            State::Running(Life { since: NOW, failures: 0 }, None),
            vec![told(SlotState::Running, "started"), AnswerStarters(Ok(Rung::Stopped))],
        ),
        (RUNNING, HELD, RUNNING, vec![AnswerStarters(Ok(Rung::Running))]),
        (RUNNING, stop_event(), stopping, vec![told(SlotState::Stopping, "stop requested"), Terminate]),
        (STOPPING, stop_event(), STOPPING, vec![]),
        (STOPPING, HELD, State::Stopping { deadline: s(1005), again: Some(true) }, vec![]),
        (STOPPING, ended(), State::Stopped, vec![told(SlotState::Stopped, "over"), AnswerStoppers, gone()]),
        (
            State::Stopping { deadline: s(1005), again: Some(true) },
            ended(),
            STARTING,
            vec![told(SlotState::Stopped, "over"), AnswerStoppers, gone(), Spawn],
        ),
    ] {
        assert_eq!(go(state, event.clone()), (after, actions), "{state:?} {event:?}");
    }
}

#[test]
fn who_nobody_holds_descends_rung_by_rung() {
    let idle = State::Running(LIFE, Some(s(970)));
    assert_eq!(RUNNING.deadline(&RUNGS), None);
    assert_eq!(go(RUNNING, Event::Idle(s(970))), (idle, vec![]));
    assert_eq!(idle.deadline(&RUNGS), Some(NOW));
    let since = Asleep { life: LIFE, idle: s(970), short: false };
    let freezing = State::Freezing(since, s(1010));
    assert_eq!(go(idle, Event::Timeout), (freezing, vec![Freeze]));
    let frozen = State::Frozen(since);
    let asleep = |state, why, depth| vec![told(state, why), AnswerSleepers(Ok(depth))];
    let actions = asleep(SlotState::Frozen, "not needed for 30 s", Depth::Frozen);
    assert_eq!(go(freezing, Event::Settled), (frozen, actions));
    assert_eq!(frozen.deadline(&RUNGS), Some(s(1090)));

    let frozen = State::Frozen(ASLEEP);
    let reclaiming = State::Reclaiming(ASLEEP, NOW + RECLAIM_PAUSE);
    assert_eq!(go(frozen, Event::Timeout), (reclaiming, vec![Reclaim]));
    assert_eq!(go(reclaiming, Event::Timeout), (reclaiming, vec![Reclaim]));
    let reclaimed = State::Reclaimed(ASLEEP);
    let actions = asleep(SlotState::Reclaimed, "not needed for 120 s", Depth::Reclaimed);
    assert_eq!(go(reclaiming, Event::Settled), (reclaimed, actions));
    assert_eq!(reclaimed.deadline(&RUNGS), Some(s(4480)));
    assert_eq!(
        step(reclaimed, Event::Timeout, s(4480), &RUNGS),
        (
            State::Stopping { deadline: s(4490), again: None },
            vec![told(SlotState::Stopping, "not needed for 3600 s"), Thaw, Terminate]
        )
    );
}

#[test]
fn a_start_without_a_visitor_is_idle_from_the_start() {
    let (state, _) = go(State::Stopped, Event::Start { held: false });
    let (state, _) = go(state, Event::Executed);
    assert_eq!(state, State::Running(Life { since: NOW, failures: 0 }, Some(NOW)));
    let (state, actions) = step(state, Event::Start { held: false }, s(1020), &RUNGS);
    assert_eq!(state.deadline(&RUNGS), Some(s(1050)), "wanted again, idle from then");
    assert_eq!(actions, vec![AnswerStarters(Ok(Rung::Running))]);
    assert_eq!(step(state, HELD, s(1021), &RUNGS).0.deadline(&RUNGS), None);
}

#[test]
fn who_is_always_on_is_started_again_with_the_same_patience() {
    let always = Rungs { always_on: true, ..RUNGS };
    let waiting = failed(3, 1002);
    assert_eq!(waiting.deadline(&RUNGS), None, "others wait until they are asked for");
    assert_eq!(waiting.deadline(&always), Some(s(1002)));
    let again = State::Starting { deadline: s(1062), failures: 3, held: false };
    assert_eq!(step(waiting, Event::Timeout, s(1002), &always), (again, vec![Spawn]));
    assert_eq!(State::Stopped.deadline(&always), None, "an operator who stops it is obeyed");
    let limits = Limits { always_on: true, ..Limits::default() };
    assert_eq!((Rungs::from(&limits).stop, Rungs::from(&limits).freeze), (None, Some(s(30))));
}

#[test]
fn reserved_memory_does_not_go_to_swap() {
    let limits = Limits { memory_reserved_bytes: 1, ..Limits::default() };
    assert_eq!((Rungs::from(&Limits::default()).reclaim, Rungs::from(&limits).reclaim), (Some(s(120)), None));
}

#[test]
fn rungs_that_are_never_or_late_are_passed_over() {
    let idle = State::Running(LIFE, Some(s(970)));
    let never = Rungs { freeze: None, reclaim: None, stop: None, ..RUNGS };
    assert_eq!(idle.deadline(&never), None);
    let stop_only = Rungs { freeze: None, stop: Some(s(30)), ..RUNGS };
    assert_eq!(idle.deadline(&stop_only), Some(NOW));
    let (state, actions) = step(idle, Event::Timeout, NOW, &stop_only);
    assert_eq!(state, State::Stopping { deadline: s(1010), again: None });
    assert_eq!(actions[1..], [Terminate]);
    let stop_first = Rungs { stop: Some(s(20)), ..RUNGS };
    assert_eq!(idle.deadline(&stop_first), Some(s(990)));
    assert!(matches!(step(idle, Event::Timeout, s(990), &stop_first).0, State::Stopping { .. }));
    let no_reclaim = Rungs { reclaim: None, ..RUNGS };
    assert_eq!(State::Frozen(ASLEEP).deadline(&no_reclaim), Some(s(4480)));
}

#[test]
fn from_every_rung_a_visitor_wakes_it_and_a_stop_ends_it() {
    for (state, rung) in each_asleep() {
        let (after, actions) = go(state, HELD);
        assert_eq!(after, RUNNING, "{state:?}");
        assert_eq!(actions[..3], [Thaw, told(SlotState::Running, "woken"), AnswerStarters(Ok(rung))]);
        let (after, actions) = go(state, stop_event());
        assert_eq!(after, State::Stopping { deadline: s(1010), again: None });
        assert_eq!(actions[1..], [Thaw, Terminate], "a frozen program would not hear the signal");
    }
}

#[test]
fn what_does_not_freeze_is_left_awake_and_tried_again() {
    let (state, actions) = go(State::Freezing(ASLEEP, NOW), Event::Timeout);
    assert_eq!((state, &actions[0]), (State::Running(LIFE, Some(NOW)), &Thaw));
    assert_eq!(state.deadline(&RUNGS), Some(s(1030)));
}

#[test]
fn timeouts_kill_and_wait_for_the_end() {
    assert_eq!(go(STARTING, Event::Timeout).1, vec![Kill]);
    assert_eq!(go(STOPPING, Event::Timeout).1, vec![Kill]);
    assert_eq!(go(RUNNING, Event::Timeout), (RUNNING, vec![]));
}

#[test]
fn an_end_that_nobody_asked_for_is_a_failure() {
    let alive = [STARTING, RUNNING].into_iter().chain(each_asleep().map(|(state, _)| state));
    for state in alive {
        let (after, actions) = go(state, ended());
        assert_eq!(after, failed(1, 1000));
        assert_eq!(actions, vec![AnswerStarters(Err("over".into())), gone(), told(SlotState::Failed, "over")]);
    }
}

#[test]
fn one_crash_keeps_nobody_waiting() {
    let (crashed, _) = go(RUNNING, ended());
    let starting = State::Starting { deadline: s(1060), failures: 1, held: true };
    assert_eq!(go(crashed, HELD), (starting, vec![Spawn]));
}

#[test]
fn a_crash_loop_slows_down_to_one_attempt_in_thirty_seconds() {
    let mut state = State::Stopped;
    let mut now = s(0);
    let mut delays = vec![];
    for _ in 0..8 {
        for event in [HELD, Event::Executed, ended()] {
            state = step(state, event, now, &RUNGS).0;
        }
        let State::Failed { not_before, .. } = state else { panic!("{state:?}") };
        delays.push((not_before - now).as_secs());
        now = not_before;
    }
    assert_eq!(delays, [0, 1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn a_failed_slot_is_not_started_too_early() {
    let (state, actions) = go(failed(2, 1001), HELD);
    assert_eq!(state, failed(2, 1001));
    assert!(matches!(&actions[..], [AnswerStarters(Err(why))] if why.contains("in 1.0 s")), "{actions:?}");
    let starting = State::Starting { deadline: s(1060), failures: 2, held: true };
    assert_eq!(go(failed(2, 1000), HELD), (starting, vec![Spawn]));
}

#[test]
fn long_service_and_a_deploy_clear_the_record() {
    let steady = State::Running(Life { since: s(10), failures: 7 }, None);
    assert_eq!(go(steady, ended()).0, failed(1, 1000));
    assert_eq!(go(failed(7, 9999), Event::Configured), (State::Stopped, vec![]));
    assert_eq!(go(failed(7, 9999), stop_event()), (State::Stopped, vec![AnswerStoppers]));
}

#[test]
fn what_comes_too_late_changes_nothing() {
    let events =
        [Event::Executed, Event::Settled, ended(), Event::Timeout, Event::Configured, Event::Idle(NOW)];
    for event in events {
        assert_eq!(go(State::Stopped, event), (State::Stopped, vec![]));
    }
    assert_eq!(go(STOPPING, Event::Executed), (STOPPING, vec![]));
    for event in [Event::Configured, Event::Settled] {
        assert_eq!(go(RUNNING, event), (RUNNING, vec![]));
    }
    assert_eq!(go(State::Frozen(ASLEEP), Event::Settled), (State::Frozen(ASLEEP), vec![]));
}

const MAKE_ROOM: Event = Event::Pressure(Relief::Reclaim);
const GIVE_WAY: Event = Event::Pressure(Relief::Stop);
const SHORT: &str = "the host is short of memory; not needed for 120 s";

#[test]
fn short_of_memory_who_nobody_needs_makes_room_at_once() {
    let idle = State::Running(LIFE, Some(s(880)));
    let never = Rungs { reclaim: None, stop: None, freeze: Some(s(9999)), ..RUNGS };
    let short = Asleep { short: true, ..ASLEEP };
    let freezing = State::Freezing(short, s(1010));
    assert_eq!(step(idle, MAKE_ROOM, NOW, &never), (freezing, vec![Freeze]));
    assert_eq!(go(State::Freezing(ASLEEP, s(1005)), MAKE_ROOM), (State::Freezing(short, s(1005)), vec![]));
    let reclaiming = State::Reclaiming(short, NOW + SHORT_PAUSE);
    let frozen = told(SlotState::Frozen, SHORT);
    assert_eq!(
        step(freezing, Event::Settled, NOW, &never),
        (reclaiming, vec![frozen, AnswerSleepers(Ok(Depth::Frozen)), Reclaim])
    );
    assert_eq!(go(State::Frozen(ASLEEP), MAKE_ROOM), (reclaiming, vec![Reclaim]));
    let reclaimed = State::Reclaimed(short);
    let told = vec![told(SlotState::Reclaimed, SHORT), AnswerSleepers(Ok(Depth::Reclaimed))];
    assert_eq!(go(reclaiming, Event::Settled), (reclaimed, told));
    for state in [reclaiming, reclaimed] {
        assert_eq!(go(state, MAKE_ROOM), (state, vec![]), "it has given what it can");
    }
}

#[test]
fn short_of_memory_who_nobody_needs_is_stopped_in_order() {
    let stopping = State::Stopping { deadline: s(1010), again: None };
    let told = told(SlotState::Stopping, SHORT);
    let idle = State::Running(LIFE, Some(s(880)));
    assert_eq!(go(idle, GIVE_WAY), (stopping, vec![told.clone(), Terminate]));
    for (state, _) in each_asleep() {
        assert_eq!(go(state, GIVE_WAY), (stopping, vec![told.clone(), Thaw, Terminate]), "{state:?}");
    }
}

#[test]
fn short_of_memory_who_works_without_being_asked_goes_on() {
    let busy = Rungs { freeze: None, ..RUNGS };
    let idle = State::Running(LIFE, Some(s(880)));
    assert_eq!(step(idle, MAKE_ROOM, NOW, &busy), (idle, vec![Reclaim]));
    assert_eq!(step(idle, Event::Settled, NOW, &busy), (idle, vec![]), "it had no more to give");
    let always = Rungs { always_on: true, ..RUNGS };
    for rungs in [busy, always] {
        assert_eq!(step(idle, GIVE_WAY, NOW, &rungs), (idle, vec![]));
        for (state, _) in each_asleep() {
            assert_eq!(step(state, GIVE_WAY, NOW, &rungs), (state, vec![]), "{state:?}");
        }
    }
    for event in [MAKE_ROOM, GIVE_WAY] {
        for state in [State::Stopped, STARTING, RUNNING, STOPPING, failed(1, 1000)] {
            assert_eq!(go(state, event.clone()), (state, vec![]), "{state:?} {event:?}");
        }
    }
}

#[test]
fn another_program_takes_over_from_any_state_but_a_stop() {
    let states = [State::Stopped, STARTING, RUNNING, State::Running(LIFE, Some(s(990))), failed(3, 1010)];
    let life = Life { since: NOW, failures: 0 };
    for state in states.into_iter().chain(each_asleep().map(|(state, _)| state)) {
        for held in [false, true] {
            let (after, actions) = go(state, Event::TakenOver(held));
            assert_eq!(after, State::Running(life, (!held).then_some(NOW)), "{state:?}");
            let [tells, answers, wakes] = &actions[..] else { panic!("{actions:?}") };
            assert_eq!(*tells, told(SlotState::Running, "a release that was tried takes over"));
            assert_eq!(*answers, AnswerStarters(Ok(Rung::Running)));
            assert!(matches!(wakes, AnswerSleepers(Err(_))), "{wakes:?}");
        }
    }
    assert_eq!(go(STOPPING, Event::TakenOver(true)), (STOPPING, vec![]));
}
