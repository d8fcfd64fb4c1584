//! AWS on a bad day: too fast, broken, silent, cut off, and bits that tip over. What passes is outlasted, and what does not
//! is told at once.

use crate::desk::{Desk, REGION};
use crate::fake::faults::{Fault, When};
use crate::picture::Picture;

#[track_caller]
fn outlasts(faults: &[(&str, When, Fault)]) -> Desk {
    let (desk, picture) = (Desk::new(), Picture::of(80));
    for (action, when, fault) in faults {
        desk.fake.fault(action, *when, *fault);
    }
    desk.published(&desk.image("out", &picture), &[]);
    desk.holds(&picture);
    desk
}

#[test]
fn throttled_blocks_are_sent_again() {
    let desk = outlasts(&[("PutSnapshotBlock", When::Every(3), Fault::Throttle)]);
    assert_eq!(desk.fake.done("PutSnapshotBlock"), 60, "each block arrives once");
}

#[test]
fn every_other_call_is_throttled_once() {
    let calls = [
        "StartSnapshot",
        "CompleteSnapshot",
        "DescribeSnapshots",
        "DescribeImages",
        "RegisterImage",
        "CreateTags",
    ];
    outlasts(&calls.map(|action| (action, When::First(2), Fault::Throttle)));
}

#[test]
fn errors_of_the_service_are_outlasted() {
    outlasts(&[
        ("PutSnapshotBlock", When::Every(4), Fault::Refuse(500, "InternalServerException")),
        ("RegisterImage", When::First(1), Fault::Refuse(500, "InternalError")),
        ("DescribeSnapshots", When::First(1), Fault::Refuse(503, "Unavailable")),
    ]);
}

#[test]
fn answers_of_a_machine_in_between_are_outlasted() {
    outlasts(&[
        ("PutSnapshotBlock", When::Every(5), Fault::Status(503)),
        ("StartSnapshot", When::First(1), Fault::Status(500)),
        ("CompleteSnapshot", When::First(1), Fault::Status(503)),
        ("RegisterImage", When::First(1), Fault::Status(502)),
    ]);
}

#[test]
fn cut_connections_are_outlasted_whether_the_request_was_done_or_not() {
    for fault in [Fault::Cut, Fault::CutAfter] {
        let each = ["StartSnapshot", "CompleteSnapshot", "CreateTags", "RegisterImage", "DescribeImages"];
        let mut faults = each.map(|action| (action, When::First(1), fault)).to_vec();
        faults.push(("PutSnapshotBlock", When::Every(6), fault));
        outlasts(&faults);
    }
}

#[test]
fn a_block_without_an_answer_is_sent_beside() {
    let (desk, picture) = (Desk::new(), Picture::of(80));
    desk.fake.fault("PutSnapshotBlock", When::Nth(30), Fault::Stall);
    desk.fake.fault("PutSnapshotBlock", When::Nth(50), Fault::StallAfter);
    let out = desk.publish(&desk.image("out", &picture), &["--json"]).well();
    desk.holds(&picture);
    let unanswered =
        desk.fake.calls().iter().filter(|call| call.action == "PutSnapshotBlock" && call.status == 0).count();
    assert_eq!(unanswered, 1, "the other one was done");
    // Long before the attempt itself would be given up.
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let upload = &told["images"][0]["upload"];
    assert!(upload["hedged"].as_u64() >= Some(2) && upload["failed"] == 0, "{told}");
}

#[test]
fn a_bit_that_tips_over_on_the_way_does_not_get_into_the_image() {
    let (desk, picture) = (Desk::new(), Picture::of(16));
    let image = desk.image("out", &picture);
    desk.fake.fault("PutSnapshotBlock", When::Nth(5), Fault::Corrupt);
    let outcome = desk.publish(&image, &[]);
    let refused = desk.fake.calls().into_iter().filter(|call| call.code == "ValidationException").count();
    assert_eq!(refused, 1, "the fake has noticed");
    if outcome.code != Some(0) {
        // Not sent again by itself: then it is told, and the same command goes on.
        outcome.failed(2);
        desk.published(&image, &[]);
    }
    desk.holds(&picture);
}

#[test]
fn a_snapshot_that_fails_later_is_told_and_leaves_nothing() {
    let (desk, picture) = (Desk::new(), Picture::of(8));
    let image = desk.image("out", &picture);
    desk.fake.account().next_completion_fails = Some("Client.InvalidBlock".to_owned());
    let outcome = desk.publish(&image, &[]);
    assert_eq!(
        desk.fake.count("RegisterImage"),
        usize::from(outcome.code == Some(0)),
        "no image of a broken snapshot"
    );
    desk.published(&image, &[]);
    desk.fake.account().days_pass(2);
    desk.run(&["gc", "--region", REGION]).well();
    desk.holds(&picture);
}

#[test]
fn a_refusal_is_told_once_and_at_once() {
    let desk = Desk::new();
    let image = desk.image("out", &Picture::of(4));
    desk.fake.fault("StartSnapshot", When::From(1), Fault::Refuse(402, "ServiceQuotaExceededException"));
    let error = desk.publish(&image, &[]).failed(2);
    assert!(error.contains("StartSnapshot") && error.contains("ServiceQuotaExceededException"), "{error}");
    assert_eq!(desk.fake.count("StartSnapshot"), 1);
}

#[test]
fn trouble_without_an_end_ends() {
    let desk = Desk::new();
    let image = desk.image("out", &Picture::of(4));
    desk.fake.fault("RegisterImage", When::From(1), Fault::Refuse(500, "InternalError"));
    let error = desk.publish(&image, &[]).failed(1);
    assert!(error.contains("RegisterImage"), "{error}");
    assert!((2..20).contains(&desk.fake.count("RegisterImage")), "tried again, but not for ever");
    desk.fake.fault("*", When::From(1), Fault::Throttle);
    let error = desk.publish(&image, &["--deadline", "3s"]).failed(1);
    assert!(error.contains("deadline"), "{error}");
}
