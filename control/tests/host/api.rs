//! The life of tenants through the API.

use std::num::NonZeroU32;

use hyper::StatusCode;
use kennel_model::api::{Deployed, Host as HostState, NewTenant, Tenant};
use kennel_model::msg::{Cause, ControlRequest, Refusal};
use kennel_model::routes::{Crawlers, Protocol, TrafficLimits};
use kennel_model::{Limits, ReleaseId, SlotId, SlotState};

use crate::support::{Host, archive, openapi, wish};

fn slot(n: u16) -> SlotId {
    SlotId::new(n).unwrap()
}

#[tokio::test]
async fn a_tenants_whole_life() {
    let host = Host::start();
    let operator = host.operator().await;
    let made: Tenant = operator.post("/v1/tenants", &wish("blog")).await.expect(StatusCode::CREATED);
    assert_eq!((made.slot, made.uid, made.port, made.state), (slot(0), 100_000, 20_000, SlotState::Stopped));
    assert_eq!((made.context.as_str(), made.current), ("system_u:jit_r:tenant0000_t", None));
    assert_eq!(operator.post("/v1/tenants/blog/start", &()).await.code(), "not-deployed");
    assert!(host.world.lock().routes.clone().unwrap().routes[0].release.is_none());

    let answer = operator.deploy("blog", archive(&[("index.js", 40), ("package.json", 2)])).await;
    let deployed: Deployed = answer.expect(StatusCode::CREATED);
    assert_eq!((deployed.release.id, deployed.release.bytes, deployed.release.entries), (ReleaseId(1), 42, 2));
    assert!(deployed.release.by.starts_with("SHA256:"));
    assert_eq!(deployed.tenant.command, ["/usr/bin/node", "index.js"]);
    let route = host.world.lock().routes.clone().unwrap().routes.remove(0);
    assert_eq!((route.domain.as_str(), route.slot, route.release), ("blog.test", slot(0), Some(ReleaseId(1))));

    let running: Tenant = operator.post("/v1/tenants/blog/start", &()).await.expect(StatusCode::OK);
    assert_eq!((running.state, running.reason.as_deref()), (SlotState::Running, Some("as asked")));
    let state: HostState = operator.get("/v1/host").await.expect(StatusCode::OK);
    assert_eq!((state.slots, state.slots_used, state.running, state.uptime_ms), (4, 1, 1, 1234));
    assert_eq!((state.memory_total_bytes, state.memory_available_bytes), (1 << 30, 1 << 29));
    assert_eq!((state.swap.used_bytes, state.memory_pressure.some_avg10_bp), (1 << 20, 123));
    assert!(state.data_total_bytes >= state.data_available_bytes);

    let again: Deployed =
        operator.deploy("blog", archive(&[("server.js", 1)])).await.expect(StatusCode::CREATED);
    assert_eq!((again.release.id, again.tenant.state), (ReleaseId(2), SlotState::Stopped));
    assert_eq!(host.world.lock().slots[&slot(0)].spec.as_ref().unwrap().release, ReleaseId(2));
    crate::data::replaced_and_saved(&operator, "blog").await;
    operator.post("/v1/tenants/blog/start", &()).await.expect::<Tenant>(StatusCode::OK);
    crate::releases::there_and_back(&operator, "blog").await;
    crate::listing::told_and_built_on(&operator, "blog", 2).await;
    crate::backup::each_operation(&operator, "blog").await;
    crate::env::each_operation(&operator, "blog").await;
    crate::runtimes::each_operation(&operator, "blog").await;
    crate::exec::each_operation(&operator, "blog").await;
    crate::processes::each_operation(&operator, "blog").await;
    crate::cron::each_operation(&operator, "blog").await;
    crate::jobs::each_operation(&operator).await;
    let frozen: Tenant =
        operator.post("/v1/tenants/blog/sleep", &serde_json::json!({})).await.expect(StatusCode::OK);
    assert_eq!(frozen.state, SlotState::Frozen);
    let stopped: Tenant = operator.post("/v1/tenants/blog/stop", &()).await.expect(StatusCode::OK);
    assert_eq!(stopped.state, SlotState::Stopped);
    assert_eq!(
        operator.get("/v1/tenants").await.expect::<Vec<Tenant>>(StatusCode::OK),
        std::slice::from_ref(&stopped)
    );
    assert_eq!(operator.get("/v1/tenants/blog").await.expect::<Tenant>(StatusCode::OK), stopped);
    assert_eq!(operator.get("/v1/tenants/blog/logs").await.status, StatusCode::OK);

    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
    assert_eq!(operator.get("/v1/tenants/blog").await.code(), "no-such-tenant");
    assert_eq!(operator.delete("/v1/tenants/blog").await.code(), "no-such-tenant");
    assert!(host.world.lock().slots.is_empty());
    assert!(host.world.lock().routes.clone().unwrap().routes.is_empty());

    for path in ["/v1/host/power-off", "/v1/host/reboot"] {
        assert_eq!(operator.post(path, &()).await.status, StatusCode::ACCEPTED);
    }
    let last = host.world.lock().requests.iter().rev().take(2).cloned().collect::<Vec<_>>();
    assert_eq!(last, [ControlRequest::Reboot, ControlRequest::PowerOff]);
    operator.post("/v1/tenants", &wish("shop")).await.expect::<Tenant>(StatusCode::CREATED);
    let limits = Limits::default();
    operator.put("/v1/tenants/shop/limits", &limits).await.expect::<Tenant>(StatusCode::OK);
    for path in ["/v1/access", "/v1/tenants/shop/access", "/v1/traffic", "/v1/tenants/shop/traffic"] {
        assert_eq!(operator.get(path).await.status, StatusCode::OK);
    }
    for path in ["/v1/denials", "/v1/tenants/shop/denials"] {
        assert_eq!(operator.get(path).await.status, StatusCode::OK);
    }
    for path in ["/v1/top", "/v1/usage", "/v1/metrics", "/v1/tenants/shop/usage", "/v1/tenants/shop/timeline"] {
        assert_eq!(operator.get(path).await.status, StatusCode::OK, "{path}");
    }
    let token = serde_json::json!({"name": "prometheus"});
    assert_eq!(operator.post("/v1/tokens", &token).await.status, StatusCode::CREATED);
    assert_eq!(operator.get("/v1/tokens").await.status, StatusCode::OK);
    assert_eq!(operator.delete("/v1/tokens/prometheus").await.status, StatusCode::NO_CONTENT);
    let certificate = crate::certificates::made(&["a.test"]);
    assert_eq!(operator.post("/v1/certificates", &certificate).await.status, StatusCode::CREATED);
    assert_eq!(operator.get("/v1/certificates").await.status, StatusCode::OK);
    assert_eq!(operator.delete("/v1/certificates/a.test").await.status, StatusCode::NO_CONTENT);
    let domain = serde_json::json!({"domain": "shop.test/api", "strip": true});
    assert_eq!(operator.post("/v1/tenants/shop/domains", &domain).await.status, StatusCode::CREATED);
    let redirect = serde_json::json!({"domain": "www.shop.test", "to": "https://shop.test/"});
    assert_eq!(operator.post("/v1/tenants/shop/redirects", &redirect).await.status, StatusCode::CREATED);
    let page = serde_json::json!({"html": "<h1>{{title}}</h1>"});
    for path in ["/v1/page", "/v1/tenants/shop/page"] {
        assert_eq!(operator.put(path, &page).await.status, StatusCode::NO_CONTENT);
        assert_eq!(operator.get(path).await.status, StatusCode::OK);
        assert_eq!(operator.delete(path).await.status, StatusCode::NO_CONTENT);
    }
    let maintenance = serde_json::json!({"allow": ["203.0.113.7"]});
    assert_eq!(operator.put("/v1/tenants/shop/maintenance", &maintenance).await.status, StatusCode::OK);
    assert_eq!(operator.delete("/v1/tenants/shop/maintenance").await.status, StatusCode::OK);
    for path in ["/v1/domains", "/v1/redirects"] {
        assert_eq!(operator.get(path).await.status, StatusCode::OK, "{path}");
    }
    for path in ["domains?domain=shop.test/api", "redirects?domain=www.shop.test"] {
        let path = format!("/v1/tenants/shop/{path}");
        assert_eq!(operator.delete(&path).await.status, StatusCode::OK, "{path}");
    }
    let rule = serde_json::json!({"action": "allow", "to": "10.0.5.7:5432"});
    assert_eq!(operator.post("/v1/tenants/shop/egress", &rule).await.status, StatusCode::CREATED);
    assert_eq!(operator.get("/v1/tenants/shop/egress").await.status, StatusCode::OK);
    assert_eq!(operator.delete("/v1/tenants/shop/egress/1").await.status, StatusCode::OK);
    let prove = operator.post("/v1/host/prove", &kennel_model::api::Prove::default()).await;
    assert_eq!(prove.status, StatusCode::OK);
    host.world.lock().tpm = Some(crate::attest::quote());
    let attest = kennel_model::api::Attest::Quote { nonce: kennel_model::tpm::Hex(vec![7; 32]) };
    assert_eq!(operator.post("/v1/host/attest", &attest).await.status, StatusCode::OK);
    operator.get("/v1/openapi.json").await.expect::<serde_json::Value>(StatusCode::OK);
    operator.get("/v1/ping").await.expect::<serde_json::Value>(StatusCode::OK);
    crate::acme::each_operation(&operator, "shop.test").await;
    crate::failsafe::repaired().await;
    crate::people::each_operation(&operator).await;
    every_operation_was_seen();
}

/// Each was answered with success at least once, and each answer fitted its schema.
fn every_operation_was_seen() {
    let paths = openapi::document()["paths"].as_object().unwrap();
    let operations = paths.values().flat_map(|item| item.as_object().unwrap().values());
    let ids = operations.filter_map(|operation| operation["operationId"].as_str());
    let missing: Vec<_> = ids.filter(|id| !openapi::seen().contains(*id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn other_limits_reach_init_and_are_kept() {
    let host = Host::start();
    let operator = host.operator().await;
    let made: Tenant = operator.post("/v1/tenants", &wish("blog")).await.expect(StatusCode::CREATED);
    let limits = Limits { freeze_after_s: None, stop_after_s: Some(60), ..made.limits };
    let before: Tenant = operator.put("/v1/tenants/blog/limits", &limits).await.expect(StatusCode::OK);
    assert_eq!(before.limits, limits, "also without a release");
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);

    let health = Some("/healthz".parse().unwrap());
    let crawlers = Crawlers::Wait;
    let traffic =
        TrafficLimits { requests_max: 3, client_requests_per_s: NonZeroU32::new(9), ..limits.traffic };
    let static_files = serde_json::from_str(r#"{"path":"/assets","folder":"public"}"#).unwrap();
    let limits = Limits {
        pids_max: 7,
        freeze_after_s: Some(5),
        health,
        protocol: Protocol::H2c,
        crawlers,
        server_timing: true,
        traffic,
        static_files,
        ..limits
    };
    operator.put("/v1/tenants/blog/limits", &limits).await.expect::<Tenant>(StatusCode::OK);
    let told = |host: &Host| host.world.lock().slots[&slot(0)].spec.clone().unwrap().limits;
    assert_eq!(told(&host), limits);
    let wrong = Limits { pids_max: 0, ..limits };
    assert_eq!(operator.put("/v1/tenants/blog/limits", &wrong).await.code(), "invalid-tenant");
    assert_eq!(operator.put("/v1/tenants/nobody/limits", &limits).await.code(), "no-such-tenant");
    let kept: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
    assert_eq!((kept.limits, told(&host)), (limits, limits));
    let route = host.world.lock().routes.clone().unwrap().routes.remove(0);
    assert_eq!((route.health, route.crawlers, route.server_timing), (health, Crawlers::Wait, true));
    assert_eq!((route.protocol, route.traffic), (Protocol::H2c, traffic));
    assert_eq!(route.static_files, static_files);
    let wrong = serde_json::json!({"health": "healthz"});
    assert_eq!(operator.put("/v1/tenants/blog/limits", &wrong).await.code(), "bad-request");
}

#[tokio::test]
async fn a_program_that_is_needed_is_not_put_to_sleep() {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    operator.post("/v1/tenants/blog/start", &()).await.expect::<Tenant>(StatusCode::OK);
    host.world.lock().refuse = Some(("Sleep", Refusal::Busy("a request is in flight".into())));
    let reclaimed = serde_json::json!({"to": "reclaimed"});
    let answer = operator.post("/v1/tenants/blog/sleep", &reclaimed).await;
    assert_eq!(answer.code(), "busy");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("blog is not put to sleep: a request is in flight"), "{text}");
    host.world.lock().refuse = None;
    let asleep: Tenant = operator.post("/v1/tenants/blog/sleep", &reclaimed).await.expect(StatusCode::OK);
    assert_eq!(asleep.state, SlotState::Reclaimed);
    let running = serde_json::json!({"to": "running"});
    assert_eq!(operator.post("/v1/tenants/blog/sleep", &running).await.code(), "bad-request");
    let woken: Tenant = operator.post("/v1/tenants/blog/start", &()).await.expect(StatusCode::OK);
    assert_eq!(woken.state, SlotState::Running);
}

#[tokio::test]
async fn who_is_always_on_is_started_by_whoever_configures_it() {
    let mut host = Host::start();
    let operator = host.operator().await;
    for name in ["blog", "shop"] {
        operator.post("/v1/tenants", &wish(name)).await.expect::<Tenant>(StatusCode::CREATED);
    }
    let always = Limits { always_on: true, trial: false, ..Limits::default() };
    let set = async |name: &str, limits: &Limits| {
        operator.put(&format!("/v1/tenants/{name}/limits"), limits).await.expect::<Tenant>(StatusCode::OK).state
    };
    assert_eq!(set("shop", &always).await, SlotState::Stopped, "there is nothing to run");
    for name in ["blog", "shop"] {
        operator.deploy(name, archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    }
    let starts = |host: &Host| {
        let starts =
            |r: &&ControlRequest| matches!(r, ControlRequest::Start(..) | ControlRequest::StartOnce(_));
        host.world.lock().requests.iter().filter(starts).cloned().collect::<Vec<_>>()
    };
    assert_eq!(starts(&host), [ControlRequest::Start(slot(1), Cause::always_on())]);
    set("blog", &always).await;
    assert_eq!(starts(&host)[1..], [ControlRequest::Start(slot(0), Cause::always_on())]);
    set("blog", &Limits::default()).await;

    host.world.cut_power();
    host.restart();
    host.world
        .wait("the start after the boot", |world| world.requests.contains(&ControlRequest::StartOnce(slot(1))));
    assert_eq!(starts(&host).len(), 3, "nobody else is started");
}

#[tokio::test]
async fn what_is_reserved_is_sold_once() {
    let host = Host::start();
    let operator = host.operator().await;
    let total = operator.get("/v1/host").await.expect::<HostState>(StatusCode::OK).memory_total_bytes;
    let part = |percent: u64| Limits {
        memory_max_bytes: total,
        memory_reserved_bytes: total / 100 * percent,
        ..Limits::default()
    };
    let mut blog = wish("blog");
    blog.limits = part(50);
    operator.post("/v1/tenants", &blog).await.expect::<Tenant>(StatusCode::CREATED);
    let mut shop = wish("shop");
    shop.limits = part(26);
    assert_eq!(operator.post("/v1/tenants", &shop).await.code(), "oversold");
    shop.limits = part(25);
    operator.post("/v1/tenants", &shop).await.expect::<Tenant>(StatusCode::CREATED);
    // One's own is not counted against one, and what is given back can be had.
    assert_eq!(operator.put("/v1/tenants/blog/limits", &part(51)).await.code(), "oversold");
    operator.put("/v1/tenants/blog/limits", &part(40)).await.expect::<Tenant>(StatusCode::OK);
    operator.put("/v1/tenants/shop/limits", &part(35)).await.expect::<Tenant>(StatusCode::OK);
    let too_much = Limits { memory_reserved_bytes: total + 1, ..part(1) };
    assert_eq!(operator.put("/v1/tenants/shop/limits", &too_much).await.code(), "invalid-tenant");
}

#[tokio::test]
async fn tenants_that_cannot_be_made_leave_nothing() {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    let changed = |change: fn(&mut NewTenant)| {
        let mut wish = wish("shop");
        change(&mut wish);
        wish
    };
    for (wish, code) in [
        (wish("blog"), "tenant-exists"),
        (changed(|w| w.domains.push("blog.test".parse().unwrap())), "domain-taken"),
        (changed(|w| w.domains.push("shop.test".parse().unwrap())), "invalid-tenant"),
        (changed(|w| w.runtime = "node-99".parse().unwrap()), "no-such-runtime"),
        (changed(|w| w.limits.pids_max = 0), "invalid-tenant"),
        (changed(|w| w.command = vec!["x".repeat(10_000)]), "invalid-tenant"),
        (changed(|w| w.command = vec!["a\0b".into()]), "invalid-tenant"),
    ] {
        assert_eq!(operator.post("/v1/tenants", &wish).await.code(), code);
    }
    let answer = operator.post("/v1/tenants", &serde_json::json!({"name": "-x", "runtime": "static"})).await;
    assert_eq!(answer.code(), "bad-request");
    assert_eq!(operator.get("/v1/tenants").await.expect::<Vec<Tenant>>(StatusCode::OK).len(), 1);
    assert_eq!(host.world.lock().slots.len(), 1);
}

#[tokio::test]
async fn slots_run_out_and_come_back_lowest_first() {
    let host = Host::start();
    let operator = host.operator().await;
    for name in ["a", "b", "c", "d"] {
        operator.post("/v1/tenants", &wish(name)).await.expect::<Tenant>(StatusCode::CREATED);
    }
    assert_eq!(operator.post("/v1/tenants", &wish("e")).await.code(), "no-free-slot");
    host.world.lock().refuse = Some(("Wipe", Refusal::Failed("a stuck mount".into())));
    assert_eq!(operator.delete("/v1/tenants/b").await.code(), "host-failed");
    let stuck: Tenant = operator.get("/v1/tenants/b").await.expect(StatusCode::OK);
    assert_eq!(stuck.reason.as_deref(), Some("it is being removed"));
    assert_eq!(operator.deploy("b", archive(&[("server.js", 1)])).await.code(), "being-removed");
    assert_eq!(operator.post("/v1/tenants", &wish("e")).await.code(), "no-free-slot");
    host.world.lock().refuse = None;
    assert_eq!(operator.delete("/v1/tenants/b").await.status, StatusCode::NO_CONTENT);
    let made: Tenant = operator.post("/v1/tenants", &wish("e")).await.expect(StatusCode::CREATED);
    assert_eq!(made.slot, slot(1));
}

#[tokio::test]
async fn a_slot_that_cannot_be_prepared_is_given_back() {
    let host = Host::start();
    let operator = host.operator().await;
    host.world.lock().refuse = Some(("Prepare", Refusal::Failed("no space".into())));
    let answer = operator.post("/v1/tenants", &wish("a")).await;
    assert_eq!(answer.code(), "host-failed");
    assert!(String::from_utf8_lossy(&answer.body).contains("no space"));
    host.world.lock().refuse = None;
    assert_eq!(operator.get("/v1/tenants").await.expect::<Vec<Tenant>>(StatusCode::OK), []);
    operator.post("/v1/tenants", &wish("a")).await.expect::<Tenant>(StatusCode::CREATED);
}

#[tokio::test]
async fn many_at_once_neither_share_a_slot_nor_lose_one() {
    let host = Host::start();
    let operator = host.operator().await;
    let rounds = (0..4u8).map(|n| {
        let operator = operator.clone();
        tokio::spawn(async move {
            let name = format!("t{n}");
            for _ in 0..8 {
                let made: Tenant = operator.post("/v1/tenants", &wish(&name)).await.expect(StatusCode::CREATED);
                operator
                    .deploy(&name, archive(&[("server.js", 9)]))
                    .await
                    .expect::<Deployed>(StatusCode::CREATED);
                assert!(made.slot.index() < 4);
                assert_eq!(
                    operator.delete(&format!("/v1/tenants/{name}")).await.status,
                    StatusCode::NO_CONTENT
                );
            }
        })
    });
    for round in rounds.collect::<Vec<_>>() {
        round.await.unwrap();
    }
    assert!(host.world.lock().slots.is_empty());
    assert!(host.world.lock().routes.clone().unwrap().routes.is_empty());
}

#[tokio::test]
async fn of_two_who_want_the_same_name_one_gets_it() {
    let host = Host::start();
    let operator = host.operator().await;
    let ask = || {
        let operator = operator.clone();
        tokio::spawn(async move { operator.post("/v1/tenants", &wish("a")).await })
    };
    let (one, two) = (ask(), ask());
    let mut answers = [one.await.unwrap(), two.await.unwrap()];
    answers.sort_by_key(|answer| answer.status);
    assert_eq!(answers[0].status, StatusCode::CREATED);
    assert!(["busy", "tenant-exists"].contains(&answers[1].code().as_str()));
    assert_eq!(host.world.lock().slots.len(), 1);
}
