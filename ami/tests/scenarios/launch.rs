//! Launching when nothing goes wrong: what the host is like, that the second time makes nothing, and what can be chosen.

use crate::desk::REGION;
use crate::fake::compute::{Metadata, Permission};
use crate::hosting::{NAME, NOTHING, Things, data, desk, host, hosted, launch, launching, stands, things};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kennel_user_data::UserData;
use std::collections::BTreeSet;

#[test]
fn from_an_image_to_a_host_that_answers() {
    let desk = desk();
    {
        let mut account = desk.fake.account();
        account.settle = 2;
        account.boot = 3;
    }
    let outcome = launch(&desk, &[]);
    let told = outcome.err.clone();
    let address = outcome.well();
    let id = stands(&desk, false);
    let (_, instance) = host(&desk);
    let (_, volume) = data(&desk);
    assert_eq!(address.trim(), desk.fake.account().region(REGION).compute.public_address(&id).unwrap());
    for step in ["until it runs", "console", "certificate", "kennel --host edge1"] {
        assert!(told.contains(step), "{step} is not told: {told}");
    }
    assert_eq!((instance.kind.as_str(), instance.spot), ("t3.small", false));
    let metadata =
        Metadata { tokens: "required".into(), hops: 1, endpoint: "enabled".into(), tags: "enabled".into() };
    assert_eq!(instance.metadata, metadata, "IMDSv2 and one hop only");
    // As the host itself reads it.
    let user_data = UserData::from_bytes(&STANDARD.decode(&instance.user_data).unwrap()).unwrap();
    assert_eq!(user_data.host_name.map(|name| name.to_string()).as_deref(), Some(NAME));
    assert_eq!(user_data.ssh_keys.len(), 1);
    assert!(instance.profile.is_none() && instance.key.is_none());
    assert_eq!(instance.tags["kennel:host"], NAME);
    assert!(volume.encrypted && volume.kind == "gp3" && volume.tags["kennel:host"] == NAME);
    let mut account = desk.fake.account();
    let compute = &account.region(REGION).compute;
    assert!(compute.at(&id).all(|(_, it, _)| it.encrypted && it.kind == "gp3"), "all disks are encrypted");
    let stays: Vec<bool> = compute.at(&id).map(|(.., at)| !at.delete_on_termination).collect();
    assert_eq!(stays.iter().filter(|stays| **stays).count(), 1, "the data stays, the system goes");
    let group = &compute.groups[instance.groups.first().unwrap()];
    let open =
        |port, cidr: &str| Permission { protocol: "tcp".into(), from: port, to: port, cidr: cidr.into() };
    let all = [80, 443].into_iter().flat_map(|port| [open(port, "0.0.0.0/0"), open(port, "::/0")]);
    let expected: BTreeSet<_> = all.chain([open(8443, "127.0.0.1/32")]).collect();
    assert_eq!(group.permissions, expected);
}

#[test]
fn the_second_time_makes_nothing() {
    let (desk, id) = hosted(&["--elastic-ip"]);
    desk.fake.forget_calls();
    let again = launch(&desk, &["--elastic-ip"]).well();
    assert_eq!(stands(&desk, true), id);
    assert_eq!(again.trim(), desk.fake.account().region(REGION).compute.public_address(&id).unwrap());
    let made: Vec<_> =
        desk.fake.calls().into_iter().filter(|call| call.mutates() && call.status < 300).collect();
    assert!(made.is_empty(), "{made:?}");
    desk.forget();
    launch(&desk, &["--elastic-ip"]).well();
    assert_eq!(stands(&desk, true), id, "nor at another desk");
}

#[test]
fn what_can_be_chosen() {
    let desk = desk();
    let more = ["--spot", "--elastic-ip", "--key", "alice", "--instance-profile", "edge"];
    launch(&desk, &[&more[..], &["--subnet", "subnet-0b00000000000000b"]].concat()).well();
    stands(&desk, true);
    let (_, instance) = host(&desk);
    assert!(instance.spot);
    assert_eq!((instance.key.as_deref(), instance.profile.as_deref()), (Some("alice"), Some("edge")));
    assert_eq!(instance.zone, "eu-west-1b");
}

#[test]
fn what_was_made_is_not_seen_at_once() {
    let desk = desk();
    desk.fake.account().lag = 2;
    launch(&desk, &["--elastic-ip"]).well();
    stands(&desk, true);
}

#[test]
fn the_address_to_which_the_api_is_open_is_asked_for() {
    let desk = desk();
    let endpoint = desk.fake.endpoint();
    let mut arguments = launching(&[]);
    let from = arguments.iter().position(|it| *it == "--api-from").unwrap();
    arguments.drain(from..from + 2);
    let mut command = desk.command(env!("CARGO_BIN_EXE_kennel-ami"));
    let output =
        command.env("KENNEL_CHECKIP_URL", format!("{endpoint}/checkip")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    stands(&desk, false);
}

#[test]
fn a_host_that_was_terminated_comes_back_with_its_data() {
    let (desk, old) = hosted(&[]);
    let (disk, _) = data(&desk);
    desk.run(&["host", "terminate", NAME, "--region", REGION, "--yes"]).well();
    launch(&desk, &[]).well();
    assert_ne!(stands(&desk, false), old);
    assert_eq!(data(&desk).0, disk, "no second disk");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_made() {
    for (more, word) in [
        (&["--key", "bob"][..], "bob"),
        (&["--key", "rsa-of-bob"], "ed25519"),
        (&["--subnet", "subnet-00000000000000000"], "subnet-00000000000000000"),
        (&["--ami", "ami-0123456789abcdef0"], "ami-0123456789abcdef0"),
    ] {
        let desk = desk();
        desk.fake.account().region(REGION).compute.keys.insert("rsa-of-bob".to_owned());
        let outcome = launch(&desk, more);
        assert!(outcome.code.is_some_and(|code| code != 0), "{outcome:?}");
        assert!(outcome.err.contains(word), "{}", outcome.err);
        assert_eq!(things(&desk), NOTHING);
    }
}

#[test]
fn without_an_image_it_is_told_how_to_get_one() {
    let desk = desk();
    desk.fake.account().region(REGION).images.clear();
    let outcome = launch(&desk, &[]);
    assert!(outcome.code.is_some_and(|code| code != 0) && outcome.err.contains("publish"), "{outcome:?}");
    assert_eq!(things(&desk), NOTHING);
}

#[test]
fn an_image_can_be_named_by_a_parameter() {
    let desk = desk();
    let image = desk.fake.account().only_image().0;
    let parameter = ("/kennel/latest".to_owned(), (image, 1));
    desk.fake.account().region(REGION).parameters.extend([parameter]);
    launch(&desk, &["--ami", "/kennel/latest"]).well();
    stands(&desk, false);
}

#[test]
fn two_hosts_do_not_share_anything() {
    let (desk, first) = hosted(&[]);
    let mut arguments = launching(&[]);
    arguments[2] = "edge2";
    desk.run(&arguments).well();
    assert_eq!(things(&desk), Things { instances: 2, groups: 2, addresses: 0, volumes: 4 });
    desk.run(&["host", "terminate", "edge2", "--region", REGION, "--yes"]).well();
    assert_eq!(host(&desk).0, first);
}
