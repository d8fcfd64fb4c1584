//! What a tenant's data becomes on its way off the host and back, and what does not come back.

#![allow(clippy::unwrap_used)]

mod common;

use common::{BOUNDS, Tar};
use kennel_model::data::SaveReport;
use kennel_unpack::{Bounds, Fault, UnpackError, restore_data, save_data};
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tar::EntryType;

/// What is said of it, and the archive.
fn save(data: &Path) -> (SaveReport, Vec<u8>) {
    let mut said = Vec::new();
    // What went wrong is said as well.
    let _ = save_data(File::open(data).unwrap().as_fd(), &mut said);
    let end = said.iter().position(|b| *b == b'\n').unwrap();
    let report = serde_json::from_slice(&said[..end]).unwrap();
    (report, said.split_off(end + 1))
}

fn restore(archive: &[u8], data: &Path, bounds: Bounds) -> Result<kennel_unpack::Unpacked, UnpackError> {
    restore_data(archive, File::open(data).unwrap().as_fd(), bounds)
}

fn long_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

#[test]
fn what_is_saved_comes_back_as_it_was() {
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = |name: &str| before.path().join(name);
    let long = format!("{}/{}.txt", "folder".repeat(20), "name".repeat(40));
    fs::create_dir_all(at(&long).parent().unwrap()).unwrap();
    fs::create_dir(at("closed")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    for (name, mode) in [("db.sqlite", 0o600), ("closed/secret", 0o400), ("run.sh", 0o755), (&*long, 0o644)] {
        fs::write(at(name), name).unwrap();
        fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
        File::options().read(true).open(at(name)).unwrap().set_modified(long_ago()).unwrap();
    }
    fs::write(at("large"), vec![7; 300_000]).unwrap();
    fs::hard_link(at("db.sqlite"), at("again")).unwrap();
    fs::set_permissions(at("closed"), Permissions::from_mode(0o500)).unwrap();
    symlink("/app/public", at("out")).unwrap();
    symlink("x".repeat(150), at("nowhere")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();

    let (report, archive) = save(before.path());
    assert_eq!(report, SaveReport::Saved { archive_bytes: Some(archive.len() as u64) });
    fs::write(after.path().join("old"), "what was there before").unwrap();
    let done = restore(&archive, after.path(), BOUNDS).unwrap();
    assert_eq!(done.entries, 11);
    let back = |name: &str| after.path().join(name);
    for (name, mode) in [("db.sqlite", 0o600), ("closed/secret", 0o400), ("run.sh", 0o755), (&*long, 0o644)] {
        let meta = back(name).metadata().unwrap();
        assert_eq!((fs::read(back(name)).unwrap(), meta.mode() & 0o7777), (name.as_bytes().to_vec(), mode));
        assert_eq!(meta.modified().unwrap(), long_ago(), "{name}");
    }
    assert_eq!(fs::read(back("again")).unwrap(), b"db.sqlite");
    assert_eq!(back("large").metadata().unwrap().len(), 300_000);
    assert_eq!(back("closed").metadata().unwrap().mode() & 0o7777, 0o500);
    assert!(back("empty").is_dir());
    assert_eq!(fs::read_link(back("out")).unwrap(), Path::new("/app/public"));
    assert_eq!(fs::read_link(back("nowhere")).unwrap().as_os_str().len(), 150);
    assert!(!back("socket").exists() && !back("old").exists());
    // Whoever runs the tests removes it.
    fs::set_permissions(back("closed"), Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(at("closed"), Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn no_data_is_an_archive_too() {
    let data = tempfile::tempdir().unwrap();
    let (report, archive) = save(data.path());
    assert_eq!(report, SaveReport::Saved { archive_bytes: Some(archive.len() as u64) });
    assert_eq!(restore(&archive, data.path(), BOUNDS).unwrap().entries, 0);
}

#[test]
fn what_changes_all_the_time_is_not_saved_and_that_is_said() {
    let data = tempfile::tempdir().unwrap();
    let over = AtomicBool::new(false);
    let (report, archive) = std::thread::scope(|scope| {
        // Some, each of which sleeps in between, so that even a busy machine lets one of them run at any time.
        for n in 0..8 {
            let mut journal = File::create(data.path().join(format!("journal{n}"))).unwrap();
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    journal.write_all(b"a line\n").unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        let saved = save(data.path());
        over.store(true, Ordering::Relaxed);
        saved
    });
    let SaveReport::Refused { reason } = report else { panic!("{report:?}") };
    assert!(reason.contains("changed while it was read"), "{reason}");
    assert_eq!(archive, b"");
}

#[test]
fn what_cannot_come_back_is_not_saved_and_named() {
    let data = tempfile::tempdir().unwrap();
    let deep = data.path().join("d/".repeat(70));
    fs::create_dir_all(deep).unwrap();
    let (report, _) = save(data.path());
    let SaveReport::Refused { reason } = report else { panic!("{report:?}") };
    assert!(reason.contains("is nested deeper than 64 folders"), "{reason}");
}

#[test]
fn what_harms_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let refused = |archive: Tar| match restore(&archive.file("more", b"").done(), data.path(), BOUNDS) {
        Err(UnpackError::Entry { fault, .. }) => {
            assert_eq!(data.path().read_dir().unwrap().count(), 0, "{fault}");
            fault
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(Tar::new().file("../x", b"")), Fault::DotDot);
    assert_eq!(refused(Tar::new().file("/x", b"")), Fault::Absolute);
    assert_eq!(refused(Tar::new().entry(EntryType::Char, "null", 0o666, "", b"")), Fault::Device);
    assert_eq!(refused(Tar::new().entry(EntryType::Fifo, "pipe", 0o666, "", b"")), Fault::Fifo);
    assert_eq!(refused(Tar::new().entry(EntryType::Regular, "su", 0o4755, "", b"")), Fault::SetId);
    assert_eq!(refused(Tar::new().symlink("out", "/etc").file("out/passwd", b"")), Fault::BelowNonFolder);
    assert_eq!(
        refused(Tar::new().symlink("out", "/etc/passwd").hard_link("in", "out")),
        Fault::HardLink("out".into())
    );
    assert_eq!(refused(Tar::new().file("twice", b"").file("twice", b"")), Fault::Duplicate);
    let bounds = Bounds { bytes: 3, entries: 2 };
    let large = Tar::new().file("a", b"12").file("b", b"34").done();
    assert!(matches!(restore(&large, data.path(), bounds), Err(UnpackError::TooManyBytes(3))));
    let many = Tar::new().folder("a").folder("b").folder("c").done();
    assert!(matches!(restore(&many, data.path(), bounds), Err(UnpackError::TooManyEntries(2))));
    let cut = Tar::new().file("a", b"12").open_ended();
    assert!(matches!(restore(&cut, data.path(), bounds), Err(UnpackError::Truncated(_))));
}
