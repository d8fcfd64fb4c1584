//! Versions that build on each other: only what changed travels, and what comes out is the whole image nevertheless.

use crate::desk::{Desk, REGION};
use crate::fake::BLOCK;
use crate::picture::{Picture, Piece};

/// The snapshot of an AMI, and how much was written to itself.
fn snapshot(desk: &Desk, ami: &str) -> (Option<String>, Vec<u32>, Vec<u8>) {
    let mut account = desk.fake.account();
    let region = account.region(REGION);
    let [id] = region.images[ami].snapshots().collect::<Vec<_>>()[..] else { panic!("one snapshot") };
    let snapshot = &region.snapshots[id];
    (snapshot.parent.clone(), snapshot.written.iter().copied().collect(), snapshot.read(64 * BLOCK))
}

#[test]
fn only_changed_blocks_are_sent() {
    let (desk, first) = (Desk::new(), Picture::of(64));
    desk.published(&desk.image("1", &first), &[]);
    // A change, data in a hole, a hole where there was data and where there were zeros.
    let second =
        first.with(5, Piece::Data(777)).with(7, Piece::Data(8)).with(0, Piece::Hole).with(2, Piece::Hole);
    desk.fake.forget_calls();
    let id = desk.published(&desk.image("2", &second), &["--parent", "auto"]);
    let (parent, written, content) = snapshot(&desk, &id);
    assert!(parent.is_some());
    assert_eq!(written, [0, 5, 7], "what became a hole is zeros again; zeros already were");
    assert_eq!(desk.fake.count("PutSnapshotBlock"), 3);
    assert!(content == second.bytes());
}

#[test]
fn nothing_to_build_on_is_no_failure() {
    let (desk, picture) = (Desk::new(), Picture::of(8));
    desk.published(&desk.image("1", &picture), &["--parent", "auto"]);
    desk.holds(&picture);
}

#[test]
fn on_demand_everything_is_sent() {
    let (desk, first) = (Desk::new(), Picture::of(8));
    desk.published(&desk.image("1", &first), &[]);
    let second = first.with(0, Piece::Data(99));
    let id = desk.published(&desk.image("2", &second), &["--parent", "none"]);
    let (parent, written, _) = snapshot(&desk, &id);
    assert_eq!((parent, written), (None, second.written()));
}

#[test]
fn a_parent_that_is_gone_is_not_missed() {
    let (desk, first) = (Desk::new(), Picture::of(8));
    let old = desk.published(&desk.image("1", &first), &[]);
    desk.run(&["rm", &old, "--region", REGION]).well();
    let second = first.with(0, Piece::Data(99));
    desk.published(&desk.image("2", &second), &["--parent", "auto"]);
    desk.holds(&second);
}

#[test]
fn a_child_outlives_its_parent() {
    let (desk, first) = (Desk::new(), Picture::of(16));
    let old = desk.published(&desk.image("1", &first), &[]);
    let second = first.with(4, Piece::Data(99));
    let id = desk.published(&desk.image("2", &second), &[]);
    desk.run(&["rm", &old, "--region", REGION]).well();
    desk.holds(&second);
    let image = desk.image("2", &second);
    desk.run(&["verify", &id, "--image", image.to_str().unwrap(), "--region", REGION]).well();
}

#[test]
fn what_only_a_stranger_tagged_is_no_parent() {
    let (desk, first) = (Desk::new(), Picture::of(8));
    desk.published(&desk.image("1", &first), &[]);
    // The digests of the blocks are known here, but the snapshot is somebody else's now.
    desk.fake
        .account()
        .region(REGION)
        .snapshots
        .values_mut()
        .for_each(|it| it.owner = "999988887777".to_owned());
    desk.fake.account().region(REGION).images.clear();
    let second = first.with(0, Piece::Data(99));
    desk.published(&desk.image("2", &second), &[]);
    desk.holds(&second);
}

#[test]
fn a_larger_version_builds_on_a_smaller_one() {
    let (desk, first) = (Desk::new(), Picture::of(8));
    desk.published(&desk.image("1", &first), &[]);
    let mut second = first.with(0, Piece::Data(99));
    second.pieces.resize(2050, Piece::Hole);
    second.pieces[2049] = Piece::Data(3);
    let id = desk.published(&desk.image("2", &second), &[]);
    let (parent, written, _) = snapshot(&desk, &id);
    assert!(parent.is_some(), "a volume may grow");
    assert_eq!(written, [0, 2049]);
}
