//! The state machine, driven by hand: no socket, no clock.

use super::*;
use proptest::prelude::*;

const SERVER: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 9];

fn address(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last)
}

fn terms(last: u16, valid_s: u32) -> Terms {
    let offered = Offered { address: address(last), preferred_s: valid_s / 2, valid_s };
    Terms { server: SERVER.to_vec(), addresses: vec![offered], renew_s: 0, rebind_s: 0, dns: vec![] }
}

fn other(last: u16) -> Terms {
    Terms { server: vec![9; 4], ..terms(last, 1000) }
}

fn reply(last: u16, valid_s: u32) -> Event {
    Event::Answer(Answer::Reply(terms(last, valid_s)))
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn counter() -> impl FnMut() -> u32 {
    let mut n = 0;
    move || {
        n += 1;
        n
    }
}

type Counting = Machine<Box<dyn FnMut() -> u32>>;

fn new() -> Counting {
    Machine::new(Box::new(counter()))
}

fn kind(actions: &[Action]) -> Option<AskKind> {
    actions.iter().find_map(|action| match action {
        Action::Send(ask) => Some(ask.kind.clone()),
        _ => None,
    })
}

fn held(actions: &[Action]) -> Option<Option<Leased>> {
    actions.iter().find_map(|action| match action {
        Action::Hold(leased, _) => Some(*leased),
        _ => None,
    })
}

/// Steps at the next moment that is due.
fn due(machine: &mut Counting) -> (Duration, Vec<Action>) {
    let now = machine.wake().unwrap();
    (now, machine.step(now, Event::Timer))
}

/// A machine that was told to ask, and asked once.
fn asking() -> Counting {
    let mut machine = new();
    assert!(machine.step(s(0), Event::Managed).is_empty());
    assert!(machine.wake().unwrap() <= FIRST_DELAY);
    assert_eq!(kind(&due(&mut machine).1), Some(AskKind::Solicit));
    machine
}

/// A machine that holds address 7 for 1000 s from 10 s on.
fn bound() -> Counting {
    let mut machine = asking();
    machine.step(s(1), Event::Answer(Answer::Advertise(terms(7, 1000), 255)));
    let actions = machine.step(s(10), reply(7, 1000));
    assert_eq!(held(&actions), Some(Some(Leased { address: address(7), seconds: Some(1000) })));
    machine
}

#[test]
fn nobody_is_asked_before_a_router_says_so() {
    let mut machine = new();
    assert_eq!((machine.wake(), machine.is_asking()), (None, false));
    assert!(machine.step(s(9), Event::Timer).is_empty());
    assert!(machine.step(s(9), Event::Answer(Answer::Advertise(terms(7, 1000), 255))).is_empty());
}

#[test]
fn the_best_offer_of_the_first_second_is_taken() {
    let mut machine = asking();
    for (last, preference) in [(1, 3), (2, 9), (3, 9)] {
        let offer = Answer::Advertise(terms(last, 1000), preference);
        assert!(machine.step(s(1), Event::Answer(offer)).is_empty());
    }
    assert_eq!(kind(&due(&mut machine).1), Some(AskKind::Request(address(2), SERVER.to_vec())));
    let actions = machine.step(s(3), reply(2, 1000));
    assert_eq!(held(&actions).unwrap().unwrap().address, address(2));
    assert!(!machine.is_asking());
}

#[test]
fn what_could_not_be_sent_was_not_asked() {
    let mut machine = asking();
    machine.not_sent();
    let (_, actions) = due(&mut machine);
    assert!(
        matches!(&actions[..], [Action::Send(Ask { elapsed: 0, kind: AskKind::Solicit, .. })]),
        "{actions:?}"
    );
}

#[test]
fn silence_is_met_with_patience() {
    let mut machine = asking();
    let mut before = s(0);
    let mut waits = Vec::new();
    for _ in 0..20 {
        let (now, actions) = due(&mut machine);
        assert_eq!(kind(&actions), Some(AskKind::Solicit));
        waits.push(now - before);
        before = now;
    }
    assert!(waits[1] > s(1) && waits[1] < s(3), "{waits:?}");
    assert!(waits[19] > s(3000) && waits[19] < s(4000), "{waits:?}");
    assert_eq!(
        kind(&machine.step(before, Event::Answer(Answer::Advertise(terms(7, 1000), 0)))),
        Some(AskKind::Request(address(7), SERVER.to_vec())),
        "after the first wait the first offer is taken"
    );
}

#[test]
fn a_server_without_addresses_can_ask_for_longer_pauses_only() {
    let mut machine = asking();
    let no = |max_pause_s| No { server: SERVER.to_vec(), is_reply: false, no_binding: false, max_pause_s };
    machine.step(s(1), Event::Answer(Answer::No(no(Some(60)))));
    for _ in 0..12 {
        due(&mut machine);
    }
    let (before, _) = due(&mut machine);
    assert!(due(&mut machine).0 - before <= s(66));
}

#[test]
fn an_unanswered_request_goes_back_to_looking() {
    let mut machine = asking();
    machine.step(s(1), Event::Answer(Answer::Advertise(terms(7, 1000), 255)));
    for _ in 1..REQUEST.2 {
        assert!(matches!(kind(&due(&mut machine).1), Some(AskKind::Request(..))));
    }
    let (now, actions) = due(&mut machine);
    assert!(matches!(&actions[..], [Action::Note(_)]), "{actions:?}");
    assert_eq!(machine.wake(), Some(now + PAUSE));
    assert_eq!(kind(&due(&mut machine).1), Some(AskKind::Solicit));
}

#[test]
fn a_lease_is_renewed_then_rebound_then_given_up() {
    let mut machine = bound();
    // Half of the preferred life, then four fifths, then the valid life's end.
    let (now, actions) = due(&mut machine);
    assert_eq!((now, kind(&actions)), (s(260), Some(AskKind::Renew(address(7), SERVER.to_vec()))));
    let rebinds = loop {
        let (now, actions) = due(&mut machine);
        match kind(&actions) {
            Some(AskKind::Renew(..)) => {}
            other => break (now, other),
        }
    };
    assert_eq!(rebinds, (s(410), Some(AskKind::Rebind(address(7)))));
    let ended = loop {
        let (now, actions) = due(&mut machine);
        if kind(&actions).is_none() {
            break (now, held(&actions));
        }
    };
    assert_eq!(ended, (s(1010), Some(None)));
    assert_eq!(machine.address(), None);
    assert_eq!(kind(&due(&mut machine).1), Some(AskKind::Solicit));
}

#[test]
fn a_renewal_prolongs_and_a_short_time_is_no_reason_to_hurry() {
    let mut machine = bound();
    due(&mut machine);
    let hurried = Terms { renew_s: 1, rebind_s: 2, ..terms(7, 1000) };
    let actions = machine.step(s(261), Event::Answer(Answer::Reply(hurried)));
    assert_eq!(held(&actions), Some(Some(Leased { address: address(7), seconds: Some(1000) })));
    assert!(!actions.iter().any(|action| matches!(action, Action::Note(_))), "nothing is new");
    assert_eq!(machine.wake(), Some(s(271)));
}

#[test]
fn strangers_change_nothing() {
    let mut machine = asking();
    machine.step(s(1), Event::Answer(Answer::Advertise(terms(7, 1000), 255)));
    assert!(machine.step(s(2), Event::Answer(Answer::Reply(other(66)))).is_empty());
    let no = No { server: vec![9; 4], is_reply: true, no_binding: true, max_pause_s: None };
    assert!(machine.step(s(2), Event::Answer(Answer::No(no.clone()))).is_empty());
    let mut machine = bound();
    assert!(machine.step(s(20), Event::Answer(Answer::Reply(other(66)))).is_empty(), "unasked for");
    due(&mut machine);
    assert!(machine.step(s(261), Event::Answer(Answer::Reply(other(66)))).is_empty());
    assert!(machine.step(s(261), Event::Answer(Answer::No(no))).is_empty());
    assert!(machine.step(s(261), Event::Duplicate(address(8))).is_empty());
    assert_eq!(machine.address(), Some(address(7)));
}

#[test]
fn a_server_that_forgot_or_takes_back_ends_the_lease() {
    let forgot = No { server: SERVER.to_vec(), is_reply: true, no_binding: true, max_pause_s: None };
    for event in [Event::Answer(Answer::No(forgot)), reply(7, 0)] {
        let mut machine = bound();
        due(&mut machine);
        let actions = machine.step(s(261), event);
        assert_eq!((held(&actions), machine.wake()), (Some(None), Some(s(261) + PAUSE)));
    }
    // A reply that says nothing of the address leaves it as it is.
    let mut machine = bound();
    due(&mut machine);
    let silent = Terms { addresses: vec![], ..terms(7, 0) };
    assert!(machine.step(s(261), Event::Answer(Answer::Reply(silent))).is_empty());
    assert_eq!(machine.address(), Some(address(7)));
}

#[test]
fn an_address_that_somebody_has_is_declined_four_times() {
    let mut machine = bound();
    let actions = machine.step(s(11), Event::Duplicate(address(7)));
    let decline = Some(AskKind::Decline(address(7), SERVER.to_vec()));
    assert_eq!((held(&actions), kind(&actions)), (Some(None), decline.clone()));
    for _ in 1..DECLINE.2 {
        assert_eq!(kind(&due(&mut machine).1), decline);
    }
    assert_eq!(kind(&due(&mut machine).1), None);
    assert_eq!(kind(&due(&mut machine).1), Some(AskKind::Solicit));
}

#[test]
fn an_address_for_good_needs_no_timer() {
    let mut machine = asking();
    machine.step(s(1), Event::Answer(Answer::Advertise(terms(7, 1000), 255)));
    let for_good = Offered { address: address(7), preferred_s: FOR_EVER, valid_s: FOR_EVER };
    let terms = Terms { addresses: vec![for_good], ..terms(7, 0) };
    let actions = machine.step(s(2), Event::Answer(Answer::Reply(terms)));
    assert_eq!(held(&actions), Some(Some(Leased { address: address(7), seconds: None })));
    assert_eq!(machine.wake(), None);
}

proptest! {
    /// Whatever servers say, a machine that was told to ask always has something due unless it has an address for good, is
    /// never due in the past, and never asks in circles.
    #[test]
    fn it_never_falls_asleep_and_never_hurries(
        steps in proptest::collection::vec((0u8..7, 0u16..3, any::<u32>(), any::<u32>(), any::<u32>()), 0..80),
    ) {
        let mut machine = asking();
        let mut now = machine.wake().unwrap();
        let mut sent = 0u32;
        let mut answers = 1u32;
        for (what, last, valid_s, renew_s, rebind_s) in steps {
            let valid_s = valid_s.min(FOR_EVER - 1);
            let terms = Terms { renew_s, rebind_s, ..terms(last, valid_s) };
            let no = No { server: SERVER.to_vec(), is_reply: valid_s % 2 == 0, no_binding: renew_s % 2 == 0, max_pause_s: None };
            let event = match what {
                0 => Event::Answer(Answer::Advertise(terms, renew_s as u8)),
                1 | 2 => Event::Answer(Answer::Reply(terms)),
                3 => Event::Answer(Answer::No(no)),
                4 => Event::Duplicate(address(last)),
                _ => Event::Timer,
            };
            if event == Event::Timer {
                now = now.max(machine.wake().unwrap_or(now));
            } else {
                answers += 1;
            }
            let actions = machine.step(now, event.clone());
            sent += u32::from(kind(&actions).is_some());
            prop_assert!(machine.wake().is_some());
            if event == Event::Timer {
                prop_assert!(machine.wake() > Some(now) );
            }
        }
        let seconds = now.as_secs() as u32;
        prop_assert!(sent <= answers + seconds + 2, "{sent} questions in {seconds} s after {answers} answers");
    }
}
