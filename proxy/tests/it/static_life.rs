//! The life of a release's files at the proxy: opened by init, known, counted and bounded, and gone with the next release.

use std::fs;
use std::time::Duration;

use hyper::{Method, Request};
use kennel_model::ReleaseId;
use kennel_model::msg::{FromProxy, Refusal, ToProxy};
use kennel_model::routes::Route;
use kennel_proxy::Limits;
use rustix::fs::Mode;

use crate::rig::*;
use crate::static_files::{ask, asked, folder, get, opens, place, rule, site, with_files};

#[tokio::test]
async fn a_deploy_is_seen_at_once_and_what_is_under_way_ends_as_it_began() {
    let (old, new) = (folder(), folder());
    let many = vec![b'o'; 8 << 20];
    fs::write(old.path().join("many"), &many).unwrap();
    fs::write(new.path().join("index.html"), "<h1>new</h1>").unwrap();
    let (mut proxy, claim) = site("/", true, old.path()).await;
    let before = get(&proxy, "/", &[]).await;
    let request = Request::get("/many").header("host", "a.example").body(empty()).unwrap();
    let begun = proxy.connect().await.send_request(request).await.unwrap();
    proxy.publish(vec![with_files(claim.slot, 8, rule("/", true))]).await;
    // Retention removes what served before.
    drop(old);
    let (answer, of) = tokio::join!(proxy.get("a.example", "/"), opens(&proxy, new.path()));
    assert_eq!((answer.text(), of), ("<h1>new</h1>", (claim.slot, ReleaseId(8))));
    assert_ne!(answer.field("etag"), before.field("etag"));
    assert_eq!(get(&proxy, "/many", &[]).await.status(), 404);
    assert_eq!(Answer::read(begun).await.body, many);
}

#[tokio::test]
async fn a_machine_that_is_taken_away_is_said_to_be_quiet_when_a_file_is_sent_whole() {
    let dir = folder();
    let many = vec![b'o'; 8 << 20];
    fs::write(dir.path().join("many"), &many).unwrap();
    let (proxy, _claim) = site("/", true, dir.path()).await;
    let request = Request::get("/many").header("host", "a.example").body(empty()).unwrap();
    let begun = proxy.connect().await.send_request(request).await.unwrap();
    proxy.init.say(&ToProxy::Refuse(true));
    soon(async { while get(&proxy, "/", &[]).await.status() != 503 {} }).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    proxy.init.nothing_at_all();
    assert_eq!(Answer::read(begun).await.body, many);
    assert!(matches!(proxy.init.hears().await, FromProxy::Quiet));
}

#[tokio::test]
async fn a_slot_of_another_tenant_has_nothing_of_the_one_before() {
    let (old, new) = (folder(), folder());
    fs::write(new.path().join("index.html"), "<h1>theirs</h1>").unwrap();
    let (mut proxy, claim) = site("/", true, old.path()).await;
    proxy.publish(vec![]).await;
    proxy.publish(vec![with_files(claim.slot, 7, rule("/", true))]).await;
    let (answer, _) = tokio::join!(proxy.get("a.example", "/"), opens(&proxy, new.path()));
    assert_eq!(answer.text(), "<h1>theirs</h1>");
}

#[tokio::test]
async fn a_table_that_says_the_same_asks_for_nothing() {
    let dir = folder();
    let (mut proxy, claim) = site("/", true, dir.path()).await;
    proxy.publish(vec![with_files(claim.slot, 7, rule("/", true)), route("b.example", claim.slot)]).await;
    assert_eq!(get(&proxy, "/docs/", &[]).await.text(), "<h1>docs</h1>");
    proxy.init.nothing_at_all();
}

#[tokio::test]
async fn while_init_is_ahead_of_the_routes_a_visitor_waits() {
    let dir = folder();
    let (mut proxy, claim) = (proxy(Limits::default()).await, claim());
    proxy.publish(vec![with_files(claim.slot, 7, rule("/", true))]).await;
    let init = async {
        let (id, ..) = asked(&proxy).await;
        proxy.init.say(&ToProxy::Files { id, result: Err(Refusal::Busy("another release".into())) });
        proxy.init.publish(50, vec![with_files(claim.slot, 8, rule("/", true))]);
        loop {
            let (id, _, release) = asked(&proxy).await;
            if release == ReleaseId(8) {
                return proxy.init.say_with(&ToProxy::Files { id, result: Ok(()) }, place(dir.path()));
            }
            proxy.init.say(&ToProxy::Files { id, result: Err(Refusal::Busy("another release".into())) });
        }
    };
    let (answer, ()) = tokio::join!(proxy.get("a.example", "/"), init);
    assert_eq!(answer.text(), "<h1>home</h1>");
}

#[tokio::test]
async fn a_folder_that_is_not_there_has_no_files_and_is_asked_for_once() {
    let (mut proxy, claim) = (proxy(Limits::default()).await, claim());
    proxy.publish(vec![with_files(claim.slot, 7, rule("/", true))]).await;
    let refuses = async {
        let (id, ..) = asked(&proxy).await;
        proxy.init.say(&ToProxy::Files { id, result: Err(Refusal::Failed("no such folder".into())) });
    };
    let (answer, ()) = tokio::join!(proxy.get("a.example", "/"), refuses);
    assert_eq!(answer.status(), 404);
    assert_eq!(proxy.get("a.example", "/other").await.status(), 404);
    proxy.init.nothing_at_all();
}

#[tokio::test]
async fn what_is_sent_is_counted_as_the_tenants() {
    let dir = folder();
    let (proxy, claim) = site("/", true, dir.path()).await;
    get(&proxy, "/large.bin", &[]).await;
    get(&proxy, "/a%20b.txt", &[]).await;
    ask(&proxy, Method::HEAD, "/large.bin", &[]).await;
    let FromProxy::Passed(passed) = proxy.init.counts().await else { panic!("nobody was woken") };
    let [(slot, traffic)] = passed[..] else { panic!("{passed:?}") };
    assert_eq!((slot, traffic.requests, traffic.bytes_out), (claim.slot, 4, 13 + 300_000 + 10));
}

#[tokio::test]
async fn links_and_pipes_are_nothing() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    fs::write(dir.path().join("../kennel-secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../kennel-secret", at("out")).unwrap();
    std::os::unix::fs::symlink("index.html", at("in")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", at("app.js.br")).unwrap();
    fs::write(at("app.js"), "plain").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), Mode::from_raw_mode(0o644)).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, at("app.js.gz"), Mode::from_raw_mode(0o644)).unwrap();
    let (proxy, _claim) = site("/", true, dir.path()).await;
    for path in ["/out", "/in", "/pipe"] {
        assert_eq!(get(&proxy, path, &[]).await.status(), 404, "{path}");
    }
    let answer = get(&proxy, "/app.js", &[("accept-encoding", "br, gzip")]).await;
    assert_eq!((answer.text(), answer.field("content-encoding")), ("plain", None));
}

#[tokio::test]
async fn one_slots_downloads_leave_others_their_places() {
    let dir = folder();
    fs::write(dir.path().join("many"), vec![b'x'; 64 << 20]).unwrap();
    let mut proxy = proxy(Limits { slot_requests: 2, ..Limits::default() }).await;
    let (claim, other) = (claim(), claim());
    let theirs = Route { domain: "b.example".parse().unwrap(), ..with_files(other.slot, 1, rule("/", true)) };
    proxy.publish(vec![with_files(claim.slot, 7, rule("/", true)), theirs]).await;
    let (first, _) = tokio::join!(proxy.get("a.example", "/"), opens(&proxy, dir.path()));
    assert_eq!(first.status(), 200);
    let mut held = Vec::new();
    for _ in 0..2 {
        let request = Request::get("/many").header("host", "a.example").body(empty()).unwrap();
        held.push(proxy.connect().await.send_request(request).await.unwrap());
    }
    assert_eq!(get(&proxy, "/many", &[]).await.code(), Some("busy"));
    let (answer, _) = tokio::join!(proxy.get("b.example", "/"), opens(&proxy, dir.path()));
    assert_eq!(answer.text(), "<h1>home</h1>");
    drop(held);
    let again = async {
        while get(&proxy, "/large.bin", &[]).await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(again).await;
}

#[tokio::test]
async fn few_files_are_kept_open_and_all_are_answered() {
    let dir = folder();
    for n in 0..20 {
        fs::write(dir.path().join(format!("{n}.bin")), vec![n; 20_000]).unwrap();
        fs::write(dir.path().join(format!("{n}.txt")), vec![b'a' + n; 100]).unwrap();
    }
    let limits = Limits { static_open_files: 3, static_kept_bytes: 500, static_names: 4, ..Limits::default() };
    let (mut proxy, claim) = (proxy(limits).await, claim());
    proxy.publish(vec![with_files(claim.slot, 7, rule("/", true))]).await;
    let (_, _) = tokio::join!(proxy.get("a.example", "/"), opens(&proxy, dir.path()));
    for _ in 0..2 {
        for n in 0..20 {
            assert_eq!(get(&proxy, &format!("/{n}.bin"), &[]).await.body, vec![n; 20_000]);
            assert_eq!(get(&proxy, &format!("/{n}.txt"), &[]).await.body, vec![b'a' + n; 100]);
        }
    }
    let here = dir.path().canonicalize().unwrap();
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = open.filter_map(|fd| fs::read_link(fd.path()).ok()).filter(|to| to.starts_with(&here));
    // And the folder, here and there.
    assert!(open.count() <= 3 + 1 + 2);
}
