//! Against a metadata service that is stricter than EC2's, over real connections on loopback.

#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failed test")]

// The same that the scenarios in the VM put before a whole host.
#[path = "../../tests/src/imds.rs"]
#[allow(dead_code, reason = "the scenarios use the rest")]
mod emulator;

use std::net::SocketAddr;
use std::thread::JoinHandle;

use emulator::Emulator;
use kennel_imds::questions;
use kennel_imds::token::Session;
use kennel_imds::watch::{Watch, WatchError};
use kennel_model::cloud::{MAX_USER_DATA, Notice, Report};
use kennel_sys::Channel;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEPGo02wNjd8wWRqyeMFFJJ1XYpOjsfyFHuMNmTGGHI8 ada";

fn session(emulator: &Emulator) -> Session {
    Session::new(vec![emulator.address()])
}

/// An address where nobody is: a port that was free a moment ago could be the next test's.
fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

/// A watch at work, and init's end of its channel.
fn watch(emulator: &Emulator) -> (Channel, JoinHandle<Result<(), WatchError>>) {
    let (ours, theirs) = Channel::pair().unwrap();
    let watch = Watch::new(theirs, session(emulator)).unwrap();
    (ours, std::thread::spawn(|| watch.run()))
}

fn next(init: &Channel) -> Report {
    init.recv::<Report>().unwrap().unwrap().0
}

#[test]
fn everything_is_asked_for_with_one_token() {
    let emulator = Emulator::start().unwrap();
    emulator.set("user-data", b"\x1f\x8b whatever");
    emulator.set("meta-data/public-keys/0/openssh-key", format!("{KEY}\n"));
    emulator.set("meta-data/tags/instance", "Name\nstage");
    emulator.set("meta-data/tags/instance/Name", "edge1");
    emulator.set("meta-data/tags/instance/stage", "");
    let instance = questions::instance(&mut session(&emulator)).unwrap();
    assert_eq!((instance.id.as_str(), instance.kind.as_str()), ("i-0123456789abcdef0", "t3.small"));
    assert_eq!((instance.region.as_str(), instance.zone.as_str()), ("eu-west-1", "eu-west-1a"));
    assert_eq!(instance.public_key.as_deref(), Some(KEY));
    assert_eq!(instance.user_data, b"\x1f\x8b whatever");
    assert_eq!(instance.tags, [("Name".to_owned(), "edge1".to_owned()), ("stage".to_owned(), String::new())]);
    assert_eq!(emulator.tokens_given(), 1);
    assert_eq!(emulator.faults(), [""; 0]);
}

#[test]
fn what_is_not_there_is_nothing() {
    let emulator = Emulator::start().unwrap();
    emulator.unset("meta-data/local-hostname");
    let instance = questions::instance(&mut session(&emulator)).unwrap();
    assert_eq!((instance.host_name, instance.public_key), (None, None));
    assert!(instance.user_data.is_empty() && instance.tags.is_empty());
    emulator.unset("meta-data/instance-id");
    let error = questions::instance(&mut session(&emulator)).unwrap_err();
    assert_eq!(error.to_string(), "the metadata service has no instance-id");
}

#[test]
fn the_identity_document_is_shown_and_nothing_depends_on_it() {
    let emulator = Emulator::start().unwrap();
    let path = "dynamic/instance-identity/document";
    let asked = || questions::identity(&mut session(&emulator)).map_err(|e| e.to_string());
    let identity = asked().unwrap().unwrap();
    assert_eq!((identity.account.as_str(), identity.image.as_str()), ("123456789012", "ami-0fedcba9876543210"));
    assert_eq!((identity.architecture.as_str(), identity.pending.as_str()), ("x86_64", "2027-01-21T08:00:00Z"));
    for odd in ["{}", "[]", "{\"accountId\": 7}", "<xml/>", "[".repeat(9000).as_str()] {
        emulator.set(path, odd);
        assert_eq!(asked().unwrap_err(), format!("the metadata service's {path} makes no sense"));
    }
    let forged = r#"{"accountId":"1\ninit: forged","imageId":"a","architecture":"x","pendingTime":"t"}"#;
    emulator.set(path, forged);
    assert!(asked().is_err());
    let (init, _watch) = watch(&emulator);
    assert_eq!(next(&init).instance.unwrap().identity, None, "the rest is told all the same");
    emulator.unset(path);
    assert_eq!(asked(), Ok(None));
}

#[test]
fn a_token_that_was_forgotten_is_replaced() {
    let emulator = Emulator::start().unwrap();
    let mut session = session(&emulator);
    assert_eq!(session.get("/latest/user-data").unwrap(), None);
    emulator.forget_tokens();
    assert_eq!(session.get("/latest/user-data").unwrap(), None);
    assert_eq!(emulator.tokens_given(), 2);
    assert_eq!(emulator.faults(), [""; 0]);
}

#[test]
fn where_nobody_is_the_next_address_is_asked() {
    let emulator = Emulator::start().unwrap();
    let mut session = Session::new(vec![nowhere(), emulator.address()]);
    assert!(session.get("/latest/meta-data/instance-id").unwrap().is_some());
    let error = Session::new(vec![nowhere(), nowhere()]).get("/latest/user-data").unwrap_err();
    assert!(error.to_string().starts_with("cannot connect to the metadata service: "), "{error}");
}

#[test]
fn a_service_that_is_switched_off_is_said_with_a_hint() {
    let emulator = Emulator::start().unwrap();
    emulator.switch_off(true);
    let error = questions::instance(&mut session(&emulator)).unwrap_err();
    assert!(error.to_string().contains("hint: "), "{error}");
}

#[test]
fn what_cannot_be_right_is_refused() {
    let instance = |path: &str, bytes: &[u8]| {
        let emulator = Emulator::start().unwrap();
        emulator.set(path, bytes);
        questions::instance(&mut session(&emulator)).map(drop).map_err(|e| e.to_string())
    };
    assert_eq!(instance("user-data", &[0; MAX_USER_DATA]), Ok(()));
    for (path, bytes) in [
        ("user-data", &[0; MAX_USER_DATA + 1][..]),
        ("user-data", &[0; 1 << 20]),
        ("meta-data/instance-id", b"i-1\r\ninit: forged"),
        ("meta-data/instance-id", b"\xff"),
        ("meta-data/instance-type", b""),
        ("meta-data/public-keys/0/openssh-key", b"ssh-ed25519 A\nssh-ed25519 B"),
    ] {
        assert!(instance(path, bytes).is_err(), "{path}: {:?}", bytes.get(..20));
    }
}

#[test]
fn a_tag_that_cannot_be_told_is_left_out_and_nothing_else() {
    let emulator = Emulator::start().unwrap();
    emulator.set("meta-data/tags/instance", "a/../../user-data\nb c\n..\nlong\nforged\nName\nGr\u{f6}\u{df}e");
    emulator.set("meta-data/tags/instance/long", "x".repeat(2000));
    emulator.set("meta-data/tags/instance/forged", "x\ninit: y");
    emulator.set("meta-data/tags/instance/Name", "edge1");
    emulator.set("meta-data/tags/instance/Gr%C3%B6%C3%9Fe", "7");
    let tags = questions::instance(&mut session(&emulator)).unwrap().tags;
    assert_eq!(tags, [("Name".to_owned(), "edge1".to_owned()), ("Gr\u{f6}\u{df}e".to_owned(), "7".to_owned())]);
    assert_eq!(emulator.times("user-data"), 1);
}

#[test]
fn notices_are_told() {
    let emulator = Emulator::start().unwrap();
    let mut session = session(&emulator);
    assert_eq!(questions::interruption(&mut session).unwrap(), None);
    assert_eq!(questions::maintenance(&mut session).unwrap(), []);
    emulator.set("meta-data/spot/instance-action", r#"{"action":"terminate","time":"2026-09-18T08:22:00Z"}"#);
    let at = "2026-09-18T08:22:00Z".to_owned();
    assert_eq!(
        questions::interruption(&mut session).unwrap(),
        Some(Notice::Interruption { action: "terminate".into(), at })
    );
    let event = |code: &str, state: &str| {
        format!(
            r#"{{"NotBefore":"21 Jan 2027 09:00:43 GMT","Code":"{code}","Description":"scheduled reboot",
                "EventId":"instance-event-0d","NotAfter":"21 Jan 2027 09:17:23 GMT","State":"{state}"}}"#
        )
    };
    let events = [event("system-reboot", "active"), event("instance-stop", "completed")].join(",");
    emulator.set("meta-data/events/maintenance/scheduled", format!("[{events}]"));
    let notices = questions::maintenance(&mut session).unwrap();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].sentence().contains("system-reboot, not before 21 Jan 2027"));
    assert_eq!(questions::rebalance(&mut session).unwrap(), None);
    emulator.set("meta-data/events/recommendations/rebalance", r#"{"noticeTime": "2026-09-18T08:22:00Z"}"#);
    let recommended = questions::rebalance(&mut session).unwrap().unwrap();
    assert!(recommended.sentence().starts_with("EC2 recommends since 2026-09-18T08:22:00Z to replace"));
    emulator.set("meta-data/events/maintenance/scheduled", "[{}]");
    assert!(questions::maintenance(&mut session).is_err());
}

#[test]
fn init_is_told_what_is_known_what_is_new_and_what_is_amiss() {
    let emulator = Emulator::start().unwrap();
    let (init, watching) = watch(&emulator);
    let first = next(&init);
    assert_eq!(first.instance.as_ref().unwrap().zone, "eu-west-1a");
    assert_eq!((first.notices.as_slice(), &first.trouble), (&[][..], &None));
    emulator.set("meta-data/spot/instance-action", r#"{"action":"stop","time":"soon"}"#);
    let second = next(&init);
    assert_eq!((second.notices.len(), second.instance), (1, first.instance.clone()));
    emulator.switch_off(true);
    let third = next(&init);
    assert!(third.trouble.unwrap().contains("403"));
    assert_eq!(third.instance, first.instance, "what was known still is");
    assert_eq!(emulator.faults(), [""; 0]);
    drop(init);
    watching.join().unwrap().unwrap();
}
