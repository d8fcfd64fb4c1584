//! A right that is missing: whichever it is, it is named, at once, and once it is given the same command does its work.

use crate::desk::{Desk, KEY, REGION};
use crate::fake::faults::{Fault, When};
use crate::picture::Picture;

/// Runs a command without a right, which must be named, and then with it.
#[track_caller]
fn named(desk: &Desk, action: &str, arguments: &[&str]) {
    desk.fake.forget_calls();
    desk.fake.deny(action);
    let error = desk.run(arguments).failed(2);
    assert!(error.contains(action), "{action} is not named: {error}");
    let refused = desk
        .fake
        .calls()
        .iter()
        .filter(|call| call.code.contains("Denied") || call.code.contains("Unauth"))
        .count();
    // Blocks are under way many at a time; whatever else is refused is asked for once.
    let many = action.ends_with("SnapshotBlock");
    assert!(refused == 1 || (many && refused <= 128), "{action} was tried {refused} times");
    desk.fake.undeny(action);
    desk.run(arguments).well();
}

#[test]
fn to_publish() {
    for action in [
        "ec2:DescribeImages",
        "ec2:DescribeSnapshots",
        "ebs:StartSnapshot",
        "ebs:PutSnapshotBlock",
        "ebs:CompleteSnapshot",
        "ec2:RegisterImage",
        "ec2:CreateTags",
    ] {
        let (desk, picture) = (Desk::new(), Picture::of(12));
        let image = desk.image("out", &picture);
        named(&desk, action, &["publish", image.to_str().unwrap(), "--region", REGION]);
        desk.holds(&picture);
    }
}

#[test]
fn to_publish_with_everything() {
    for action in ["ec2:CopyImage", "ec2:ModifyImageAttribute", "ssm:PutParameter"] {
        let desk = Desk::new();
        let image = desk.image("out", &Picture::of(4));
        let more = ["--copy-to", "us-east-1", "--share", "222233334444", "--ssm", "/kennel/latest"];
        named(&desk, action, &[&["publish", image.to_str().unwrap(), "--region", REGION][..], &more].concat());
        let account = desk.fake.account();
        assert_eq!((account.images().len(), account.snapshots().len()), (2, 2));
    }
}

#[test]
fn to_use_the_key() {
    let desk = Desk::new();
    let image = desk.image("out", &Picture::of(4));
    let arguments = ["publish", image.to_str().unwrap(), "--region", REGION, "--encrypt", KEY];
    named(&desk, "kms:GenerateDataKeyWithoutPlaintext", &arguments);
}

#[test]
fn to_look_after_what_is_published() {
    let (desk, picture) = (Desk::new(), Picture::of(8));
    let image = desk.image("out", &picture);
    let id = desk.published(&image, &[]);
    let (id, image) = (id.as_str(), image.to_str().unwrap());
    // In an order in which each can be done after the one before.
    for (action, arguments) in [
        ("ec2:DescribeImages", &["ls", "--region", REGION][..]),
        ("ec2:DescribeImageAttribute", &["show", id, "--region", REGION]),
        ("ebs:ListSnapshotBlocks", &["verify", id, "--image", image, "--region", REGION]),
        ("ebs:GetSnapshotBlock", &["verify", id, "--image", image, "--region", REGION]),
        ("ec2:CopyImage", &["copy", id, "--region", REGION, "--to", "us-east-1"]),
        ("ec2:ModifyImageAttribute", &["share", id, "--region", REGION, "--with", "222233334444"]),
        ("ec2:EnableImageDeprecation", &["deprecate", id, "--region", REGION]),
        ("ec2:DisableImage", &["disable", id, "--region", REGION]),
        ("ec2:DeregisterImage", &["rm", id, "--region", REGION]),
        ("ec2:DescribeSnapshots", &["gc", "--region", REGION]),
    ] {
        named(&desk, action, arguments);
    }
}

#[test]
fn to_delete_a_snapshot() {
    let desk = Desk::new();
    let id = desk.published(&desk.image("out", &Picture::of(4)), &[]);
    desk.fake.deny("ec2:DeleteSnapshot");
    let error = desk.run(&["rm", &id, "--region", REGION]).failed(2);
    assert!(error.contains("ec2:DeleteSnapshot"), "{error}");
    desk.fake.undeny("ec2:DeleteSnapshot");
    // Whether the image is gone already or not: what is left can be removed.
    desk.run(&["rm", &id, "--region", REGION]);
    desk.run(&["gc", "--region", REGION, "--older-than", "0s"]).well();
    let account = desk.fake.account();
    assert!(account.images().is_empty() && account.snapshots().is_empty(), "a snapshot is left for ever");
}

#[test]
fn a_refusal_that_names_no_action_is_told_with_one() {
    let desk = Desk::new();
    let image = desk.image("out", &Picture::of(4));
    desk.fake.fault("RegisterImage", When::From(1), Fault::Refuse(403, "UnauthorizedOperation"));
    let error = desk.publish(&image, &[]).failed(2);
    assert!(error.contains("ec2:RegisterImage"), "{error}");
}
