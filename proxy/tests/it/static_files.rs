//! Files of a release: answered by the proxy, without a word to anybody but for the folder, which init opens once.

use std::fs::{self, File};
use std::path::Path;

use hyper::{Method, Request, Response};
use kennel_model::msg::{FromProxy, RequestId, Rung, ToProxy};
use kennel_model::routes::Route;
use kennel_model::{ReleaseId, SlotId, StaticFiles};
use kennel_proxy::Limits;
use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

use crate::rig::*;

pub(crate) fn rule(path: &str, only: bool) -> StaticFiles {
    StaticFiles { path: path.parse().unwrap(), folder: "public".parse().unwrap(), only, max_age_s: 0 }
}

pub(crate) fn with_files(slot: SlotId, release: u32, rule: StaticFiles) -> Route {
    Route { static_files: Some(rule), release: Some(ReleaseId(release)), ..route("a.example", slot) }
}

/// A release's folder with a site in it.
pub(crate) fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("docs")).unwrap();
    fs::create_dir_all(at("empty")).unwrap();
    fs::write(at("index.html"), "<h1>home</h1>").unwrap();
    fs::write(at("docs/index.html"), "<h1>docs</h1>").unwrap();
    fs::write(at("app.3f9a1c2b.js"), "plain()").unwrap();
    fs::write(at("app.3f9a1c2b.js.br"), "as br").unwrap();
    fs::write(at("app.3f9a1c2b.js.gz"), "as gzip").unwrap();
    fs::write(at("a b.txt"), "0123456789").unwrap();
    fs::write(at(".env"), "SECRET=1").unwrap();
    fs::write(at("large.bin"), large()).unwrap();
    fs::write(at("none.txt"), "").unwrap();
    dir
}

/// More than is kept in memory and than is read at a time.
pub(crate) fn large() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n % 251) as u8).collect()
}

pub(crate) fn place(dir: &Path) -> File {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(dir, flags, Mode::empty()).unwrap().into()
}

/// What init is asked for.
pub(crate) async fn asked(proxy: &Proxy) -> (RequestId, SlotId, ReleaseId) {
    match proxy.init.hears().await {
        FromProxy::OpenFiles { id, slot, release } => (id, slot, release),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn opens(proxy: &Proxy, dir: &Path) -> (SlotId, ReleaseId) {
    let (id, slot, release) = asked(proxy).await;
    proxy.init.say_with(&ToProxy::Files { id, result: Ok(()) }, place(dir));
    (slot, release)
}

/// A proxy with a site whose folder has been opened.
pub(crate) async fn site(path: &str, only: bool, dir: &Path) -> (Proxy, Claim) {
    let (mut proxy, claim) = (proxy(Limits::default()).await, claim());
    proxy.publish(vec![with_files(claim.slot, 7, rule(path, only))]).await;
    let first = format!("{}/index.html", path.trim_end_matches('/'));
    let (answer, of) = tokio::join!(proxy.get("a.example", &first), opens(&proxy, dir));
    assert_eq!((answer.status(), of), (200, (claim.slot, ReleaseId(7))));
    (proxy, claim)
}

pub(crate) async fn ask(proxy: &Proxy, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
    let request = Request::builder().method(method).uri(path).header("host", "a.example");
    let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    proxy.send(request.body(empty()).unwrap()).await
}

pub(crate) async fn get(proxy: &Proxy, path: &str, fields: &[(&str, &str)]) -> Answer {
    ask(proxy, Method::GET, path, fields).await
}

#[tokio::test]
async fn files_are_answered_and_nobody_is_woken() {
    let dir = folder();
    let (proxy, _claim) = site("/", true, dir.path()).await;
    for (path, text, kind) in [
        ("/", "<h1>home</h1>", "text/html; charset=utf-8"),
        ("/?q=1", "<h1>home</h1>", "text/html; charset=utf-8"),
        ("/docs/", "<h1>docs</h1>", "text/html; charset=utf-8"),
        ("/a%20b.txt", "0123456789", "text/plain; charset=utf-8"),
        ("/app.3f9a1c2b.js", "plain()", "text/javascript; charset=utf-8"),
        ("/none.txt", "", "text/plain; charset=utf-8"),
    ] {
        // From the disk, and as it is known then.
        for _ in 0..2 {
            let answer = get(&proxy, path, &[]).await;
            assert_eq!((answer.status(), answer.text()), (200, text), "{path}");
            assert_eq!(answer.field("content-type"), Some(kind));
            assert_eq!(answer.field("content-length"), Some(&*text.len().to_string()));
            assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
            assert!(answer.field("etag").is_some() && answer.field("last-modified").is_some());
            assert!(answer.field("x-request-id").is_some(), "it is recorded as any other");
        }
    }
    let page = get(&proxy, "/", &[]).await;
    let script = get(&proxy, "/app.3f9a1c2b.js", &[]).await;
    assert_eq!(page.field("cache-control"), Some("no-cache"));
    assert_eq!(script.field("cache-control"), Some("public, max-age=31536000, immutable"));
    let answer = get(&proxy, "/docs?a=b", &[]).await;
    assert_eq!((answer.status(), answer.field("location")), (301, Some("/docs/?a=b")));
    proxy.init.nothing_at_all();
}

#[tokio::test]
async fn what_is_not_there_is_a_404_where_there_are_only_files() {
    let dir = folder();
    let (proxy, _claim) = site("/", true, dir.path()).await;
    for path in [
        "/nothing",
        "/docs/nothing",
        "/empty/",
        "/empty",
        "/.env",
        "/%2eenv",
        "/../secret",
        "/%2e%2e/secret",
        "/docs//",
        "//docs/",
        "/docs%2findex.html",
        "/index.html/",
        "/index.html/x",
        "/large.bin%00",
        "/.well-known/acme-challenge/x",
    ] {
        for _ in 0..2 {
            let answer = get(&proxy, path, &[]).await;
            assert_eq!((answer.status(), answer.code()), (404, Some("no-file")), "{path}");
        }
    }
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::PATCH] {
        let answer = ask(&proxy, method, "/", &[]).await;
        assert_eq!(
            (answer.status(), answer.code(), answer.field("allow")),
            (405, Some("read-only"), Some("GET, HEAD"))
        );
    }
    fs::write(dir.path().join("404.html"), "<h1>lost</h1>").unwrap();
    let (proxy, _claim) = site("/", true, dir.path()).await;
    let answer = get(&proxy, "/nothing", &[]).await;
    assert_eq!((answer.status(), answer.text(), answer.code()), (404, "<h1>lost</h1>", None));
    assert_eq!((answer.field("etag"), answer.field("cache-control")), (None, Some("no-cache")));
    assert_eq!(get(&proxy, "/404.html", &[]).await.status(), 200);
    proxy.init.nothing_at_all();
}

#[tokio::test]
async fn what_is_not_there_is_the_programs_otherwise() {
    let dir = folder();
    let (proxy, claim) = site("/assets", false, dir.path()).await;
    let _program = program(claim.slot, |request| async move {
        Response::new(full(format!("program: {} {}", request.method(), request.uri())))
    })
    .await;
    assert_eq!(get(&proxy, "/assets/docs/", &[]).await.text(), "<h1>docs</h1>");
    proxy.init.nothing_at_all();
    for path in [
        "/",
        "/index.html",
        "/assets2/index.html",
        "/assets/nothing",
        "/assets/.env",
        "/assets/%2e%2e/x",
        "/assets/docs/..",
    ] {
        assert_eq!(get(&proxy, path, &[]).await.text(), format!("program: GET {path}"));
    }
    let posted = ask(&proxy, Method::POST, "/assets/index.html", &[]).await;
    assert_eq!(posted.text(), "program: POST /assets/index.html");
    let answer = get(&proxy, "/assets", &[]).await;
    assert_eq!((answer.status(), answer.field("location")), (301, Some("/assets/")));
    // A WebSocket at the address of a page.
    let fields = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    assert!(get(&proxy, "/assets/", &fields).await.text().starts_with("program: "));
}

#[tokio::test]
async fn a_sleeping_program_is_woken_by_what_is_no_file_only() {
    let dir = folder();
    let (proxy, claim) = site("/", false, dir.path()).await;
    for _ in 0..3 {
        assert_eq!(get(&proxy, "/docs/", &[]).await.text(), "<h1>docs</h1>");
    }
    proxy.init.nothing_at_all();
    let starts = async {
        let cause = proxy.init.grants(Rung::Stopped).await;
        assert!(cause.as_str().starts_with("GET /api"), "{}", cause.as_str());
        hello(claim.slot).await
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/api"), starts);
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn forms_are_chosen_by_what_the_client_takes() {
    let dir = folder();
    let (proxy, _claim) = site("/", true, dir.path()).await;
    let script = "/app.3f9a1c2b.js";
    let mut tags = Vec::new();
    for (accept, coding, text) in [
        ("gzip, br", Some("br"), "as br"),
        ("gzip", Some("gzip"), "as gzip"),
        ("zstd", None, "plain()"),
        ("br;q=0", None, "plain()"),
    ] {
        let answer = get(&proxy, script, &[("accept-encoding", accept)]).await;
        assert_eq!((answer.field("content-encoding"), answer.text()), (coding, text), "{accept}");
        assert_eq!(answer.field("vary"), Some("accept-encoding"));
        assert_eq!(answer.field("content-type"), Some("text/javascript; charset=utf-8"));
        let tag = answer.field("etag").unwrap().to_owned();
        let again = get(&proxy, script, &[("accept-encoding", accept), ("if-none-match", &tag)]).await;
        assert_eq!((again.status(), again.body.len(), again.field("etag")), (304, 0, Some(&*tag)));
        assert_eq!(
            (again.field("vary"), again.field("cache-control")),
            (answer.field("vary"), answer.field("cache-control"))
        );
        tags.push(tag);
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "each form has a validator of its own");
    let page = get(&proxy, "/", &[("accept-encoding", "gzip, br")]).await;
    assert_eq!((page.field("vary"), page.field("content-encoding")), (None, None));
}

#[tokio::test]
async fn conditions_and_parts() {
    let dir = folder();
    let (proxy, _claim) = site("/", true, dir.path()).await;
    let whole = get(&proxy, "/large.bin", &[]).await;
    assert_eq!(whole.body, large());
    assert_eq!(whole.field("accept-ranges"), Some("bytes"));
    let (tag, date) = (whole.field("etag").unwrap(), whole.field("last-modified").unwrap());
    for (from, to, range) in [
        (0, 1, "bytes=0-0"),
        (65_530, 65_550, "bytes=65530-65549"),
        (100_000, 300_000, "bytes=100000-"),
        (299_999, 300_000, "bytes=-1"),
    ] {
        let part = get(&proxy, "/large.bin", &[("range", range), ("if-range", tag)]).await;
        assert_eq!((part.status(), part.body.len()), (206, to - from), "{range}");
        assert_eq!(part.body, large()[from..to]);
        assert_eq!(part.field("content-range"), Some(&*format!("bytes {from}-{}/300000", to - 1)));
    }
    let small = get(&proxy, "/a%20b.txt", &[("range", "bytes=2-4")]).await;
    assert_eq!(
        (small.status(), small.text(), small.field("content-range")),
        (206, "234", Some("bytes 2-4/10"))
    );
    let beyond = get(&proxy, "/large.bin", &[("range", "bytes=300000-")]).await;
    assert_eq!((beyond.status(), beyond.field("content-range")), (416, Some("bytes */300000")));
    assert_eq!(beyond.body.len(), 0);
    let several = get(&proxy, "/large.bin", &[("range", "bytes=0-1,5-6")]).await;
    assert_eq!((several.status(), several.body.len()), (200, 300_000));
    let other = get(&proxy, "/large.bin", &[("range", "bytes=0-1"), ("if-range", "\"other\"")]).await;
    assert_eq!((other.status(), other.body.len()), (200, 300_000));
    let since = get(&proxy, "/large.bin", &[("if-modified-since", date)]).await;
    assert_eq!((since.status(), since.body.len()), (304, 0));
    let failed = get(&proxy, "/large.bin", &[("if-match", "\"other\"")]).await;
    assert_eq!((failed.status(), failed.body.len()), (412, 0));
    for path in ["/large.bin", "/a%20b.txt"] {
        let head = ask(&proxy, Method::HEAD, path, &[]).await;
        let length = if path == "/large.bin" { "300000" } else { "10" };
        assert_eq!((head.status(), head.field("content-length"), head.body.len()), (200, Some(length), 0));
    }
}
