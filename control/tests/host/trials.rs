//! Releases that are tried beside the one that serves: what takes over, what does not, and what is left of it.

use hyper::StatusCode;
use kennel_model::api::{Deployed, NewTenant, Problem, RolledBack, Tenant};
use kennel_model::msg::{ControlRequest, Refusal};
use kennel_model::seeing::Transition;
use kennel_model::task::{Asked, TaskIo};
use kennel_model::{LaunchSpec, Limits, ReleaseId, SlotId};
use serde_json::json;

use crate::support::client::Client;
use crate::support::{Host, archive, wish};

const ROLLBACK: &str = "/v1/tenants/blog/rollback";

fn slot() -> SlotId {
    SlotId::new(0).unwrap()
}

fn limits() -> Limits {
    Limits { health: Some("/healthz".parse().unwrap()), start_timeout_ms: 200, ..Limits::default() }
}

/// A host whose tenant `blog` has what is new tried, and its first release.
async fn deployed() -> (Host, Client) {
    let host = Host::start();
    let operator = host.operator().await;
    let blog = NewTenant { limits: limits(), ..wish("blog") };
    operator.post("/v1/tenants", &blog).await.expect::<Tenant>(StatusCode::CREATED);
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    (host, operator)
}

fn runs(host: &Host) -> Option<ReleaseId> {
    host.world.lock().slots[&slot()].running.as_ref().map(|spec| spec.release)
}

fn spec_of(host: &Host) -> LaunchSpec {
    host.world.lock().slots[&slot()].spec.clone().unwrap()
}

/// Whether what is asked of init begins so, by the order in which it was asked.
fn asked(host: &Host, names: &[&str]) -> Vec<String> {
    let name = |request: &ControlRequest| {
        format!("{request:?}").split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
    };
    let world = host.world.lock();
    world.requests.iter().map(name).filter(|name| names.contains(&name.as_str())).collect()
}

#[tokio::test]
async fn what_is_ready_takes_over_as_it_is() {
    let (host, operator) = deployed().await;
    assert_eq!(runs(&host), Some(ReleaseId(1)), "also the first, which relieves nobody");
    host.world.lock().asked = [Asked::Refused, Asked::Silent, Asked::Status(503), Asked::Status(404)].into();
    host.world.lock().requests.clear();
    let new: Deployed = operator.deploy("blog", archive(&[("server.js", 2)])).await.expect(StatusCode::CREATED);
    assert_eq!(
        (new.release.id, new.tenant.current, runs(&host)),
        (ReleaseId(2), Some(ReleaseId(2)), Some(ReleaseId(2)))
    );
    let acts = ["Unpack", "RunTask", "Promote", "PublishRoutes", "Configure", "Start", "Stop", "StopTask"];
    assert_eq!(
        asked(&host, &acts),
        ["Unpack", "RunTask", "Promote", "PublishRoutes"],
        "nothing is started twice, or stopped"
    );
    let world = host.world.lock();
    let question = world.requests.iter().find_map(|request| match request {
        ControlRequest::AskTask(_, ask) => Some(ask.clone()),
        _ => None,
    });
    let question = question.unwrap();
    assert_eq!((question.host.as_str(), question.path.unwrap().as_str()), ("blog.test", "/healthz"));
    let tried = world.requests.iter().find_map(|request| match request {
        ControlRequest::RunTask { spec, io, .. } => Some((spec.release, *io)),
        _ => None,
    });
    assert_eq!(tried, Some((ReleaseId(2), TaskIo::Trial)));
    let kept: Vec<_> = world.tasks.values().map(|task| (task.spec.release, task.stopped)).collect();
    assert_eq!(kept, [(ReleaseId(1), false)], "what served sleeps");
    assert_eq!(world.routes.as_ref().unwrap().routes[0].release, Some(ReleaseId(2)));
}

#[tokio::test]
async fn what_is_not_ready_never_takes_over_and_leaves_nothing() {
    let (host, operator) = deployed().await;
    let folder = host.config.log_folder(slot());
    for release in 2..=5 {
        let printed = format!("kennel: starting release {release} on trial: node\nno such module\n");
        std::fs::write(folder.join(format!("1-{release}")), printed).unwrap();
    }
    // What served goes on printing meanwhile.
    std::fs::write(folder.join("0-1"), "kennel: starting release 1: node\nfine\nfine still\n").unwrap();
    for (answers, why) in [
        (
            vec![Asked::Refused],
            "release r2 is not taken into use: within 0.2 s it did not listen on the port in PORT; r1 serves on",
        ),
        (
            vec![Asked::Status(500)],
            "release r3 is not taken into use: within 0.2 s it answered /healthz with 500; r1 serves on",
        ),
        (
            vec![Asked::Silent],
            "release r4 is not taken into use: within 0.2 s it did not answer /healthz; r1 serves on",
        ),
        (
            vec![Asked::Status(200), Asked::Status(502)],
            "release r5 is not taken into use: it was ready first, and then answered /healthz with 502; r1 serves on",
        ),
    ] {
        host.world.lock().asked = answers.into();
        let answer = operator.deploy("blog", archive(&[("server.js", 2)])).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer:?}");
        let Problem { code, message, hint, .. } = answer.json();
        assert_eq!((code.as_str(), message.as_str()), ("not-ready", why));
        let hint = hint.unwrap();
        assert!(hint.contains("no such module") && !hint.contains("fine"), "{hint}");
        let tenant: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
        assert_eq!(
            (tenant.current, tenant.releases.len(), runs(&host)),
            (Some(ReleaseId(1)), 1, Some(ReleaseId(1)))
        );
        let world = host.world.lock();
        assert_eq!(world.slots[&slot()].releases, [1].into(), "nothing of it is left");
        assert!(world.tasks.values().all(|task| task.stopped));
        assert_eq!(world.slots[&slot()].spec.as_ref().unwrap().release, ReleaseId(1));
    }
}

#[tokio::test]
async fn what_ends_is_no_good_and_says_how() {
    let (host, operator) = deployed().await;
    host.world.lock().broken.insert(2);
    let answer = operator.deploy("blog", archive(&[("server.js", 2)])).await;
    let message = answer.json::<Problem>().message;
    assert_eq!(message, "release r2 is not taken into use: killed by signal 15 (SIGTERM); r1 serves on");
    assert_eq!(runs(&host), Some(ReleaseId(1)));
}

#[tokio::test]
async fn a_rollback_and_a_variable_are_tried_too() {
    let (host, operator) = deployed().await;
    operator.deploy("blog", archive(&[("server.js", 2)])).await.expect::<Deployed>(StatusCode::CREATED);
    // What sleeps does so with former limits.
    let limits = Limits { memory_max_bytes: 99 << 20, ..limits() };
    operator.put("/v1/tenants/blog/limits", &limits).await.expect::<Tenant>(StatusCode::OK);
    host.world.lock().asked = [Asked::Refused].into();
    assert_eq!(operator.post(ROLLBACK, &json!({})).await.code(), "not-ready");
    let env = json!({"set": {"COLOUR": "blue"}});
    assert_eq!(operator.post("/v1/tenants/blog/env", &env).await.code(), "not-ready");
    let tenant: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
    assert_eq!(
        (tenant.current, tenant.releases.len(), runs(&host)),
        (Some(ReleaseId(2)), 2, Some(ReleaseId(2)))
    );
    host.world.lock().asked.clear();
    host.world.lock().requests.clear();
    operator.post(ROLLBACK, &json!({})).await.expect::<RolledBack>(StatusCode::OK);
    assert_eq!(runs(&host), Some(ReleaseId(1)));
    operator.post("/v1/tenants/blog/env", &env).await.expect::<serde_json::Value>(StatusCode::OK);
    assert_eq!(runs(&host), Some(ReleaseId(4)), "r3 was the one that was not ready");
    assert_eq!(asked(&host, &["Promote", "Start", "Stop", "Configure"]), ["Promote", "Promote"]);
}

#[tokio::test]
async fn what_served_just_before_is_taken_back_untried() {
    let (host, operator) = deployed().await;
    operator.deploy("blog", archive(&[("server.js", 2)])).await.expect::<Deployed>(StatusCode::CREATED);
    host.world.lock().asked = [Asked::Refused].into();
    host.world.lock().requests.clear();
    for to in [1, 2, 1] {
        operator.post(ROLLBACK, &json!({"to": to})).await.expect::<RolledBack>(StatusCode::OK);
        assert_eq!(runs(&host), Some(ReleaseId(to)));
        assert_eq!(host.world.lock().routes.as_ref().unwrap().routes[0].release, Some(ReleaseId(to)));
    }
    let acts = ["RunTask", "AskTask", "Promote", "Start", "Stop", "Configure", "PublishRoutes"];
    assert_eq!(asked(&host, &acts), ["Promote", "PublishRoutes"].repeat(3));
    // It has ended meanwhile: there is nothing to take back, and what is started in its place is tried.
    host.world.lock().tasks.values_mut().for_each(|task| task.stopped = true);
    host.world.wake();
    assert_eq!(operator.post(ROLLBACK, &json!({"to": 2})).await.code(), "not-ready");
    assert_eq!(runs(&host), Some(ReleaseId(1)));
}

#[tokio::test]
async fn what_ends_again_and_again_after_it_took_over_is_rolled_back() {
    let (host, operator) = deployed().await;
    // Each of them is looked after, and the last alone is acted on.
    for n in [2, 3] {
        operator.deploy("blog", archive(&[("server.js", n)])).await.expect::<Deployed>(StatusCode::CREATED);
    }
    host.world.lock().broken.insert(3);
    for _ in 0..2 {
        assert_eq!(runs(&host), Some(ReleaseId(3)), "one end may be bad luck");
        operator.post("/v1/tenants/blog/stop", &()).await.expect::<Tenant>(StatusCode::OK);
        operator.post("/v1/tenants/blog/start", &()).await;
        host.world.lock().slots.get_mut(&slot()).unwrap().running = Some(spec_of(&host));
    }
    let host = tokio::task::spawn_blocking(move || {
        host.world.wait("what served before serves again", |world| {
            world.routes.as_ref().unwrap().routes[0].release == Some(ReleaseId(2))
        });
        host
    });
    let host = host.await.unwrap();
    assert_eq!(runs(&host), Some(ReleaseId(2)));
    let timeline =
        async || operator.get("/v1/tenants/blog/timeline").await.expect::<Vec<Transition>>(StatusCode::OK);
    let told = loop {
        // The switch is told when it is kept.
        if let Some(told) = timeline().await.into_iter().find(|change| change.note) {
            break told.reason;
        }
    };
    assert!(told.starts_with("rolled back from r3 to r2 by the host, as it has ended 2 times: "), "{told}");
    // What serves again is not held to account for the ends of what it serves instead of.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    operator.deploy("blog", archive(&[("server.js", 4)])).await.expect::<Deployed>(StatusCode::CREATED);
    assert_eq!(timeline().await.iter().filter(|change| change.note).count(), 1);
}

#[tokio::test]
async fn where_it_cannot_take_over_it_is_started_in_its_place() {
    let (host, operator) = deployed().await;
    host.world.lock().refuse = Some(("Promote", Refusal::Busy("it is being stopped".into())));
    operator.deploy("blog", archive(&[("server.js", 2)])).await.expect::<Deployed>(StatusCode::CREATED);
    let world = host.world.lock();
    assert_eq!(world.slots[&slot()].spec.as_ref().unwrap().release, ReleaseId(2));
    assert!(world.tasks.values().all(|task| task.stopped), "it does not run beside it");
}
