//! What a good archive becomes, and that every bad one is refused by name and leaves nothing behind.

#![allow(clippy::unwrap_used)]

mod common;

use common::{BOUNDS, Slot, Tar};
use kennel_unpack::{Bounds, Fault, UnpackError};
use proptest::prelude::*;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use tar::EntryType;

fn mode(slot: &Slot, path: &str) -> u32 {
    std::fs::symlink_metadata(slot.path(path)).unwrap().permissions().mode() & 0o7777
}

/// The fault that the archive is refused for, once nothing of it is left.
fn refusal(archive: &[u8]) -> Fault {
    let slot = Slot::new();
    let error = slot.unpack(1, archive).unwrap_err();
    assert!(slot.names().is_empty(), "left behind: {:?}", slot.names());
    match error {
        UnpackError::Entry { fault, .. } => fault,
        other => panic!("refused for another reason: {other}"),
    }
}

#[test]
fn a_release_is_unpacked_with_our_modes() {
    let slot = Slot::new();
    let archive = Tar::new()
        .folder("./")
        .file("./server.js", b"hello")
        .program("bin/run")
        .folder("bin")
        .symlink("current", "bin/../bin/run")
        .hard_link("again.js", "server.js")
        .folder("empty/")
        .done();
    let done = slot.unpack(7, &archive).unwrap();
    assert_eq!(done.bytes, 7);
    assert_eq!(done.found.top, ["server.js", "current", "again.js"]);
    assert_eq!(slot.names(), ["7"]);
    assert_eq!(std::fs::read(slot.path("7/current")).unwrap(), b"#!");
    assert_eq!(
        (mode(&slot, "7/server.js"), mode(&slot, "7/bin/run"), mode(&slot, "7/bin")),
        (0o644, 0o755, 0o755)
    );
    assert_eq!(std::fs::metadata(slot.path("7/again.js")).unwrap().nlink(), 2);
    assert!(slot.path("7/empty").is_dir());
}

#[test]
fn the_report_counts_folders_that_the_archive_left_out() {
    let slot = Slot::new();
    let done = slot.unpack(1, &Tar::new().file("a/b/c/d", b"1").done()).unwrap();
    assert_eq!(done.entries, 4);
}

#[test]
fn names_that_leave_are_refused() {
    let file = |name: &str| refusal(&Tar::new().file("ok", b"").file(name, b"x").done());
    assert_eq!(file("/etc/passwd"), Fault::Absolute);
    assert_eq!(file("../precious"), Fault::DotDot);
    assert_eq!(file("a/../../../precious"), Fault::DotDot);
    assert_eq!(file("."), Fault::EmptyName);
}

#[test]
fn deep_and_long_names_are_refused() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    builder.append_data(&mut header, "d/".repeat(70) + "f", &b""[..]).unwrap();
    assert_eq!(refusal(&builder.into_inner().unwrap()), Fault::TooDeep);
}

#[test]
fn links_that_leave_are_refused() {
    let link = |name: &str, target: &str| refusal(&Tar::new().folder("a/b").symlink(name, target).done());
    assert!(matches!(link("l", "/etc/passwd"), Fault::LinkLeaves(_)));
    assert!(matches!(link("l", ".."), Fault::LinkLeaves(_)));
    assert!(matches!(link("a/b/l", "../../../precious"), Fault::LinkLeaves(_)));
    assert_eq!(link("l", ""), Fault::BadTarget);
}

#[test]
fn links_that_leave_by_way_of_other_links_are_refused() {
    // By its text each stays inside; together they climb out.
    let archive = Tar::new().folder("a/b").symlink("a/b/up", "../..").symlink("out", "a/b/up/../..").done();
    assert!(matches!(refusal(&archive), Fault::LinkLeaves(_)));
}

#[test]
fn links_that_lead_nowhere_are_kept() {
    let slot = Slot::new();
    let archive =
        Tar::new().symlink("dangling", "missing/file").symlink("loop", "loop").symlink("self", ".").done();
    assert_eq!(slot.unpack(1, &archive).unwrap().entries, 3);
}

#[test]
fn nothing_is_written_through_a_link() {
    let archive = Tar::new().folder("real").symlink("l", "real").file("l/x", b"1").done();
    assert_eq!(refusal(&archive), Fault::BelowNonFolder);
    let archive = Tar::new().file("f", b"").symlink("l", "f").file("l", b"1").done();
    assert_eq!(refusal(&archive), Fault::Duplicate);
    let archive = Tar::new().file("f", b"").file("f/x", b"1").done();
    assert_eq!(refusal(&archive), Fault::BelowNonFolder);
    let archive = Tar::new().symlink("l", "x").folder("l").done();
    assert_eq!(refusal(&archive), Fault::Duplicate);
}

#[test]
fn hard_links_reach_files_of_the_release_only() {
    for target in ["/etc/passwd", "../precious", "missing", "later", "folder", ""] {
        let archive = Tar::new().folder("folder").hard_link("h", target).file("later", b"").done();
        assert!(matches!(refusal(&archive), Fault::HardLink(_)), "{target}");
    }
    // A second name for a symbolic link would count its target from another folder.
    let archive = Tar::new().folder("a/b").symlink("a/b/l", "../..").hard_link("h", "a/b/l").done();
    assert!(matches!(refusal(&archive), Fault::HardLink(_)));
    let archive = Tar::new().folder("a").symlink("l", "a").file("a/f", b"").hard_link("h", "l/f").done();
    assert!(matches!(refusal(&archive), Fault::HardLink(_)));
}

#[test]
fn kinds_that_a_release_cannot_hold_are_refused() {
    let kind = |kind| refusal(&Tar::new().entry(kind, "x", 0o644, "", b"").done());
    assert_eq!(kind(EntryType::Char), Fault::Device);
    assert_eq!(kind(EntryType::Block), Fault::Device);
    assert_eq!(kind(EntryType::Fifo), Fault::Fifo);
    assert_eq!(kind(EntryType::GNUSparse), Fault::Sparse);
    assert_eq!(kind(EntryType::new(b'Q')), Fault::Type('Q'));
    let folder = Tar::new().entry(EntryType::Directory, "x", 0o755, "", b"content").done();
    assert_eq!(refusal(&folder), Fault::UnexpectedContent);
}

#[test]
fn setuid_and_setgid_are_refused() {
    for mode in [0o4755, 0o2755, 0o6000] {
        assert_eq!(refusal(&Tar::new().entry(EntryType::Regular, "su", mode, "", b"").done()), Fault::SetId);
        assert_eq!(refusal(&Tar::new().entry(EntryType::Directory, "su", mode, "", b"").done()), Fault::SetId);
    }
    let slot = Slot::new();
    slot.unpack(1, &Tar::new().entry(EntryType::Directory, "tmp", 0o1777, "", b"").done()).unwrap();
    assert_eq!(mode(&slot, "1/tmp"), 0o755);
}

#[test]
fn a_file_twice_is_refused_and_a_folder_twice_is_one() {
    assert_eq!(refusal(&Tar::new().file("f", b"1").file("./f", b"2").done()), Fault::Duplicate);
    assert_eq!(refusal(&Tar::new().folder("f").file("f", b"2").done()), Fault::Duplicate);
    assert_eq!(refusal(&Tar::new().file("f", b"2").folder("f").done()), Fault::Duplicate);
    assert!(Slot::new().unpack(1, &Tar::new().folder("d").folder("d/").done()).is_ok());
}

#[test]
fn bounds_are_exact() {
    let slot = Slot::new();
    let bounds = Bounds { bytes: 10, entries: 3 };
    let three = Tar::new().file("d/a", &[1; 6]).file("b", &[1; 4]).done();
    assert!(matches!(
        slot.unpack_within(1, &three, Bounds { entries: 2, ..bounds }),
        Err(UnpackError::TooManyEntries(2))
    ));
    assert!(matches!(
        slot.unpack_within(1, &three, Bounds { bytes: 9, ..bounds }),
        Err(UnpackError::TooManyBytes(9))
    ));
    assert!(slot.names().is_empty());
    assert!(slot.unpack_within(1, &three, bounds).is_ok());
}

#[test]
fn a_size_that_overflows_is_too_many_bytes() {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::MAX - 5);
    header.set_mode(0o644);
    header.as_old_mut().name[0] = b'x';
    header.set_cksum();
    let mut archive = Tar::new().file("a", b"123456789").open_ended();
    archive.extend_from_slice(header.as_bytes());
    let slot = Slot::new();
    assert!(matches!(slot.unpack(1, &archive), Err(UnpackError::TooManyBytes(_))));
    assert!(slot.names().is_empty());
}

#[test]
fn an_upload_cut_anywhere_leaves_nothing() {
    let archive = Tar::new().folder("d").file("d/a", &[1; 700]).symlink("l", "d").done();
    for cut in (0..archive.len()).step_by(97) {
        let slot = Slot::new();
        assert!(matches!(slot.unpack(1, &archive[..cut]), Err(UnpackError::Truncated(_))), "cut at {cut}");
        assert!(slot.names().is_empty(), "cut at {cut}");
    }
}

#[test]
fn an_old_release_is_never_touched() {
    let slot = Slot::new();
    slot.unpack(1, &Tar::new().file("a", b"old").done()).unwrap();
    let error = slot.unpack(1, &Tar::new().file("a", b"new").done()).unwrap_err();
    assert!(matches!(error, UnpackError::ReleaseExists(1)));
    assert!(slot.unpack(2, &Tar::new().file("/a", b"new").done()).is_err());
    assert_eq!(std::fs::read(slot.path("1/a")).unwrap(), b"old");
    assert_eq!(slot.names(), ["1"]);
}

#[test]
fn what_an_interrupted_upload_left_is_replaced() {
    let slot = Slot::new();
    std::fs::create_dir_all(slot.path(".incoming-3/x/y")).unwrap();
    slot.unpack(3, &Tar::new().file("a", b"1").done()).unwrap();
    assert_eq!(common::names(&slot.path("3")), ["a"]);
    assert_eq!(slot.names(), ["3"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is in the archive, nothing appears outside the release, and a refusal leaves nothing.
    #[test]
    fn damage_never_escapes(at in 0usize..4096, value: u8, again in 0usize..4096, other: u8) {
        let mut archive = Tar::new()
            .folder("d").file("d/a", &[1; 10]).symlink("d/l", "../d/a").hard_link("h", "d/a").done();
        let (at, again) = (at % archive.len(), again % archive.len());
        archive[at] = value;
        archive[again] = other;
        // The checksum is made good again, so that the damage gets further than the first check.
        for header in archive.chunks_exact_mut(512).filter(|b| b.iter().any(|b| *b != 0)) {
            let mut fixed = tar::Header::from_byte_slice(header).clone();
            fixed.set_cksum();
            header.copy_from_slice(fixed.as_bytes());
        }
        let slot = Slot::new();
        let names = if slot.unpack_within(1, &archive, BOUNDS).is_ok() { vec!["1"] } else { vec![] };
        prop_assert_eq!(slot.names(), names);
    }
}

#[test]
fn what_says_how_it_is_run_is_seen_while_it_comes_by() {
    use kennel_model::found::{Origin, ProgramKind};
    let slot = Slot::new();
    let bin = "node_modules/.bin/next";
    let archive = Tar::new()
        .symlink(bin, "../next/alias")
        .file("node_modules/next/cli", b"#!/usr/bin/env node\n")
        .hard_link("node_modules/next/alias", "node_modules/next/cli")
        .file("package.json", br#"{"scripts": {"start": "next start"}, "engines": {"node": ">=20"}}"#)
        .entry(EntryType::Regular, "server", 0o755, "", &STATIC)
        .entry(EntryType::Regular, "libx.so.1", 0o755, "", &STATIC)
        .done();
    let found = slot.unpack(1, &archive).unwrap().found;
    assert_eq!(found.validate(), Ok(()));
    let said = found.said.unwrap();
    assert_eq!(
        (said.origin, said.command.unwrap().join(" ")),
        (Origin::PackageStart, format!("node {bin} start"))
    );
    assert_eq!(found.node.as_deref(), Some(">=20"));
    let programs: Vec<_> = found.programs.iter().map(|p| (p.name.as_str(), p.kind, p.executable)).collect();
    assert_eq!(programs, [("server", ProgramKind::Static, true)]);
}

#[test]
fn links_and_long_files_say_nothing_of_how_it_is_run() {
    let unpack = |archive: Tar| {
        let slot = Slot::new();
        let found =
            slot.unpack_within(1, &archive.done(), Bounds { bytes: 20 << 20, entries: 9 }).unwrap().found;
        assert_eq!(found.validate(), Ok(()));
        found.said.unwrap().command.unwrap_err()
    };
    let text = br#"{"scripts": {"start": "node ."}}"#;
    let link = "it is a link: put the file itself there";
    assert_eq!(unpack(Tar::new().file("a", text).symlink("package.json", "a")), link);
    assert_eq!(unpack(Tar::new().file("a", text).hard_link("package.json", "a")), link);
    assert_eq!(unpack(Tar::new().symlink("package.json", "nowhere")), link);
    let long = [text.as_slice(), &vec![b' '; 10 << 20]].concat();
    assert_eq!(unpack(Tar::new().file("package.json", &long)), "it is longer than 256 KiB");
    // One that leads out is refused before that.
    let out = Tar::new().symlink("package.json", "../precious").done();
    assert!(matches!(refusal(&out), Fault::LinkLeaves(_)));
}

/// As much of a program as says what it needs: a header, and one part to be loaded.
const STATIC: [u8; 120] = {
    let mut bytes = [0; 120];
    let header = *b"\x7fELF\x02\x01\x01";
    let mut at = 0;
    while at < header.len() {
        bytes[at] = header[at];
        at += 1;
    }
    // Type, machine, version; where the parts are, how long a description of one is, and how many.
    (bytes[16], bytes[18], bytes[20], bytes[32], bytes[54], bytes[56], bytes[64]) = (2, 62, 1, 64, 56, 1, 1);
    bytes
};
