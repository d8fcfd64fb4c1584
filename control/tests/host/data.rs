//! A tenant's data goes out as an archive, and another takes its place; what goes wrong leaves it as it was.

use bytes::Bytes;
use hyper::{Method, StatusCode};
use kennel_model::SlotId;
use kennel_model::api::{DataReplaced, Problem, Tenant};
use kennel_model::audit::Audit;
use kennel_model::data::ARCHIVE;
use kennel_model::msg::{ControlRequest, Refusal};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::client::{Answer, Client};
use crate::support::data::Data;
use crate::support::{Host, archive, deployed, wish};

const SAVE: &str = "/v1/tenants/blog/data/save";
const DATA: &str = "/v1/tenants/blog/data";

fn slot() -> SlotId {
    SlotId::new(0).unwrap()
}

async fn save(operator: &Client, path: &str) -> Answer {
    operator.ask(Method::POST, path, "application/json", Bytes::new()).await
}

async fn replace(operator: &Client, path: &str, archive: Vec<u8>) -> Answer {
    operator.ask(Method::PUT, path, ARCHIVE, archive.into()).await
}

fn with_data(host: &Host, change: impl FnOnce(&mut Data)) {
    change(&mut host.world.lock().slots.get_mut(&slot()).unwrap().data);
}

/// A tenant's data is replaced by what is in an archive, and comes back.
pub(crate) async fn replaced_and_saved(operator: &Client, name: &str) {
    let path = format!("/v1/tenants/{name}/data");
    let answer = replace(operator, &path, archive(&[("a", 7), ("b", 1)])).await;
    let replaced: DataReplaced = answer.expect(StatusCode::OK);
    assert_eq!(replaced, DataReplaced { bytes: 8, entries: 2 });
    let saved = save(operator, &format!("{path}/save")).await;
    assert_eq!((saved.status, &saved.headers["content-type"]), (StatusCode::OK, &ARCHIVE.parse().unwrap()));
    assert_eq!(saved.body, "2 entries");
}

#[tokio::test]
async fn what_runs_is_ended_before_the_data_changes_and_started_again_if_it_is_to_be() {
    let (host, operator) = deployed().await;
    let exchanged = |host: &Host| {
        let world = host.world.lock();
        let took = world.requests.iter().rposition(|r| *r == ControlRequest::TakeData(slot())).unwrap();
        let started = |r: &ControlRequest| matches!(r, ControlRequest::Start(..));
        (world.slots[&slot()].data.entries, world.requests[took..].iter().any(started))
    };
    operator.post("/v1/tenants/blog/start", &()).await.expect::<Tenant>(StatusCode::OK);
    replace(&operator, DATA, archive(&[("a", 1)])).await.expect::<DataReplaced>(StatusCode::OK);
    assert_eq!(exchanged(&host), (1, false));
    assert!(host.world.lock().slots[&slot()].running.is_none());

    let mut limits = operator.get("/v1/tenants/blog").await.expect::<Tenant>(StatusCode::OK).limits;
    limits.always_on = true;
    operator.put("/v1/tenants/blog/limits", &limits).await.expect::<Tenant>(StatusCode::OK);
    replace(&operator, DATA, archive(&[("a", 1), ("b", 2)])).await.expect::<DataReplaced>(StatusCode::OK);
    assert_eq!(exchanged(&host), (2, true));
    let audit: Audit = operator.get("/v1/audit").await.expect(StatusCode::OK);
    let told: Vec<_> = audit.entries.iter().filter(|e| e.act == "replace-data").map(|e| &*e.detail).collect();
    assert_eq!(told, ["1 bytes in 1 entries", "3 bytes in 2 entries"]);
}

#[tokio::test]
async fn whoever_has_all_of_an_archive_acts_at_once() {
    let (_host, operator) = deployed().await;
    for path in [SAVE, "/v1/tenants/blog/releases/1/save", SAVE] {
        assert_eq!(save(&operator, path).await.status, StatusCode::OK);
    }
    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn before_the_first_deploy_there_is_nothing_to_start() {
    let host = Host::start();
    let operator = host.operator().await;
    let mut wish = wish("blog");
    wish.limits.always_on = true;
    operator.post("/v1/tenants", &wish).await.expect::<Tenant>(StatusCode::CREATED);
    replace(&operator, DATA, archive(&[("a", 1)])).await.expect::<DataReplaced>(StatusCode::OK);
    let world = host.world.lock();
    assert!(!world.requests.iter().any(|request| matches!(request, ControlRequest::Start(..))));
}

#[tokio::test]
async fn what_goes_wrong_leaves_the_data_as_it_was() {
    let (host, operator) = deployed().await;
    with_data(&host, |data| data.entries = 9);
    let evil = replace(&operator, DATA, archive(&[("evil", 1)])).await;
    assert_eq!((evil.status, evil.code()), (StatusCode::UNPROCESSABLE_ENTITY, "data-refused".into()));
    assert!(evil.json::<Problem>().message.contains("evil: refused"), "{evil:?}");
    let cut = archive(&[("a", 9)])[..512].to_vec();
    assert_eq!(replace(&operator, DATA, cut).await.code(), "data-refused");
    let json = operator.put(DATA, &json!({})).await;
    assert_eq!(json.code(), "unsupported-media-type");
    let gone = replace(&operator, "/v1/tenants/ghost/data", archive(&[])).await;
    assert_eq!(gone.code(), "no-such-tenant");
    host.world.lock().refuse = Some(("TakeData", Refusal::Failed("exchange: No space left on device".into())));
    assert_eq!(replace(&operator, DATA, archive(&[("a", 1)])).await.code(), "host-failed");
    host.world.lock().refuse = Some(("RestoreData", Refusal::Busy("it is being wiped".into())));
    assert_eq!(replace(&operator, DATA, archive(&[("a", 1)])).await.code(), "busy");
    host.world.lock().refuse = None;
    assert_eq!(host.world.lock().slots[&slot()].data.entries, 9);
    replace(&operator, DATA, archive(&[("a", 1)])).await.expect::<DataReplaced>(StatusCode::OK);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_the_data_as_it_was() {
    let (host, operator) = deployed().await;
    with_data(&host, |data| data.entries = 9);
    let body = archive(&[("a", 100_000)]);
    let head = format!(
        "PUT {DATA} HTTP/1.1\r\nhost: kennel\r\nauthorization: Bearer {}\r\ncontent-type: {ARCHIVE}\r\n\
         content-length: {}\r\n\r\n",
        operator.token.as_ref().unwrap(),
        body.len()
    );
    let mut stream = operator.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..50_000]).await.unwrap();
    stream.flush().await.unwrap();
    host.world.wait("it has begun", |world| {
        world.requests.iter().any(|r| matches!(r, ControlRequest::RestoreData(..)))
    });
    assert_eq!(save(&operator, SAVE).await.code(), "busy");
    drop(stream);
    // It is over when another may begin.
    let answer = loop {
        let answer = save(&operator, SAVE).await;
        if answer.status != StatusCode::CONFLICT {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(answer.body, "9 entries");
    let took = |r: &ControlRequest| matches!(r, ControlRequest::TakeData(_));
    assert!(!host.world.lock().requests.iter().any(took));
}

#[tokio::test]
async fn what_could_not_be_saved_is_no_archive() {
    let (host, operator) = deployed().await;
    with_data(&host, |data| data.refused = Some("its data changed while it was read".into()));
    let refused = save(&operator, SAVE).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "not-saved".into()));
    let problem = refused.json::<Problem>();
    assert!(problem.message.contains("changed while it was read"), "{problem:?}");
    assert!(problem.hint.unwrap().contains("kennel maintenance on"));

    // Of unknown length.
    with_data(&host, |data| (data.refused, data.said) = (None, Some(None)));
    let saved = save(&operator, SAVE).await;
    assert_eq!((saved.status, &*saved.body), (StatusCode::OK, &b"0 entries"[..]));
    assert!(!saved.headers.contains_key("content-length"));

    // Cut off: it is not taken for whole.
    with_data(&host, |data| data.said = Some(Some(1000)));
    let mut stream = operator.connect().await;
    let token = operator.token.as_ref().unwrap();
    let head = format!(
        "POST {SAVE} HTTP/1.1\r\nhost: kennel\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // How the connection ends is of no interest, but that it does.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.len() < 1000, "{}", String::from_utf8_lossy(&answer));
}
