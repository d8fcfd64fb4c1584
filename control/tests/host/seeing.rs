//! What tenants do and use, as control tells it: whatever ends in between, control or the host.

use hyper::StatusCode;
use kennel_model::api::Tenant;
use kennel_model::counters::{Holds, SlotCounters, Spent, Traffic};
use kennel_model::msg::{Rung, SlotEvent, ToControl};
use kennel_model::seeing::{Top, Transition, Usage};
use kennel_model::{SlotId, SlotState};

use crate::support::client::Client;
use crate::support::{Host, wish};

fn slot(n: u16) -> SlotId {
    SlotId::new(n).unwrap()
}

/// What init says of a slot from now on.
fn spends(host: &Host, n: u16, cpu_us: u64) {
    let traffic = Traffic { requests: 4, bytes_in: 10, bytes_out: 2000, queued_ms: 7 };
    let spent = Spent { cpu_us, running_kib_ms: 1000 * cpu_us, traffic, woken_frozen: 2, ..Spent::default() };
    let holds = Holds { resident: 30 << 20, ..Holds::default() };
    let counters = SlotCounters { state: SlotState::Running, since_ms: 400, holds, spent };
    let mut world = host.world.lock();
    world.uptime_ms += 1000;
    world.spent.insert(slot(n), counters);
}

/// Counters begin anew.
fn reboots(host: &Host) {
    let mut world = host.world.lock();
    world.spent.clear();
    (world.boot, world.uptime_ms) = (world.boot + 1, 0);
}

async fn with_two_tenants() -> (Host, Client) {
    let host = Host::start();
    let operator = host.operator().await;
    for name in ["blog", "shop"] {
        operator.post("/v1/tenants", &wish(name)).await.expect::<Tenant>(StatusCode::CREATED);
    }
    (host, operator)
}

/// CPU milliseconds, as the month's sums say. Control may have asked init half a second before.
async fn cpu_ms(operator: &Client, name: &str, wanted: u64) {
    let mut seen = None;
    for _ in 0..100 {
        let sums: Vec<Usage> = operator.get("/v1/usage").await.expect(StatusCode::OK);
        seen = sums.iter().find(|usage| usage.tenant == name).map(|usage| usage.used.cpu_ms);
        if seen == Some(wanted) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(seen, Some(wanted), "{name}");
    let hours: Vec<Usage> = operator.get(&format!("/v1/tenants/{name}/usage")).await.expect(StatusCode::OK);
    assert_eq!(hours.iter().map(|hour| hour.used.cpu_ms).sum::<u64>(), wanted, "{name}");
}

#[tokio::test]
async fn what_was_used_is_counted_once_whatever_ends_in_between() {
    let (mut host, operator) = with_two_tenants().await;
    spends(&host, 0, 3_000);
    spends(&host, 1, 50_000);
    cpu_ms(&operator, "blog", 3).await;
    // Control is killed, and things go on meanwhile.
    host.stop();
    spends(&host, 0, 10_000);
    host.restart();
    let operator = host.operator().await;
    cpu_ms(&operator, "blog", 10).await;
    host.stop();
    reboots(&host);
    host.restart();
    spends(&host, 0, 2_000);
    let operator = host.operator().await;
    cpu_ms(&operator, "blog", 12).await;
    cpu_ms(&operator, "shop", 50).await;
}

#[tokio::test]
async fn the_next_tenant_of_a_slot_and_of_a_name_begins_at_zero_and_the_last_ones_use_stays() {
    let (host, operator) = with_two_tenants().await;
    spends(&host, 0, 9_000);
    operator.delete("/v1/tenants/blog").await;
    host.world.lock().spent.clear();
    let again: Tenant = operator.post("/v1/tenants", &wish("other")).await.expect(StatusCode::CREATED);
    assert_eq!(again.slot, slot(0));
    spends(&host, 0, 1_000);
    cpu_ms(&operator, "other", 1).await;
    cpu_ms(&operator, "blog", 9).await;
    assert_eq!(operator.get("/v1/tenants/nobody/usage").await.code(), "no-such-tenant");
    assert_eq!(operator.get("/v1/usage?month=2026-13").await.code(), "bad-request");
    let none: Vec<Usage> = operator.get("/v1/usage?month=1999-01").await.expect(StatusCode::OK);
    assert_eq!(none, []);
}

#[tokio::test]
async fn the_account_lists_every_tenant_also_those_that_never_ran() {
    let (host, operator) = with_two_tenants().await;
    spends(&host, 1, 50_000);
    cpu_ms(&operator, "shop", 50).await;
    let sums: Vec<Usage> = operator.get("/v1/usage").await.expect(StatusCode::OK);
    let shown: Vec<_> = sums.iter().map(|sum| (sum.tenant.as_str(), sum.used.cpu_ms)).collect();
    assert_eq!(shown, [("blog", 0), ("shop", 50)]);
    assert_eq!((sums[0].from_s, sums[0].length_s), (sums[1].from_s, sums[1].length_s));
    let before: Vec<Usage> = operator.get("/v1/usage?month=2001-01").await.expect(StatusCode::OK);
    assert_eq!(before, []);
}

#[tokio::test]
async fn a_timeline_has_times_causes_and_how_long_wakes_took_and_outlives_control() {
    let (mut host, operator) = with_two_tenants().await;
    let event = |state, from, reason: &str| {
        ToControl::Slot(SlotEvent { slot: slot(0), state, from, at_ms: 5, reason: reason.into() })
    };
    for message in [
        event(SlotState::Running, Rung::Stopped, "GET /"),
        ToControl::Woken { slot: slot(0), from: Rung::Stopped, took_ms: 180 },
        event(SlotState::Frozen, Rung::Running, "not needed for 30 s"),
    ] {
        host.world.tell(&message);
    }
    let told = timeline_of(&operator, "blog", 2).await;
    let words: Vec<_> = told.iter().map(|t| (t.state, t.from, t.took_ms, t.reason.as_str())).collect();
    assert_eq!(
        words,
        [
            (SlotState::Running, Rung::Stopped, Some(180), "GET /"),
            (SlotState::Frozen, Rung::Running, None, "not needed for 30 s"),
        ]
    );
    let metrics = String::from_utf8(operator.get("/v1/metrics").await.body.to_vec()).unwrap();
    assert!(metrics.contains("kennel_wake_seconds_bucket{from=\"stopped\",le=\"0.25\"} 1\n"), "{metrics}");
    host.stop();
    host.restart();
    let operator = host.operator().await;
    assert_eq!(timeline_of(&operator, "blog", 2).await, told);
    assert_eq!(timeline_of(&operator, "shop", 0).await, []);
    let last: Vec<Transition> = operator.get("/v1/tenants/blog/timeline?lines=1").await.expect(StatusCode::OK);
    assert_eq!(last, told[1..]);
    assert_eq!(operator.get("/v1/tenants/nobody/timeline").await.code(), "no-such-tenant");
}

/// Once it has so many rows.
async fn timeline_of(operator: &Client, name: &str, rows: usize) -> Vec<Transition> {
    loop {
        let told: Vec<Transition> =
            operator.get(&format!("/v1/tenants/{name}/timeline")).await.expect(StatusCode::OK);
        if told.len() >= rows && told.first().is_none_or(|first| first.took_ms.is_some()) {
            return told;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn top_shows_every_tenant_also_those_that_never_ran() {
    let (host, operator) = with_two_tenants().await;
    spends(&host, 1, 1_000);
    let top = loop {
        let top: Top = operator.get("/v1/top").await.expect(StatusCode::OK);
        if top.tenants[1].for_ms.is_some() {
            break top;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(top.tenants.iter().map(|t| t.tenant.as_str()).collect::<Vec<_>>(), ["blog", "shop"]);
    let [blog, shop] = &top.tenants[..] else { panic!() };
    assert_eq!((blog.state, blog.for_ms, blog.spent), (SlotState::Stopped, None, Spent::default()));
    assert_eq!((shop.state, shop.for_ms), (SlotState::Running, Some(top.uptime_ms - 400)));
    assert_eq!((shop.holds.resident, shop.spent.traffic.requests), (30 << 20, 4));
}
