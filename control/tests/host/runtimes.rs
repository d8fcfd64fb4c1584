//! Runtimes side by side: what a release runs on is its own, a tenant moves from one to another, and a rollback leads back.

use hyper::{Method, StatusCode};
use kennel_model::api::{Deployed, Moved, Problem, Release, RolledBack, RuntimeUse, Tenant};
use kennel_model::{ReleaseId, RuntimeName, SlotId, TenantName};
use serde_json::json;

use crate::support::client::Client;
use crate::support::{Host, archive, wish};

const MOVE: &str = "/v1/tenants/blog/move";

/// Every operation once; the tenant has a release of Node.js, and is on its runtime before and after.
pub(crate) async fn each_operation(operator: &Client, name: &str) {
    let listed: Vec<RuntimeUse> = operator.get("/v1/runtimes").await.expect(StatusCode::OK);
    let used: Vec<_> = listed.iter().map(|of| (of.name.as_str(), of.tenants.len())).collect();
    assert_eq!(used, [("node-24", 1), ("static", 0), ("node-22", 0), ("python-3.13", 0)]);
    let path = format!("/v1/tenants/{name}/move");
    for (to, from) in [("node-22", "node-24"), ("node-24", "node-22")] {
        let moved: Moved = operator.post(&path, &json!({"runtime": to})).await.expect(StatusCode::OK);
        assert_eq!((moved.from.as_str(), moved.tenant.runtime.as_str()), (from, to));
    }
}

/// A host with the tenant `blog` on node-24, which is not deployed.
async fn made() -> (Host, Client) {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    (host, operator)
}

async fn deploy_for(operator: &Client, runtime: &str, file: &str) -> Deployed {
    let path = format!("/v1/tenants/blog/releases?runtime={runtime}");
    let answer = operator.ask(Method::POST, &path, "application/x-tar", archive(&[(file, 1)]).into()).await;
    answer.expect(StatusCode::CREATED)
}

/// What init was told to run, and on what.
fn runs(host: &Host) -> (String, String) {
    let world = host.world.lock();
    let spec = world.slots[&SlotId::new(0).unwrap()].spec.clone().unwrap();
    (spec.runtime.to_string(), spec.argv.join(" "))
}

#[tokio::test]
async fn a_tenant_moves_and_moves_back_with_the_same_files() {
    let (host, operator) = made().await;
    let answer = operator.deploy("blog", archive(&[("server.js", 1)])).await;
    answer.expect::<Deployed>(StatusCode::CREATED);
    let moved: Moved = operator.post(MOVE, &json!({"runtime": "node-22"})).await.expect(StatusCode::OK);
    let release = moved.release.unwrap();
    assert_eq!((release.id, release.files), (ReleaseId(2), Some(ReleaseId(1))));
    assert_eq!(release.runtime, Some("node-22".parse().unwrap()));
    assert_eq!(
        runs(&host),
        ("node-22".into(), "/opt/22/bin/node server.js".into()),
        "by that one's own interpreter"
    );
    assert_eq!(host.world.lock().slots[&SlotId::new(0).unwrap()].releases, [1].into(), "no files were written");
    let answer = operator.post(MOVE, &json!({"runtime": "node-22"})).await;
    assert_eq!(answer.code(), "runs-there");
    operator.post(MOVE, &json!({"runtime": "node-24"})).await.expect::<Moved>(StatusCode::OK);
    assert_eq!(runs(&host), ("node-24".into(), "/usr/bin/node server.js".into()));
    operator.post("/v1/tenants/blog/rollback", &json!({})).await.expect::<RolledBack>(StatusCode::OK);
    assert_eq!(runs(&host).0, "node-22", "a rollback goes back to the runtime, too");
    let tenant: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
    assert_eq!(tenant.runtime.as_str(), "node-22");
}

#[tokio::test]
async fn what_was_found_for_another_language_does_not_move() {
    let (host, operator) = made().await;
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    for to in ["python-3.13", "static"] {
        let answer = operator.post(MOVE, &json!({"runtime": to})).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNPROCESSABLE_ENTITY, "not-movable".into()));
        let problem = answer.json::<Problem>();
        let why = format!(
            "r1 cannot run on {to}: `/usr/bin/node server.js` is a program for node-24, and {to} has nothing"
        );
        assert!(problem.message.contains(&why), "{}", problem.message);
        assert!(problem.hint.unwrap().contains(&format!("kennel deploy --runtime {to}")));
    }
    assert_eq!(operator.post(MOVE, &json!({"runtime": "php-8.4"})).await.code(), "no-such-runtime");
    let tenant: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
    assert_eq!((tenant.runtime.as_str(), tenant.releases.len()), ("node-24", 1), "nothing was begun");
    assert_eq!(runs(&host).0, "node-24");
}

#[tokio::test]
async fn before_the_first_deploy_only_what_comes_is_chosen() {
    let (host, operator) = made().await;
    let moved: Moved = operator.post(MOVE, &json!({"runtime": "python-3.13"})).await.expect(StatusCode::OK);
    assert_eq!((moved.release, moved.tenant.runtime.as_str()), (None, "python-3.13"));
    operator.deploy("blog", archive(&[("app.py", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    assert_eq!(runs(&host), ("python-3.13".into(), "/usr/bin/python3.13 app.py".into()));
}

#[tokio::test]
async fn a_deploy_for_another_runtime_and_the_way_back() {
    let (mut host, operator) = made().await;
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    let deployed = deploy_for(&operator, "python-3.13", "app.py").await;
    assert_eq!(deployed.tenant.runtime, RuntimeName::new("python-3.13").unwrap());
    assert_eq!(deployed.tenant.context, "system_u:system_r:tenant0000_t", "it makes no code");
    assert_eq!(runs(&host), ("python-3.13".into(), "/usr/bin/python3.13 app.py".into()));
    // The next is for the same, unless it says otherwise.
    operator.deploy("blog", archive(&[("main.py", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    assert_eq!(runs(&host).1, "/usr/bin/python3.13 main.py");
    let path = "/v1/tenants/blog/releases?runtime=node-99";
    let refused = operator.ask(Method::POST, path, "application/x-tar", archive(&[("a", 1)]).into()).await;
    assert_eq!(refused.code(), "no-such-runtime");
    operator.post("/v1/tenants/blog/rollback", &json!({"to": 1})).await.expect::<RolledBack>(StatusCode::OK);
    assert_eq!(runs(&host), ("node-24".into(), "/usr/bin/node server.js".into()));
    host.stop();
    host.world.cut_power();
    host.restart();
    let operator = host.operator().await;
    let releases: Vec<Release> = operator.get("/v1/tenants/blog/releases").await.expect(StatusCode::OK);
    let on: Vec<_> = releases.iter().map(|release| release.runtime.clone().unwrap().to_string()).collect();
    assert_eq!(on, ["python-3.13", "python-3.13", "node-24"]);
    assert_eq!(runs(&host).0, "node-24", "it is on disk");
    let listed: Vec<RuntimeUse> = operator.get("/v1/runtimes").await.expect(StatusCode::OK);
    let of = |name: &str| listed.iter().find(|of| of.name.as_str() == name).unwrap().tenants.clone();
    assert_eq!((of("node-24"), of("python-3.13")), (vec![TenantName::new("blog").unwrap()], vec![]));
}
