//! Downloads against a loopback server that misbehaves in every way we claim to survive.

use std::fs;

use super::test_server::{Answer, TestServer};
use super::*;
use crate::steps::Steps;

struct Bench {
    server: TestServer,
    fetcher: Fetcher,
    _folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::new();
    let fetcher = Fetcher::direct(Store::at(folder.path()), Mirrors::all_at(&server.base()));
    Bench { server, fetcher, _folder: folder }
}

impl Bench {
    fn wanted(&self, path: &str, content: &[u8], answers: impl Into<Vec<Answer>>) -> Wanted {
        let (url, sha256) = (self.server.serve(path, answers), Sha256::of(content));
        Wanted { name: path[1..].to_owned(), url, size: content.len() as u64, sha256, locked: true }
    }

    fn fetch(&self, wanted: &[Wanted]) -> Result<Fetched, FetchError> {
        self.fetcher.fetch_all(wanted, &Steps::silent().start("fetch"))
    }

    fn stored(&self, wanted: &Wanted) -> Vec<u8> {
        fs::read(self.fetcher.store().verified(&wanted.sha256).unwrap()).unwrap()
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

#[test]
fn files_are_fetched_once_and_then_found() {
    let bench = bench();
    let wanted: Vec<_> =
        (1..20).map(|n| bench.wanted(&format!("/{n}"), &content(n), [Answer::File(content(n))])).collect();
    let fetched = bench.fetch(&wanted).unwrap();
    assert_eq!(fetched, Fetched { files: 19, bytes: (1..20).sum() });
    assert_eq!(bench.fetch(&wanted).unwrap(), Fetched::default());
    assert_eq!(bench.server.requests().len(), 19);
    assert_eq!(bench.stored(&wanted[6]), content(7));
}

#[test]
fn a_cut_download_goes_on_where_it_ended() {
    let bench = bench();
    let bytes = content(200_000);
    let wanted = bench.wanted("/a", &bytes, [Answer::Cut(bytes.clone(), 150_000), Answer::File(bytes.clone())]);
    bench.fetch(std::slice::from_ref(&wanted)).unwrap();
    assert_eq!(bench.stored(&wanted), bytes);
    assert_eq!(bench.server.requests(), ["/a", "/a bytes=150000-"]);
}

#[test]
fn a_part_from_an_earlier_run_is_used_or_thrown_away() {
    let bytes = content(1000);
    let cases: [(&[u8], Answer, &[&str]); 4] = [
        (&bytes[..400], Answer::File(bytes.clone()), &["/a bytes=400-"]),
        // The server knows no ranges.
        (&bytes[..400], Answer::NoRanges(bytes.clone()), &["/a bytes=400-"]),
        // The part was of something else.
        (&[7; 400], Answer::File(bytes.clone()), &["/a bytes=400-", "/a"]),
        (&[7; 1000], Answer::File(bytes.clone()), &["/a"]),
    ];
    for (part, answer, requests) in cases {
        let bench = bench();
        let wanted = bench.wanted("/a", &bytes, [answer]);
        let path = bench.fetcher.store().part(&wanted.sha256);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, part).unwrap();
        bench.fetch(std::slice::from_ref(&wanted)).unwrap();
        assert_eq!(bench.stored(&wanted), bytes);
        assert_eq!(bench.server.requests(), requests);
        assert!(!path.exists());
    }
}

#[test]
fn a_part_that_somebody_else_is_writing_is_left_alone() {
    let bench = bench();
    let bytes = content(1000);
    let wanted = bench.wanted("/a", &bytes, [Answer::File(bytes.clone())]);
    let path = bench.fetcher.store().part(&wanted.sha256);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"theirs").unwrap();
    let theirs = fs::File::open(&path).unwrap();
    theirs.lock().unwrap();
    bench.fetch(std::slice::from_ref(&wanted)).unwrap();
    assert_eq!(bench.stored(&wanted), bytes);
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
}

#[test]
fn a_busy_server_is_asked_again_but_not_for_ever() {
    let bench = bench();
    let busy = Answer::Status("503 Service Unavailable");
    let wanted = bench.wanted("/a", b"abc", [busy.clone(), busy.clone(), Answer::File(b"abc".to_vec())]);
    bench.fetch(&[wanted]).unwrap();
    let wanted = bench.wanted("/b", b"abcd", [busy]);
    let error = bench.fetch(&[wanted]).unwrap_err();
    assert!(
        matches!(&error, FetchError::Unreachable { tries: 4, cause, .. } if cause.contains("503")),
        "{error}"
    );
    assert_eq!(bench.server.requests().len(), 3 + 4);
}

#[test]
fn another_file_than_promised_is_refused_and_not_kept() {
    let bench = bench();
    for (path, served) in [("/a", &b"abd"[..]), ("/b", b"abcd")] {
        let wanted = bench.wanted(path, b"abc", [Answer::File(served.to_vec())]);
        let error = bench.fetch(std::slice::from_ref(&wanted)).unwrap_err();
        assert!(matches!(error, FetchError::WrongFile { .. }), "{error}");
        assert!(!bench.fetcher.store().holds(&wanted.sha256, 3));
    }
}

#[test]
fn a_locked_file_that_is_gone_says_lock_again() {
    let bench = bench();
    let gone = bench.wanted("/libc6", b"abc", [Answer::Status("404 Not Found")]);
    let error = bench.fetch(std::slice::from_ref(&gone)).unwrap_err();
    assert!(matches!(&error, FetchError::LockedFileGone { name, .. } if name == "libc6"), "{error}");
    assert!(error.hint().unwrap().contains("`kennel lock`"));
    let error = bench.fetch(&[Wanted { locked: false, ..gone }]).unwrap_err();
    assert!(matches!(error, FetchError::NotFound { .. }), "{error}");
    let refused = bench.wanted("/x", b"x", [Answer::Status("403 Forbidden")]);
    assert!(matches!(bench.fetch(&[refused]).unwrap_err(), FetchError::Refused { status: 403, .. }));
}

#[test]
fn offline_names_what_is_missing_and_asks_nobody() {
    let mut bench = bench();
    bench.fetcher.offline = true;
    let missing: Vec<_> = (0..7).map(|n| bench.wanted(&format!("/p{n}"), &content(n + 1), [])).collect();
    let error = bench.fetch(&missing).unwrap_err();
    assert_eq!(error.to_string(), "offline, and not in the cache: p0, p1, p2, p3, p4, and 2 more");
    bench.fetcher.store().insert(&content(1)).unwrap();
    assert!(bench.fetch(&missing[..1]).is_ok());
    assert_eq!(bench.server.requests().len(), 0);
}

#[test]
fn a_document_has_a_limit() {
    let bench = bench();
    let url = bench.server.serve("/doc", [Answer::File(content(100))]);
    let step = Steps::silent().start("read");
    assert_eq!(bench.fetcher.read("doc", &url, 100, &step).unwrap(), content(100));
    let error = bench.fetcher.read("doc", &url, 99, &step).unwrap_err();
    assert!(matches!(error, FetchError::WrongFile { .. }), "{error}");
}
