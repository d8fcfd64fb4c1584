//! Replacing a host: the system is disposable, the tenants are not. Killed at each step it goes on or back, and at no
//! moment are the data at two instances, torn out of a running system, or gone (which the fake sees to in every scenario).

use crate::desk::{Desk, REGION};
use crate::fake::account::Host;
use crate::fake::faults::{Fault, When};
use crate::hosting::{NAME, data, each, host, hosted, launch, next_image, stands, things};
use crate::resume::killed_at;

const REPLACE: [&str; 5] = ["host", "replace", NAME, "--region", REGION];
const BACK: [&str; 6] = ["host", "replace", NAME, "--region", REGION, "--back"];

/// A host with an elastic address, its instance, its data's disk, and the next version of the image.
fn before() -> (Desk, String, String, String) {
    let (desk, old) = hosted(&["--elastic-ip"]);
    let disk = data(&desk).0;
    let next = next_image(&desk);
    desk.fake.forget_calls();
    (desk, old, disk, next)
}

/// That the host is another one now, of the next image, with the same data, certificate and address.
#[track_caller]
fn replaced(desk: &Desk, old: &str, disk: &str, next: &str) {
    let new = stands(desk, true);
    assert_ne!(new, old);
    assert_eq!((data(desk).0.as_str(), host(desk).1.image.as_str()), (disk, next));
    let certificates = desk.fake.account().certificates;
    assert_eq!(certificates, 1, "tenants' operators trust the same certificate");
}

/// That the host is the one that it was.
#[track_caller]
fn as_before(desk: &Desk, old: &str, disk: &str) {
    assert_eq!(stands(desk, true), old);
    assert_eq!(data(desk).0, disk);
}

#[test]
fn the_system_is_another_one_and_the_tenants_are_the_same() {
    let (desk, old, disk, next) = before();
    desk.fake.account().settle = 1;
    let outcome = desk.run(&REPLACE);
    let told = outcome.err.clone();
    outcome.well();
    replaced(&desk, &old, &disk, &next);
    assert!(told.contains(&old) && told.contains(&disk), "what is moved from where is told: {told}");
    let new = host(&desk).0;
    let mut account = desk.fake.account();
    let instances = &account.region(REGION).compute.instances;
    assert_eq!(instances[&new].user_data, instances[&old].user_data);
    assert_eq!(
        (&instances[&new].groups, &instances[&new].zone),
        (&instances[&old].groups, &instances[&old].zone)
    );
}

#[test]
fn a_host_without_an_elastic_address_is_known_by_its_new_one() {
    let (desk, old) = hosted(&[]);
    next_image(&desk);
    desk.run(&REPLACE).well();
    assert_ne!(stands(&desk, false), old);
}

#[test]
fn of_the_same_image_there_is_nothing_to_replace_or_it_is_replaced() {
    let (desk, old) = hosted(&[]);
    let outcome = desk.run(&REPLACE);
    let new = stands(&desk, false);
    assert!(new != old || outcome.err.contains("ami-"), "{outcome:?}");
}

/// Each step that changes something, killed when it is done but not answered. Killed before each of them, and at each look,
/// is in `odd`.
fn steps() -> Vec<(&'static str, When, Fault)> {
    let changes = [
        "RunInstances",
        "StopInstances",
        "DetachVolume",
        "AttachVolume",
        "AssociateAddress",
        "TerminateInstances",
    ];
    changes.map(|action| (action, When::Nth(1), Fault::StallAfter)).to_vec()
}

#[test]
fn killed_at_each_step_the_same_command_goes_on() {
    each(&steps(), |(action, when, fault)| {
        let (desk, old, disk, next) = before();
        desk.fake.account().settle = 1;
        desk.fake.fault(action, when, fault);
        killed_at(&desk, &REPLACE);
        desk.run(&REPLACE).well();
        replaced(&desk, &old, &disk, &next);
    });
}

#[test]
fn killed_at_each_step_it_goes_back() {
    each(&steps(), |(action, when, fault)| {
        let (desk, old, disk, next) = before();
        desk.fake.account().settle = 1;
        desk.fake.fault(action, when, fault);
        killed_at(&desk, &REPLACE);
        let back = desk.run(&BACK);
        if action == "TerminateInstances" {
            // The old one is gone, which is said; what is left is to go on.
            let error = back.failed(2);
            assert!(error.contains(&old), "{error}");
            desk.run(&REPLACE).well();
            replaced(&desk, &old, &disk, &next);
            return;
        }
        back.well();
        as_before(&desk, &old, &disk);
    });
}

#[test]
fn killed_at_each_step_and_at_another_desk_nothing_is_lost() {
    each(&steps(), |(action, when, fault)| {
        let (desk, old, disk, next) = before();
        desk.fake.fault(action, when, fault);
        killed_at(&desk, &REPLACE);
        desk.forget();
        desk.run(&REPLACE).well();
        replaced(&desk, &old, &disk, &next);
    });
}

#[test]
fn killed_on_the_way_back_it_goes_back_further() {
    let ways = [
        ("StopInstances", Fault::StallAfter),
        ("DetachVolume", Fault::Stall),
        ("DetachVolume", Fault::StallAfter),
        ("AttachVolume", Fault::StallAfter),
        ("TerminateInstances", Fault::Stall),
    ];
    each(&ways, |(action, fault)| {
        let (desk, old, disk, _) = before();
        desk.fake.fault("AssociateAddress", When::Nth(1), Fault::StallAfter);
        killed_at(&desk, &REPLACE);
        desk.fake.fault(action, When::Nth(1), fault);
        killed_at(&desk, &BACK);
        desk.run(&BACK).well();
        as_before(&desk, &old, &disk);
    });
}

#[test]
fn a_new_system_that_does_not_answer_is_told_and_it_goes_back() {
    for how in [Host::Deaf, Host::Impostor] {
        let (desk, old, disk, _) = before();
        desk.fake.account().host = how;
        let outcome = desk.run(&[&REPLACE[..], &["--deadline", "6s"]].concat());
        assert!(outcome.code.is_some_and(|code| code != 0), "{outcome:?}");
        assert!(outcome.err.contains("--back"), "how to go back is told: {}", outcome.err);
        assert_eq!(things(&desk).instances, 2, "the old one is not terminated");
        desk.fake.account().host = Host::Well;
        desk.run(&BACK).well();
        as_before(&desk, &old, &disk);
    }
}

#[test]
fn without_capacity_the_old_one_has_not_been_touched() {
    let (desk, old, disk, _) = before();
    desk.fake.fault("RunInstances", When::From(1), Fault::Refuse(500, "InsufficientInstanceCapacity"));
    let outcome = desk.run(&REPLACE);
    assert!(outcome.code.is_some_and(|code| code != 0), "{outcome:?}");
    assert!(outcome.err.contains("InsufficientInstanceCapacity"), "{}", outcome.err);
    as_before(&desk, &old, &disk);
    assert_eq!(host(&desk).1.boot.count, 1, "it has not even been stopped");
}

#[test]
fn a_volume_that_comes_too_late_is_found_by_a_reboot() {
    let (desk, old, disk, next) = before();
    desk.fake.account().dawdles = 400;
    desk.run(&REPLACE).well();
    replaced(&desk, &old, &disk, &next);
    assert_eq!(host(&desk).1.boot.count, 2);
    assert_eq!(desk.fake.done("RebootInstances"), 1);
}

#[test]
fn killed_at_the_reboot_it_goes_on_or_back() {
    each(&[(Fault::Stall, false), (Fault::StallAfter, false), (Fault::Stall, true)], |(fault, back)| {
        let (desk, old, disk, next) = before();
        desk.fake.account().dawdles = 400;
        desk.fake.fault("RebootInstances", When::Nth(1), fault);
        killed_at(&desk, &REPLACE);
        if back {
            desk.run(&BACK).well();
            return as_before(&desk, &old, &disk);
        }
        desk.run(&REPLACE).well();
        replaced(&desk, &old, &disk, &next);
    });
}

#[test]
fn a_volume_that_comes_in_time_needs_no_reboot_and_the_new_one_is_never_stopped() {
    let (desk, ..) = before();
    desk.run(&REPLACE).well();
    assert_eq!(host(&desk).1.boot.count, 1);
    assert_eq!((desk.fake.done("StopInstances"), desk.fake.done("StartInstances")), (1, 0));
}

#[test]
fn a_right_that_is_missing_is_named_and_can_be_given() {
    let actions = [
        "ec2:DescribeInstanceAttribute",
        "ec2:RunInstances",
        "ec2:StopInstances",
        "ec2:DetachVolume",
        "ec2:AttachVolume",
        "ec2:AssociateAddress",
        "ec2:TerminateInstances",
    ];
    each(&actions, |action| {
        let (desk, old, disk, next) = before();
        desk.fake.deny(action);
        let error = desk.run(&REPLACE).failed(2);
        assert!(error.contains(action), "{action} is not named: {error}");
        desk.fake.undeny(action);
        desk.run(&REPLACE).well();
        replaced(&desk, &old, &disk, &next);
    });
}

#[test]
fn answers_that_are_lost_are_outlasted() {
    for fault in [Fault::CutAfter, Fault::Throttle, Fault::Refuse(500, "InternalError")] {
        let (desk, old, disk, next) = before();
        for (action, ..) in steps() {
            desk.fake.fault(action, When::First(1), fault);
        }
        desk.run(&REPLACE).well();
        replaced(&desk, &old, &disk, &next);
    }
}

#[test]
fn back_without_a_replacement_says_so() {
    let (desk, old) = hosted(&[]);
    let outcome = desk.run(&BACK);
    assert!(outcome.code.is_some_and(|code| code != 0) && outcome.err.contains(NAME), "{outcome:?}");
    assert_eq!(stands(&desk, false), old);
}

#[test]
fn launching_in_the_middle_of_a_replacement_makes_no_third_one() {
    let (desk, old, disk, next) = before();
    desk.fake.fault("DetachVolume", When::Nth(1), Fault::Stall);
    killed_at(&desk, &REPLACE);
    let outcome = launch(&desk, &["--elastic-ip"]);
    assert!(things(&desk).instances == 2, "{outcome:?}");
    desk.run(&REPLACE).well();
    replaced(&desk, &old, &disk, &next);
}
