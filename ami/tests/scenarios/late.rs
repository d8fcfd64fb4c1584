//! What is not seen at once, and what changed between two runs: AWS is consistent only after a while, journals get lost or
//! torn, snapshots are deleted by hand or given up, and two runs meet.

use crate::desk::{DEADLINE, Desk, REGION};
use crate::fake::faults::{Fault, When};
use crate::picture::Picture;
use crate::resume::killed;
use std::process::{Command, Stdio};

#[test]
fn what_was_made_a_moment_ago_is_not_seen_yet() {
    let (desk, picture) = (Desk::new(), Picture::of(8));
    let image = desk.image("out", &picture);
    desk.fake.account().lag = 3;
    desk.publish(&image, &["--copy-to", "us-east-1"]).well();
    let account = desk.fake.account();
    assert_eq!((account.images().len(), account.snapshots().len()), (2, 2), "one in each region");
}

#[test]
fn an_answer_is_lost_and_what_it_told_is_not_seen_yet() {
    let (desk, picture) = (Desk::new(), Picture::of(8));
    let image = desk.image("out", &picture);
    desk.fake.account().lag = 3;
    desk.fake.fault("RegisterImage", When::Nth(1), Fault::CutAfter);
    desk.fake.fault("CompleteSnapshot", When::Nth(1), Fault::CutAfter);
    desk.published(&image, &[]);
    desk.holds(&picture);
}

#[test]
fn a_torn_journal_is_none() {
    let (desk, picture) = (Desk::new(), Picture::of(24));
    let image = desk.image("out", &picture);
    desk.fake.fault("PutSnapshotBlock", When::From(10), Fault::Stall);
    killed(&desk, &image);
    let mut torn = 0;
    for file in std::fs::read_dir(desk.path("state/kennel/publish")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "json") {
            let text = std::fs::read(&path).unwrap();
            std::fs::write(&path, &text[..text.len() / 2]).unwrap();
            torn += 1;
        }
    }
    assert!(torn > 0, "there is a journal");
    desk.published(&image, &[]);
    desk.fake.account().days_pass(2);
    desk.run(&["gc", "--region", REGION]).well();
    desk.holds(&picture);
}

#[test]
fn a_snapshot_that_somebody_deleted_is_begun_anew() {
    let (desk, picture) = (Desk::new(), Picture::of(24));
    let image = desk.image("out", &picture);
    desk.fake.fault("PutSnapshotBlock", When::From(10), Fault::Stall);
    killed(&desk, &image);
    desk.fake.account().region(REGION).snapshots.clear();
    desk.published(&image, &[]);
    desk.holds(&picture);
}

#[test]
fn a_snapshot_that_aws_gave_up_is_begun_anew() {
    let (desk, picture) = (Desk::new(), Picture::of(24));
    let image = desk.image("out", &picture);
    desk.fake.fault("PutSnapshotBlock", When::From(10), Fault::Stall);
    killed(&desk, &image);
    desk.fake.account().days_pass(2);
    desk.published(&image, &[]);
    desk.run(&["gc", "--region", REGION]).well();
    desk.holds(&picture);
}

#[test]
fn two_runs_at_a_time_make_one_image() {
    let (desk, picture) = (Desk::new(), Picture::of(8));
    let image = desk.image("out", &picture);
    desk.fake.fault("PutSnapshotBlock", When::From(3), Fault::Stall);
    let mut first = desk.begin(&["publish", image.to_str().unwrap(), "--region", REGION]);
    let stalled = desk.fake.stalled(DEADLINE);
    let error = desk.publish(&image, &[]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(stalled);
    assert!(error.failed(1).contains("another kennel-ami"), "the second one waits for nothing");
    desk.fake.mend();
    desk.published(&image, &[]);
    desk.holds(&picture);
}

#[test]
fn an_interrupted_run_says_how_to_go_on_and_knows_what_was_sent() {
    let (desk, picture) = (Desk::new(), Picture::of(40));
    let image = desk.image("out", &picture);
    desk.fake.fault("PutSnapshotBlock", When::From(20), Fault::Stall);
    let mut command = desk.command(env!("CARGO_BIN_EXE_kennel-ami"));
    command.args(["publish", image.to_str().unwrap(), "--region", REGION]).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let stalled = desk.fake.stalled(DEADLINE);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(stalled && output.status.code() == Some(1), "{error}");
    assert!(error.contains("the same command goes on"), "{error}");
    desk.fake.mend();
    desk.fake.forget_calls();
    desk.published(&image, &[]);
    desk.holds(&picture);
    assert_eq!(desk.fake.count("StartSnapshot"), 0);
}

#[test]
fn another_account_does_not_get_this_ones_blocks() {
    let (desk, picture) = (Desk::new(), Picture::of(16));
    let image = desk.image("out", &picture);
    desk.fake.fault("PutSnapshotBlock", When::From(6), Fault::Stall);
    killed(&desk, &image);
    // The same home, but other credentials: the snapshot that the journal names is not there.
    let other = Desk::new();
    std::fs::create_dir_all(other.path("state")).unwrap();
    let copied =
        Command::new("cp").arg("-r").arg(desk.path("state/kennel")).arg(other.path("state")).status().unwrap();
    assert!(copied.success());
    other.published(&other.image("out", &picture), &[]);
    other.holds(&picture);
}
