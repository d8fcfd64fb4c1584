//! The state machine, driven by hand: no socket, no clock.

use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

fn terms(last: u8, seconds: Option<u32>) -> Terms {
    let lease = Lease {
        address: Ipv4Addr::new(10, 0, 2, last),
        prefix_len: 24,
        gateway: Some(SERVER),
        dns: vec![],
        mtu: None,
    };
    Terms { lease, server: SERVER, seconds, renew_s: None, rebind_s: None }
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

/// A machine that got a lease of 1000 s at time 0.
fn bound() -> Machine<impl FnMut() -> u32> {
    let mut machine = Machine::new(s(0), counter());
    machine.step(s(0), Event::Timer);
    machine.step(s(0), Event::Answer(Answer::Offer(terms(15, Some(1000)))));
    let actions = machine.step(s(0), Event::Answer(Answer::Ack(terms(15, Some(1000)))));
    assert!(matches!(&actions[..], [Action::Note(_), Action::Lease(lease)] if lease.address.octets()[3] == 15));
    machine
}

fn kind(actions: &[Action]) -> Option<AskKind> {
    actions.iter().find_map(|action| match action {
        Action::Broadcast(ask) | Action::Unicast(ask, _) => Some(ask.kind),
        _ => None,
    })
}

#[test]
fn a_lease_is_got_in_four_messages() {
    let mut machine = Machine::new(s(0), counter());
    assert_eq!(kind(&machine.step(s(0), Event::Timer)), Some(AskKind::Discover));
    let asked = machine.step(s(0), Event::Answer(Answer::Offer(terms(15, Some(100)))));
    assert_eq!(kind(&asked), Some(AskKind::Request(Ipv4Addr::new(10, 0, 2, 15), SERVER)));
    machine.step(s(0), Event::Answer(Answer::Ack(terms(15, Some(100)))));
    assert_eq!((machine.is_asking(), machine.wake()), (false, Some(s(50))));
}

#[test]
fn silence_is_met_with_patience() {
    let mut machine = Machine::new(s(0), counter());
    let mut now = s(0);
    let mut waits = Vec::new();
    for _ in 0..10 {
        assert_eq!(kind(&machine.step(now, Event::Timer)), Some(AskKind::Discover));
        let wake = machine.wake().unwrap();
        waits.push(wake - now);
        now = wake;
    }
    assert!(waits[0] >= s(1) * 7 / 8 && waits[0] <= s(1) * 9 / 8, "{waits:?}");
    assert!(waits[9] >= s(56) && waits[9] <= s(72), "{waits:?}");
}

#[test]
fn nothing_happens_before_its_time() {
    let mut machine = Machine::new(s(0), counter());
    machine.step(s(0), Event::Timer);
    assert!(machine.step(Duration::from_millis(1), Event::Timer).is_empty());
}

#[test]
fn an_unanswered_request_goes_back_to_looking() {
    let mut machine = Machine::new(s(0), counter());
    machine.step(s(0), Event::Timer);
    machine.step(s(0), Event::Answer(Answer::Offer(terms(15, None))));
    for _ in 0..3 {
        let now = machine.wake().unwrap();
        assert!(matches!(kind(&machine.step(now, Event::Timer)), Some(AskKind::Request(..))));
    }
    let now = machine.wake().unwrap();
    assert_eq!(kind(&machine.step(now, Event::Timer)), None);
    let now = machine.wake().unwrap();
    assert_eq!(kind(&machine.step(now, Event::Timer)), Some(AskKind::Discover));
}

#[test]
fn a_lease_is_renewed_then_rebound_then_given_up() {
    let mut machine = bound();
    let address = Ipv4Addr::new(10, 0, 2, 15);
    assert_eq!(machine.wake(), Some(s(500)));
    let actions = machine.step(s(500), Event::Timer);
    assert!(matches!(actions[..], [Action::Unicast(ask, SERVER)] if ask.kind == AskKind::Renew(address)));
    assert_eq!(machine.wake(), Some(Duration::from_millis(687_500)), "half of what is left until T2");

    let actions = machine.step(s(875), Event::Timer);
    assert!(matches!(actions[..], [Action::Broadcast(ask)] if ask.kind == AskKind::Rebind(address)));
    assert_eq!(machine.address(), Some(address));
    let actions = machine.step(s(1000), Event::Timer);
    assert!(matches!(&actions[..], [Action::Note(note)] if note.contains("ended")));
    assert_eq!(machine.address(), None);
    assert_eq!(kind(&machine.step(s(1000), Event::Timer)), Some(AskKind::Discover));
}

#[test]
fn an_unchanged_lease_is_no_news_and_a_changed_one_is() {
    let mut machine = bound();
    machine.step(s(500), Event::Timer);
    assert!(machine.step(s(501), Event::Answer(Answer::Ack(terms(15, Some(1000))))).is_empty());
    assert_eq!(machine.wake(), Some(s(1001)));
    machine.step(s(1001), Event::Timer);
    let mut changed = terms(15, Some(1000));
    changed.lease.gateway = None;
    assert_eq!(machine.step(s(1002), Event::Answer(Answer::Ack(changed))).len(), 2);
}

#[test]
fn a_refusal_starts_over_after_a_pause() {
    let mut machine = bound();
    machine.step(s(500), Event::Timer);
    machine.step(s(501), Event::Answer(Answer::Nak));
    assert_eq!((machine.address(), machine.wake()), (None, Some(s(505))));
    // An offer to a question of long ago changes nothing.
    assert!(machine.step(s(502), Event::Answer(Answer::Offer(terms(15, None)))).is_empty());
}

#[test]
fn another_servers_word_does_not_bind() {
    let mut machine = Machine::new(s(0), counter());
    machine.step(s(0), Event::Timer);
    machine.step(s(0), Event::Answer(Answer::Offer(terms(15, None))));
    let other = Terms { server: Ipv4Addr::new(10, 0, 2, 9), ..terms(66, None) };
    assert!(machine.step(s(0), Event::Answer(Answer::Ack(other))).is_empty());
    // Nor does an unasked-for one while the lease is held.
    assert!(bound().step(s(1), Event::Answer(Answer::Ack(terms(66, None)))).is_empty());
}

#[test]
fn a_lease_for_good_needs_no_timer() {
    let mut machine = Machine::new(s(0), counter());
    machine.step(s(0), Event::Timer);
    machine.step(s(0), Event::Answer(Answer::Offer(terms(15, None))));
    machine.step(s(0), Event::Answer(Answer::Ack(terms(15, None))));
    assert_eq!(machine.wake(), None);
}

#[test]
fn odd_times_fall_back_to_the_usual_shares() {
    let held = |renew_s, rebind_s, seconds| {
        let held = Held::new(s(0), Terms { renew_s, rebind_s, ..terms(15, Some(seconds)) });
        (held.renew, held.rebind, held.end)
    };
    assert_eq!(held(Some(100), Some(200), 800), (s(100), s(200), s(800)));
    for (renew, rebind) in [(Some(0), None), (Some(300), Some(200)), (None, Some(900)), (Some(u32::MAX), None)]
    {
        assert_eq!(held(renew, rebind, 800), (s(400), s(700), s(800)), "{renew:?} {rebind:?}");
    }
    assert_eq!(held(None, None, 1).2, s(30));
}

proptest! {
    /// Whatever servers say, a machine without a lease for good always has something due, and never in the past.
    #[test]
    fn it_never_falls_asleep(answers in proptest::collection::vec((0u8..4, 0u8..3, any::<u32>(), any::<u32>()), 0..60)) {
        let mut machine = Machine::new(s(0), counter());
        let mut now = s(0);
        for (what, last, seconds, at) in answers {
            let terms = Terms { renew_s: Some(at), ..terms(last, Some(seconds)) };
            let event = match what {
                0 => Event::Answer(Answer::Offer(terms)),
                1 => Event::Answer(Answer::Ack(terms)),
                2 => Event::Answer(Answer::Nak),
                _ => Event::Timer,
            };
            if event == Event::Timer {
                now = now.max(machine.wake().unwrap_or(now));
            }
            machine.step(now, event.clone());
            prop_assert!(machine.wake().is_some());
            if event == Event::Timer {
                prop_assert!(machine.wake() >= Some(now));
            }
        }
    }
}
