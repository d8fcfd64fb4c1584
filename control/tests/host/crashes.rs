//! Control is killed at every request that it makes of init, before and after init has acted on it, and the host is cut
//! off at the same points. After the next start everything acknowledged is there and nothing else.

use hyper::StatusCode;
use kennel_model::api::Tenant;
use kennel_model::{Limits, ReleaseId, SlotId};

use crate::support::client::{Answer, Client};
use crate::support::world::Break;
use crate::support::{Host, archive, wish};

/// More requests than any act makes.
const MOST_REQUESTS: usize = 20;

/// What is cut off.
#[derive(Clone, Copy, Debug)]
enum Act {
    Add,
    Deploy,
    /// One that is tried first.
    TriedDeploy,
    Rollback,
    /// To one that is tried first.
    TriedRollback,
    SetEnv,
    Remove,
}

impl Act {
    /// Does it; nothing when control went away over it.
    async fn try_do(self, operator: &Client) -> Option<Answer> {
        let operator = operator.clone();
        let doing = async move {
            match self {
                Self::Add => operator.post("/v1/tenants", &wish("shop")).await,
                Self::Deploy | Self::TriedDeploy => {
                    operator.deploy("blog", archive(&[("server.js", 20)])).await
                }
                Self::Rollback | Self::TriedRollback => {
                    operator.post("/v1/tenants/blog/rollback", &serde_json::json!({})).await
                }
                Self::SetEnv => {
                    operator.post("/v1/tenants/blog/env", &serde_json::json!({"set": {"A": "1"}})).await
                }
                Self::Remove => operator.delete("/v1/tenants/blog").await,
            }
        };
        // A connection that breaks makes the client panic.
        tokio::spawn(doing).await.ok()
    }
}

/// A host with the running tenant `blog` and its first release, whose old releases are kept short.
async fn prepared() -> (Host, Client) {
    let host = Host::start_with(&crate::uploads::user_data(), |config| config.keep_releases = 1);
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    assert_eq!(operator.deploy("blog", archive(&[("server.js", 10)])).await.status, StatusCode::CREATED);
    operator.post("/v1/tenants/blog/start", &()).await.expect::<Tenant>(StatusCode::OK);
    (host, operator)
}

/// The same with what the act needs.
async fn prepared_for(act: Act) -> (Host, Client) {
    let (host, operator) = match act {
        Act::Rollback | Act::TriedRollback | Act::SetEnv => two_releases().await,
        Act::Add | Act::Deploy | Act::TriedDeploy | Act::Remove => prepared().await,
    };
    if matches!(act, Act::TriedDeploy | Act::TriedRollback) {
        operator.put("/v1/tenants/blog/limits", &Limits::default()).await.expect::<Tenant>(StatusCode::OK);
    }
    (host, operator)
}

async fn two_releases() -> (Host, Client) {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    for _ in 0..2 {
        let deployed = operator.deploy("blog", archive(&[("server.js", 10)])).await;
        assert_eq!(deployed.status, StatusCode::CREATED);
    }
    operator.post("/v1/tenants/blog/start", &()).await.expect::<Tenant>(StatusCode::OK);
    (host, operator)
}

/// Cuts the act at each of its requests until it gets through uncut; gives how many cuts there were.
async fn cut_everywhere(act: Act, acted: bool, power: bool) -> usize {
    for nth in 1..MOST_REQUESTS {
        let (mut host, operator) = prepared_for(act).await;
        let at = host.world.lock().requests.len() + nth;
        host.world.lock().break_at = Some(Break { at, acted });
        let answer = act.try_do(&operator).await;
        if host.world.lock().requests.len() < at {
            assert!(answer.unwrap().status.is_success(), "{act:?} uncut");
            return nth - 1;
        }
        assert!(host.ended().is_err(), "{act:?} cut at {nth}");
        // `kennel-unpack` sees the end of its archive and comes to its end as well.
        host.world.wait("unpacking ends", |world| world.slots.values().all(|slot| slot.incoming.is_none()));
        host.world.lock().break_at = None;
        if power {
            host.world.cut_power();
        }
        host.restart();
        let case = format!("{act:?} cut at request {nth}, acted {acted}, power cut {power}");
        consistent(&host, act, &case).await;
    }
    panic!("{act:?} never gets through");
}

/// What must hold after every cut, and that the act can then be done.
async fn consistent(host: &Host, act: Act, case: &str) {
    let operator = host.operator().await;
    let tenants = settled(&operator, act, case).await;
    let names: Vec<_> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    match act {
        Act::Add => assert!(names == ["blog"] || names == ["blog", "shop"], "{case}: {names:?}"),
        Act::Deploy | Act::TriedDeploy => assert_eq!(names, ["blog"], "{case}"),
        Act::Rollback | Act::TriedRollback | Act::SetEnv => {
            let releases: Vec<_> = tenants[0].releases.iter().map(|release| release.id.0).collect();
            assert_eq!(releases, [1, 2], "{case}: both are kept, and no other");
            assert_eq!(tenants[0].current, Some(ReleaseId(2)), "{case}: what was cut off is undone");
        }
        Act::Remove => assert!(names == ["blog"] || names.is_empty(), "{case}: {names:?}"),
    }
    like_the_world(host, &tenants, case);
    let done = match act {
        Act::Add => names.contains(&"shop"),
        Act::Deploy | Act::TriedDeploy | Act::Rollback | Act::TriedRollback | Act::SetEnv => false,
        Act::Remove => names.is_empty(),
    };
    if done {
        return;
    }
    let answer = act.try_do(&operator).await.expect("an answer");
    assert!(answer.status.is_success(), "{case}, again: {answer:?}");
    let tenants: Vec<Tenant> = operator.get("/v1/tenants").await.expect(StatusCode::OK);
    like_the_world(host, &tenants, case);
}

/// The tenants, once control has finished in the background what was cut off.
async fn settled(operator: &Client, act: Act, case: &str) -> Vec<Tenant> {
    for _ in 0..2000 {
        // An act on a tenant that is being finished is refused as busy; a stop does no harm.
        let blog = operator.post("/v1/tenants/blog/stop", &()).await;
        let shop = operator.post("/v1/tenants/shop/stop", &()).await;
        let waiting = |answer: &Answer| answer.status == StatusCode::CONFLICT;
        if !waiting(&blog) && !waiting(&shop) {
            return operator.get("/v1/tenants").await.expect(StatusCode::OK);
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{case}: {act:?} is never finished");
}

/// The registry and the host agree: on slots, on releases, on what would run, on the routes.
fn like_the_world(host: &Host, tenants: &[Tenant], case: &str) {
    let world = host.world.lock();
    let registered: Vec<SlotId> = tenants.iter().map(|tenant| tenant.slot).collect();
    let mut prepared: Vec<SlotId> = world.slots.keys().copied().collect();
    prepared.sort_by_key(|slot| registered.iter().position(|r| r == slot));
    assert_eq!(prepared, registered, "{case}: slots");
    for tenant in tenants {
        let slot = &world.slots[&tenant.slot];
        let files = tenant.releases.iter().map(|release| release.files.unwrap_or(release.id).0);
        assert_eq!(slot.releases, files.collect(), "{case}: files");
        assert_eq!(slot.spec.as_ref().map(|spec| spec.release), tenant.current, "{case}: what would run");
        let running = slot.running.as_ref().map(|spec| spec.release);
        assert!(running.is_none() || running == tenant.current, "{case}: {running:?} runs");
        assert!(tenant.current >= Some(ReleaseId(1)) || tenant.name.as_str() == "shop", "{case}: lost");
    }
    let mut routed: Vec<_> =
        world.routes.iter().flat_map(|table| &table.routes).map(|r| r.domain.clone()).collect();
    routed.sort();
    let mut wanted: Vec<_> = tenants.iter().flat_map(|tenant| tenant.domains.clone()).collect();
    wanted.sort();
    assert_eq!(routed, wanted, "{case}: routes");
}

#[tokio::test]
async fn adding() {
    for (acted, power) in [(false, false), (true, false), (false, true), (true, true)] {
        assert_eq!(cut_everywhere(Act::Add, acted, power).await, 3);
    }
}

#[tokio::test]
async fn deploying() {
    for (acted, power) in [(false, false), (true, false), (false, true), (true, true)] {
        assert_eq!(cut_everywhere(Act::Deploy, acted, power).await, 5);
    }
}

#[tokio::test]
async fn deploying_what_is_tried_first() {
    for (acted, power) in [(false, false), (true, false), (false, true), (true, true)] {
        assert_eq!(cut_everywhere(Act::TriedDeploy, acted, power).await, 7);
    }
}

#[tokio::test]
async fn rolling_back_to_what_is_tried_first() {
    for (acted, power) in [(false, false), (true, false), (false, true), (true, true)] {
        assert_eq!(cut_everywhere(Act::TriedRollback, acted, power).await, 5);
    }
}

#[tokio::test]
async fn removing() {
    for (acted, power) in [(false, false), (true, false), (false, true), (true, true)] {
        assert_eq!(cut_everywhere(Act::Remove, acted, power).await, 3);
    }
}

#[tokio::test]
async fn rolling_back() {
    for (acted, power) in [(false, false), (true, false), (false, true), (true, true)] {
        assert_eq!(cut_everywhere(Act::Rollback, acted, power).await, 4);
    }
}

#[tokio::test]
async fn setting_variables() {
    for (acted, power) in [(false, false), (true, false), (false, true), (true, true)] {
        assert_eq!(cut_everywhere(Act::SetEnv, acted, power).await, 4);
    }
}

/// A deploy that was cut after its commit, so that the start after it has the most to do. Gives the number of requests
/// before that start.
async fn cut_after_commit() -> (Host, usize) {
    let (mut host, operator) = prepared().await;
    let at = host.world.lock().requests.len() + 2;
    host.world.lock().break_at = Some(Break { at, acted: false });
    Act::Deploy.try_do(&operator).await;
    assert!(host.ended().is_err());
    host.world.lock().break_at = None;
    (host, at)
}

#[tokio::test]
async fn starting_again_and_again() {
    let (mut host, before) = cut_after_commit().await;
    host.restart();
    consistent_after_start(&host).await;
    let all = host.world.lock().requests.len() - before;
    assert!(all >= 8, "a start that has a deploy to finish made {all} requests only");
    for nth in 1..=all {
        let (mut host, before) = cut_after_commit().await;
        host.world.lock().break_at = Some(Break { at: before + nth, acted: nth % 2 == 0 });
        host.restart();
        assert!(host.ended().is_err());
        host.world.lock().break_at = None;
        host.restart();
        consistent_after_start(&host).await;
    }
}

async fn consistent_after_start(host: &Host) {
    let operator = host.operator().await;
    let tenants = settled(&operator, Act::Deploy, "a start").await;
    assert_eq!(tenants[0].current, Some(ReleaseId(2)), "the release was acknowledged by its commit");
    like_the_world(host, &tenants, "a start");
}

#[tokio::test]
async fn a_program_without_a_tenant_is_stopped() {
    let (mut host, operator) = prepared().await;
    host.stop();
    drop(operator);
    // As if the registry had come from a backup older than the tenant.
    host.world.lock().routes = None;
    host.world.lock().certificates = None;
    std::fs::remove_file(host.config.registry_file()).unwrap();
    let _ = std::fs::remove_file(host.config.control_dir.join("registry.sqlite-wal"));
    host.restart();
    host.world.wait("it is stopped", |world| world.slots.values().all(|slot| slot.running.is_none()));
}
