//! The account of what tenants use, as a pure book: it is shown looks at counters, charges what was spent between two of
//! them to an hour, and says what has to be written. Durations are of the clock that nobody can set; the time of day only
//! names the hour, so that a clock that is put right neither invents nor loses anything.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use kennel_model::TenantName;
use kennel_model::counters::Spent;
use serde::{Deserialize, Serialize};

/// What counters said at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Which start of the host: counters begin anew with it.
    pub boot: u64,
    /// When, in milliseconds since then.
    pub uptime_ms: u64,
    /// Spent since then.
    pub spent: Spent,
    /// On the data volume, in KiB.
    pub disk_kib: u64,
}

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amounts {
    /// As init counts it.
    pub spent: Spent,
    /// On the data volume, in KiB times seconds.
    pub disk_kib_s: u64,
}

impl Amounts {
    fn plus(&self, other: &Self) -> Self {
        Self {
            spent: self.spent.plus(&other.spent),
            disk_kib_s: self.disk_kib_s.saturating_add(other.disk_kib_s),
        }
    }
}

/// What was used between two looks. Without an earlier one, everything since the host started: the tenant is new, as each
/// look is kept.
fn between(before: Option<&Look>, now: &Look) -> Amounts {
    match before {
        Some(before) if before.boot == now.boot => Amounts {
            spent: now.spent.since(&before.spent),
            disk_kib_s: held(before.disk_kib, now.disk_kib, now.uptime_ms.saturating_sub(before.uptime_ms)),
        },
        // While the host was off, nothing was used.
        Some(before) => {
            Amounts { spent: now.spent, disk_kib_s: held(before.disk_kib, now.disk_kib, now.uptime_ms) }
        }
        None => Amounts { spent: now.spent, disk_kib_s: 0 },
    }
}

/// What grew evenly from the one to the other, over a time.
fn held(before_kib: u64, now_kib: u64, time_ms: u64) -> u64 {
    let doubled = (u128::from(before_kib) + u128::from(now_kib)) * u128::from(time_ms);
    u64::try_from(doubled / 2000).unwrap_or(u64::MAX)
}

/// Something to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub tenant: TenantName,
    /// What was used in which hours, counted from 1970-01-01 UTC.
    pub hours: BTreeMap<u64, Amounts>,
    /// The look up to which this is all.
    pub look: Look,
}

/// All tenants' accounts, as far as they are not written.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pages: BTreeMap<TenantName, Page>,
}

#[derive(Debug, Default)]
struct Page {
    last: Option<Look>,
    hours: BTreeMap<u64, Amounts>,
}

impl Book {
    /// Goes on from what was written last.
    pub(crate) fn new(written: impl IntoIterator<Item = (TenantName, Look)>) -> Self {
        let page = |(tenant, look)| (tenant, Page { last: Some(look), hours: BTreeMap::new() });
        Self { pages: written.into_iter().map(page).collect() }
    }

    /// A look at a tenant, in this hour.
    pub(crate) fn look(&mut self, tenant: &TenantName, look: Look, hour: u64) {
        let page = self.pages.entry(tenant.clone()).or_default();
        let used = between(page.last.as_ref(), &look);
        let sum = page.hours.entry(hour).or_default();
        *sum = sum.plus(&used);
        page.last = Some(look);
    }

    /// What has to be written by now: who did something, and hours that are over. A tenant that only keeps its files is
    /// written once an hour; should control be killed before, its next look finds the time again.
    pub(crate) fn due(&self, hour: u64) -> Vec<Entry> {
        let is_due = |page: &Page| {
            page.hours.iter().any(|(named, used)| *named != hour || used.spent != Spent::default())
        };
        let due = self.pages.iter().filter(|(_, page)| is_due(page));
        due.filter_map(|(tenant, page)| {
            Some(Entry { tenant: tenant.clone(), hours: page.hours.clone(), look: page.last? })
        })
        .collect()
    }

    /// These were written.
    pub(crate) fn written(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Some(page) = self.pages.get_mut(&entry.tenant) {
                page.hours.clear();
            }
        }
    }

    /// The tenant is gone.
    pub(crate) fn forget(&mut self, tenant: &TenantName) {
        self.pages.remove(tenant);
    }
}
