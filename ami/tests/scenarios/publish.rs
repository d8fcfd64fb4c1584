//! Publishing when nothing goes wrong: what the AMI is like, what is sent, and that the second time costs nothing.

use crate::desk::{Desk, KEY, REGION};
use crate::fake::account::{Mapping, State};
use crate::fake::uefi::store;
use crate::fake::{BLOCK, STRANGER};
use crate::picture::{Picture, Piece};

#[test]
fn an_image_becomes_an_ami_that_boots_as_it_must() {
    let (desk, picture) = (Desk::new(), Picture::of(64));
    let id = desk.published(&desk.image("out", &picture), &[]);
    desk.holds(&picture);
    let account = desk.fake.account();
    let ((snapshot_id, snapshot), (image_id, image)) = (account.only_snapshot(), account.only_image());
    assert_eq!(id, image_id);
    assert_eq!(image.name, format!("kennel-1.2.3-{}", &picture.digest()[..12]));
    assert_eq!((image.architecture.as_str(), image.virtualization.as_str()), ("x86_64", "hvm"));
    assert_eq!((image.boot_mode.as_str(), image.tpm.as_str(), image.imds.as_str()), ("uefi", "v2.0", "v2.0"));
    assert!(image.ena, "without ENA no Nitro instance has a network");
    assert!(image.description.contains("6605b735"), "the root hash: {}", image.description);
    let root = Mapping {
        device: "/dev/xvda".to_owned(),
        snapshot: Some(snapshot_id),
        gib: 1,
        kind: "gp3".to_owned(),
        delete_on_termination: true,
        encrypted: false,
    };
    let data = Mapping {
        device: "/dev/sdf".to_owned(),
        snapshot: None,
        gib: 8,
        kind: "gp3".to_owned(),
        delete_on_termination: false,
        encrypted: true,
    };
    assert_eq!(image.root_device, "/dev/xvda");
    assert_eq!(image.mappings, [data, root], "in the order of devices");
    for tags in [&image.tags, &snapshot.tags] {
        assert_eq!(tags["kennel:image-digest"], picture.digest());
        assert_eq!(tags["kennel:version"], "1.2.3");
    }
    assert_eq!(snapshot.tags["kennel:state"], "published");
    assert!(image.launchers.is_empty() && snapshot.shared.is_empty(), "nobody else may use it");
}

#[test]
fn written_zeros_are_sent_and_holes_are_not() {
    let (desk, picture) = (Desk::new(), Picture::of(40));
    desk.published(&desk.image("out", &picture), &[]);
    let (_, snapshot) = desk.fake.account().only_snapshot();
    assert_eq!(snapshot.written.iter().copied().collect::<Vec<_>>(), picture.written());
    assert_eq!(desk.fake.count("PutSnapshotBlock"), 30, "each block once");
}

#[test]
fn an_image_that_ends_within_a_block_is_filled_up_with_zeros() {
    let (desk, mut picture) = (Desk::new(), Picture::of(4));
    picture.tail = 4096 + 512;
    desk.published(&desk.image("out", &picture), &[]);
    desk.holds(&picture);
    let (_, snapshot) = desk.fake.account().only_snapshot();
    assert!(snapshot.blocks[&4].data[picture.tail..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_volume_is_as_large_as_the_image_needs() {
    let desk = Desk::new();
    let mut picture = Picture::of(0);
    // A block more than a GiB has.
    picture.pieces = vec![Piece::Hole; 2048];
    picture.pieces.push(Piece::Data(1));
    desk.published(&desk.image("out", &picture), &["--data-size", "20"]);
    let (_, image) = desk.fake.account().only_image();
    assert_eq!(image.mappings.iter().map(|mapping| mapping.gib).collect::<Vec<_>>(), [20, 2]);
}

#[test]
fn the_second_time_nothing_is_made() {
    let (desk, picture) = (Desk::new(), Picture::of(8));
    let image = desk.image("out", &picture);
    let id = desk.published(&image, &[]);
    desk.fake.forget_calls();
    assert_eq!(desk.published(&image, &[]), id);
    // Neither from a computer that remembers nothing, nor under another name.
    desk.forget();
    let elsewhere = desk.image("elsewhere", &picture);
    assert_eq!(desk.published(&elsewhere, &[]), id);
    let made: Vec<_> = desk.fake.calls().into_iter().filter(|call| call.mutates()).collect();
    assert!(made.is_empty(), "{made:?}");
}

#[test]
fn a_strangers_image_is_never_taken_for_ours() {
    let (desk, picture) = (Desk::new(), Picture::of(4));
    let name = format!("kennel-1.2.3-{}", &picture.digest()[..12]);
    let tags = [("kennel:image-digest".to_owned(), picture.digest())].into();
    let strange = crate::fake::image::strange(&name, tags);
    desk.fake.account().region(REGION).images.insert("ami-0aaaaaaaaaaaaaaaa".to_owned(), strange);
    let id = desk.published(&desk.image("out", &picture), &[]);
    assert_ne!(id, "ami-0aaaaaaaaaaaaaaaa");
    desk.holds(&picture);
    let refused = desk.run(&["rm", "ami-0aaaaaaaaaaaaaaaa", "--region", REGION]).failed(2);
    assert!(refused.contains("ami-0aaaaaaaaaaaaaaaa"), "{refused}");
    assert_eq!(desk.fake.account().region(REGION).images["ami-0aaaaaaaaaaaaaaaa"].owner, STRANGER);
}

#[test]
fn json_is_one_document() {
    let (desk, picture) = (Desk::new(), Picture::of(4));
    let out = desk.publish(&desk.image("out", &picture), &["--json"]).well();
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let (id, _) = desk.fake.account().only_image();
    assert!(document.to_string().contains(&id), "{document}");
}

#[test]
fn copied_shared_and_pointed_at_in_one_go() {
    let (desk, picture) = (Desk::new(), Picture::of(8));
    let image = desk.image("out", &picture);
    let more = ["--copy-to", "us-east-1", "--share", "222233334444", "--ssm", "/kennel/latest"];
    let out = desk.publish(&image, &more).well();
    let ids: Vec<&str> = out.lines().collect();
    let mut account = desk.fake.account();
    assert_eq!(account.images().len(), 2);
    for (region, id) in [REGION, "us-east-1"].into_iter().zip(&ids) {
        let region = account.region(region);
        let it = &region.images[*id];
        assert_eq!(it.state, State::Ready, "{id} is there when it is told");
        assert_eq!(it.tags["kennel:image-digest"], picture.digest());
        assert!(it.launchers.contains("222233334444"));
        assert_eq!(region.parameters["/kennel/latest"].0, **id);
        let [snapshot] = it.snapshots().collect::<Vec<_>>()[..] else { panic!("{:?}", it.mappings) };
        assert!(region.snapshots[snapshot].read(8 * BLOCK) == picture.bytes());
    }
    drop(account);
    desk.fake.forget_calls();
    assert_eq!(desk.publish(&image, &more).well(), out, "and again");
    let made = desk
        .fake
        .calls()
        .into_iter()
        .filter(|call| ["StartSnapshot", "RegisterImage", "CopyImage"].contains(&call.action.as_str()));
    assert_eq!(made.count(), 0);
}

#[test]
fn an_encrypted_image_is_another_one() {
    let (desk, picture) = (Desk::new(), Picture::of(4));
    let image = desk.image("out", &picture);
    let open = desk.published(&image, &[]);
    let closed = desk.published(&image, &["--encrypt", KEY]);
    assert_ne!(open, closed);
    assert_eq!(desk.published(&image, &["--encrypt", KEY]), closed);
    let account = desk.fake.account();
    let keys: Vec<_> = account.snapshots().iter().filter_map(|(.., it)| it.kms_key.clone()).collect();
    assert_eq!(keys, [KEY], "of two snapshots one is encrypted");
}

#[test]
fn an_image_for_secure_boot_has_its_variables() {
    let (desk, picture) = (Desk::new(), Picture::of(4));
    let image = desk.image("out", &picture);
    let [file, other] = [("uefi-data", &b"keys"[..]), ("others", b"other keys")].map(|(name, variables)| {
        std::fs::write(desk.path(name), store(variables)).unwrap();
        desk.path(name).to_str().unwrap().to_owned()
    });
    let id = desk.published(&image, &["--uefi-data", &file]);
    assert_eq!(desk.published(&image, &["--uefi-data", &file]), id);
    let registered = desk.fake.account().only_image().1;
    assert_eq!(registered.uefi_data, Some(store(b"keys")));
    assert!(registered.tags.contains_key("kennel:secure-boot"), "{:?}", registered.tags);
    // It cannot be changed any more; another one of the same image would be mistaken for it.
    let error = desk.publish(&image, &["--uefi-data", &other]).failed(2);
    assert!(error.contains(&id), "{error}");
    let error = desk.publish(&image, &[]);
    assert!(error.code == Some(2) || error.out.trim() == id, "{error:?}");
    assert_eq!(desk.fake.account().only_image().0, id);
}

#[test]
fn what_are_no_variables_is_refused_before_aws_hears_of_it() {
    let desk = Desk::new();
    let image = desk.image("out", &Picture::of(4));
    for (text, word) in [("AMZNUEFI", "uefi"), ("not base64", "uefi"), ("", "uefi")] {
        std::fs::write(desk.path("uefi"), text).unwrap();
        let file = desk.path("uefi").to_str().unwrap().to_owned();
        let outcome = desk.publish(&image, &["--uefi-data", &file]);
        assert!(outcome.code.is_some_and(|code| code != 0) && outcome.err.contains(word), "{outcome:?}");
        assert!(!desk.fake.calls().iter().any(crate::fake::Call::mutates), "{text:?}");
    }
}
