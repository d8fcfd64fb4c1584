//! Looking after hosts: hosts, host console, host reboot and host terminate.

use crate::desk::REGION;
use crate::fake::faults::{Fault, When};
use crate::hosting::{NAME, NOTHING, Things, data, desk, host, hosted, stands, things};
use crate::resume::killed_at;

const TERMINATE: [&str; 6] = ["host", "terminate", NAME, "--region", REGION, "--yes"];

#[test]
fn hosts_are_listed() {
    let (desk, id) = hosted(&["--elastic-ip"]);
    let address = desk.fake.account().region(REGION).compute.public_address(&id).unwrap().to_owned();
    let listed = desk.run(&["hosts", "--region", REGION]).well();
    assert!([NAME, &id, &address, "running"].iter().all(|word| listed.contains(word)), "{listed}");
    let document = desk.run(&["hosts", "--region", REGION, "--json"]).well();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert!(document.to_string().contains(&id), "{document}");
}

#[test]
fn where_there_is_none_that_is_said() {
    let desk = desk();
    let outcome = desk.run(&["hosts", "--region", REGION]);
    assert!(outcome.err.contains("no host") || outcome.err.contains("nothing"), "{outcome:?}");
    outcome.well();
    for command in ["console", "reboot", "replace"] {
        let error = desk.run(&["host", command, NAME, "--region", REGION]).failed(2);
        assert!(error.contains(NAME), "{command}: {error}");
    }
}

#[test]
fn instances_of_others_are_left_alone() {
    let (desk, id) = hosted(&[]);
    {
        let mut account = desk.fake.account();
        let compute = &mut account.region(REGION).compute;
        let mut other = compute.instances[&id].clone();
        other.tags = [("Name".to_owned(), "accounts".to_owned())].into();
        other.groups = ["sg-0d00000000000000d".to_owned()].into();
        compute.instances.insert("i-0aaaaaaaaaaaaaaaa".to_owned(), other);
    }
    assert!(!desk.run(&["hosts", "--region", REGION]).well().contains("i-0aaaaaaaaaaaaaaaa"));
    desk.run(&TERMINATE).well();
    assert_eq!(host(&desk).0, "i-0aaaaaaaaaaaaaaaa");
}

#[test]
fn the_console_is_shown() {
    let (desk, _) = hosted(&[]);
    let shown = desk.run(&["host", "console", NAME, "--region", REGION]).well();
    assert!(shown.contains("control: api certificate SHA256:") && shown.len() > 60_000, "{}", shown.len());
    assert!(!shown.contains('\r'), "as lines of this computer");
}

#[test]
fn a_reboot_is_one() {
    let (desk, id) = hosted(&[]);
    desk.run(&["host", "reboot", NAME, "--region", REGION]).well();
    assert_eq!(stands(&desk, false), id);
    assert_eq!(host(&desk).1.boot.count, 2);
}

#[test]
fn terminating_keeps_the_data_and_says_so() {
    let (desk, _) = hosted(&["--elastic-ip"]);
    let (disk, _) = data(&desk);
    let outcome = desk.run(&TERMINATE);
    let told = format!("{}{}", outcome.out, outcome.err);
    outcome.well();
    assert!(told.contains(&disk), "the disk that stays, and costs, is named: {told}");
    let address = desk.fake.account().region(REGION).compute.addresses.values().next().unwrap().ip.clone();
    assert!(told.contains(&address), "and so is the address: {told}");
    assert_eq!(things(&desk), Things { instances: 0, groups: 0, addresses: 1, volumes: 1 });
    let again = desk.run(&TERMINATE);
    assert!(again.code == Some(0) || again.err.contains(NAME), "{again:?}");
}

#[test]
fn terminating_with_everything_leaves_nothing() {
    let (desk, _) = hosted(&["--elastic-ip"]);
    // Whoever asks for it has them deleted.
    let (disk, _) = data(&desk);
    desk.fake.account().region(REGION).compute.volumes.get_mut(&disk).unwrap().precious = false;
    desk.run(&[&TERMINATE[..], &["--with-data", "--with-address"]].concat()).well();
    assert_eq!(things(&desk), NOTHING);
}

#[test]
fn without_a_yes_nothing_is_terminated() {
    let (desk, id) = hosted(&[]);
    let outcome = desk.run(&TERMINATE[..5]);
    assert!(outcome.code.is_some_and(|code| code != 0) && outcome.err.contains("--yes"), "{outcome:?}");
    assert_eq!(stands(&desk, false), id);
}

#[test]
fn killed_while_it_terminates_the_same_command_goes_on() {
    for (action, fault) in [
        ("TerminateInstances", Fault::Stall),
        ("TerminateInstances", Fault::StallAfter),
        ("DeleteSecurityGroup", Fault::Stall),
        ("DeleteSecurityGroup", Fault::StallAfter),
    ] {
        let (desk, _) = hosted(&[]);
        desk.fake.fault(action, When::Nth(1), fault);
        killed_at(&desk, &TERMINATE);
        // Says that it is gone, if it is.
        desk.run(&TERMINATE);
        assert_eq!(
            things(&desk),
            Things { instances: 0, groups: 0, addresses: 0, volumes: 1 },
            "{action} {fault:?}"
        );
    }
}

#[test]
fn a_right_that_is_missing_is_named() {
    for (action, command) in [
        ("ec2:DescribeInstances", &["hosts", "--region", REGION][..]),
        ("ec2:GetConsoleOutput", &["host", "console", NAME, "--region", REGION]),
        ("ec2:RebootInstances", &["host", "reboot", NAME, "--region", REGION]),
        ("ec2:TerminateInstances", &TERMINATE),
    ] {
        let (desk, id) = hosted(&[]);
        desk.fake.deny(action);
        let error = desk.run(command).failed(2);
        assert!(error.contains(action), "{action} is not named: {error}");
        assert_eq!(stands(&desk, false), id);
        desk.fake.undeny(action);
        desk.run(command).well();
    }
}
