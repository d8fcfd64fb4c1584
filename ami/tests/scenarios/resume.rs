//! Killed in the middle, at each kind of request and on both sides of it: the same command goes on, and in the end there is
//! one snapshot and one image, or none when it was to be removed.

use crate::desk::{DEADLINE, Desk, REGION};
use crate::fake::faults::{Fault, When};
use crate::picture::Picture;
use std::path::Path;

/// Publishes, and kills the program with the request that stalls.
#[track_caller]
pub(crate) fn killed(desk: &Desk, image: &Path) {
    killed_at(desk, &["publish", image.to_str().unwrap(), "--region", REGION]);
}

#[track_caller]
pub(crate) fn killed_at(desk: &Desk, arguments: &[&str]) {
    let mut child = desk.begin(arguments);
    let stalled = desk.fake.stalled(DEADLINE);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(stalled, "the request at which to kill never came");
    assert_eq!(status.code(), None, "it has ended by itself");
    desk.fake.mend();
}

#[track_caller]
fn goes_on(action: &str, when: When, fault: Fault) {
    let (desk, picture) = (Desk::new(), Picture::of(48));
    let image = desk.image("out", &picture);
    desk.fake.fault(action, when, fault);
    killed(&desk, &image);
    let id = desk.published(&image, &[]);
    desk.holds(&picture);
    assert_eq!(desk.fake.account().only_image().0, id);
    assert_eq!(desk.published(&image, &[]), id, "and then it is published");
}

#[test]
fn before_the_snapshot_is_begun() {
    goes_on("StartSnapshot", When::Nth(1), Fault::Stall);
}

#[test]
fn after_the_snapshot_is_begun() {
    goes_on("StartSnapshot", When::Nth(1), Fault::StallAfter);
}

#[test]
fn before_the_first_block() {
    goes_on("PutSnapshotBlock", When::From(1), Fault::Stall);
}

#[test]
fn after_the_first_block() {
    goes_on("PutSnapshotBlock", When::From(1), Fault::StallAfter);
}

#[test]
fn in_the_middle_of_the_blocks() {
    goes_on("PutSnapshotBlock", When::From(20), Fault::Stall);
}

#[test]
fn before_the_last_block() {
    goes_on("PutSnapshotBlock", When::From(36), Fault::Stall);
}

#[test]
fn after_the_last_block() {
    goes_on("PutSnapshotBlock", When::From(36), Fault::StallAfter);
}

#[test]
fn before_the_snapshot_is_sealed() {
    goes_on("CompleteSnapshot", When::Nth(1), Fault::Stall);
}

#[test]
fn after_the_snapshot_is_sealed() {
    goes_on("CompleteSnapshot", When::Nth(1), Fault::StallAfter);
}

#[test]
fn while_waiting_for_the_snapshot() {
    goes_on("DescribeSnapshots", When::From(2), Fault::Stall);
}

#[test]
fn before_and_after_the_snapshot_is_marked() {
    goes_on("CreateTags", When::Nth(1), Fault::Stall);
    goes_on("CreateTags", When::Nth(1), Fault::StallAfter);
}

#[test]
fn before_the_image_is_registered() {
    goes_on("RegisterImage", When::Nth(1), Fault::Stall);
}

#[test]
fn after_the_image_is_registered() {
    goes_on("RegisterImage", When::Nth(1), Fault::StallAfter);
}

#[test]
fn before_and_after_a_copy_is_begun() {
    for fault in [Fault::Stall, Fault::StallAfter] {
        let desk = Desk::new();
        let image = desk.image("out", &Picture::of(8));
        let arguments = ["publish", image.to_str().unwrap(), "--region", REGION, "--copy-to", "us-east-1"];
        desk.fake.fault("CopyImage", When::Nth(1), fault);
        killed_at(&desk, &arguments);
        let out = desk.run(&arguments).well();
        let account = desk.fake.account();
        assert_eq!(out.lines().count(), 2);
        assert_eq!((account.images().len(), account.snapshots().len()), (2, 2), "one in each region");
    }
}

#[test]
fn while_something_is_removed() {
    for (action, fault) in [
        ("DeregisterImage", Fault::Stall),
        ("DeregisterImage", Fault::StallAfter),
        ("DeleteSnapshot", Fault::Stall),
        ("DeleteSnapshot", Fault::StallAfter),
    ] {
        let desk = Desk::new();
        let id = desk.published(&desk.image("out", &Picture::of(4)), &[]);
        desk.fake.fault(action, When::Nth(1), fault);
        killed_at(&desk, &["rm", &id, "--region", REGION]);
        // Says that it is gone, if it is.
        desk.run(&["rm", &id, "--region", REGION]);
        desk.run(&["gc", "--region", REGION, "--older-than", "0s"]).well();
        let account = desk.fake.account();
        assert!(account.images().is_empty() && account.snapshots().is_empty(), "{action} {fault:?}");
    }
}

#[test]
fn killed_again_and_again() {
    let (desk, picture) = (Desk::new(), Picture::of(120));
    let image = desk.image("out", &picture);
    // Each run gets so many blocks further, not knowing of some of them.
    for fault in [Fault::Stall, Fault::StallAfter, Fault::Stall] {
        desk.fake.fault("PutSnapshotBlock", When::From(12), fault);
        killed(&desk, &image);
    }
    desk.published(&image, &[]);
    desk.holds(&picture);
}

#[test]
fn what_was_sent_is_not_sent_again() {
    let (desk, picture) = (Desk::new(), Picture::of(400));
    let image = desk.image("out", &picture);
    // Not killed but ended by a refusal: then what arrived is known to the last block. In a kill half a second is lost.
    desk.fake.fault("PutSnapshotBlock", When::From(280), Fault::Refuse(403, "AccessDeniedException"));
    desk.publish(&image, &[]).failed(2);
    desk.fake.mend();
    desk.fake.forget_calls();
    desk.published(&image, &[]);
    desk.holds(&picture);
    assert_eq!(desk.fake.count("StartSnapshot"), 0, "it goes on with the snapshot that there is");
    // At most 128 were on their way when the first was refused.
    let (again, all) = (desk.fake.count("PutSnapshotBlock"), picture.written().len());
    assert!(again <= all - 279 + 128, "{again} of {all} blocks were sent by the second run");
}

#[test]
fn without_the_journal_no_second_snapshot_stays() {
    let (desk, picture) = (Desk::new(), Picture::of(24));
    let image = desk.image("out", &picture);
    desk.fake.fault("PutSnapshotBlock", When::From(10), Fault::Stall);
    killed(&desk, &image);
    // From another computer: it may go on or begin anew, but what is left behind is found and removed.
    desk.forget();
    let id = desk.published(&image, &[]);
    desk.fake.account().days_pass(2);
    desk.run(&["gc", "--region", REGION]).well();
    desk.holds(&picture);
    assert_eq!(desk.fake.account().only_image().0, id);
}

#[test]
fn an_image_that_changed_meanwhile_does_not_get_the_old_blocks() {
    let (desk, picture) = (Desk::new(), Picture::of(24));
    let image = desk.image("out", &picture);
    desk.fake.fault("PutSnapshotBlock", When::From(10), Fault::Stall);
    killed(&desk, &image);
    let mut next = picture.with(1, crate::picture::Piece::Data(4711));
    next.version.clone_from(&picture.version);
    let image = desk.image("out", &next);
    desk.published(&image, &[]);
    desk.fake.account().days_pass(2);
    desk.run(&["gc", "--region", REGION]).well();
    desk.holds(&next);
}
