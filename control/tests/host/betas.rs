//! Releases that are shown before they serve: where, for how long, and how one is promoted.

use std::time::Duration;

use hyper::StatusCode;
use kennel_model::api::{Deployed, NewTenant, Release, ReleaseState, RolledBack, Tenant};
use kennel_model::msg::ControlRequest;
use kennel_model::routes::Route;
use kennel_model::seeing::Transition;
use kennel_model::task::Asked;
use kennel_model::{Limits, ReleaseId, SlotId};
use serde_json::json;

use crate::support::client::{Answer, Client, key};
use crate::support::{Host, archive, wish};

const DAY: Duration = Duration::from_secs(86_400);
const PROMOTE: &str = "/v1/tenants/blog/promote";

fn slot() -> SlotId {
    SlotId::new(0).unwrap()
}

/// A host whose tenant `blog` has a first release, and where a release is shown for so long.
async fn deployed(time: Duration) -> (Host, Client) {
    let public = key(1).public_key().to_openssh().unwrap();
    let user_data = format!("[operator]\nssh_keys = [\"{public}\"]\n");
    let host = Host::start_with(&user_data, |config| config.beta = time);
    let operator = host.operator().await;
    let blog = NewTenant { limits: Limits::default(), ..wish("blog") };
    operator.post("/v1/tenants", &blog).await.expect::<Tenant>(StatusCode::CREATED);
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    (host, operator)
}

async fn show(operator: &Client, at: &str) -> Answer {
    operator.deploy_with("blog", &format!("beta={at}"), archive(&[("server.js", 2)])).await
}

async fn releases(operator: &Client) -> Vec<Release> {
    operator.get("/v1/tenants/blog/releases").await.expect(StatusCode::OK)
}

/// The route of what is shown, if there is one.
fn beta(host: &Host) -> Option<Route> {
    let world = host.world.lock();
    world.routes.as_ref().unwrap().routes.iter().find(|route| route.beta.is_some()).cloned()
}

fn runs(host: &Host) -> Option<ReleaseId> {
    host.world.lock().slots[&slot()].running.as_ref().map(|spec| spec.release)
}

/// Releases that have a task that was not asked to end.
fn tasks(host: &Host) -> Vec<ReleaseId> {
    let world = host.world.lock();
    world.tasks.values().filter(|task| !task.stopped).map(|task| task.spec.release).collect()
}

async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(tokio::time::Instant::now() < end, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_is_shown_does_not_serve_until_it_is_promoted_and_is_not_started_again() {
    let (host, operator) = deployed(DAY).await;
    let new: Deployed = show(&operator, "").await.expect(StatusCode::CREATED);
    let shown = new.release.beta.unwrap();
    assert_eq!((shown.domain.to_string().as_str(), new.release.state), ("r2.blog.test", ReleaseState::Kept));
    assert_eq!((new.tenant.current, runs(&host)), (Some(ReleaseId(1)), Some(ReleaseId(1))));
    let route = beta(&host).unwrap();
    assert_eq!((route.domain, route.release), (shown.domain, Some(ReleaseId(2))));
    assert_eq!(route.beta.unwrap().port, Some(slot().last_port()));
    assert_eq!(host.world.lock().routes.as_ref().unwrap().routes[0].release, Some(ReleaseId(1)));
    let started = |host: &Host| {
        let world = host.world.lock();
        world.requests.iter().filter(|r| matches!(r, ControlRequest::RunTask { .. })).count()
    };
    let before = started(&host);
    let done: RolledBack = operator.post(PROMOTE, &json!({})).await.expect(StatusCode::OK);
    assert_eq!((done.from, done.release.id, runs(&host)), (ReleaseId(1), ReleaseId(2), Some(ReleaseId(2))));
    assert_eq!((started(&host), beta(&host)), (before, None));
    assert_eq!(done.release.beta, None);
    assert_eq!(host.world.lock().routes.as_ref().unwrap().routes[0].release, Some(ReleaseId(2)));
    let told: Vec<Transition> = operator.get("/v1/tenants/blog/timeline").await.expect(StatusCode::OK);
    assert!(told.iter().any(|t| t.reason.starts_with("promoted r2 over r1 by SHA256:")), "{told:?}");
    assert_eq!(operator.post(PROMOTE, &json!({})).await.code(), "nothing-newer");
    assert_eq!(operator.post(PROMOTE, &json!({"release": 2})).await.code(), "already-serves");
    let back: RolledBack = operator.post("/v1/tenants/blog/rollback", &json!({})).await.expect(StatusCode::OK);
    assert_eq!((back.release.id, started(&host)), (ReleaseId(1), before), "it slept");
    // And forth, to the newest there is.
    let forth: RolledBack = operator.post(PROMOTE, &json!({})).await.expect(StatusCode::OK);
    assert_eq!(forth.release.id, ReleaseId(2));
}

#[tokio::test]
async fn one_is_shown_at_a_time_and_a_deploy_leaves_it() {
    let (host, operator) = deployed(DAY).await;
    show(&operator, "").await.expect::<Deployed>(StatusCode::CREATED);
    show(&operator, "next.test").await.expect::<Deployed>(StatusCode::CREATED);
    until("the first to end", || tasks(&host) == [ReleaseId(3)]).await;
    assert_eq!(beta(&host).unwrap().domain.to_string(), "next.test");
    operator.deploy("blog", archive(&[("server.js", 4)])).await.expect::<Deployed>(StatusCode::CREATED);
    assert_eq!((beta(&host).unwrap().release, runs(&host)), (Some(ReleaseId(3)), Some(ReleaseId(4))));
    let states: Vec<_> = releases(&operator).await.into_iter().map(|r| (r.id.0, r.beta.is_some())).collect();
    assert_eq!(states, [(4, false), (3, true), (1, false)]);
    // Older than what serves by now, it is promoted all the same: it is what somebody looked at.
    let done: RolledBack = operator.post(PROMOTE, &json!({})).await.expect(StatusCode::OK);
    assert_eq!((done.release.id, beta(&host)), (ReleaseId(3), None));
}

#[tokio::test]
async fn it_goes_with_its_release() {
    let (host, operator) = deployed(DAY).await;
    show(&operator, "").await.expect::<Deployed>(StatusCode::CREATED);
    for n in 3..=5 {
        assert_eq!(beta(&host).unwrap().release, Some(ReleaseId(2)));
        operator.deploy("blog", archive(&[("server.js", n)])).await.expect::<Deployed>(StatusCode::CREATED);
    }
    assert_eq!(beta(&host), None, "three are kept, and it is none of them");
    until("its program to end", || !tasks(&host).contains(&ReleaseId(2))).await;
}

#[tokio::test]
async fn it_goes_with_its_program_its_time_or_its_tenant() {
    let (host, operator) = deployed(DAY).await;
    show(&operator, "").await.expect::<Deployed>(StatusCode::CREATED);
    host.world.lock().tasks.values_mut().filter(|t| t.spec.release.0 == 2).for_each(|t| t.stopped = true);
    host.world.wake();
    until("the route to go", || beta(&host).is_none()).await;
    until("init to show it no longer", || host.world.lock().slots[&slot()].shown.is_none()).await;
    assert_eq!(releases(&operator).await.len(), 2, "it is kept");
    // It can serve all the same, when it has been tried again.
    let done: RolledBack = operator.post(PROMOTE, &json!({})).await.expect(StatusCode::OK);
    assert_eq!((done.release.id, runs(&host)), (ReleaseId(2), Some(ReleaseId(2))));
    show(&operator, "").await.expect::<Deployed>(StatusCode::CREATED);
    operator.delete("/v1/tenants/blog").await;
    until("all to end", || tasks(&host).iter().all(|id| *id != ReleaseId(3))).await;
    assert_eq!(beta(&host), None);

    let (host, operator) = deployed(Duration::from_millis(50)).await;
    show(&operator, "").await.expect::<Deployed>(StatusCode::CREATED);
    until("its time to be over", || beta(&host).is_none()).await;
    until("its program to end", || !tasks(&host).contains(&ReleaseId(2))).await;
}

#[tokio::test]
async fn what_cannot_be_shown_says_why_and_leaves_nothing() {
    let (host, operator) = deployed(DAY).await;
    let other = NewTenant { limits: Limits::default(), ..wish("shop") };
    operator.post("/v1/tenants", &other).await.expect::<Tenant>(StatusCode::CREATED);
    assert_eq!(
        operator.deploy_with("shop", "beta=", archive(&[("server.js", 1)])).await.code(),
        "not-deployed"
    );
    operator.deploy("shop", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    assert_eq!(show(&operator, "shop.test").await.code(), "domain-taken");
    let shown = operator.deploy_with("shop", "beta=next.test", archive(&[("server.js", 1)])).await;
    shown.expect::<Deployed>(StatusCode::CREATED);
    assert_eq!(show(&operator, "next.test").await.code(), "domain-taken");
    assert_eq!(show(&operator, "next.test/x").await.status, StatusCode::BAD_REQUEST);
    host.world.lock().asked = [Asked::Status(500)].into();
    let limits =
        Limits { health: Some("/healthz".parse().unwrap()), start_timeout_ms: 100, ..Limits::default() };
    operator.put("/v1/tenants/blog/limits", &limits).await.expect::<Tenant>(StatusCode::OK);
    assert_eq!(show(&operator, "").await.code(), "not-ready");
    let limits = Limits { trial: false, ..Limits::default() };
    operator.put("/v1/tenants/blog/limits", &limits).await.expect::<Tenant>(StatusCode::OK);
    assert_eq!(show(&operator, "").await.code(), "no-trial");
    assert_eq!(releases(&operator).await.len(), 1);
    let files: Vec<u32> = host.world.lock().slots[&slot()].releases.iter().copied().collect();
    assert_eq!(files, [1]);
    // Somebody's domain by now: it is his, and nobody's route is lost.
    let given = json!({"domain": "next.test"});
    let answer = operator.post("/v1/tenants/blog/domains", &given).await;
    assert_eq!((answer.status, beta(&host)), (StatusCode::CREATED, None));
}

#[tokio::test]
async fn files_alone_are_shown_too() {
    let (host, operator) = deployed(DAY).await;
    let site = archive(&[("index.html", 1)]);
    operator.deploy_with("blog", "beta=", site).await.expect::<Deployed>(StatusCode::CREATED);
    let route = beta(&host).unwrap();
    assert_eq!(route.beta.unwrap().port, None);
    assert!(route.static_files.is_some());
    assert_eq!(host.world.lock().slots[&slot()].shown.as_ref().unwrap().release, ReleaseId(2));
    operator.post(PROMOTE, &json!({})).await.expect::<RolledBack>(StatusCode::OK);
    assert_eq!(beta(&host), None);
    until("init to show it no longer", || host.world.lock().slots[&slot()].shown.is_none()).await;
}
