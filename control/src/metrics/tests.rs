//! The page, read by a strict reader: families are whole and once there, names and labels are as Prometheus wants them.

use std::collections::{BTreeMap, BTreeSet};

use kennel_model::access::{HostCounts, SlotCounts, Took};
use kennel_model::msg::{Rung, ServiceStatus};

use super::*;

/// A sample's labels, as they are written.
type Labels = Vec<(String, String)>;

/// What a page says: samples by name, types by family.
#[derive(Debug, Default)]
struct Read {
    types: BTreeMap<String, String>,
    samples: BTreeMap<String, Vec<(Labels, f64)>>,
}

fn is_name(text: &str) -> bool {
    let first = text.bytes().next().unwrap();
    (first.is_ascii_lowercase() || first == b'_')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Labels up to the closing brace, and what follows.
fn labels(mut text: &str) -> (Labels, &str) {
    let mut found = Labels::new();
    loop {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(is_name(name), "{name}");
        let (mut value, mut end, mut escaped) = (String::new(), None, false);
        for (at, c) in rest.char_indices() {
            match (escaped, c) {
                (true, 'n') => value.push('\n'),
                (true, '\\' | '"') => value.push(c),
                (true, other) => panic!("\\{other}"),
                (false, '"') => {
                    end = Some(at);
                    break;
                }
                (false, '\\') => {}
                (false, c) => value.push(c),
            }
            escaped = !escaped && c == '\\';
        }
        assert!(found.iter().all(|(other, _)| other != name), "{name} twice");
        found.push((name.to_owned(), value));
        let rest = &rest[end.unwrap() + 1..];
        match rest.strip_prefix(',') {
            Some(next) => text = next,
            None => return (found, rest.strip_prefix('}').unwrap()),
        }
    }
}

fn read(page: &str) -> Read {
    assert!(page.ends_with('\n'));
    let (mut read, mut family, mut helped) = (Read::default(), String::new(), BTreeSet::new());
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').unwrap();
            assert!(is_name(name) && name.starts_with("kennel_") && !text.contains('\\'), "{line}");
            assert!(helped.insert(name.to_owned()), "{name} is there twice");
            family = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family, "TYPE follows HELP");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(read.types.insert(name.to_owned(), kind.to_owned()).is_none());
        } else {
            sample(&mut read, &family, line);
        }
    }
    assert_eq!(helped.len(), read.types.len());
    read
}

fn sample(read: &mut Read, family: &str, line: &str) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, rest) = line.split_at(end);
    let parts = ["_bucket", "_sum", "_count"].map(|part| format!("{family}{part}"));
    let fits =
        if read.types[family] == "histogram" { parts.contains(&name.to_owned()) } else { name == family };
    assert!(fits, "{line} is not of {family}");
    let (labels, rest) = rest.strip_prefix('{').map_or((vec![], rest), labels);
    let value = rest.strip_prefix(' ').unwrap().parse().unwrap();
    let samples = read.samples.entry(name.to_owned()).or_default();
    assert!(samples.iter().all(|(other, _)| *other != labels), "{line} is there twice");
    samples.push((labels, value));
}

fn tenant(name: &str, state: SlotState) -> TopTenant {
    let spent = Spent::of(std::array::from_fn(|n| 1_500_000 * (n as u64 + 1)));
    TopTenant {
        tenant: name.parse().unwrap(),
        state,
        for_ms: Some(5),
        reason: None,
        last_wake: None,
        holds: Holds { resident: 9, swap: 7, reclaimed: 8192, ..Holds::default() },
        spent,
        denials: 3,
    }
}

fn host() -> Host {
    let json = serde_json::json!({
        "version": "0.1.0 \"odd\\", "slots": 4, "slots_used": 2, "running": 1, "runtimes": [],
        "services": [ServiceStatus { name: "proxy".into(), pid: None, restarts: 2 }],
        "uptime_ms": 61_005, "memory_total_bytes": 10, "memory_available_bytes": 5,
        "data_total_bytes": 4, "data_available_bytes": 3,
        "memory_pressure": {"some_avg10_bp": 1402, "full_avg10_bp": 310},
        "memory_reclaimed": {"anon_bytes": 40_960, "file_bytes": 12_288},
    });
    serde_json::from_value(json).unwrap()
}

fn top(tenants: Vec<TopTenant>) -> Top {
    Top { boot: "0".into(), uptime_ms: 5, memory_total_bytes: 10, memory_available_bytes: 5, tenants }
}

fn value(read: &Read, name: &str, wanted: &[(&str, &str)]) -> f64 {
    let fits = |labels: &Labels| wanted.iter().all(|(n, v)| labels.iter().any(|(a, b)| a == n && b == v));
    let found: Vec<_> = read.samples[name].iter().filter(|(labels, _)| fits(labels)).collect();
    assert_eq!(found.len(), 1, "{name} {wanted:?}");
    found[0].1
}

/// Of two tenants and of one that is gone.
fn requests() -> Requests {
    let requests = Requests::default();
    let name = |name: &str| name.parse::<kennel_model::TenantName>().unwrap();
    for _ in 0..2 {
        let counts = SlotCounts { statuses: [0, 7, 0, 0, 1], ..SlotCounts::default() };
        requests.add(Some(&name("blog")), &counts);
        requests.add(Some(&name("gone")), &counts);
    }
    requests.forget(&name("gone"));
    requests.add(None, &SlotCounts { statuses: [0, 0, 0, 9, 0], ..SlotCounts::default() });
    let mut host = HostCounts { records: 20, flooded: 5, ..HostCounts::default() };
    host.durations.observe(&Took { total_us: 180_000, queue_us: Some(170_000), upstream_us: None, own_us: 70 });
    host.durations.observe(&Took { total_us: 900, queue_us: None, upstream_us: Some(850), own_us: 50 });
    requests.add_host(&host);
    requests
}

fn page_has(read: &Read, tenant: &str) -> bool {
    read.samples.values().flatten().any(|(labels, _)| labels.iter().any(|(_, value)| value == tenant))
}

#[test]
fn the_page_is_as_prometheus_reads_it() {
    let wakes = Wakes::default();
    for (from, took_ms) in [(Rung::Frozen, 2), (Rung::Frozen, 3), (Rung::Frozen, 99_000), (Rung::Stopped, 700)]
    {
        wakes.observe(from, took_ms);
    }
    let top = top(vec![tenant("blog", SlotState::Frozen), tenant("shop", SlotState::Running)]);
    let read = read(&page(&top, &host(), &wakes, &requests()).finish());
    assert_eq!(value(&read, "kennel_build_info", &[("version", "0.1.0 \"odd\\")]), 1.0);
    assert_eq!(value(&read, "kennel_uptime_seconds", &[]), 61.005);
    assert_eq!(value(&read, "kennel_memory_pressure_ratio", &[("waiting", "some")]), 0.1402);
    assert_eq!(value(&read, "kennel_memory_reclaimed_bytes_total", &[("kind", "anon")]), 40_960.0);
    assert_eq!(value(&read, "kennel_tenant_reclaimed_bytes_total", &[("tenant", "shop")]), 8192.0);
    assert_eq!(value(&read, "kennel_service_restarts_total", &[("service", "proxy")]), 2.0);
    assert_eq!(value(&read, "kennel_tenants", &[("state", "frozen")]), 1.0);
    assert_eq!(value(&read, "kennel_tenant_state", &[("tenant", "shop")]), 1.0);
    assert_eq!(value(&read, "kennel_tenant_cpu_seconds_total", &[("tenant", "blog")]), 1.5);
    assert_eq!(
        value(&read, "kennel_tenant_memory_byte_seconds_total", &[("tenant", "blog"), ("rung", "frozen")]),
        4_500_000.0 * 1.024
    );
    let bucket = |from, le| value(&read, "kennel_wake_seconds_bucket", &[("from", from), ("le", le)]);
    assert_eq!(
        ["0.001", "0.002", "0.005", "60", "+Inf"].map(|le| bucket("frozen", le)),
        [0.0, 1.0, 2.0, 2.0, 3.0]
    );
    assert_eq!(value(&read, "kennel_request_seconds_bucket", &[("part", "queue"), ("le", "0.25")]), 1.0);
    assert_eq!(value(&read, "kennel_request_seconds_bucket", &[("part", "queue"), ("le", "0.1")]), 0.0);
    assert_eq!(value(&read, "kennel_request_seconds_count", &[("part", "total")]), 2.0);
    assert_eq!(value(&read, "kennel_request_seconds_sum", &[("part", "own")]), 0.000_12);
    let answers =
        |tenant, class| value(&read, "kennel_tenant_responses_total", &[("tenant", tenant), ("class", class)]);
    assert_eq!((answers("blog", "2xx"), answers("blog", "5xx")), (14.0, 2.0));
    assert_eq!(value(&read, "kennel_unrouted_responses_total", &[("class", "4xx")]), 9.0);
    assert!(!page_has(&read, "gone"), "a tenant that is gone is not counted any more");
    assert_eq!(value(&read, "kennel_access_records_left_out_total", &[("reason", "flood")]), 5.0);
    assert_eq!(value(&read, "kennel_wake_seconds_sum", &[("from", "stopped")]), 0.7);
    assert_eq!(value(&read, "kennel_wake_seconds_count", &[("from", "reclaimed")]), 0.0);
}

#[test]
fn a_host_without_tenants_has_a_page_too() {
    let read = read(&page(&top(vec![]), &host(), &Wakes::default(), &Requests::default()).finish());
    assert!(!read.types.contains_key("kennel_tenant_state"));
    assert_eq!(value(&read, "kennel_tenants", &[("state", "running")]), 0.0);
}
