//! Looking after what was published: ls, show, verify, copy, share, deprecate, disable, rm and gc.

use crate::desk::{Desk, REGION};
use crate::fake::account::State;
use crate::fake::faults::{Fault, When};
use crate::picture::{Picture, Piece};
use std::path::PathBuf;

/// A desk with one published image.
fn published(blocks: u64) -> (Desk, Picture, PathBuf, String) {
    let (desk, picture) = (Desk::new(), Picture::of(blocks));
    let image = desk.image("out", &picture);
    let id = desk.published(&image, &[]);
    (desk, picture, image, id)
}

#[test]
fn what_is_published_is_listed_and_shown() {
    let (desk, picture, _, id) = published(8);
    let listed = desk.run(&["ls", "--region", REGION]).well();
    assert!(listed.contains(&id) && listed.contains("1.2.3"), "{listed}");
    let shown = desk.run(&["show", &id, "--region", REGION]).well();
    let (snapshot, _) = desk.fake.account().only_snapshot();
    assert!(shown.contains(&id) && shown.contains(&snapshot) && shown.contains(&picture.digest()), "{shown}");
    for arguments in [&["ls", "--region", REGION, "--json"][..], &["show", &id, "--region", REGION, "--json"]] {
        let document: serde_json::Value = serde_json::from_str(&desk.run(arguments).well()).unwrap();
        assert!(document.to_string().contains(&id), "{document}");
    }
    let missing = desk.run(&["show", "ami-0123456789abcdef0", "--region", REGION]);
    assert!(missing.code != Some(0) && missing.err.contains("ami-0123456789abcdef0"), "{missing:?}");
}

#[test]
fn lists_of_several_pages_are_read_to_their_end() {
    let (desk, picture, first, id) = published(4);
    desk.fake.account().most = 1;
    let second = desk.published(&desk.image("2", &picture.with(0, Piece::Data(9))), &[]);
    let third = desk.published(&desk.image("3", &picture.with(0, Piece::Data(10))), &[]);
    let listed = desk.run(&["ls", "--region", REGION]).well();
    assert!([&id, &second, &third].iter().all(|id| listed.contains(*id)), "{listed}");
    assert_eq!(desk.published(&first, &[]), id);
    // Nothing that is in use is taken for a leftover because its image is on another page.
    desk.fake.account().days_pass(2);
    desk.run(&["gc", "--region", REGION]).well();
    assert_eq!(desk.fake.account().snapshots().len(), 3);
}

#[test]
fn a_good_ami_is_verified() {
    let (desk, _, image, id) = published(160);
    desk.fake.forget_calls();
    desk.run(&["verify", &id, "--image", image.to_str().unwrap(), "--region", REGION]).well();
    assert!(desk.fake.count("ListSnapshotBlocks") > 1, "more than a page");
    assert_eq!(desk.fake.count("GetSnapshotBlock"), 120, "each block is read");
    assert!(!desk.fake.calls().iter().any(crate::fake::Call::mutates), "verifying changes nothing");
}

#[test]
fn one_flipped_bit_is_found() {
    let (desk, _, image, id) = published(40);
    let (snapshot, _) = desk.fake.account().only_snapshot();
    desk.fake.account().region(REGION).snapshots.get_mut(&snapshot).unwrap().flip(21);
    let outcome = desk.run(&["verify", &id, "--image", image.to_str().unwrap(), "--region", REGION]);
    assert!(outcome.code != Some(0), "{outcome:?}");
    assert!(format!("{}{}", outcome.out, outcome.err).contains("21"), "the block is named: {outcome:?}");
}

#[test]
fn a_block_too_few_and_one_too_many_are_found() {
    for index in [4, 7] {
        let (desk, picture, image, id) = published(16);
        let (snapshot, _) = desk.fake.account().only_snapshot();
        {
            let mut account = desk.fake.account();
            let blocks = &mut account.region(REGION).snapshots.get_mut(&snapshot).unwrap().blocks;
            // 4 has data; 7 is a hole, into which something was put.
            match picture.pieces[index as usize] {
                Piece::Hole => drop(blocks.insert(index, blocks[&0].clone())),
                _ => drop(blocks.remove(&index)),
            }
        }
        let outcome = desk.run(&["verify", &id, "--image", image.to_str().unwrap(), "--region", REGION]);
        assert!(outcome.code != Some(0), "block {index}: {outcome:?}");
    }
}

#[test]
fn a_block_that_tips_over_on_its_way_here_is_not_blamed_on_the_ami() {
    let (desk, _, image, id) = published(16);
    desk.fake.fault("GetSnapshotBlock", When::Nth(3), Fault::CorruptAnswer);
    let outcome = desk.run(&["verify", &id, "--image", image.to_str().unwrap(), "--region", REGION]);
    assert!(outcome.code == Some(0) || outcome.err.contains("checksum"), "{outcome:?}");
}

#[test]
fn another_image_is_not_verified() {
    let (desk, picture, _, id) = published(8);
    let other = desk.image("other", &picture.with(1, Piece::Data(5)));
    let outcome = desk.run(&["verify", &id, "--image", other.to_str().unwrap(), "--region", REGION]);
    assert!(outcome.code != Some(0), "{outcome:?}");
}

#[test]
fn rm_and_gc_leave_nothing() {
    let (desk, picture, _, id) = published(8);
    let second = desk.published(&desk.image("2", &picture.with(0, Piece::Data(9))), &[]);
    for id in [id, second] {
        desk.run(&["rm", &id, "--region", REGION]).well();
    }
    desk.run(&["gc", "--region", REGION]).well();
    assert!(desk.fake.account().images().is_empty() && desk.fake.account().snapshots().is_empty());
    assert!(desk.run(&["ls", "--region", REGION]).well().lines().all(|line| !line.contains("ami-")));
}

#[test]
fn rm_of_what_is_gone_says_so() {
    let (desk, _, _, id) = published(4);
    desk.run(&["rm", &id, "--region", REGION]).well();
    let again = desk.run(&["rm", &id, "--region", REGION]);
    assert!(again.code == Some(0) || again.err.contains(&id), "{again:?}");
}

#[test]
fn gc_removes_what_is_old_and_ours_and_belongs_to_nothing() {
    let (desk, _, _, id) = published(8);
    // A leftover of ours, and a snapshot of somebody's in the same account.
    {
        let mut account = desk.fake.account();
        let (_, whole) = account.only_snapshot();
        let mut leftover = whole.clone();
        leftover.state = State::Pending;
        leftover.sealed = false;
        leftover.tags.insert("kennel:state".to_owned(), "publishing".to_owned());
        let mut other = whole;
        other.tags = [("Name".to_owned(), "accounts of 2019".to_owned())].into();
        let region = account.region(REGION);
        region.snapshots.insert("snap-0aaaaaaaaaaaaaaaa".to_owned(), leftover);
        region.snapshots.insert("snap-0bbbbbbbbbbbbbbbb".to_owned(), other);
    }
    let there = || -> Vec<String> {
        desk.fake.account().snapshots().iter().map(|(_, id, _)| (*id).to_owned()).collect()
    };
    let before = there();
    desk.run(&["gc", "--region", REGION]).well();
    assert_eq!(there(), before, "it is young: another computer may be sending it");
    desk.fake.account().days_pass(2);
    let planned = desk.run(&["gc", "--region", REGION, "--dry-run"]).well();
    assert!(planned.contains("snap-0aaaaaaaaaaaaaaaa"), "{planned}");
    assert_eq!(there(), before, "a dry run removes nothing");
    desk.run(&["gc", "--region", REGION]).well();
    let left = there();
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.contains(&"snap-0bbbbbbbbbbbbbbbb".to_owned()), "not ours to remove");
    assert_eq!(desk.fake.account().only_image().0, id);
}

#[test]
fn sharing_and_taking_back() {
    let (desk, _, _, id) = published(4);
    let launchers = || desk.fake.account().only_image().1.launchers.into_iter().collect::<Vec<_>>();
    desk.run(&["share", &id, "--region", REGION, "--with", "222233334444,333344445555"]).well();
    assert_eq!(launchers(), ["222233334444", "333344445555"]);
    let shown = desk.run(&["show", &id, "--region", REGION]).well();
    assert!(shown.contains("222233334444"), "{shown}");
    desk.run(&["share", &id, "--region", REGION, "--with", "222233334444", "--remove"]).well();
    desk.run(&["share", &id, "--region", REGION, "--public"]).well();
    assert_eq!(launchers(), ["333344445555", "all"]);
    desk.run(&["share", &id, "--region", REGION]).failed(64);
}

#[test]
fn deprecating_and_disabling() {
    let (desk, picture, image, id) = published(4);
    desk.run(&["deprecate", &id, "--region", REGION, "--in", "30d"]).well();
    let at = desk.fake.account().only_image().1.deprecated_at.unwrap();
    let now = crate::fake::clock::now();
    let days = |days: u64| crate::fake::clock::text(now + days * 86_400);
    assert!(days(29) < at && at < days(31), "{at}");
    assert!(desk.run(&["ls", "--region", REGION]).well().contains(&id), "a deprecated image is still listed");
    desk.run(&["disable", &id, "--region", REGION]).well();
    assert_eq!(desk.fake.account().only_image().1.state, State::Disabled);
    assert!(desk.run(&["ls", "--region", REGION]).well().contains(&id), "a disabled one, too");
    let error = desk.publish(&image, &[]).err;
    assert!(error.contains(&id) && error.contains("disabled"), "{error}");
    desk.run(&["rm", &id, "--region", REGION]).well();
    desk.published(&image, &[]);
    desk.holds(&picture);
}

#[test]
fn copying_is_idempotent_and_can_be_cleaned_up() {
    let (desk, _, _, id) = published(8);
    let copy = || desk.run(&["copy", &id, "--region", REGION, "--to", "us-east-1"]).well();
    let first = copy();
    assert_eq!(copy(), first, "the copy that there is");
    let there = first.trim().to_owned();
    assert_eq!(desk.fake.account().region("us-east-1").images[&there].state, State::Ready);
    assert!(desk.run(&["ls", "--region", "us-east-1"]).well().contains(&there));
    desk.run(&["rm", &there, "--region", "us-east-1"]).well();
    desk.run(&["gc", "--region", "us-east-1"]).well();
    let mut account = desk.fake.account();
    assert!(account.region("us-east-1").images.is_empty() && account.region("us-east-1").snapshots.is_empty());
    assert_eq!(account.only_image().0, id, "the original stays");
}
