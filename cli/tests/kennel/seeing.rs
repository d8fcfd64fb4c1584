//! What people are shown of what tenants do and use.

use kennel_model::SlotState;
use kennel_model::access::{Ended, Id, LeftOut, Line, Visit};
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

/// A request that was answered, and some that were only counted.
pub(crate) fn visits() -> String {
    let visit = Visit {
        at_ms: 1_793_491_200_000,
        tenant: Some("blog".into()),
        host: "blog.example".into(),
        client: "192.0.2.7".parse().unwrap(),
        method: "GET".into(),
        target: "/a?b=c".into(),
        protocol: "HTTP/1.1".into(),
        status: 200,
        bytes_in: 0,
        bytes_out: 2048,
        referer: None,
        agent: Some("curl/8.9.1".into()),
        id: Id([1; 16]),
        trace: Id([2; 16]),
        fault: None,
        ended: Ended::Whole,
        total_us: 12_300,
        queue_us: None,
        upstream_us: Some(12_000),
        own_us: 300,
    };
    let left_out = LeftOut { at_ms: 1_793_491_201_000, tenant: Some("blog".into()), left_out: 40 };
    let lines = [Line::Visit(Box::new(visit)), Line::LeftOut(left_out)];
    lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n").collect()
}

/// A start and a freeze.
pub(crate) fn timeline() -> Vec<Transition> {
    let change = |at_ms, state, from, took_ms, reason: &str| Transition {
        at_ms,
        state,
        from,
        took_ms,
        reason: reason.into(),
        note: false,
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

#[test]
fn access_logs_are_for_people_tools_and_programs() {
    let (home, host) = at_home();
    let of = |args: &[&str]| home.kennel(args).output().unwrap();
    let combined =
        "192.0.2.7 - - [01/Nov/2026:00:00:00 +0000] \"GET /a?b=c HTTP/1.1\" 200 2048 \"-\" \"curl/8.9.1\"\n";
    let shown = of(&["logs", "blog", "--access"]);
    assert!(String::from_utf8_lossy(&shown.stderr).contains("40 more came"), "{shown:?}");
    assert_eq!(printed(&shown), combined);
    assert_eq!(printed(&of(&["logs", "blog", "--access", "-f", "--since", "1h"])), combined);
    let json = printed(&of(&["logs", "--access", "--format", "json", "-n", "5"]));
    let lines: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["target"], &lines[1]["left_out"]), (&"/a?b=c".into(), &40.into()));
    assert_eq!(result(&of(&["--json", "logs", "blog", "--access"]))[0]["total_us"], 12_300);
    let asked: Vec<_> = host.requests().into_iter().filter(|r| r.contains("access")).collect();
    assert_eq!(
        asked,
        [
            "GET /v1/tenants/blog/access?lines=50&follow=false",
            "GET /v1/tenants/blog/access?lines=10000&follow=true&since_s=3600",
            "GET /v1/access?lines=5&follow=false",
            "GET /v1/tenants/blog/access?lines=50&follow=false",
        ]
    );
    for bad in [
        &["logs"][..],
        &["logs", "--release", "1"],
        &["logs", "blog", "--access", "--since", "x"],
        &["logs", "blog", "--access", "--release", "1"],
    ] {
        assert_eq!(of(bad).status.code(), Some(64), "{bad:?}");
    }
}

#[test]
fn traffic_is_a_line_for_each_request() {
    let (home, host) = at_home();
    let text = printed(&home.kennel(&["traffic", "blog"]).output().unwrap());
    let [heading, visit, left_out] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    assert!(
        heading.starts_with("WHEN (UTC)") && visit.contains("  200   12.3 ms         -        2K  blog "),
        "{text}"
    );
    assert!(visit.ends_with("GET blog.example/a?b=c") && left_out.contains("40 more of blog"), "{text}");
    let json = printed(&home.kennel(&["--json", "traffic", "--once", "-n", "3"]).output().unwrap());
    assert_eq!(json, visits());
    let asked: Vec<_> = host.requests().into_iter().filter(|r| r.contains("traffic")).collect();
    assert_eq!(
        asked,
        ["GET /v1/tenants/blog/traffic?lines=10&follow=true", "GET /v1/traffic?lines=3&follow=false"]
    );
}
