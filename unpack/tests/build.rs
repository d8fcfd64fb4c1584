//! Around a build, with the program as init starts it: what goes out, what comes back, and what is left when none comes back.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use common::{Slot, Tar, names};
use kennel_model::msg::UnpackReport;

/// Exit code and report of an act in the slot's folder.
fn act(slot: &Slot, args: &[&str]) -> (Option<i32>, Option<UnpackReport>) {
    let output = Command::new(env!("CARGO_BIN_EXE_kennel-unpack"))
        .args(args)
        .current_dir(slot.folder())
        .output()
        .unwrap();
    (output.status.code(), serde_json::from_slice(&output.stdout).ok())
}

fn app(slot: &Slot, path: &str) -> PathBuf {
    slot.folder().join("build/app").join(path)
}

/// A slot with release 1, which a build has gone out from.
fn begun() -> Slot {
    let slot = Slot::new();
    let came =
        Tar::new().file("package-lock.json", b"{}").program("bin/run").symlink("latest", "bin/run").done();
    slot.unpack(1, &came).unwrap();
    assert_eq!(act(&slot, &["begin-build", "1"]), (Some(0), None));
    slot
}

fn inode(slot: &Slot, path: &str) -> u64 {
    fs::metadata(slot.path(path)).unwrap().ino()
}

const END: [&str; 4] = ["end-build", "1", "100000", "100"];

#[test]
fn what_a_build_adds_is_in_the_release() {
    let slot = begun();
    assert_eq!(names(&app(&slot, "")), ["bin", "latest", "package-lock.json"]);
    assert_eq!(fs::metadata(app(&slot, "bin/run")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_ne!(
        fs::metadata(app(&slot, "bin/run")).unwrap().ino(),
        inode(&slot, "1/bin/run"),
        "a release is never written to"
    );
    fs::create_dir_all(app(&slot, "node_modules/a")).unwrap();
    fs::create_dir_all(app(&slot, "node_modules/.bin")).unwrap();
    fs::write(app(&slot, "node_modules/a/cli.js"), "a").unwrap();
    fs::set_permissions(app(&slot, "node_modules/a/cli.js"), fs::Permissions::from_mode(0o4777)).unwrap();
    symlink("../a/cli.js", app(&slot, "node_modules/.bin/a")).unwrap();
    fs::write(app(&slot, "package-lock.json"), "{ }").unwrap();
    let _socket = UnixListener::bind(app(&slot, "node_modules/socket")).unwrap();
    fs::write(slot.folder().join("build/cache/kept"), "").unwrap();
    let (run, lock) = (inode(&slot, "1/bin/run"), inode(&slot, "1/package-lock.json"));

    let (code, report) = act(&slot, &END);
    let Some(UnpackReport::Done { bytes, entries, found }) = report else { panic!("{report:?}") };
    let run_bytes = fs::metadata(slot.path("1/bin/run")).unwrap().len();
    assert_eq!((code, bytes, entries), (Some(0), run_bytes + 3 + 1, 9));
    assert_eq!(found.folders, ["bin", "node_modules"]);
    assert_eq!(slot.names(), ["1"]);
    assert_eq!(names(&slot.path("1/node_modules")), [".bin", "a"], "no socket");
    assert_eq!(
        fs::metadata(slot.path("1/node_modules/a/cli.js")).unwrap().permissions().mode() & 0o7777,
        0o755
    );
    assert_eq!(fs::read_to_string(slot.path("1/node_modules/.bin/a")).unwrap(), "a");
    assert_eq!(fs::read_to_string(slot.path("1/package-lock.json")).unwrap(), "{ }");
    assert_eq!(inode(&slot, "1/bin/run"), run, "what is the same is shared with what it was");
    assert_ne!(inode(&slot, "1/package-lock.json"), lock);
    assert_eq!(names(&slot.folder().join("build")), ["cache"]);
    assert_eq!(names(&slot.folder().join("build/cache")), ["kept"]);
}

#[test]
fn packages_are_shared_with_an_earlier_release() {
    let slot = begun();
    let packages = Tar::new()
        .file("node_modules/a/i.js", b"one")
        .file("node_modules/b/i.js", b"two")
        .program("node_modules/c");
    slot.unpack(4, &packages.done()).unwrap();
    for (name, content) in [("a", "one"), ("b", "TWO")] {
        fs::create_dir_all(app(&slot, &format!("node_modules/{name}"))).unwrap();
        fs::write(app(&slot, &format!("node_modules/{name}/i.js")), content).unwrap();
    }
    // The same bytes, and no program any more.
    fs::copy(slot.path("4/node_modules/c"), app(&slot, "node_modules/c")).unwrap();
    fs::set_permissions(app(&slot, "node_modules/c"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, _) = act(&slot, &[&END[..], &["4"]].concat());
    assert_eq!(code, Some(0));
    let shared = |path: &str| inode(&slot, &format!("1/{path}")) == inode(&slot, &format!("4/{path}"));
    assert_eq!(
        ["node_modules/a/i.js", "node_modules/b/i.js", "node_modules/c"].map(shared),
        [true, false, false]
    );
    assert_eq!(fs::read_to_string(slot.path("4/node_modules/b/i.js")).unwrap(), "two");
    assert_eq!(fs::read_to_string(slot.path("1/node_modules/b/i.js")).unwrap(), "TWO");
}

#[test]
fn what_is_no_release_is_refused_and_the_one_there_is_stays() {
    for (harm, expected) in [
        ((|slot| symlink("../../../precious", app(slot, "out")).unwrap()) as fn(&Slot), "out"),
        (|slot| fs::write(app(slot, "large"), vec![0; 100_001]).unwrap(), "100000"),
        (|slot| (0..101).for_each(|n| fs::write(app(slot, &n.to_string()), "").unwrap()), "100"),
        (
            |slot| {
                fs::remove_dir_all(app(slot, "")).unwrap();
                symlink(slot.folder(), app(slot, "").to_str().unwrap().trim_end_matches('/')).unwrap();
            },
            "app",
        ),
    ] {
        let slot = begun();
        harm(&slot);
        let (code, report) = act(&slot, &END);
        let Some(UnpackReport::Refused { reason }) = report else { panic!("{report:?}") };
        assert!(code == Some(1) && reason.contains(expected), "{reason}");
        assert_eq!((slot.names(), names(&slot.path("1")).len()), (vec!["1".to_owned()], 3));
    }
}

#[test]
fn a_build_that_failed_goes_with_its_release_and_what_it_kept() {
    let slot = begun();
    fs::write(slot.folder().join("build/cache/half"), "").unwrap();
    assert_eq!(act(&slot, &["remove", "1"]).0, Some(0));
    assert_eq!((slot.names(), names(&slot.folder().join("build"))), (vec![], vec![]));

    // Of one that was ended it stays, whichever release goes.
    let slot = begun();
    fs::write(slot.folder().join("build/cache/whole"), "").unwrap();
    assert_eq!(act(&slot, &END).0, Some(0));
    assert_eq!(act(&slot, &["remove", "1"]).0, Some(0));
    assert_eq!(names(&slot.folder().join("build/cache")), ["whole"]);
}

#[test]
fn a_build_begins_anew() {
    let slot = begun();
    fs::write(app(&slot, "leftover"), "").unwrap();
    assert_eq!(act(&slot, &["begin-build", "1"]).0, Some(0));
    assert_eq!(names(&app(&slot, "")).len(), 3);
    assert_eq!(act(&slot, &["begin-build", "7"]).0, Some(1), "there is none");
}
