//! What is counted of all requests, whether or not there is a record of each.

use serde::{Deserialize, Serialize};

use super::Took;
use crate::SlotId;

/// Upper bounds of the histograms' buckets, in microseconds: from what the proxy itself takes to what a browser gives up at.
pub const BOUNDS_US: [u64; 17] = [
    50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000, 60_000_000,
];

/// Times, by bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// Up to each of [`BOUNDS_US`] and above the one before; the last, above all.
    pub counts: [u64; BOUNDS_US.len() + 1],
    /// All together, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// One more.
    pub fn observe(&mut self, us: u64) {
        self.counts[BOUNDS_US.partition_point(|bound| *bound < us)] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Those of another as well.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.counts.iter_mut().zip(other.counts) {
            *sum = sum.saturating_add(more);
        }
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }
}

/// Where requests' time went; what each is stands at [`Took`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// Of every request.
    pub total: Histogram,
    /// Of those that had to wait.
    pub queue: Histogram,
    /// Of those that a program answered.
    pub upstream: Histogram,
    /// Of every request.
    pub own: Histogram,
}

impl Durations {
    /// One more request.
    pub fn observe(&mut self, took: &Took) {
        self.total.observe(took.total_us);
        self.own.observe(took.own_us);
        took.queue_us.into_iter().for_each(|us| self.queue.observe(us));
        took.upstream_us.into_iter().for_each(|us| self.upstream.observe(us));
    }
}

/// Of all requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostCounts {
    /// Their times.
    pub durations: Durations,
    /// Records that were sent.
    pub records: u64,
    /// Records that were left out, as their tenant had as many in this second as it may.
    pub flooded: u64,
    /// Records that were left out, as control did not read.
    pub unread: u64,
}

impl HostCounts {
    /// Those of another as well.
    pub fn add(&mut self, other: &Self) {
        let (sum, more) = (&mut self.durations, &other.durations);
        sum.total.add(&more.total);
        sum.queue.add(&more.queue);
        sum.upstream.add(&more.upstream);
        sum.own.add(&more.own);
        for (sum, more) in [
            (&mut self.records, other.records),
            (&mut self.flooded, other.flooded),
            (&mut self.unread, other.unread),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Of one slot's requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotCounts {
    /// Whose; nobody's, of what belongs to no tenant.
    pub slot: Option<SlotId>,
    /// Answers by class of status, from 1xx to 5xx.
    pub statuses: [u32; 5],
    /// Records that were left out.
    pub left_out: u32,
}

impl SlotCounts {
    /// An answer with this status.
    pub fn count(&mut self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.statuses[class] = self.statuses[class].saturating_add(1);
    }

    /// Whether there is anything to tell.
    pub fn is_empty(&self) -> bool {
        self.left_out == 0 && self.statuses == [0; 5]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_bucket_that_it_fits() {
        let mut histogram = Histogram::default();
        for us in [0, 50, 51, 60_000_000, 60_000_001, u64::MAX] {
            histogram.observe(us);
        }
        assert_eq!((histogram.counts[0], histogram.counts[1]), (2, 1));
        assert_eq!((histogram.counts[16], histogram.counts[17]), (1, 2));
        assert_eq!(histogram.sum_us, u64::MAX);
        let mut twice = histogram;
        twice.add(&histogram);
        assert_eq!(twice.counts.iter().sum::<u64>(), 12);
    }

    #[test]
    fn what_did_not_happen_is_in_no_histogram() {
        let mut durations = Durations::default();
        durations.observe(&Took { total_us: 9, queue_us: None, upstream_us: Some(4), own_us: 5 });
        let of = |histogram: &Histogram| (histogram.counts.iter().sum::<u64>(), histogram.sum_us);
        assert_eq!(of(&durations.total), (1, 9));
        assert_eq!(of(&durations.queue), (0, 0));
        assert_eq!((of(&durations.upstream), of(&durations.own)), ((1, 4), (1, 5)));
    }

    #[test]
    fn statuses_are_counted_by_class() {
        let mut counts = SlotCounts::default();
        assert!(counts.is_empty());
        for status in [101, 200, 204, 304, 404, 499, 503, 999, 0] {
            counts.count(status);
        }
        assert_eq!(counts.statuses, [2, 2, 1, 2, 2]);
        assert!(!counts.is_empty());
    }
}
