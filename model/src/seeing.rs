//! What the API shows of what tenants do and use: bodies of `/v1/top`, `/v1/usage` and a tenant's `timeline` and `usage`.
//! How the figures come about stands in `docs/accounting.md`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::counters::{Holds, Spent};
use crate::msg::Rung;
use crate::{SlotState, TenantName};

/// All tenants at a moment. Whoever looks twice divides differences by the difference of `uptime_ms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// Another one after each start of the host: what was spent begins anew with it.
    pub boot: String,
    /// When it was looked, in milliseconds since the kernel started.
    pub uptime_ms: u64,
    /// The host's memory, in bytes.
    pub memory_total_bytes: u64,
    /// What of it programs can have without others' being moved to swap, in bytes.
    pub memory_available_bytes: u64,
    /// By name.
    pub tenants: Vec<TopTenant>,
}

/// One tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopTenant {
    /// Its name.
    pub tenant: TenantName,
    /// What it does.
    pub state: SlotState,
    /// For how long it has, in milliseconds; absent when it has done nothing since the host started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Why, when there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it was woken last, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_wake: Option<String>,
    /// What its program holds now.
    pub holds: Holds,
    /// What it has spent since the host started.
    pub spent: Spent,
    /// Acts that were refused to it, ever.
    pub denials: u64,
}

/// A change of what a tenant's program does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// What it does from then on.
    pub state: SlotState,
    /// Where on the ladder it was before.
    pub from: Rung,
    /// From the request that woke it to its first answer, in milliseconds; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u32>,
    /// Why.
    pub reason: String,
    /// It is no change: the program goes on as it was, and the reason says what happened beside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub note: bool,
}

/// What a tenant has used in some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Whose. It may be gone by now.
    pub tenant: String,
    /// When the time begins, in seconds since 1970-01-01 UTC.
    pub from_s: u64,
    /// How long it is, in seconds: an hour, a day where hours are no longer kept, a month in sums.
    pub length_s: u64,
    /// What was used.
    #[serde(flatten)]
    pub used: Used,
}

/// Amounts, in the units that they are charged in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Processor time in milliseconds.
    pub cpu_ms: u64,
    /// Bytes in RAM, times the seconds that they were there while the program ran.
    pub running_byte_s: u64,
    /// The same while it was frozen.
    pub frozen_byte_s: u64,
    /// The same while it was reclaimed.
    pub reclaimed_byte_s: u64,
    /// Bytes in swap, times seconds.
    pub swap_byte_s: u64,
    /// Bytes on the data volume, times seconds.
    pub disk_byte_s: u64,
    /// Bytes from visitors.
    pub bytes_in: u64,
    /// Bytes to visitors.
    pub bytes_out: u64,
    /// Requests that its program was given.
    pub requests: u64,
    /// How long requests waited for it to be woken, together, in milliseconds.
    pub queued_ms: u64,
    /// Wakes from being frozen.
    pub woken_frozen: u64,
    /// Wakes from being reclaimed.
    pub woken_reclaimed: u64,
    /// Starts.
    pub woken_stopped: u64,
    /// Kills for want of memory.
    pub oom_kills: u64,
}

impl Used {
    /// From what init and control count in.
    pub fn of(spent: &Spent, disk_kib_ms: u64) -> Self {
        let traffic = spent.traffic;
        Self {
            cpu_ms: spent.cpu_us / 1000,
            running_byte_s: byte_s(spent.running_kib_ms),
            frozen_byte_s: byte_s(spent.frozen_kib_ms),
            reclaimed_byte_s: byte_s(spent.reclaimed_kib_ms),
            swap_byte_s: byte_s(spent.swap_kib_ms),
            disk_byte_s: byte_s(disk_kib_ms),
            bytes_in: traffic.bytes_in,
            bytes_out: traffic.bytes_out,
            requests: traffic.requests,
            queued_ms: traffic.queued_ms,
            woken_frozen: spent.woken_frozen,
            woken_reclaimed: spent.woken_reclaimed,
            woken_stopped: spent.woken_stopped,
            oom_kills: spent.oom_kills,
        }
    }
}

/// KiB·ms as byte·s.
pub fn byte_s(kib_ms: u64) -> u64 {
    u64::try_from(u128::from(kib_ms) * 1024 / 1000).unwrap_or(u64::MAX)
}

/// A month of the calendar, in UTC: `2026-11`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    year: u32,
    month: u32,
}

/// No month.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a month: write it as 2026-11")]
pub struct InvalidMonth(String);

impl Month {
    /// The one that a moment lies in, in seconds since 1970-01-01 UTC.
    pub fn at(seconds: u64) -> Self {
        let (year, month, _) = date(seconds / 86_400);
        Self { year, month }
    }

    /// Its hours, counted from 1970-01-01 UTC.
    pub fn hours(self) -> Range<u64> {
        let next = if self.month == 12 { (self.year + 1, 1) } else { (self.year, self.month + 1) };
        24 * days(self.year, self.month)..24 * days(next.0, next.1)
    }
}

impl FromStr for Month {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, InvalidMonth> {
        let numbers = |(year, month): (&str, &str)| {
            let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
            let sound = year.len() == 4 && month.len() == 2 && digits(year) && digits(month);
            Some((year.parse().ok()?, month.parse().ok()?)).filter(|_| sound)
        };
        match text.split_once('-').and_then(numbers) {
            Some((year @ 1970.., month @ 1..=12)) => Ok(Self { year, month }),
            _ => Err(InvalidMonth(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// Year, month and day of a day since 1970-01-01 (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
pub fn date(day: u64) -> (u32, u32, u32) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (small(year), small(month), small(day))
}

/// The day since 1970-01-01 that a month begins with.
fn days(year: u32, month: u32) -> u64 {
    let year = u64::from(year) - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let from_march = u64::from((month + 9) % 12);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * from_march + 2) / 5 - 719_468
}

fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn months_are_read_strictly() {
        let november: Month = "2026-11".parse().unwrap();
        assert_eq!(november.hours(), 1_793_491_200 / 3600..1_796_083_200 / 3600);
        assert_eq!((november.to_string().as_str(), Month::at(1_793_491_200)), ("2026-11", november));
        for bad in ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "1969-12", "2026-11-01", "+026-11"] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }

    #[test]
    fn leap_years_are_known() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(951_782_400 / 86_400), (2000, 2, 29));
        let length = |month: &str| month.parse::<Month>().unwrap().hours().count() / 24;
        assert_eq!(["2024-02", "2026-02", "2100-02", "2026-12"].map(length), [29, 28, 28, 31]);
    }

    proptest! {
        #[test]
        fn each_moment_lies_in_its_month(seconds in 0u64..8_000_000_000) {
            let month = Month::at(seconds);
            prop_assert!(month.hours().contains(&(seconds / 3600)));
            prop_assert_eq!(month.to_string().parse::<Month>().unwrap(), month);
        }
    }
}
