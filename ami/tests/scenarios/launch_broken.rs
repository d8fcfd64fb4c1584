//! Launches that are killed, refused, starved and lied to: the same command goes on, nothing is leaked, and what is told
//! names the thing and what to do.

use crate::desk::{Desk, Outcome, REGION};
use crate::fake::account::Host;
use crate::fake::compute::Phase;
use crate::fake::faults::{Fault, When};
use crate::hosting::{NAME, NOTHING, Things, desk, each, host, launch, launching, stands, things};
use crate::resume::killed_at;

const ELASTIC: [&str; 1] = ["--elastic-ip"];

/// Kills a launch at a request, from which the same command goes on, also where what was made is not seen yet.
fn goes_on((action, when, fault): (&str, When, Fault)) {
    let desk = desk();
    {
        let mut account = desk.fake.account();
        account.settle = 1;
        account.lag = 2;
    }
    desk.fake.fault(action, when, fault);
    killed_at(&desk, &launching(&ELASTIC));
    launch(&desk, &ELASTIC).well();
    let id = stands(&desk, true);
    launch(&desk, &ELASTIC).well();
    assert_eq!(stands(&desk, true), id);
}

#[test]
fn killed_at_each_change_the_same_command_goes_on() {
    let changes = [
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
        "RunInstances",
        "AllocateAddress",
        "AssociateAddress",
    ];
    let both = |action| [Fault::Stall, Fault::StallAfter].map(|fault| (action, When::Nth(1), fault));
    each(&changes.into_iter().flat_map(both).collect::<Vec<_>>(), goes_on);
}

#[test]
fn killed_while_it_waits_the_same_command_goes_on() {
    let looks = [
        ("DescribeInstances", When::Nth(2)),
        ("DescribeInstances", When::Nth(3)),
        ("GetConsoleOutput", When::Nth(1)),
        ("DescribeAddresses", When::Nth(1)),
    ];
    each(&looks.map(|(action, when)| (action, when, Fault::Stall)), goes_on);
}

#[test]
fn killed_without_a_journal_nothing_is_made_twice() {
    let kills = [
        ("CreateSecurityGroup", Fault::StallAfter),
        ("RunInstances", Fault::StallAfter),
        ("AllocateAddress", Fault::StallAfter),
        ("GetConsoleOutput", Fault::Stall),
    ];
    each(&kills, |(action, fault)| {
        let desk = desk();
        desk.fake.fault(action, When::Nth(1), fault);
        killed_at(&desk, &launching(&ELASTIC));
        desk.forget();
        launch(&desk, &ELASTIC).well();
        stands(&desk, true);
    });
}

#[test]
fn answers_that_are_lost_are_outlasted() {
    for fault in [Fault::Cut, Fault::CutAfter, Fault::Throttle, Fault::Refuse(500, "InternalError")] {
        let desk = desk();
        for action in [
            "DescribeInstances",
            "CreateSecurityGroup",
            "AuthorizeSecurityGroupIngress",
            "RunInstances",
            "AssociateAddress",
            "GetConsoleOutput",
        ] {
            desk.fake.fault(action, When::First(1), fault);
        }
        launch(&desk, &ELASTIC).well();
        stands(&desk, true);
    }
}

#[test]
fn an_address_whose_answer_is_lost_is_not_allocated_twice() {
    let desk = desk();
    desk.fake.fault("AllocateAddress", When::First(1), Fault::CutAfter);
    let outcome = launch(&desk, &ELASTIC);
    if outcome.code != Some(0) {
        launch(&desk, &ELASTIC).well();
    }
    stands(&desk, true);
}

/// A launch without a right, which must be named, asked for once and leave nothing that costs; then with it.
fn denied(action: &str, more: &[&str]) {
    let desk = desk();
    desk.fake.deny(action);
    let error = launch(&desk, more).failed(2);
    assert!(error.contains(action), "{action} is not named: {error}");
    let refused = desk
        .fake
        .calls()
        .iter()
        .filter(|call| call.code.contains("Unauth") || call.code.contains("Denied"))
        .count();
    assert!(refused <= 1 || action.contains("Describe"), "{action} was asked for {refused} times");
    desk.fake.undeny(action);
    launch(&desk, more).well();
    stands(&desk, more.contains(&"--elastic-ip"));
}

#[test]
fn a_right_that_is_missing_is_named() {
    let actions = [
        "ec2:DescribeInstances",
        "ec2:DescribeImages",
        "ec2:DescribeVolumes",
        "ec2:DescribeSubnets",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeAddresses",
        "ec2:DescribeKeyPairs",
        "ec2:CreateSecurityGroup",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:RunInstances",
        "ec2:CreateTags",
        "ec2:AllocateAddress",
        "ec2:AssociateAddress",
        "ec2:GetConsoleOutput",
        "iam:PassRole",
    ];
    let more = ["--elastic-ip", "--key", "alice", "--instance-profile", "edge"];
    each(&actions, |action| denied(action, &more));
}

/// That nothing is left that costs, and that the group is gone or named.
#[track_caller]
fn leaves_nothing(desk: &Desk, error: &str) {
    let left = things(desk);
    assert_eq!(Things { groups: 0, ..left }, NOTHING, "{error}");
    assert!(left.groups == 0 || error.contains("kennel-edge1"), "the group is left, and not named: {error}");
}

/// A launch that RunInstances refuses with this.
fn refused(status: u16, code: &'static str, more: &[&str]) -> (Desk, String) {
    let desk = desk();
    desk.fake.fault("RunInstances", When::From(1), Fault::Refuse(status, code));
    let outcome = launch(&desk, more);
    assert!(outcome.code.is_some_and(|code| code != 0), "{outcome:?}");
    (desk, outcome.err)
}

#[test]
fn without_capacity_nothing_is_left_behind() {
    for (status, code, more) in [
        (500, "InsufficientInstanceCapacity", &[][..]),
        (400, "MaxSpotInstanceCountExceeded", &["--spot"]),
        (400, "VcpuLimitExceeded", &[]),
    ] {
        let (desk, error) = refused(status, code, more);
        assert!(error.contains(code) && error.contains("hint"), "{error}");
        assert!(desk.fake.count("RunInstances") == 1, "{code} is told at once");
        leaves_nothing(&desk, &error);
        desk.fake.mend();
        launch(&desk, more).well();
        stands(&desk, false);
    }
}

#[test]
fn an_instance_that_ends_before_it_runs_is_told_with_its_reason() {
    let desk = desk();
    desk.fake.account().next_instance_fails = Some("Client.VolumeLimitExceeded".to_owned());
    let outcome = launch(&desk, &[]);
    assert!(outcome.code.is_some_and(|code| code != 0), "{outcome:?}");
    assert!(outcome.err.contains("Client.VolumeLimitExceeded"), "{}", outcome.err);
    launch(&desk, &[]).well();
    let id = host(&desk).0;
    assert!(things(&desk).volumes <= 3, "at most the empty disk of the one that never ran is left");
    assert_eq!(desk.fake.account().region(REGION).compute.instances[&id].phase, Phase::Running);
}

#[test]
fn no_address_is_left_and_that_is_told() {
    let desk = desk();
    desk.fake.account().most_addresses = 0;
    let error = launch(&desk, &ELASTIC).failed(2);
    assert!(error.contains("AddressLimitExceeded") && error.contains("hint"), "{error}");
    desk.fake.account().most_addresses = 1;
    launch(&desk, &ELASTIC).well();
    stands(&desk, true);
}

/// A launch to a host that does not behave; it is left running, and the same command goes on once it does.
fn misbehaved(how: Host) -> Outcome {
    let desk = desk();
    desk.fake.account().host = how;
    let outcome = launch(&desk, &["--deadline", "4s"]);
    assert!(outcome.code.is_some_and(|code| code != 0) && outcome.out.is_empty(), "{outcome:?}");
    assert!(outcome.err.contains("hint"), "{}", outcome.err);
    let id = host(&desk).0;
    assert!(!desk.path("config/kennel/hosts.toml").exists(), "a host that was not met is known");
    desk.fake.account().host = Host::Well;
    launch(&desk, &[]).well();
    assert_eq!(stands(&desk, false), id);
    outcome
}

#[test]
fn a_console_that_never_tells_ends_with_a_hint() {
    let error = misbehaved(Host::Mute).err;
    assert!(error.contains("host console") || error.contains("console"), "{error}");
}

#[test]
fn an_api_that_never_answers_ends_with_a_hint() {
    let error = misbehaved(Host::Deaf).err;
    assert!(error.contains("8443"), "{error}");
}

#[test]
fn another_certificate_than_the_console_told_is_refused() {
    let outcome = misbehaved(Host::Impostor);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.err.contains("certificate"), "{}", outcome.err);
}

#[test]
fn a_host_of_this_name_that_was_launched_otherwise_is_not_taken_for_it() {
    let desk = desk();
    launch(&desk, &[]).well();
    let id = stands(&desk, false);
    let mut arguments = launching(&[]);
    let kind = arguments.iter().position(|it| *it == "t3.small").unwrap();
    arguments[kind] = "t3.medium";
    let outcome = desk.run(&arguments);
    assert!(outcome.code.is_some_and(|code| code != 0), "{outcome:?}");
    assert!(outcome.err.contains(NAME) && outcome.err.contains(&id), "{}", outcome.err);
    assert_eq!(stands(&desk, false), id);
}
