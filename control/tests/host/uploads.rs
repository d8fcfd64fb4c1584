//! Deploys that go wrong: the release that served before still does, and nothing of them is left.

use std::time::Duration;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use kennel_model::api::{Deployed, Problem, Release, Tenant};
use kennel_model::found::{Found, Origin, Said};
use kennel_model::msg::{ControlRequest, Refusal};
use kennel_model::{ReleaseId, SlotId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::Client;
use crate::support::pipes::FOUND;
use crate::support::world::World;
use crate::support::{Host, archive, wish};

/// A host with the tenant `blog` and its first release.
async fn deployed() -> (Host, Client) {
    deployed_on(Host::start()).await
}

async fn deployed_on(host: Host) -> (Host, Client) {
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    operator.deploy("blog", archive(&[("server.js", 10)])).await.expect::<Deployed>(StatusCode::CREATED);
    (host, operator)
}

pub(crate) fn user_data() -> String {
    let public = crate::support::client::key(1).public_key().to_openssh().unwrap();
    format!("[operator]\nssh_keys = [\"{public}\"]\n")
}

/// Only the first release is there and would serve.
fn untouched(world: &World) -> bool {
    let slot = &world.slots[&SlotId::new(0).unwrap()];
    let releases: Vec<_> = slot.releases.iter().copied().collect();
    releases == [1] && slot.incoming.is_none() && slot.spec.as_ref().unwrap().release == ReleaseId(1)
}

async fn still_serves_and_takes_the_next(host: &Host, operator: &Client, next: u32) {
    host.world.wait("nothing of the upload is left", untouched);
    // The client may have gone before control is through with it.
    let answer = loop {
        let answer = operator.deploy("blog", archive(&[("server.js", 11)])).await;
        if answer.status != StatusCode::CONFLICT {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let deployed: Deployed = answer.expect(StatusCode::CREATED);
    assert_eq!(deployed.release.id, ReleaseId(next), "numbers are never reused");
}

/// Sends the head of an upload and the first half of its body.
async fn half_an_upload(operator: &Client) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let body = archive(&[("server.js", 100_000)]);
    let head = format!(
        "POST /v1/tenants/blog/releases HTTP/1.1\r\nhost: kennel\r\nauthorization: Bearer {}\r\n\
         content-type: application/x-tar\r\ncontent-length: {}\r\n\r\n",
        operator.token.as_ref().unwrap(),
        body.len()
    );
    let mut stream = operator.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..body.len() / 2]).await.unwrap();
    stream.flush().await.unwrap();
    stream
}

fn unpacking(world: &World) -> bool {
    world.slots.values().any(|slot| slot.incoming.is_some())
}

#[tokio::test]
async fn a_client_that_vanishes_in_the_middle() {
    let (host, operator) = deployed().await;
    let stream = half_an_upload(&operator).await;
    host.world.wait("the upload has begun", unpacking);
    drop(stream);
    still_serves_and_takes_the_next(&host, &operator, 3).await;
}

#[tokio::test]
async fn a_client_that_falls_silent_is_told_so() {
    let impatient =
        Host::start_with(&user_data(), |config| config.http.upload_idle = Duration::from_millis(300));
    let (host, operator) = deployed_on(impatient).await;
    let mut stream = half_an_upload(&operator).await;
    let mut answer = vec![0; 2000];
    let n = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..n]);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("upload-broken"), "{answer}");
    drop(stream);
    still_serves_and_takes_the_next(&host, &operator, 3).await;
}

#[tokio::test]
async fn refusals_come_with_their_reason() {
    let (host, operator) = deployed().await;
    let whole = archive(&[("server.js", 5000)]);
    for (body, code, message) in [
        (archive(&[("evil", 1)]), "upload-refused", "evil: refused"),
        (whole[..whole.len() - 600].to_vec(), "upload-refused", "the archive ends early"),
        (vec![], "upload-refused", "the archive ends early"),
        (archive(&[("README.md", 1)]), "no-program", "no program that the runtime node-24 can start"),
    ] {
        let answer = operator.deploy("blog", body).await;
        assert_eq!(answer.code(), code);
        let problem: Problem = answer.json();
        assert!(problem.message.contains(message), "{problem:?}");
        assert!(problem.hint.is_some());
        host.world.wait("nothing of the upload is left", untouched);
    }
    still_serves_and_takes_the_next(&host, &operator, 6).await;
}

/// An archive with one file, and with what `kennel-unpack` would say of it.
pub(crate) fn telling(found: &Found) -> Vec<u8> {
    let text = serde_json::to_vec(found).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [("server.js", b"x".as_slice()), (FOUND, &text)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn says(command: Result<&[&str], &str>) -> Found {
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
    let said = Said { origin: Origin::Procfile, command: command.map(words).map_err(str::to_owned) };
    Found { said: Some(said), left: vec!["worker in Procfile".into()], ..Found::default() }
}

#[tokio::test]
async fn what_a_release_says_is_run_unless_it_is_said_otherwise() {
    let (host, operator) = deployed().await;
    let found = says(Ok(&["node", "web.js", "-p=$PORT"]));
    let made: Deployed = operator.deploy("blog", telling(&found)).await.expect(StatusCode::CREATED);
    assert_eq!(
        made.release.command,
        ["/usr/bin/node", "web.js", "-p=$PORT"],
        "which port is known at each start"
    );
    assert_eq!(
        (made.release.origin, made.notes),
        (Some(Origin::Procfile), vec!["not done: worker in Procfile".into()])
    );

    let path = "/v1/tenants/blog/releases?command=node&command=other%20one.js&command=%24PORT";
    let archive = || Bytes::from(telling(&says(Err("it is broken"))));
    let answer = operator.ask(Method::POST, path, "application/x-tar", archive()).await;
    let made: Deployed = answer.expect(StatusCode::CREATED);
    assert_eq!(made.release.command, ["/usr/bin/node", "other one.js", "$PORT"]);
    assert_eq!(made.release.origin, Some(Origin::CommandLine));
    let releases: Vec<Release> = operator.get("/v1/tenants/blog/releases").await.expect(StatusCode::OK);
    let origins: Vec<_> = releases.iter().map(|release| release.origin.unwrap()).collect();
    assert_eq!(origins, [Origin::CommandLine, Origin::Procfile, Origin::Name]);
    let spec = host.world.lock().slots[&SlotId::new(0).unwrap()].spec.clone().unwrap();
    assert_eq!(spec.argv, made.release.command);
}

#[tokio::test]
async fn a_release_keeps_the_commit_that_it_was_made_from() {
    let (_host, operator) = deployed().await;
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let path = format!("/v1/tenants/blog/releases?commit={commit}&ref=refs%2Fheads%2Fmain");
    let archive = || Bytes::from(archive(&[("server.js", 1)]));
    let answer = operator.ask(Method::POST, &path, "application/x-tar", archive()).await;
    let made: Deployed = answer.expect(StatusCode::CREATED);
    let source = made.release.source.unwrap();
    assert_eq!((source.commit.as_str(), source.name.as_ref().unwrap().as_str()), (commit, "refs/heads/main"));
    let releases: Vec<Release> = operator.get("/v1/tenants/blog/releases").await.expect(StatusCode::OK);
    assert_eq!(releases.iter().map(|r| r.source.clone()).collect::<Vec<_>>(), [Some(source), None]);
    let bad = "/v1/tenants/blog/releases?commit=main";
    assert_eq!(operator.ask(Method::POST, bad, "application/x-tar", archive()).await.code(), "bad-request");
}

#[tokio::test]
async fn what_cannot_be_run_leaves_nothing() {
    let (host, operator) = deployed().await;
    for (found, code, message) in [
        (says(Err("`a && b` is for a shell")), "not-runnable", "(Procfile, web): `a && b` is for a shell"),
        (says(Ok(&["gunicorn"])), "not-runnable", "\"gunicorn\" is neither in the tenant's runtime node-24"),
        (says(Err("two\nlines")), "upload-refused", "out of bounds: what is said"),
        (says(Ok(&["node", "\u{1b}[2J"])), "upload-refused", "out of bounds: what is said"),
    ] {
        let answer = operator.deploy("blog", telling(&found)).await;
        assert_eq!(answer.code(), code);
        let problem: Problem = answer.json();
        assert!(problem.message.contains(message) && problem.hint.is_some(), "{problem:?}");
        host.world.wait("nothing of the upload is left", untouched);
    }
    for query in ["command=", "command=a%00b", "comand=x", &format!("command={}", "x".repeat(9000))] {
        let path = format!("/v1/tenants/blog/releases?{query}");
        let body = Bytes::from(archive(&[("server.js", 1)]));
        assert_eq!(
            operator.ask(Method::POST, &path, "application/x-tar", body).await.code(),
            "bad-request",
            "{query}"
        );
    }
    still_serves_and_takes_the_next(&host, &operator, 6).await;
}

#[tokio::test]
async fn an_early_refusal_reaches_a_client_that_is_still_sending() {
    let (host, operator) = deployed().await;
    let answer = operator.deploy("blog", archive(&[("evil", 1), ("rest", 20 << 20)])).await;
    assert_eq!(answer.code(), "upload-refused");
    let large = archive(&[("rest", 20 << 20)]);
    assert_eq!(operator.deploy("shop", large.clone()).await.code(), "no-such-tenant");
    assert_eq!(host.stranger().deploy("blog", large.clone()).await.code(), "sign-in-required");
    assert_eq!(operator.post("/v1/session", &String::from_utf8(large).unwrap()).await.code(), "too-large");
    still_serves_and_takes_the_next(&host, &operator, 3).await;
}

#[tokio::test]
async fn the_body_must_be_a_tar_stream() {
    let (host, operator) = deployed().await;
    let answer =
        operator.ask(Method::POST, "/v1/tenants/blog/releases", "application/zip", Bytes::from("PK")).await;
    assert_eq!(answer.code(), "unsupported-media-type");
    still_serves_and_takes_the_next(&host, &operator, 2).await;
}

#[tokio::test]
async fn one_deploy_at_a_time_and_no_removal_meanwhile() {
    let (host, operator) = deployed().await;
    host.world.lock().hold_unpacking = true;
    let first = tokio::spawn({
        let operator = operator.clone();
        async move { operator.deploy("blog", archive(&[("server.js", 12)])).await }
    });
    let world = host.world.clone();
    tokio::task::spawn_blocking(move || world.wait("the upload has begun", unpacking)).await.unwrap();
    assert_eq!(operator.deploy("blog", archive(&[("server.js", 13)])).await.code(), "busy");
    assert_eq!(operator.delete("/v1/tenants/blog").await.code(), "busy");
    assert_eq!(operator.post("/v1/tenants/blog/stop", &()).await.code(), "busy");
    host.world.lock().hold_unpacking = false;
    host.world.wake();
    let deployed: Deployed = first.await.unwrap().expect(StatusCode::CREATED);
    assert_eq!(deployed.release.id, ReleaseId(2));
}

#[tokio::test]
async fn only_the_newest_releases_are_kept() {
    let (host, operator) = deployed().await;
    for _ in 0..4 {
        operator.deploy("blog", archive(&[("server.js", 10)])).await.expect::<Deployed>(StatusCode::CREATED);
    }
    let tenant: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
    let kept: Vec<_> = tenant.releases.iter().map(|release| release.id.0).collect();
    assert_eq!((kept, tenant.current), (vec![3, 4, 5], Some(ReleaseId(5))));
    let world = host.world.lock();
    assert_eq!(world.slots[&tenant.slot].releases.iter().copied().collect::<Vec<_>>(), [3, 4, 5]);
}

#[tokio::test]
async fn a_release_that_init_does_not_take_is_said_to_be_unused_and_mended_later() {
    let (host, operator) = deployed().await;
    host.world.lock().refuse = Some(("Configure", Refusal::Failed("out of memory".into())));
    let answer = operator.deploy("blog", archive(&[("server.js", 12)])).await;
    assert_eq!(answer.code(), "host-failed");
    assert!(answer.json::<Problem>().message.starts_with("release r2 is on disk but not in use yet"));
    host.world.lock().refuse = None;
    operator.post("/v1/tenants/blog/start", &()).await.expect::<Tenant>(StatusCode::OK);
    let world = host.world.lock();
    let running = world.slots[&SlotId::new(0).unwrap()].running.as_ref().unwrap();
    assert_eq!(running.release, ReleaseId(2));
    assert!(!world.requests.contains(&ControlRequest::RemoveRelease(SlotId::new(0).unwrap(), ReleaseId(2))));
}
