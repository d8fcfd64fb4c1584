//! Requests as the proxy counted them, every one, whether or not there is a record of it; kept in memory. They begin anew
//! with control, as Prometheus expects of what a program counts.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kennel_model::TenantName;
use kennel_model::access::{BOUNDS_US, Histogram, HostCounts, SlotCounts};

use super::text::{Kind, Page};

const TIMES: &str = "kennel_request_seconds";
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// All since control started.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    host: HostCounts,
    /// By class.
    nobodys: [u64; CLASSES.len()],
    tenants: BTreeMap<TenantName, [u64; CLASSES.len()]>,
}

impl Requests {
    /// Some more, of a tenant or of none.
    pub(crate) fn add(&self, tenant: Option<&TenantName>, counts: &SlotCounts) {
        let mut sums = self.lock();
        let of = match tenant {
            Some(name) if sums.tenants.contains_key(name) => sums.tenants.get_mut(name),
            Some(name) => Some(sums.tenants.entry(name.clone()).or_default()),
            None => Some(&mut sums.nobodys),
        };
        for (sum, more) in of.into_iter().flatten().zip(counts.statuses) {
            *sum += u64::from(more);
        }
    }

    /// Some more of all.
    pub(crate) fn add_host(&self, counts: &HostCounts) {
        self.lock().host.add(counts);
    }

    /// The tenant is gone.
    pub(crate) fn forget(&self, tenant: &TenantName) {
        self.lock().tenants.remove(tenant);
    }

    /// The families.
    pub(super) fn print(&self, page: &mut Page) {
        let sums = self.lock();
        times(page, &sums.host);
        let left_out = [("flood", sums.host.flooded), ("unread", sums.host.unread)];
        page.family(
            "kennel_access_records_total",
            Kind::Counter,
            "Requests that the proxy told of one by one.",
            [(super::NONE, sums.host.records)],
        );
        page.family(
            "kennel_access_records_left_out_total",
            Kind::Counter,
            "Requests that were only counted: their tenant had too many at once, or they were not read in time.",
            left_out.map(|(reason, n)| ([("reason", reason)], n)),
        );
        page.family(
            "kennel_unrouted_responses_total",
            Kind::Counter,
            "Answers to requests that belong to no tenant, by class of status.",
            CLASSES.iter().zip(sums.nobodys).map(|(class, n)| ([("class", *class)], n)),
        );
        let samples = sums.tenants.iter().flat_map(|(name, classes)| {
            let of_class = move |(class, n)| ([("tenant", name.as_str()), ("class", class)], n);
            CLASSES.into_iter().zip(*classes).map(of_class)
        });
        page.family(
            "kennel_tenant_responses_total",
            Kind::Counter,
            "Answers to a tenant's visitors, by class of status.",
            samples,
        );
    }

    fn lock(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn times(page: &mut Page, host: &HostCounts) {
    page.head(
        TIMES,
        "histogram",
        "Where requests' time went: in all, waiting for a wake (those that did), in the program (those it answered), and in \
         the proxy up to the answer's head.",
    );
    let durations = &host.durations;
    for (part, Histogram { counts, sum_us }) in [
        ("total", durations.total),
        ("queue", durations.queue),
        ("upstream", durations.upstream),
        ("own", durations.own),
    ] {
        let mut so_far = 0;
        let bounds = BOUNDS_US.iter().map(|us| (*us as f64 / 1e6).to_string());
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(counts) {
            so_far += count;
            page.sample(&format!("{TIMES}_bucket"), &[("part", part), ("le", &bound)], so_far);
        }
        page.sample(&format!("{TIMES}_sum"), &[("part", part)], super::seconds(sum_us, 6));
        page.sample(&format!("{TIMES}_count"), &[("part", part)], so_far);
    }
}
