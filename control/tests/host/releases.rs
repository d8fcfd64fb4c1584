//! Releases that are kept, and the way back to one of them.

use hyper::StatusCode;
use kennel_model::api::{Deployed, Release, ReleaseState, RolledBack, Tenant};
use kennel_model::msg::{Cause, ControlRequest, Refusal};
use kennel_model::seeing::Transition;
use kennel_model::{ReleaseId, SlotId, SlotState};
use serde_json::json;

use crate::support::client::Client;
use crate::support::{Host, archive, wish};

const ROLLBACK: &str = "/v1/tenants/blog/rollback";

fn slot() -> SlotId {
    SlotId::new(0).unwrap()
}

/// A host with the running tenant `blog`, whose releases are 1 to `count`.
async fn deployed(count: u32) -> (Host, Client) {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    for n in 1..=count {
        let files = archive(&[("server.js", n as usize)]);
        operator.deploy("blog", files).await.expect::<Deployed>(StatusCode::CREATED);
    }
    operator.post("/v1/tenants/blog/start", &()).await.expect::<Tenant>(StatusCode::OK);
    (host, operator)
}

async fn listed(operator: &Client, name: &str) -> Vec<(u32, ReleaseState)> {
    let path = format!("/v1/tenants/{name}/releases");
    let releases: Vec<Release> = operator.get(&path).await.expect(StatusCode::OK);
    releases.iter().map(|release| (release.id.0, release.state)).collect()
}

fn runs(host: &Host) -> Option<ReleaseId> {
    host.world.lock().slots[&slot()].running.as_ref().map(|spec| spec.release)
}

/// A tenant with the releases 1 and 2 goes to the first and to the second again.
pub(crate) async fn there_and_back(operator: &Client, name: &str) {
    use ReleaseState::{Kept, Serving};
    let path = format!("/v1/tenants/{name}/rollback");
    assert_eq!(listed(operator, name).await, [(2, Serving), (1, Kept)]);
    let back: RolledBack = operator.post(&path, &json!({})).await.expect(StatusCode::OK);
    assert_eq!(
        (back.from, back.release.id, back.tenant.current),
        (ReleaseId(2), ReleaseId(1), Some(ReleaseId(1)))
    );
    assert_eq!((back.release.state, back.tenant.state), (Serving, SlotState::Running));
    assert_eq!(back.tenant.command, back.release.command);
    assert_eq!(listed(operator, name).await, [(2, Kept), (1, Serving)]);
    assert_eq!(operator.post(&path, &json!({})).await.code(), "nothing-earlier");
    let forth: RolledBack = operator.post(&path, &json!({"to": 2})).await.expect(StatusCode::OK);
    assert_eq!((forth.from, forth.release.id), (ReleaseId(1), ReleaseId(2)));
    operator.post(&path, &json!({"to": 1})).await.expect::<RolledBack>(StatusCode::OK);
    let promote = format!("/v1/tenants/{name}/promote");
    let forth: RolledBack = operator.post(&promote, &json!({})).await.expect(StatusCode::OK);
    assert_eq!((forth.from, forth.release.id), (ReleaseId(1), ReleaseId(2)));
}

#[tokio::test]
async fn a_rollback_is_run_routed_kept_and_told() {
    let (mut host, operator) = deployed(3).await;
    let back: RolledBack = operator.post(ROLLBACK, &json!({"to": 1})).await.expect(StatusCode::OK);
    assert_eq!((back.from, runs(&host)), (ReleaseId(3), Some(ReleaseId(1))));
    let routed = || host.world.lock().routes.clone().unwrap().routes.remove(0).release;
    assert_eq!(routed(), Some(ReleaseId(1)));
    let timeline: Vec<Transition> = operator.get("/v1/tenants/blog/timeline").await.expect(StatusCode::OK);
    let told: Vec<_> = timeline.iter().filter(|change| change.note).map(|change| &change.reason).collect();
    assert!(told.len() == 1 && told[0].starts_with("rolled back from r3 to r1 by SHA256:"), "{told:?}");
    // What it left is on disk still, and so it is after the next deploys as long as it is among the newest.
    assert_eq!(host.world.lock().slots[&slot()].releases, [1, 2, 3].into());
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    assert_eq!(host.world.lock().slots[&slot()].releases, [1, 3, 4].into(), "what served, and the newest");
    operator.post(ROLLBACK, &json!({})).await.expect::<RolledBack>(StatusCode::OK);
    assert_eq!(runs(&host), Some(ReleaseId(3)));
    host.stop();
    host.world.cut_power();
    host.restart();
    let operator = host.operator().await;
    let tenant: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
    assert_eq!(tenant.current, Some(ReleaseId(3)), "it is on disk");
}

#[tokio::test]
async fn one_that_does_not_stay_up_leaves_what_served() {
    let (host, operator) = deployed(3).await;
    let folder = host.config.log_folder(slot());
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("0-3"), "kennel: starting release 3: node\nfine\n").unwrap();
    std::fs::write(folder.join("0-2"), "kennel: starting release 2: node\nno such module\n").unwrap();
    host.world.lock().broken.insert(2);
    for state in [SlotState::Running, SlotState::Stopped] {
        let answer = operator.post(ROLLBACK, &json!({})).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNPROCESSABLE_ENTITY, "does-not-start".into()));
        let problem = answer.json::<kennel_model::api::Problem>();
        assert_eq!(problem.message, "release r2 does not stay up: as asked; r3 serves again");
        let hint = problem.hint.unwrap();
        assert!(hint.contains("no such module") && !hint.contains("fine"), "{hint}");
        let tenant: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
        assert_eq!((tenant.current, tenant.state), (Some(ReleaseId(3)), state), "as before");
        assert_eq!(host.world.lock().slots[&slot()].spec.as_ref().unwrap().release, ReleaseId(3));
        assert_eq!(host.world.lock().routes.clone().unwrap().routes[0].release, Some(ReleaseId(3)));
        assert_eq!(tenant.releases.len(), 3, "also the one that does not start");
        operator.post("/v1/tenants/blog/stop", &()).await.expect::<Tenant>(StatusCode::OK);
    }
    let timeline: Vec<Transition> = operator.get("/v1/tenants/blog/timeline").await.expect(StatusCode::OK);
    assert!(timeline.iter().all(|change| !change.note), "nothing was rolled back");
    operator.post(ROLLBACK, &json!({"to": 1})).await.expect::<RolledBack>(StatusCode::OK);
}

#[tokio::test]
async fn a_program_that_cannot_be_started_at_all_is_no_different() {
    let (host, operator) = deployed(2).await;
    let refusal = Refusal::Failed("./server: no such file".into());
    host.world.lock().refuse = Some(("Start", refusal));
    let answer = operator.post(ROLLBACK, &json!({})).await;
    assert_eq!(answer.code(), "does-not-start");
    assert!(String::from_utf8_lossy(&answer.body).contains("./server: no such file; r2 serves again"));
    host.world.lock().refuse = None;
    let tenant: Tenant = operator.post("/v1/tenants/blog/start", &()).await.expect(StatusCode::OK);
    assert_eq!((tenant.current, runs(&host)), (Some(ReleaseId(2)), Some(ReleaseId(2))));
}

#[tokio::test]
async fn what_cannot_be_rolled_back_says_why_and_changes_nothing() {
    let host = Host::start();
    let operator = host.operator().await;
    assert_eq!(operator.post(ROLLBACK, &json!({})).await.code(), "no-such-tenant");
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    assert_eq!(operator.post(ROLLBACK, &json!({})).await.code(), "not-deployed");
    assert_eq!(listed(&operator, "blog").await, []);
    for n in 1..=4 {
        operator.deploy("blog", archive(&[("server.js", n)])).await.expect::<Deployed>(StatusCode::CREATED);
    }
    let before = host.world.lock().requests.len();
    for (wish, code) in [
        (json!({"to": 4}), "already-serves"),
        (json!({"to": 1}), "no-such-release"),
        (json!({"to": 99}), "no-such-release"),
        (json!({"to": -1}), "bad-request"),
        (json!({"from": 1}), "bad-request"),
    ] {
        let answer = operator.post(ROLLBACK, &wish).await;
        assert_eq!(answer.code(), code, "{wish}");
        if code == "no-such-release" {
            assert!(String::from_utf8_lossy(&answer.body).contains("it has r2, r3, r4"), "{answer:?}");
        }
    }
    assert_eq!(host.world.lock().requests.len(), before, "init was asked for nothing");
}

#[tokio::test]
async fn of_two_at_once_one_is_told_what_is_under_way() {
    let (host, operator) = deployed(2).await;
    host.world.lock().hold_unpacking = true;
    let deploying = {
        let operator = operator.clone();
        tokio::spawn(async move { operator.deploy("blog", archive(&[("server.js", 5)])).await })
    };
    let world = host.world.clone();
    let begun = move || world.wait("the upload has begun", |world| world.slots[&slot()].incoming.is_some());
    tokio::task::spawn_blocking(begun).await.unwrap();
    let answer = operator.post(ROLLBACK, &json!({})).await;
    assert_eq!(answer.code(), "busy");
    assert!(String::from_utf8_lossy(&answer.body).contains("a deploy is under way"));
    host.world.lock().hold_unpacking = false;
    host.world.wake();
    assert_eq!(deploying.await.unwrap().status, StatusCode::CREATED);
    let ask = || {
        let operator = operator.clone();
        tokio::spawn(async move { operator.post(ROLLBACK, &json!({"to": 1})).await })
    };
    let (one, two) = (ask(), ask());
    let mut answers = [one.await.unwrap(), two.await.unwrap()];
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(answers[0].status, StatusCode::OK);
    assert!(["busy", "already-serves"].contains(&answers[1].code().as_str()));
}

#[tokio::test]
async fn what_is_always_on_is_on_after_both_outcomes() {
    let (host, operator) = deployed(2).await;
    let tenant: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
    let limits = kennel_model::Limits { always_on: true, ..tenant.limits };
    operator.put("/v1/tenants/blog/limits", &limits).await.expect::<Tenant>(StatusCode::OK);
    host.world.lock().broken.insert(1);
    assert_eq!(operator.post(ROLLBACK, &json!({})).await.code(), "does-not-start");
    assert_eq!(runs(&host), Some(ReleaseId(2)));
    let starts = |request: &&ControlRequest| matches!(request, ControlRequest::Start(..));
    let last = host.world.lock().requests.iter().rev().find(starts).cloned();
    assert_eq!(last, Some(ControlRequest::Start(slot(), Cause::always_on())));
    host.world.lock().broken.clear();
    operator.post(ROLLBACK, &json!({})).await.expect::<RolledBack>(StatusCode::OK);
    assert_eq!(runs(&host), Some(ReleaseId(1)));
}
