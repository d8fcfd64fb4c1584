//! What two looks at a host say together: a row for each tenant, with what goes on between them as rates.

use kennel_model::seeing::{Top, TopTenant};
use serde::Serialize;

use crate::args::SortKey;

/// One tenant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    /// As the host says.
    #[serde(flatten)]
    pub(super) now: TopTenant,
    /// Processor time in milliseconds a second.
    pub(super) cpu_ms_per_s: f64,
    /// Requests a second.
    pub(super) requests_per_s: f64,
    /// How long a request waited for a wake, in milliseconds: the mean of those that came between the looks.
    pub(super) queued_ms_per_request: Option<f64>,
}

/// The rows of a look, with the rates since the one before.
pub(super) fn rows(before: &Top, now: &Top) -> Vec<Row> {
    let same_boot = before.boot == now.boot;
    let seconds = if same_boot { now.uptime_ms.saturating_sub(before.uptime_ms) as f64 / 1000.0 } else { 0.0 };
    let row = |tenant: &TopTenant| {
        let earlier = before.tenants.iter().find(|t| t.tenant == tenant.tenant).filter(|_| same_boot);
        // Without an earlier look there is no rate: what it has spent may be of any time.
        let spent = earlier.map(|earlier| tenant.spent.since(&earlier.spent)).unwrap_or_default();
        let rate = |n: f64| if seconds > 0.0 { n / seconds } else { 0.0 };
        let (requests, queued_ms) = (spent.traffic.requests as f64, spent.traffic.queued_ms as f64);
        Row {
            now: tenant.clone(),
            cpu_ms_per_s: rate(spent.cpu_us as f64 / 1000.0),
            requests_per_s: rate(requests),
            queued_ms_per_request: (requests > 0.0).then(|| queued_ms / requests),
        }
    };
    now.tenants.iter().map(row).collect()
}

/// The largest first; equals by name.
pub(super) fn sort(rows: &mut [Row], key: SortKey) {
    let value = |row: &Row| match key {
        SortKey::Name => 0.0,
        SortKey::Cpu => row.cpu_ms_per_s,
        SortKey::Memory => row.now.holds.resident as f64,
        SortKey::Swap => row.now.holds.swap as f64,
        SortKey::Wakes => row.now.spent.woken() as f64,
        SortKey::Requests => row.requests_per_s,
        SortKey::Denials => row.now.denials as f64,
    };
    rows.sort_by(|a, b| value(b).total_cmp(&value(a)).then_with(|| a.now.tenant.cmp(&b.now.tenant)));
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use kennel_model::SlotState;
    use kennel_model::counters::{Holds, Spent, Traffic};

    pub(in super::super) fn tenant(name: &str, cpu_us: u64, requests: u64) -> TopTenant {
        let traffic = Traffic { requests, queued_ms: 10 * requests, ..Traffic::default() };
        TopTenant {
            tenant: name.parse().unwrap(),
            state: SlotState::Running,
            for_ms: Some(65_000),
            reason: Some("started".into()),
            last_wake: Some("GET / from 192.0.2.1".into()),
            holds: Holds { resident: 45 << 20, swap: 3 << 20, ..Holds::default() },
            spent: Spent { cpu_us, traffic, woken_stopped: 4, ..Spent::default() },
            denials: 2,
        }
    }

    pub(in super::super) fn look(uptime_ms: u64, tenants: Vec<TopTenant>) -> Top {
        Top {
            boot: "1".into(),
            uptime_ms,
            memory_total_bytes: 2 << 30,
            memory_available_bytes: 1 << 30,
            tenants,
        }
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let before = look(1000, vec![tenant("a", 500_000, 4), tenant("b", 0, 0)]);
        let now = look(3000, vec![tenant("a", 1_500_000, 10), tenant("b", 0, 0), tenant("new", 9, 9)]);
        let rows = rows(&before, &now);
        let rates: Vec<_> =
            rows.iter().map(|r| (r.cpu_ms_per_s, r.requests_per_s, r.queued_ms_per_request)).collect();
        assert_eq!(rates, [(500.0, 3.0, Some(10.0)), (0.0, 0.0, None), (0.0, 0.0, None)]);
    }

    #[test]
    fn a_host_that_has_started_anew_has_no_rates_yet() {
        let before = look(9000, vec![tenant("a", 500_000, 4)]);
        let now = Top { boot: "2".into(), ..look(100, vec![tenant("a", 700_000, 8)]) };
        assert_eq!(rows(&before, &now)[0].cpu_ms_per_s, 0.0);
        let same = rows(&before, &before);
        assert_eq!(same[0].cpu_ms_per_s, 0.0, "no time has passed");
    }

    #[test]
    fn the_largest_comes_first() {
        let before = look(0, vec![tenant("a", 0, 0), tenant("b", 0, 0), tenant("c", 0, 0)]);
        let now = look(1000, vec![tenant("a", 5, 3), tenant("b", 9, 1), tenant("c", 5, 2)]);
        let order = |key| {
            let mut rows = rows(&before, &now);
            sort(&mut rows, key);
            rows.iter().map(|r| r.now.tenant.to_string()).collect::<String>()
        };
        assert_eq!(
            (order(SortKey::Cpu), order(SortKey::Requests), order(SortKey::Name)),
            ("bac".into(), "acb".into(), "abc".into())
        );
    }
}
