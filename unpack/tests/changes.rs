//! A release from what has changed is the one that the whole archive would have made, and whoever says what is not true of the
//! earlier one gets nothing.

#![allow(clippy::unwrap_used)]

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use common::{BOUNDS, Slot, Tar, changed, changes};
use kennel_model::listing::{Changes, Moved, Sum, Thing};
use kennel_unpack::{Bounds, Fault, UnpackError, Unpacked};
use proptest::prelude::*;

/// The release before.
fn first() -> Tar {
    Tar::new()
        .folder("lib")
        .file("lib/a.js", b"a")
        .file("lib/b.js", b"b")
        .program("lib/run")
        .folder("old")
        .file("old/x", b"x")
        .file("package.json", br#"{"scripts":{"start":"node server.js"}}"#)
        .file("server.js", b"one")
        .symlink("current", "lib/a.js")
}

/// The release that is wanted: a file changed, one gone, one new, one moved, one with another mode, another link.
fn second() -> Tar {
    Tar::new()
        .folder("lib")
        .file("lib/a.js", b"a")
        .folder("lib/deep")
        .file("lib/deep/b.js", b"b")
        .file("lib/new.js", b"new")
        .file("lib/run", b"#!")
        .file("package.json", br#"{"scripts":{"start":"node server.js"}}"#)
        .file("server.js", b"two")
        .symlink("current", "lib/run")
}

/// What of it travels.
fn sent() -> Tar {
    Tar::new()
        .file("lib/new.js", b"new")
        .file("lib/run", b"#!")
        .file("server.js", b"two")
        .symlink("current", "lib/run")
}

fn since_first(sum: Sum) -> Changes {
    let moved = vec![Moved { from: "lib/b.js".into(), to: "lib/deep/b.js".into() }];
    Changes { sum, gone: vec!["lib/b.js".into(), "old".into()], moved }
}

/// A slot with the first release, and what the second one is.
fn slot() -> (Slot, Sum, Unpacked) {
    let wanted = Slot::new();
    let whole = wanted.unpack(1, &second().done()).unwrap();
    let slot = Slot::new();
    slot.unpack(1, &first().done()).unwrap();
    (slot, wanted.listing(1).sum, whole)
}

/// Every path with its mode and content, by themselves.
fn tree(folder: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let content = match meta.file_type() {
            kind if kind.is_symlink() => path.read_link().unwrap().into_os_string().into_encoded_bytes(),
            kind if kind.is_dir() => vec![],
            _ => std::fs::read(&path).unwrap(),
        };
        found.push((path.display().to_string(), meta.mode(), content));
        if meta.is_dir() {
            found.extend(tree(&path));
        }
    }
    let prefix = folder.display().to_string();
    let mut found: Vec<_> =
        found.into_iter().map(|(path, m, c)| (path.replacen(&prefix, "", 1), m, c)).collect();
    found.sort();
    found
}

/// It was refused for not fitting, nothing of it is left, and the release before is as it was.
fn unfit(slot: &Slot, result: Result<Unpacked, UnpackError>) -> String {
    match result {
        Err(UnpackError::Basis { basis: 1, why }) => {
            assert_eq!(slot.names(), ["1"]);
            why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_results_is_what_the_whole_archive_makes() {
    let (slot, sum, whole) = slot();
    let before = slot.listing(1);
    let mut made = slot.change(2, 1, &since_first(sum), &sent().done()).unwrap();
    made.found.top.sort();
    let mut expected = whole;
    expected.found.top.sort();
    assert_eq!(made, expected);
    assert_eq!(slot.names(), ["1", "2"]);
    let twin = Slot::new();
    twin.unpack(2, &second().done()).unwrap();
    assert_eq!(tree(&slot.path("2")), tree(&twin.path("2")));
    assert_eq!(slot.listing(2), twin.listing(2));
    assert_eq!(slot.listing(1), before, "and the one before is what it was");
    assert_eq!(std::fs::metadata(slot.path("1/lib/run")).unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn what_has_not_changed_is_shared_and_outlives_the_earlier_release() {
    let (slot, sum, _) = slot();
    slot.change(2, 1, &since_first(sum), &sent().done()).unwrap();
    let inode = |path: &str| std::fs::metadata(slot.path(path)).unwrap().ino();
    assert_eq!(inode("1/package.json"), inode("2/package.json"));
    assert_eq!(inode("1/lib/b.js"), inode("2/lib/deep/b.js"));
    assert_ne!(inode("1/lib/run"), inode("2/lib/run"), "its mode is another");
    let releases = std::fs::File::open(slot.releases()).unwrap();
    kennel_unpack::remove_release(std::os::fd::AsFd::as_fd(&releases), 1).unwrap();
    assert_eq!((slot.names(), slot.listing(2).sum), (vec!["2".to_owned()], sum));
}

#[test]
fn nothing_at_all_may_have_changed() {
    let (slot, ..) = slot();
    let sum = slot.listing(1).sum;
    slot.change(2, 1, &changes(sum), &Tar::new().done()).unwrap();
    assert_eq!(slot.listing(2).sum, sum);
}

#[test]
fn files_can_change_places() {
    let (slot, ..) = slot();
    let wanted = Slot::new();
    wanted.unpack(1, &Tar::new().file("lib/a.js", b"b").file("lib/b.js", b"a").done()).unwrap();
    let moved = [("lib/a.js", "lib/b.js"), ("lib/b.js", "lib/a.js")];
    let moved = moved.map(|(from, to)| Moved { from: from.into(), to: to.into() }).into();
    let gone = ["lib/run", "old", "package.json", "server.js", "current"].map(str::to_owned).into();
    let changes = Changes { sum: wanted.listing(1).sum, gone, moved };
    slot.change(2, 1, &changes, &Tar::new().done()).unwrap();
    assert_eq!(std::fs::read(slot.path("2/lib/a.js")).unwrap(), b"b");
}

#[test]
fn a_damaged_file_is_found_and_not_taken_along() {
    let (slot, sum, _) = slot();
    let listed = slot.listing(1);
    std::fs::write(slot.path("1/lib/a.js"), "A").unwrap();
    assert!(unfit(&slot, slot.change(2, 1, &since_first(sum), &sent().done())).contains("something else"));
    let now = slot.listing(1);
    let of =
        |of: &kennel_model::listing::Listing| of.things.iter().find(|(path, _)| path == "lib/a.js").unwrap().1;
    assert!(
        matches!((of(&listed), of(&now)), (Thing::File { digest: a, .. }, Thing::File { digest: b, .. }) if a != b)
    );
}

#[test]
fn who_says_what_is_not_so_gets_nothing() {
    let (slot, sum, _) = slot();
    let honest = since_first(sum);
    let lie = |change: &dyn Fn(&mut Changes)| {
        let mut lying = honest.clone();
        change(&mut lying);
        slot.change(2, 1, &lying, &sent().done())
    };
    unfit(&slot, lie(&|c| c.sum = Sum([1; 32])));
    unfit(&slot, lie(&|c| c.gone.clear()));
    unfit(&slot, lie(&|c| c.gone.push("lib/a.js".into())));
    unfit(&slot, lie(&|c| c.moved[0].from = "lib/a.js".into()));
    unfit(&slot, slot.change(2, 1, &honest, &sent().file("planted", b"x").done()));
    let absent = slot.change(2, 7, &honest, &sent().done());
    assert!(matches!(absent, Err(UnpackError::Basis { basis: 7, .. })), "{absent:?}");
    assert_eq!(slot.names(), ["1"]);
}

#[test]
fn paths_that_lead_elsewhere_are_refused_in_every_list() {
    let (slot, sum, _) = slot();
    std::os::unix::fs::symlink("../..", slot.path("1/up")).unwrap();
    let refused = |change: &dyn Fn(&mut Changes, String), path: &str| {
        let mut lying = since_first(sum);
        change(&mut lying, path.into());
        match slot.change(2, 1, &lying, &sent().done()) {
            Err(UnpackError::Entry { fault, .. }) => fault,
            other => panic!("{path}: {other:?}"),
        }
    };
    for (path, fault) in
        [("../../precious", Fault::DotDot), ("/etc/passwd", Fault::Absolute), ("", Fault::EmptyName)]
    {
        assert_eq!(refused(&|c, path| c.gone.push(path), path), fault);
        assert_eq!(refused(&|c, path| c.moved[0].from = path, path), fault);
        assert_eq!(refused(&|c, path| c.moved[0].to = path, path), fault);
    }
    for path in ["up/precious", "current", "lib", "lib/none", "server.js/x"] {
        let fault = refused(&|c, path| c.moved[0].from = path, path);
        assert!(matches!(fault, Fault::HardLink(_)), "{path}: {fault:?}");
    }
    assert_eq!(refused(&|c, path| c.moved[0].to = path, "server.js"), Fault::Duplicate);
    assert_eq!(refused(&|c, path| c.moved[0].to = path, "current/x"), Fault::BelowNonFolder);
    assert_eq!(slot.names(), ["1"]);
}

#[test]
fn links_of_the_earlier_release_are_held_against_the_new_one() {
    let (slot, sum, _) = slot();
    // Such a link cannot have been unpacked; a disk could bring it about.
    std::os::unix::fs::symlink("../../precious", slot.path("1/out")).unwrap();
    let result = slot.change(2, 1, &since_first(sum), &sent().done());
    assert!(matches!(result, Err(UnpackError::Entry { fault: Fault::LinkLeaves(_), .. })), "{result:?}");
    std::fs::remove_file(slot.path("1/out")).unwrap();
    // One that leads out by way of what came.
    let archive = Tar::new().symlink("lib", ".");
    let result = slot.change(2, 1, &since_first(sum), &archive.done());
    assert!(result.is_err(), "a folder that is a link now has to be gone first");
    assert_eq!(slot.names(), ["1"]);
}

#[test]
fn the_bounds_are_those_of_the_whole_release() {
    let (slot, sum, whole) = slot();
    let sent = changed(&since_first(sum), &sent().done());
    for (bytes, entries, why) in
        [(whole.bytes - 1, whole.entries, "larger"), (whole.bytes, whole.entries - 1, "more than")]
    {
        let error = slot.change_by(2, 1, &sent, Bounds { bytes, entries }).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let exact = Bounds { bytes: whole.bytes, entries: whole.entries };
    slot.change_by(2, 1, &sent, exact).unwrap();
}

#[test]
fn what_is_cut_off_anywhere_leaves_nothing() {
    let (slot, sum, _) = slot();
    let sent = changed(&since_first(sum), &sent().done());
    for cut in (0..sent.len()).step_by(37) {
        assert!(slot.change_by(2, 1, &sent[..cut], BOUNDS).is_err(), "{cut}");
        assert_eq!(slot.names(), ["1"]);
    }
    let long = [&u32::MAX.to_be_bytes(), b"{".as_slice()].concat();
    let error = slot.change_by(2, 1, &long, BOUNDS).unwrap_err().to_string();
    assert!(error.contains("longer than 8 MiB"), "{error}");
}

#[test]
fn what_is_said_before_the_archive_is_told_on_one_line() {
    let (slot, ..) = slot();
    let said = br#"{"sum\n\u001b[2J": 1}"#;
    let sent = [&u32::try_from(said.len()).unwrap().to_be_bytes(), said.as_slice()].concat();
    let error = slot.change_by(2, 1, &sent, BOUNDS).unwrap_err().to_string();
    assert!(error.contains("unknown field") && !error.contains(char::is_control), "{error:?}");
}

fn path() -> impl Strategy<Value = String> {
    let parts = ["..", ".", "", "lib", "a.js", "run", "current", "up", "old", "server.js", "new"];
    proptest::collection::vec(proptest::sample::select(parts.to_vec()), 0..4).prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_paths_reach_beyond_the_new_release(
        gone in proptest::collection::vec(path(), 0..3),
        moved in proptest::collection::vec((path(), path()), 0..4),
    ) {
        let (slot, sum, _) = slot();
        std::os::unix::fs::symlink("..", slot.path("1/lib/up")).unwrap();
        let before = tree(&slot.releases());
        let moved = moved.into_iter().map(|(from, to)| Moved { from, to }).collect();
        let made = slot.change(2, 1, &Changes { sum, gone, moved }, &sent().done());
        prop_assert!(made.is_err());
        prop_assert_eq!(slot.names(), ["1"]);
        prop_assert_eq!(tree(&slot.releases()), before);
    }
}
