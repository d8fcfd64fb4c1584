//! What people are shown of what tenants do and use.

use kennel_model::SlotState;
use kennel_model::counters::{Holds, Spent, Traffic};
use kennel_model::msg::Rung;
use kennel_model::seeing::{Top, TopTenant, Transition, Usage, Used};

use crate::support::{at_home, result};

/// What the host says now: an hour after it started, and so many seconds later.
pub(crate) fn top(second: u64) -> Top {
    let traffic = Traffic { requests: 10 * second, queued_ms: 50 * second, ..Traffic::default() };
    let blog = TopTenant {
        tenant: "blog".parse().unwrap(),
        state: SlotState::Running,
        for_ms: Some(61_000),
        reason: Some("needed again".into()),
        last_wake: Some("needed again".into()),
        holds: Holds { resident: 45 << 20, swap: 0, ..Holds::default() },
        spent: Spent { cpu_us: 250_000 * second, traffic, woken_frozen: 3, ..Spent::default() },
        denials: 2,
    };
    let shop = TopTenant {
        tenant: "shop".parse().unwrap(),
        state: SlotState::Stopped,
        for_ms: None,
        reason: None,
        last_wake: None,
        holds: Holds::default(),
        spent: Spent::default(),
        denials: 0,
    };
    Top {
        boot: "00".into(),
        uptime_ms: 3_600_000 + 1000 * second,
        memory_total_bytes: 2 << 30,
        memory_available_bytes: 1 << 30,
        tenants: vec![blog, shop],
    }
}

/// An hour of November 2026.
pub(crate) fn usage() -> Vec<Usage> {
    let used = Used { cpu_ms: 1500, requests: 12, bytes_out: 4096, ..Used::default() };
    vec![Usage { tenant: "blog".into(), from_s: 1_793_491_200, length_s: 3600, used }]
}

/// A start and a freeze.
pub(crate) fn timeline() -> Vec<Transition> {
    let change = |at_ms, state, from, took_ms, reason: &str| Transition {
        at_ms,
        state,
        from,
        took_ms,
        reason: reason.into(),
    };
    vec![
        change(1_793_491_200_000, SlotState::Running, Rung::Stopped, Some(310), "started"),
        change(1_793_491_230_000, SlotState::Frozen, Rung::Running, None, "not needed for 30 s"),
    ]
}

fn printed(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn top_looks_twice_and_shows_what_goes_on() {
    let (home, host) = at_home();
    let text = printed(&home.kennel(&["top", "--once"]).output().unwrap());
    let [summary, _, heading, blog, shop] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(summary.contains("1G of 2G memory free, 2 tenants: 1 running, 1 stopped"), "{text}");
    assert!(
        heading.starts_with("TENANT  STATE")
            && blog.starts_with("blog    running")
            && shop.starts_with("shop    stopped")
    );
    assert!(blog.contains("  250  ") && blog.contains("  10  ") && blog.contains("  5 ms  "), "{text}");
    assert_eq!(host.requests().iter().filter(|r| *r == "GET /v1/top").count(), 2);
    let document = result(&home.kennel(&["--json", "top", "--sort", "name"]).output().unwrap());
    assert_eq!(document["tenants"][0]["cpu_ms_per_s"], 250.0);
    assert_eq!(document["tenants"][0]["holds"]["resident"], 45 << 20);
    assert_eq!(document["tenants"][1]["state"], "stopped");
}

#[test]
fn usage_is_for_people_spreadsheets_and_programs() {
    let (home, host) = at_home();
    let of = |args: &[&str]| home.kennel(args).output().unwrap();
    let text = printed(&of(&["usage", "blog", "--month", "2026-11"]));
    assert!(text.contains("\n2026-11-01  1.50 s") && text.contains("\n2026-11     1.50 s"), "{text}");
    assert!(host.requests().contains(&"GET /v1/tenants/blog/usage?month=2026-11".to_owned()));
    assert!(printed(&of(&["usage"])).starts_with("TENANT  CPU"), "a line for each tenant");
    assert!(printed(&of(&["usage", "--csv"])).contains("\nblog,2026-11-01T00:00:00Z,3600,1500,"));
    assert_eq!(result(&of(&["--json", "usage"]))[0]["requests"], 12);
    assert_eq!(of(&["usage", "--month", "november"]).status.code(), Some(64));
}

#[test]
fn a_timeline_reads_from_top_to_bottom() {
    let (home, _host) = at_home();
    let text = printed(&home.kennel(&["tenant", "timeline", "blog", "-n", "2"]).output().unwrap());
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[1], "2026-11-01 00:00:00.000  running  stopped  310 ms  started");
    assert_eq!(lines[2], "2026-11-01 00:00:30.000  frozen   running          not needed for 30 s");
    assert_eq!(
        result(&home.kennel(&["--json", "tenant", "timeline", "blog"]).output().unwrap())[0]["took_ms"],
        310
    );
}

#[test]
fn metrics_come_as_they_are() {
    let (home, _host) = at_home();
    assert_eq!(printed(&home.kennel(&["host", "metrics"]).output().unwrap()), "kennel_slots 4\n");
}
