//! What must not be published is refused before AWS hears of it.

use crate::desk::Desk;
use crate::fake::BLOCK;
use crate::picture::Picture;
use std::os::unix::fs::FileExt;

#[track_caller]
fn refused(picture: &Picture, change: impl FnOnce(&std::path::Path), word: &str) {
    let desk = Desk::new();
    let image = desk.image("out", picture);
    change(&image);
    let outcome = desk.publish(&image, &[]);
    assert!(outcome.code.is_some_and(|code| code != 0) && outcome.out.is_empty(), "{outcome:?}");
    assert!(outcome.err.contains(word), "{}", outcome.err);
    assert!(desk.fake.calls().is_empty(), "AWS has heard of it: {:?}", desk.fake.calls());
}

#[test]
fn a_proof_image() {
    let picture = Picture { proof: true, ..Picture::of(4) };
    refused(&picture, |_| {}, "proof image");
}

#[test]
fn a_proof_image_without_its_manifest() {
    refused(
        &Picture::of(4),
        |image| {
            let file = std::fs::OpenOptions::new().write(true).open(image).unwrap();
            // Across the border of two blocks.
            file.write_all_at(b"\nVARIANT_ID=proof\n", BLOCK as u64 - 8).unwrap();
            std::fs::remove_file(image.with_file_name("manifest.json")).unwrap();
        },
        "proof image",
    );
}

#[test]
fn an_image_without_the_proof() {
    let picture = Picture { proved: false, ..Picture::of(4) };
    refused(&picture, |_| {}, "without the proof");
}

#[test]
fn an_image_that_is_not_what_its_manifest_says() {
    let change = |image: &std::path::Path| {
        let file = std::fs::OpenOptions::new().write(true).open(image).unwrap();
        file.write_all_at(b"x", 100).unwrap();
    };
    refused(&Picture::of(4), change, "manifest");
}

#[test]
fn an_image_that_is_not_there() {
    refused(&Picture::of(4), |image| std::fs::remove_file(image).unwrap(), "kennel-1.2.3-x86_64.raw");
}
