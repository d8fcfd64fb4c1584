//! What somebody did by hand, what two desks do at a time, and hosts that are not as they usually are.

use crate::desk::{DEADLINE, REGION};
use crate::fake::compute::Phase;
use crate::fake::faults::{Fault, When};
use crate::hosting::{NAME, data, desk, each, host, hosted, launch, launching, next_image, stands, things};

const REPLACE: [&str; 5] = ["host", "replace", NAME, "--region", REGION];
const TERMINATE: [&str; 6] = ["host", "terminate", NAME, "--region", REGION, "--yes"];

#[test]
fn a_spot_host_takes_up_its_data_again() {
    let (desk, old) = hosted(&["--spot"]);
    let disk = data(&desk).0;
    desk.run(&TERMINATE).well();
    launch(&desk, &["--spot"]).well();
    assert_ne!(stands(&desk, false), old);
    assert_eq!(data(&desk).0, disk);
}

#[test]
fn a_host_that_is_switched_off_is_replaced_too() {
    let (desk, old) = hosted(&["--elastic-ip"]);
    let disk = data(&desk).0;
    {
        let mut account = desk.fake.account();
        account.region(REGION).compute.instances.get_mut(&old).unwrap().phase = Phase::Stopping;
        account.settled(REGION);
    }
    let listed = desk.run(&["hosts", "--region", REGION]).well();
    assert!(listed.contains("stopped"), "{listed}");
    next_image(&desk);
    desk.run(&REPLACE).well();
    assert_ne!(stands(&desk, true), old);
    assert_eq!(data(&desk).0, disk);
}

#[test]
fn a_new_one_that_never_runs_is_told_and_the_old_one_serves_on() {
    let (desk, old) = hosted(&["--elastic-ip"]);
    let disk = data(&desk).0;
    next_image(&desk);
    desk.fake.account().next_instance_fails = Some("Client.InternalError".to_owned());
    let outcome = desk.run(&REPLACE);
    assert!(outcome.code.is_some_and(|code| code != 0), "{outcome:?}");
    assert!(outcome.err.contains("Client.InternalError"), "{}", outcome.err);
    assert_eq!(host(&desk).0, old);
    assert_eq!(host(&desk).1.boot.count, 1, "it has not even been stopped");
    desk.run(&REPLACE).well();
    assert_ne!(stands(&desk, true), old);
    assert_eq!(data(&desk).0, disk);
}

#[test]
fn data_that_are_in_another_zone_are_not_left_behind() {
    let (desk, _) = hosted(&[]);
    let disk = data(&desk).0;
    desk.run(&TERMINATE).well();
    let outcome = launch(&desk, &["--subnet", "subnet-0b00000000000000b"]);
    assert!(outcome.code.is_some_and(|code| code != 0) && outcome.err.contains(&disk), "{outcome:?}");
    assert_eq!(things(&desk).instances, 0);
    launch(&desk, &[]).well();
    stands(&desk, false);
}

#[test]
fn a_host_that_is_protected_stays_and_that_is_told() {
    let (desk, id) = hosted(&[]);
    desk.fake.account().region(REGION).compute.instances.get_mut(&id).unwrap().protected = true;
    let error = desk.run(&TERMINATE).failed(2);
    assert!(error.contains("OperationNotPermitted"), "{error}");
    assert_eq!(stands(&desk, false), id);
}

#[test]
fn a_host_whose_data_were_taken_away_is_not_replaced() {
    let (desk, old) = hosted(&[]);
    let disk = data(&desk).0;
    desk.fake.account().region(REGION).compute.volumes.get_mut(&disk).unwrap().attachment = None;
    next_image(&desk);
    let outcome = desk.run(&REPLACE);
    assert!(outcome.code.is_some_and(|code| code != 0) && outcome.err.contains("volume"), "{outcome:?}");
    assert_eq!(host(&desk).0, old, "no second one was begun");
}

#[test]
fn what_is_seen_late_is_waited_for_in_a_replacement() {
    let (desk, old) = hosted(&["--elastic-ip"]);
    next_image(&desk);
    {
        let mut account = desk.fake.account();
        account.lag = 3;
        account.settle = 2;
        account.boot = 2;
    }
    desk.run(&REPLACE).well();
    assert_ne!(stands(&desk, true), old);
}

#[test]
fn without_a_network_it_is_told_which_to_name() {
    let desk = desk();
    {
        let mut account = desk.fake.account();
        let compute = &mut account.region(REGION).compute;
        compute.subnets.values_mut().for_each(|it| it.default = false);
        compute.vpcs.values_mut().for_each(|default| *default = false);
    }
    let outcome = launch(&desk, &[]);
    assert!(outcome.code.is_some_and(|code| code != 0) && outcome.err.contains("--subnet"), "{outcome:?}");
    launch(&desk, &["--subnet", "subnet-0a00000000000000a"]).well();
    stands(&desk, false);
}

#[test]
fn two_runs_at_a_time_make_one_host() {
    let desk = desk();
    desk.fake.fault("RunInstances", When::Nth(1), Fault::Stall);
    let mut first = desk.begin(&launching(&[]));
    let stalled = desk.fake.stalled(DEADLINE);
    let second = launch(&desk, &[]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(stalled && second.code == Some(1), "{second:?}");
    desk.fake.mend();
    launch(&desk, &[]).well();
    stands(&desk, false);
}

#[test]
fn two_hosts_of_one_name_are_told_apart() {
    let (desk, id) = hosted(&[]);
    let twin = "i-0aaaaaaaaaaaaaaaa";
    {
        // Launched at two desks at the same moment.
        let mut account = desk.fake.account();
        let compute = &mut account.region(REGION).compute;
        let other = compute.instances[&id].clone();
        compute.instances.insert(twin.to_owned(), other);
        let mut disk = compute.volumes[&compute.data_of(&id).unwrap()].clone();
        disk.attachment.as_mut().unwrap().instance = twin.to_owned();
        compute.volumes.insert("vol-0aaaaaaaaaaaaaaaa".to_owned(), disk);
    }
    for command in [&REPLACE[..], &TERMINATE, &launching(&[])] {
        let outcome = desk.run(command);
        assert!(outcome.code.is_some_and(|code| code != 0), "{command:?} guesses: {outcome:?}");
        assert!(outcome.err.contains(&id) && outcome.err.contains(twin), "both are named: {}", outcome.err);
    }
    let listed = desk.run(&["hosts", "--region", REGION]).well();
    assert!(listed.contains(&id) && listed.contains(twin), "{listed}");
    assert_eq!(things(&desk).instances, 2);
}

#[test]
fn the_api_is_opened_to_where_the_operator_is_now() {
    let (desk, id) = hosted(&[]);
    {
        let mut account = desk.fake.account();
        let groups = &mut account.region(REGION).compute.groups;
        let group = groups.values_mut().find(|it| it.name == "kennel-edge1").unwrap();
        // As it was opened from another place.
        let rules = std::mem::take(&mut group.permissions).into_iter();
        group.permissions = rules
            .map(|mut rule| {
                rule.cidr = rule.cidr.replace("127.0.0.1/32", "192.0.2.1/32");
                rule
            })
            .collect();
    }
    launch(&desk, &[]).well();
    assert_eq!(stands(&desk, false), id);
}

#[test]
fn at_every_single_request_a_launch_may_be_killed() {
    let whole = desk();
    launch(&whole, &["--elastic-ip"]).well();
    let requests: Vec<usize> = (1..=whole.fake.calls().len()).collect();
    assert!(requests.len() > 8, "{requests:?}");
    each(&requests, |number| {
        let desk = desk();
        desk.fake.fault("*", When::Nth(number), Fault::Stall);
        crate::resume::killed_at(&desk, &launching(&["--elastic-ip"]));
        launch(&desk, &["--elastic-ip"]).well();
        stands(&desk, true);
    });
}

#[test]
fn at_every_single_request_a_replacement_may_be_killed_and_goes_on_or_back() {
    let (whole, _) = hosted(&["--elastic-ip"]);
    next_image(&whole);
    whole.fake.forget_calls();
    whole.run(&REPLACE).well();
    let requests: Vec<usize> = (1..=whole.fake.calls().len()).collect();
    assert!(requests.len() > 12, "{requests:?}");
    let ways: Vec<(usize, bool)> = requests.iter().flat_map(|it| [(*it, false), (*it, true)]).collect();
    each(&ways, |(number, back)| {
        let (desk, old) = hosted(&["--elastic-ip"]);
        let disk = data(&desk).0;
        let next = next_image(&desk);
        desk.fake.fault("*", When::Nth(number), Fault::Stall);
        crate::resume::killed_at(&desk, &REPLACE);
        if back {
            let outcome = desk.run(&[&REPLACE[..], &["--back"]].concat());
            // Where nothing was begun, or the old one is gone, that is said.
            let terminated = desk.fake.done("TerminateInstances") > 0 && outcome.code != Some(0);
            let begun = desk.fake.done("RunInstances") > 1 || outcome.code == Some(0);
            assert!(!begun || terminated || outcome.code == Some(0), "{outcome:?}");
            if !terminated {
                assert_eq!(stands(&desk, true), old);
                assert_eq!(data(&desk).0, disk);
                return;
            }
        }
        desk.run(&REPLACE).well();
        assert_ne!(stands(&desk, true), old);
        assert_eq!((data(&desk).0, host(&desk).1.image), (disk, next));
    });
}
