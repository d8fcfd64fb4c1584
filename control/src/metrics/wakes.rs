//! How long wakes took, by where they found the program: counted by the proxy from the first request on, kept here in
//! memory. They begin anew with control, as Prometheus expects of what a program counts.

use std::sync::{Mutex, PoisonError};

use kennel_model::msg::Rung;

use super::text::Page;

/// Upper bounds in milliseconds: from what nobody notices to what a browser gives up at.
const BOUNDS_MS: [u32; 13] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000, 60_000];
/// Where a wake can find a program.
const RUNGS: [(Rung, &str); 3] =
    [(Rung::Frozen, "frozen"), (Rung::Reclaimed, "reclaimed"), (Rung::Stopped, "stopped")];
const NAME: &str = "kennel_wake_seconds";

/// All wakes since control started.
#[derive(Debug, Default)]
pub(crate) struct Wakes(Mutex<[Histogram; RUNGS.len()]>);

#[derive(Debug, Default, Clone, Copy)]
struct Histogram {
    /// Up to each bound, and above the last.
    counts: [u64; BOUNDS_MS.len() + 1],
    sum_ms: u64,
}

impl Wakes {
    /// One more.
    pub(crate) fn observe(&self, from: Rung, took_ms: u32) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(n) = RUNGS.iter().position(|(rung, _)| *rung == from) else { return };
        let histogram = &mut all[n];
        histogram.counts[BOUNDS_MS.partition_point(|bound| *bound < took_ms)] += 1;
        histogram.sum_ms += u64::from(took_ms);
    }

    /// The family.
    pub(super) fn print(&self, page: &mut Page) {
        let all = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        page.head(
            NAME,
            "histogram",
            "Time from the request that woke a program to its first answer, by where the wake found it.",
        );
        for ((_, from), histogram) in RUNGS.iter().zip(all) {
            let mut so_far = 0;
            let bounds = BOUNDS_MS.iter().map(|ms| (f64::from(*ms) / 1000.0).to_string());
            for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(histogram.counts) {
                so_far += count;
                page.sample(&format!("{NAME}_bucket"), &[("from", from), ("le", &bound)], so_far);
            }
            page.sample(&format!("{NAME}_sum"), &[("from", from)], super::seconds(histogram.sum_ms, 3));
            page.sample(&format!("{NAME}_count"), &[("from", from)], so_far);
        }
    }
}
