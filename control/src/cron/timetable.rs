//! When a job is due: five fields of crontab(5) by the clock of a time zone. Pure; what to do about it is `cron`'s.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Runs that are counted when many were missed at once.
const MAX_COUNTED: usize = 1000;

/// A schedule with its zone.
#[derive(Debug, Clone)]
pub(crate) struct Timetable {
    cron: Cron,
    zone: TimeZone,
}

impl Timetable {
    /// # Errors
    /// Says which part of it cannot be.
    pub(crate) fn new(schedule: &str, zone: &str) -> Result<Self, String> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(schedule).map_err(|bad| format!("the schedule {schedule:?}: {bad}"))?;
        let zone = TimeZone::get(zone)
            .map_err(|_| format!("there is no time zone {zone:?}; one is UTC, another Europe/Berlin"))?;
        Ok(Self { cron, zone })
    }

    /// The first time after this one, in seconds since 1970-01-01 UTC; none where it never is due again.
    pub(crate) fn after(&self, at_s: u64) -> Option<u64> {
        let at = Timestamp::from_second(i64::try_from(at_s).ok()?).ok()?.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&at, false).ok()?;
        u64::try_from(next.timestamp().as_second()).ok().filter(|next| *next > at_s)
    }

    /// How often it is due from `first`, which is such a time, until `now`, and when last.
    pub(crate) fn count(&self, first: u64, now: u64) -> (u32, u64) {
        let times = std::iter::successors(Some(first), |at| self.after(*at).filter(|next| *next <= now));
        times.take(MAX_COUNTED).fold((0, first), |(count, _), at| (count + 1, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_second().try_into().unwrap()
    }

    /// The next three, in UTC.
    fn next(schedule: &str, zone: &str, from: &str) -> Vec<String> {
        let table = Timetable::new(schedule, zone).unwrap();
        let times = std::iter::successors(table.after(at(from)), |at| table.after(*at));
        times.take(3).map(|at| Timestamp::from_second(at as i64).unwrap().to_string()).collect()
    }

    #[test]
    fn five_fields_are_read_as_crontab_reads_them() {
        let from = "2026-11-23T12:03:30Z";
        assert_eq!(
            next("*/5 * * * *", "UTC", from),
            ["2026-11-23T12:05:00Z", "2026-11-23T12:10:00Z", "2026-11-23T12:15:00Z"]
        );
        assert_eq!(next("0 9 * * 1-5", "UTC", "2026-11-27T10:00:00Z")[0], "2026-11-30T09:00:00Z");
        assert_eq!(next("@daily", "UTC", from)[0], "2026-11-24T00:00:00Z");
        // Either of both, where both days are restricted.
        assert_eq!(
            next("0 0 1 * FRI", "UTC", "2026-11-24T00:00:00Z")[..2],
            ["2026-11-27T00:00:00Z", "2026-12-01T00:00:00Z"]
        );
        assert_eq!(next("0 0 29 2 *", "UTC", from)[0], "2028-02-29T00:00:00Z");
    }

    #[test]
    fn a_zones_clock_decides_also_when_it_is_changed() {
        assert_eq!(next("0 9 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z")[0], "2026-07-01T07:00:00Z");
        assert_eq!(next("0 9 * * *", "Europe/Berlin", "2026-12-01T00:00:00Z")[0], "2026-12-01T08:00:00Z");
        // At 2 o'clock the clock jumps to 3: it is due at the jump, once, and at half past two again on the next day.
        let forward = next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z");
        assert_eq!(forward[..2], ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        // At 3 o'clock it is 2 again: once, not twice.
        let back = next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z");
        assert_eq!(back[..2], ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn what_is_no_schedule_is_said() {
        for bad in ["", "* * * *", "* * * * * *", "61 * * * *", "x * * * *", "* * * * * * *", "*/0 * * * *"] {
            assert!(Timetable::new(bad, "UTC").is_err(), "{bad:?}");
        }
        assert!(Timetable::new("* * * * *", "Atlantis/Poseidonis").unwrap_err().contains("no time zone"));
        let never = Timetable::new("0 0 30 2 *", "UTC").map(|table| table.after(0));
        assert!(never.is_err() || never == Ok(None), "{never:?}");
    }

    #[test]
    fn missed_ones_are_counted() {
        let table = Timetable::new("0 * * * *", "UTC").unwrap();
        let first = at("2026-11-23T01:00:00Z");
        assert_eq!(table.count(first, first), (1, first));
        assert_eq!(table.count(first, at("2026-11-23T04:30:00Z")), (4, at("2026-11-23T04:00:00Z")));
        assert_eq!(table.count(first, at("2027-11-23T01:00:00Z")).0, 1000);
    }
}
