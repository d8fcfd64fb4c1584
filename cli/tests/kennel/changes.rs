//! Of a folder only what has changed travels: against a stand-in that keeps releases as a host does, with `kennel-unpack`'s own
//! library, and counts every byte that comes over its line.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Request};
use kennel_model::listing::CHANGES;
use kennel_model::{ReleaseId, api};
use kennel_unpack::{Bounds, UnpackError, list_release, unpack_changes, unpack_release};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::releases::release;
use crate::support::{Answer, FakeHost, Home, at_home, json as answered, problem, result};

const BOUNDS: Bounds = Bounds { bytes: 1 << 30, entries: 50_000 };

/// A file, and what is written into it.
type Damage = (PathBuf, Vec<u8>);

/// The releases of `blog`.
#[derive(Clone)]
pub(crate) struct Depot {
    folder: Arc<tempfile::TempDir>,
    /// Written into a file once a release has been listed.
    damage: Arc<Mutex<Option<Damage>>>,
}

impl Depot {
    fn at(host: &FakeHost) -> Self {
        let depot = Self { folder: Arc::new(tempfile::tempdir().unwrap()), damage: Arc::default() };
        host.state.lock().unwrap().depot = Some(depot.clone());
        depot
    }

    fn place(&self, release: u32) -> PathBuf {
        self.folder.path().join(release.to_string())
    }

    fn newest(&self) -> u32 {
        (1..).take_while(|number| self.place(*number).exists()).last().unwrap_or(0)
    }

    /// Answers what is about releases.
    pub(crate) async fn answer(&self, request: Request<Incoming>, tenant: api::Tenant) -> Answer {
        let releases = (1..=self.newest()).map(release).collect();
        let tenant = api::Tenant { releases, ..tenant };
        let path = request.uri().path().to_owned();
        if let Some(number) = path.strip_suffix("/files").and_then(|path| path.rsplit('/').next()) {
            return self.listing(number.parse().unwrap());
        }
        if request.method() != Method::POST {
            return answered(200, &tenant);
        }
        let onto = request.uri().query().map(|query| query.strip_prefix("onto=").unwrap().parse().unwrap());
        let media_type = if onto.is_some() { CHANGES } else { "application/x-tar" };
        assert_eq!(request.headers()["content-type"], media_type);
        let sent = request.into_body().collect().await.unwrap().to_bytes();
        match self.take(&sent, onto) {
            Ok(release) => answered(201, &api::Deployed { release, tenant, notes: vec![], ready_ms: None }),
            Err(error @ UnpackError::Basis { .. }) => problem(409, "basis-differs", &error.to_string()),
            Err(error) => problem(422, "upload-refused", &error.to_string()),
        }
    }

    fn take(&self, sent: &[u8], onto: Option<u32>) -> Result<api::Release, UnpackError> {
        let releases = File::open(self.folder.path()).unwrap();
        let number = self.newest() + 1;
        let made = match onto {
            Some(onto) => unpack_changes(sent, releases.as_fd(), number, onto, BOUNDS)?,
            None => unpack_release(sent, releases.as_fd(), number, BOUNDS)?,
        };
        Ok(api::Release { id: ReleaseId(number), bytes: made.bytes, ..release(number) })
    }

    fn listing(&self, number: u32) -> Answer {
        let mut out = Vec::new();
        list_release(File::open(self.folder.path()).unwrap().as_fd(), number, &mut out).unwrap();
        if let Some((path, content)) = self.damage.lock().unwrap().take() {
            std::fs::write(path, content).unwrap();
        }
        hyper::Response::new(out.into())
    }
}

/// A connection whose incoming bytes are counted.
pub(crate) struct Metered(pub(crate) TcpStream, pub(crate) Arc<AtomicU64>);

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, buffer);
        self.1.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        read
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

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
