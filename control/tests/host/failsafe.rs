//! A registry that cannot be used: the host comes up all the same, shows what it knew, changes nothing, and is repaired with a
//! copy of it that somebody chooses.

use hyper::StatusCode;
use kennel_model::api::{Deployed, Host as HostState, Tenant};
use kennel_model::doctor::{Doctor, Repaired};
use kennel_model::{ReleaseId, SlotId};
use serde_json::json;

use crate::support::client::Client;
use crate::support::{Host, archive, wish};

/// A host with the tenants `blog`, of which there is a copy of the registry, and `shop`, which came later.
async fn prepared() -> Host {
    let mut host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    host.stop();
    let copy = host.config.control_dir.join("snapshot-1700000000.sqlite");
    let db = rusqlite::Connection::open(host.config.registry_file()).unwrap();
    db.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    drop(db);
    host.restart();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("shop")).await.expect::<Tenant>(StatusCode::CREATED);
    operator.deploy("blog", archive(&[("server.js", 2)])).await.expect::<Deployed>(StatusCode::CREATED);
    host.stop();
    host
}

/// Control starts on what is left of its registry; the host was off in between.
async fn broken(host: &mut Host, registry: &[u8]) -> Client {
    std::fs::write(host.config.registry_file(), registry).unwrap();
    host.world.cut_power();
    host.restart();
    host.operator().await
}

async fn names(operator: &Client) -> Vec<String> {
    let tenants: Vec<Tenant> = operator.get("/v1/tenants").await.expect(StatusCode::OK);
    tenants.iter().map(|tenant| tenant.name.to_string()).collect()
}

#[tokio::test]
async fn a_damaged_registry_is_stood_in_for_and_repaired() {
    repaired().await;
}

/// The same, for the test of every operation.
pub(crate) async fn repaired() {
    let mut host = prepared().await;
    let mut registry = std::fs::read(host.config.registry_file()).unwrap();
    let middle = registry.len() / 2;
    registry[middle..].fill(0x5a);
    let operator = broken(&mut host, &registry).await;

    let state: HostState = operator.get("/v1/host").await.expect(StatusCode::OK);
    let failsafe = state.failsafe.expect("it is said");
    assert_eq!(failsafe.snapshot.as_deref(), Some("snapshot-1700000000.sqlite"));
    assert!(failsafe.why.contains("registry"), "{}", failsafe.why);
    assert_eq!(names(&operator).await, ["blog"]);
    // Visitors reach what was known.
    let routes = host.world.lock().routes.clone().unwrap().routes;
    assert_eq!((routes.len(), routes[0].tenant.as_str(), routes[0].release), (1, "blog", Some(ReleaseId(1))));
    let slot = SlotId::new(0).unwrap();
    assert_eq!(host.world.lock().slots[&slot].spec.as_ref().unwrap().release, ReleaseId(1));
    // Nothing is changed, and that is what is said of it.
    assert_eq!(operator.post("/v1/tenants", &wish("new")).await.code(), "failsafe");
    assert_eq!(operator.deploy("blog", archive(&[("server.js", 3)])).await.code(), "failsafe");
    assert_eq!(operator.delete("/v1/tenants/blog").await.code(), "failsafe");
    assert_eq!(operator.post("/v1/tenants/blog/env", &json!({"set": {"A": "1"}})).await.code(), "failsafe");
    assert_eq!(operator.get("/v1/tenants/blog/logs").await.status, StatusCode::OK);

    let doctor: Doctor = operator.get("/v1/host/doctor").await.expect(StatusCode::OK);
    assert_eq!((doctor.failsafe, doctor.snapshots.len()), (Some(failsafe), 1));
    assert_eq!((doctor.snapshots[0].tenants, doctor.aside.len()), (1, 0));
    for bad in ["registry.sqlite", "snapshot-1.sqlite", "../snapshot-1700000000.sqlite", ""] {
        let refused = operator.post("/v1/host/repair", &json!({ "snapshot": bad })).await;
        assert_eq!(refused.code(), "no-such-snapshot", "{bad}");
    }
    let wish_of = json!({ "snapshot": doctor.snapshots[0].name });
    let repaired: Repaired = operator.post("/v1/host/repair", &wish_of).await.expect(StatusCode::OK);
    assert_eq!(repaired.snapshot, doctor.snapshots[0]);
    assert!(host.ended().is_ok(), "init starts it again");

    host.restart();
    let operator = host.operator().await;
    let doctor: Doctor = operator.get("/v1/host/doctor").await.expect(StatusCode::OK);
    assert_eq!((doctor.failsafe, doctor.aside.as_slice()), (None, [repaired.aside.unwrap()].as_slice()));
    assert_eq!(operator.post("/v1/host/repair", &wish_of).await.code(), "not-broken");
    assert_eq!(names(&operator).await, ["blog"]);
    // What the copy does not know is nobody else's: neither a number of a release that is on disk, nor a slot with files.
    let deployed: Deployed =
        operator.deploy("blog", archive(&[("server.js", 4)])).await.expect(StatusCode::CREATED);
    assert_eq!(deployed.release.id, ReleaseId(1002));
    let new: Tenant = operator.post("/v1/tenants", &wish("new")).await.expect(StatusCode::CREATED);
    assert_eq!(new.slot, SlotId::new(2).unwrap(), "shop's files are in slot 1");
}

#[tokio::test]
async fn a_newer_registry_is_left_as_it_is() {
    let mut host = prepared().await;
    let db = rusqlite::Connection::open(host.config.registry_file()).unwrap();
    db.pragma_update(None, "user_version", 999).unwrap();
    drop(db);
    let registry = std::fs::read(host.config.registry_file()).unwrap();
    let operator = broken(&mut host, &registry).await;
    let state: HostState = operator.get("/v1/host").await.expect(StatusCode::OK);
    assert!(state.failsafe.unwrap().why.contains("of version 999"));
    assert_eq!(names(&operator).await, ["blog"]);
    host.stop();
    assert_eq!(std::fs::read(host.config.registry_file()).unwrap(), registry);
}

#[tokio::test]
async fn without_a_copy_an_operator_gets_in_all_the_same() {
    let mut host = prepared().await;
    std::fs::remove_file(host.config.control_dir.join("snapshot-1700000000.sqlite")).unwrap();
    let operator = broken(&mut host, b"no database at all, whatever it was").await;
    let state: HostState = operator.get("/v1/host").await.expect(StatusCode::OK);
    assert_eq!(state.failsafe.unwrap().snapshot, None);
    assert!(names(&operator).await.is_empty());
    assert_eq!(operator.post("/v1/tenants", &wish("new")).await.code(), "failsafe");
    assert_eq!(operator.post("/v1/host/reboot", &()).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn what_runs_goes_on_when_control_finds_its_registry_broken_without_a_boot() {
    let mut host = prepared().await;
    let before = host.world.lock().routes.clone().unwrap();
    host.world.lock().control_restarts = 1;
    std::fs::write(host.config.registry_file(), b"nothing of the kind").unwrap();
    host.restart();
    let operator = host.operator().await;
    assert_eq!(names(&operator).await, ["blog"]);
    assert_eq!(host.world.lock().routes.clone().unwrap(), before, "shop's is among them");
}
