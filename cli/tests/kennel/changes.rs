//! Of a folder only what has changed travels: against a stand-in that keeps releases as a host does, and counts every byte that
//! comes over its line.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::depot::Depot;
use crate::support::{FakeHost, Home, at_home, result};

/// Someone who deploys, and the other end.
struct Stand {
    home: Home,
    host: FakeHost,
    depot: Depot,
}

/// What a deploy has told, and the bytes that the other end has seen of it.
struct Told {
    document: Value,
    received: u64,
    notes: String,
}

impl Stand {
    fn new() -> Self {
        let (home, host) = at_home();
        let depot = Depot::at(&host);
        Self { home, host, depot }
    }

    /// `count` files of about `size` bytes that no two of are the same, in the folders that npm makes.
    fn app(&self, count: usize, size: usize) -> u64 {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut total = 0;
        for number in 0..count {
            let (package, file) = (number / 15, number % 15);
            let length = size + number % 100;
            let content: Vec<u8> = (0..length.div_ceil(8))
                .flat_map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()
                })
                .take(length)
                .collect();
            let path = self.home.path(&format!("app/node_modules/package-{package}/lib/file-{file}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
            total += length as u64;
        }
        total
    }

    fn deploy(&self) -> Told {
        let received = Arc::clone(&self.host.state.lock().unwrap().received);
        let before = received.load(Ordering::Relaxed);
        let document = result(&self.home.kennel(&["deploy", "blog", "app", "--json"]).output().unwrap());
        let received = received.load(Ordering::Relaxed) - before;
        assert_eq!(document["travelled"]["sent_bytes"], received, "what it says is what came: {document}");
        Told { document, received, notes: String::new() }
    }

    fn deploy_in_words(&self) -> Told {
        let output = self.home.kennel(&["deploy", "blog", "app"]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        Told { document: text(&output.stdout).into(), received: 0, notes: text(&output.stderr) }
    }

    /// The newest release is what the folder is.
    fn same(&self) {
        let newest = self.depot.place(self.depot.newest());
        let differences = std::process::Command::new("diff")
            .args(["--recursive", "--no-dereference"])
            .args([&self.home.path("app"), &newest])
            .output()
            .unwrap();
        assert!(differences.status.success(), "{}", String::from_utf8_lossy(&differences.stdout));
    }
}

fn executable(path: &Path) -> bool {
    path.metadata().unwrap().permissions().mode() & 0o111 != 0
}

/// The figure of the project: 20 MiB in 3,000 files, one of them changed.
#[test]
fn of_three_thousand_files_one_travels() {
    let stand = Stand::new();
    let total = stand.app(3000, 7000);
    assert!(total >= 20 << 20, "{total}");
    let first = stand.deploy();
    assert!(first.received > total, "{} of {total}", first.received);
    let nothing = stand.deploy();
    let counts = |told: &Told| {
        let counts = &told.document["travelled"];
        ["changed", "moved", "gone"].map(|word| counts[word].as_u64().unwrap())
    };
    assert_eq!((counts(&nothing), stand.depot.newest()), ([0, 0, 0], 2), "a release all the same");
    let path = stand.home.path("app/node_modules/package-77/lib/file-7");
    let mut content = std::fs::read(&path).unwrap();
    content[100] ^= 1;
    std::fs::write(&path, &content).unwrap();
    let one = stand.deploy();
    eprintln!(
        "{total} bytes in 3000 files; sent at first {}, with no change {}, with one file of {} changed {}",
        first.received,
        nothing.received,
        content.len(),
        one.received
    );
    assert_eq!(counts(&one), [1, 0, 0]);
    assert!(one.received <= (64 << 10) + content.len() as u64, "{}", one.received);
    assert!(nothing.received <= 64 << 10, "{}", nothing.received);
    stand.same();
}

#[test]
fn whatever_changes_the_release_is_the_folder() {
    let stand = Stand::new();
    stand.app(60, 4000);
    stand.deploy();
    let at = |path: &str| stand.home.path(&format!("app/node_modules/{path}"));
    std::fs::write(at("package-0/lib/file-1"), "other").unwrap();
    std::fs::remove_file(at("package-0/lib/file-2")).unwrap();
    std::fs::write(at("package-0/new"), "new").unwrap();
    std::fs::rename(at("package-1"), at("renamed")).unwrap();
    std::fs::set_permissions(at("package-2/lib/file-3"), PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::remove_dir_all(at("package-3/lib")).unwrap();
    std::os::unix::fs::symlink("../package-0/new", at("package-3/lib")).unwrap();
    std::fs::copy(at("package-0/lib/file-4"), at("copied")).unwrap();
    std::fs::remove_file(at("package-0/lib/file-5")).unwrap();
    std::fs::create_dir(at("package-0/lib/file-5")).unwrap();
    let told = stand.deploy_in_words();
    let words = told.document.as_str().unwrap();
    assert!(words.contains("  4 of 46 files changed, 16 moved, 16 gone: "), "{words}");
    stand.same();
    let released = stand.depot.place(2).join("node_modules/package-2/lib/file-3");
    let before = stand.depot.place(1).join("node_modules/package-2/lib/file-3");
    assert!(executable(&released) && !executable(&before), "the one before is what it was");
    let again = stand.deploy_in_words();
    assert!(again.document.as_str().unwrap().contains("  none of 46 files changed: "), "{}", again.document);
    assert_eq!(again.notes.lines().next(), Some("looking for what has changed since r2"));
}

#[test]
fn a_damaged_file_travels_again() {
    let stand = Stand::new();
    stand.app(60, 4000);
    stand.deploy();
    std::fs::write(stand.depot.place(1).join("node_modules/package-0/lib/file-1"), "damage").unwrap();
    let told = stand.deploy();
    assert_eq!(told.document["travelled"]["changed"], 1);
    stand.same();
}

#[test]
fn what_is_not_as_it_was_listed_brings_the_whole() {
    let stand = Stand::new();
    stand.app(60, 4000);
    stand.deploy();
    let file = "node_modules/package-0/lib/file-0";
    *stand.depot.damage.lock().unwrap() = Some((stand.depot.place(1).join(file), b"damage".to_vec()));
    let told = stand.deploy_in_words();
    assert!(told.notes.contains("r1 cannot be built on, so all of it is sent: "), "{}", told.notes);
    assert!(told.document.as_str().unwrap().contains("  all of it is sent: "), "{}", told.document);
    assert_eq!(stand.depot.newest(), 2);
    stand.same();
}

#[test]
fn small_folders_and_archives_are_sent_as_they_are() {
    let stand = Stand::new();
    stand.app(3, 1000);
    for _ in 0..2 {
        let told = stand.deploy();
        assert_eq!(told.document["travelled"].get("onto"), None);
    }
    assert!(!stand.host.requests().iter().any(|asked| asked.contains("/files")), "{:?}", stand.host.requests());
    assert_eq!(stand.depot.newest(), 2);
}
