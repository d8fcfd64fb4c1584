//! A dry run: every call is told with its cost, and none that changes something is made.

use crate::desk::Desk;
use crate::fake::Call;
use crate::hosting;
use crate::picture::{Picture, Piece};

#[test]
fn every_call_is_told_and_none_is_made() {
    let (desk, picture) = (Desk::new(), Picture::of(40));
    let image = desk.image("out", &picture);
    let more = ["--dry-run", "--copy-to", "us-east-1", "--share", "222233334444", "--ssm", "/kennel/latest"];
    let outcome = desk.publish(&image, &more);
    let told = format!("{}{}", outcome.out, outcome.err);
    outcome.well();
    for call in
        ["StartSnapshot", "PutSnapshotBlock", "CompleteSnapshot", "RegisterImage", "CopyImage", "PutParameter"]
    {
        assert!(told.contains(call), "{call} is not told: {told}");
    }
    assert!(told.contains("30") && told.contains('$'), "thirty blocks, and what they cost: {told}");
    let made: Vec<Call> = desk.fake.calls().into_iter().filter(Call::mutates).collect();
    assert!(made.is_empty(), "{made:?}");
    assert!(desk.fake.account().snapshots().is_empty());
    assert!(!told.contains("ami-"), "no id of an image that there is not: {told}");
}

#[test]
fn it_tells_what_the_run_then_does() {
    let (desk, first) = (Desk::new(), Picture::of(40));
    desk.published(&desk.image("1", &first), &[]);
    let image = desk.image("2", &first.with(1, Piece::Data(7)).with(4, Piece::Data(8)));
    let outcome = desk.publish(&image, &["--dry-run", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&outcome.well()).unwrap();
    desk.fake.forget_calls();
    desk.published(&image, &[]);
    let text = document.to_string();
    let count = desk.fake.count("PutSnapshotBlock");
    assert_eq!(count, 2);
    assert!(text.contains("PutSnapshotBlock") && text.contains('2'), "{text}");
}

#[test]
fn for_what_is_published_there_is_nothing_to_do() {
    let (desk, picture) = (Desk::new(), Picture::of(4));
    let image = desk.image("out", &picture);
    desk.published(&image, &[]);
    desk.fake.forget_calls();
    let outcome = desk.publish(&image, &["--dry-run"]);
    let told = format!("{}{}", outcome.out, outcome.err);
    outcome.well();
    assert!(!told.contains("PutSnapshotBlock"), "{told}");
}

#[test]
fn of_a_launch_every_call_is_told_and_none_is_made() {
    let desk = hosting::desk();
    let outcome = hosting::launch(&desk, &["--elastic-ip", "--dry-run"]);
    let told = format!("{}{}", outcome.out, outcome.err);
    outcome.well();
    for call in ["CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances", "AllocateAddress"] {
        assert!(told.contains(call), "{call} is not told: {told}");
    }
    assert!(told.contains('$'), "what it costs: {told}");
    let made: Vec<Call> = desk.fake.calls().into_iter().filter(Call::mutates).collect();
    assert!(made.is_empty(), "{made:?}");
    assert_eq!(hosting::things(&desk), hosting::NOTHING);
    // And exactly those are made then.
    hosting::launch(&desk, &["--elastic-ip"]).well();
    for call in desk.fake.calls().iter().filter(|call| call.mutates()) {
        assert!(told.contains(&call.action), "{} was not told: {told}", call.action);
    }
}

#[test]
fn of_a_replacement_too() {
    let (desk, old) = hosting::hosted(&["--elastic-ip"]);
    hosting::next_image(&desk);
    desk.fake.forget_calls();
    let replace = ["host", "replace", hosting::NAME, "--region", crate::desk::REGION];
    let outcome = desk.run(&[&replace[..], &["--dry-run"]].concat());
    let told = format!("{}{}", outcome.out, outcome.err);
    outcome.well();
    let made: Vec<Call> = desk.fake.calls().into_iter().filter(Call::mutates).collect();
    assert!(made.is_empty(), "{made:?}");
    assert_eq!(hosting::stands(&desk, true), old);
    desk.run(&replace).well();
    for call in desk.fake.calls().iter().filter(|call| call.mutates()) {
        assert!(told.contains(&call.action), "{} was not told: {told}", call.action);
    }
}
