//! What a release holds is told to who may deploy, and a release is made from what has changed of another.

use bytes::Bytes;
use hyper::{Method, StatusCode};
use kennel_model::api::{Deployed, Tenant};
use kennel_model::listing::{CHANGES, Changes, LISTING, Sum};
use kennel_model::msg::{ControlRequest, Refusal};
use kennel_model::{ReleaseId, SlotId};
use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::{Host, archive, wish};

fn sent(gone: &[&str]) -> Bytes {
    let gone = gone.iter().map(|path| (*path).to_owned()).collect();
    let head = serde_json::to_vec(&Changes { sum: Sum([0; 32]), gone, moved: vec![] }).unwrap();
    let length = u32::try_from(head.len()).unwrap().to_be_bytes();
    [&length, head.as_slice(), &archive(&[("server.js", 3)])].concat().into()
}

async fn change(operator: &Client, name: &str, onto: &str, gone: &[&str]) -> Answer {
    let path = format!("/v1/tenants/{name}/releases?onto={onto}");
    operator.ask(Method::POST, &path, CHANGES, sent(gone)).await
}

/// A tenant whose newest release is this one is told what it holds, and gets the next from what has changed of it.
pub(crate) async fn told_and_built_on(operator: &Client, name: &str, newest: u32) {
    let told = operator.get(&format!("/v1/tenants/{name}/releases/{newest}/files")).await;
    assert_eq!((told.status, &told.headers["content-type"]), (StatusCode::OK, &LISTING.parse().unwrap()));
    assert_eq!(told.body, format!("what release {newest} holds"));
    let made: Deployed = change(operator, name, &newest.to_string(), &[]).await.expect(StatusCode::CREATED);
    assert_eq!(made.tenant.current, Some(made.release.id));
}

async fn deployed() -> (Host, Client) {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    operator.deploy("blog", archive(&[("server.js", 10)])).await.expect::<Deployed>(StatusCode::CREATED);
    (host, operator)
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_leaves_what_serves() {
    let (host, operator) = deployed().await;
    let answer = change(&operator, "blog", "1", &["never.js"]).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::CONFLICT, "basis-differs".into()));
    for (path, code) in [("9", "no-such-release"), ("x", "bad-request")] {
        assert_eq!(change(&operator, "blog", path, &[]).await.code(), code);
        let files = format!("/v1/tenants/blog/releases/{path}/files");
        assert_eq!(operator.get(&files).await.code(), code);
    }
    let archive = archive(&[("server.js", 1)]);
    let as_archive = operator
        .ask(Method::POST, "/v1/tenants/blog/releases?onto=1", "application/x-tar", archive.into())
        .await;
    assert_eq!(as_archive.code(), "unsupported-media-type");
    let as_changes = operator.ask(Method::POST, "/v1/tenants/blog/releases", CHANGES, sent(&[])).await;
    assert_eq!(as_changes.code(), "unsupported-media-type");
    let world = host.world.lock();
    let slot = &world.slots[&SlotId::new(0).unwrap()];
    assert_eq!((slot.releases.clone(), slot.spec.as_ref().unwrap().release), ([1].into(), ReleaseId(1)));
}

#[tokio::test]
async fn a_release_with_anothers_files_stands_for_that_one() {
    let (host, operator) = deployed().await;
    let variables = json!({"set": {"COLOUR": "blue"}});
    let changed = operator.post("/v1/tenants/blog/env", &variables).await;
    assert_eq!(changed.status, StatusCode::OK);
    let told = operator.get("/v1/tenants/blog/releases/2/files").await;
    assert_eq!(told.body, "what release 1 holds");
    change(&operator, "blog", "2", &[]).await.expect::<Deployed>(StatusCode::CREATED);
    let asked = |request: &ControlRequest| match request {
        ControlRequest::Unpack { release, onto, .. } => Some((release.0, onto.map(|onto| onto.0))),
        _ => None,
    };
    let unpacked: Vec<_> = host.world.lock().requests.iter().filter_map(asked).collect();
    assert_eq!(unpacked, [(1, None), (3, Some(1))]);
}

#[tokio::test]
async fn a_listing_that_is_about_to_end_keeps_no_deploy() {
    let (host, operator) = deployed().await;
    host.world.lock().refuse = Some(("Unpack", Refusal::Busy("a release is being unpacked or removed".into())));
    let world = host.world.clone();
    let let_go = tokio::task::spawn_blocking(move || {
        let is_asked = |request: &&ControlRequest| matches!(request, ControlRequest::Unpack { .. });
        world.wait("it is asked again", |world| world.requests.iter().filter(is_asked).count() >= 3);
        world.lock().refuse = None;
    });
    change(&operator, "blog", "1", &[]).await.expect::<Deployed>(StatusCode::CREATED);
    let_go.await.unwrap();
}
