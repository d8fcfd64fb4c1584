//! Rows of what tenants have used, a row an hour. They stay when the tenant goes, as somebody may still have to pay for
//! them. Hours are folded into days after two months, and days are gone after thirteen.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use kennel_model::TenantName;
use kennel_model::counters::Spent;
use kennel_model::seeing::{Usage, Used};
use rusqlite::{OptionalExtension, Row, Transaction, TransactionBehavior, params_from_iter};

use super::{Store, checked, json};
use crate::error::Result;
use crate::usage::{Amounts, Entry, Look};

/// Hours are kept for so many days: this month's and the last's, whichever they are.
const HOURS_KEPT_DAYS: u64 = 62;
/// And days for so many: thirteen months.
const DAYS_KEPT: u64 = 396;
/// No amount of one look is larger, nor can a month of such looks be more than SQLite counts.
const MOST: u64 = 1 << 53;

/// The columns of amounts, in the order of [`numbers`].
static COLUMNS: LazyLock<Vec<&str>> =
    LazyLock::new(|| Spent::NAMES.into_iter().chain(["disk_kib_s"]).collect());
/// Their sums; of nothing, 0.
static SUMS: LazyLock<String> =
    LazyLock::new(|| COLUMNS.iter().map(|c| format!("coalesce(sum({c}), 0)")).collect::<Vec<_>>().join(", "));
/// Adds a row to what is there.
static ADD: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<_> = (4..4 + COLUMNS.len()).map(|n| format!("?{n}")).collect();
    let grow = |c: &&str| format!("{c} = min({c} + excluded.{c}, 1 << 60)");
    let grown: Vec<_> = COLUMNS.iter().map(grow).collect();
    format!(
        "INSERT INTO usage (tenant, hour, hours, {}) VALUES (?1, ?2, ?3, {})
         ON CONFLICT (tenant, hour) DO UPDATE SET {}",
        COLUMNS.join(", "),
        places.join(", "),
        grown.join(", ")
    )
});

impl Store {
    /// Adds what was used, with the looks up to which that is all: both or none.
    ///
    /// # Errors
    /// The database's.
    pub fn keep_usage(&mut self, entries: &[Entry]) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for entry in entries {
            let known = tx
                .prepare_cached(
                    "INSERT INTO looks (tenant, look) SELECT id, ?2 FROM tenants WHERE name = ?1
                     ON CONFLICT (tenant) DO UPDATE SET look = excluded.look",
                )?
                .execute([entry.tenant.as_str(), &json(&entry.look)?])?;
            // One that was removed meanwhile has had its last look before.
            if known > 0 {
                for (hour, used) in &entry.hours {
                    add(&tx, entry.tenant.as_str(), *hour, 1, &numbers(used))?;
                }
            }
        }
        Ok(tx.commit()?)
    }

    /// The last looks that were kept.
    ///
    /// # Errors
    /// The database's.
    pub fn looks(&mut self) -> Result<Vec<(TenantName, Look)>> {
        let mut query =
            self.db.prepare("SELECT name, look FROM looks JOIN tenants ON tenants.id = looks.tenant")?;
        let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
        rows.map(|row| {
            let (name, look) = row?;
            Ok((checked("tenant", TenantName::new(name))?, checked("look", serde_json::from_str(&look))?))
        })
        .collect()
    }

    /// What each tenant has used in these hours, by name: of those who were tenants by their end also who has used nothing, unless
    /// they have not begun by now.
    ///
    /// # Errors
    /// The database's.
    pub fn usage_sums(&mut self, hours: Range<u64>, now_hour: u64) -> Result<Vec<Usage>> {
        let mut query = self.db.prepare_cached(&format!(
            "WITH asked (tenant) AS (
                 SELECT tenant FROM usage WHERE hour >= ?1 AND hour < ?2
                 UNION SELECT name FROM tenants
                     WHERE phase = 'ready' AND created_at_s < 3600 * ?2 AND ?1 <= ?3)
             SELECT asked.tenant, ?1, ?2 - ?1, {} FROM asked
             LEFT JOIN usage ON usage.tenant = asked.tenant AND hour >= ?1 AND hour < ?2
             GROUP BY asked.tenant ORDER BY asked.tenant",
            *SUMS
        ))?;
        let rows = query.query_map([hours.start, hours.end, now_hour], read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What a tenant has used in each of these hours.
    ///
    /// # Errors
    /// The database's.
    pub fn usage_of(&mut self, name: &TenantName, hours: Range<u64>) -> Result<Vec<Usage>> {
        let mut query = self.db.prepare_cached(&format!(
            "SELECT tenant, hour, hours, {} FROM usage WHERE tenant = ?3 AND hour >= ?1 AND hour < ?2
             ORDER BY hour",
            COLUMNS.join(", ")
        ))?;
        let rows = query.query_map(rusqlite::params![hours.start, hours.end, name.as_str()], read)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// How many requests each tenant had in the last day that anybody had some; the clock of a host that has just booted need
    /// not be right yet.
    ///
    /// # Errors
    /// The database's.
    pub fn requests_lately(&mut self) -> Result<HashMap<TenantName, u64>> {
        let mut query = self.db.prepare_cached(
            "SELECT tenant, sum(requests) FROM usage
             WHERE hour > (SELECT max(hour) FROM usage WHERE requests > 0) - 24 GROUP BY tenant",
        )?;
        let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        rows.map(|row| {
            let (name, requests) = row?;
            Ok((checked("tenant", TenantName::new(name))?, requests))
        })
        .collect()
    }

    /// Whether there is such a tenant, or was one that has used something.
    ///
    /// # Errors
    /// The database's.
    pub fn is_known(&mut self, name: &TenantName) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM tenants WHERE name = ?1)
                   OR EXISTS (SELECT 1 FROM usage WHERE tenant = ?1)";
        Ok(self.db.query_row(sql, [name.as_str()], |row| row.get(0))?)
    }

    /// Folds hours that are old into days, a day at a time, and forgets days that are very old: of those that have anything,
    /// the last so many stay, whatever day a wrong clock takes it to be.
    ///
    /// # Errors
    /// The database's.
    pub fn tidy_usage(&mut self, now_hour: u64) -> Result<()> {
        let today = now_hour / 24;
        let fold_before = 24 * today.saturating_sub(HOURS_KEPT_DAYS);
        let oldest = "SELECT hour / 24 FROM usage WHERE hour < ?1 AND hours = 1 ORDER BY hour LIMIT 1";
        while let Some(day) = self.db.query_row(oldest, [fold_before], |row| row.get(0)).optional()? {
            self.fold(day)?;
        }
        self.db.execute(
            "DELETE FROM usage WHERE hour < 24 * (SELECT min(day) FROM
                (SELECT DISTINCT hour / 24 AS day FROM usage ORDER BY day DESC LIMIT ?1))",
            [DAYS_KEPT],
        )?;
        Ok(())
    }

    fn fold(&mut self, day: u64) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sums: Vec<(String, Vec<u64>)> = tx
            .prepare_cached(&format!(
                "SELECT tenant, {} FROM usage WHERE hour >= ?1 AND hour < ?1 + 24 GROUP BY tenant",
                *SUMS
            ))?
            .query_map([24 * day], |row| {
                let numbers = (1..=COLUMNS.len()).map(|n| row.get(n)).collect::<rusqlite::Result<_>>()?;
                Ok((row.get(0)?, numbers))
            })?
            .collect::<rusqlite::Result<_>>()?;
        tx.execute("DELETE FROM usage WHERE hour >= ?1 AND hour < ?1 + 24", [24 * day])?;
        for (tenant, numbers) in sums {
            add(&tx, &tenant, 24 * day, 24, &numbers)?;
        }
        Ok(tx.commit()?)
    }
}

fn numbers(used: &Amounts) -> Vec<u64> {
    used.spent.numbers().into_iter().chain([used.disk_kib_s]).map(|n| n.min(MOST)).collect()
}

fn add(tx: &Transaction<'_>, tenant: &str, hour: u64, hours: u64, numbers: &[u64]) -> Result<()> {
    let fault = |_| crate::error::Error::Internal("an amount that is too large".into());
    let number = |n: &u64| i64::try_from(*n).map(rusqlite::types::Value::from).map_err(fault);
    let mut values = vec![rusqlite::types::Value::from(tenant.to_owned()), number(&hour)?, number(&hours)?];
    for n in numbers {
        values.push(number(n)?);
    }
    tx.prepare_cached(&ADD)?.execute(params_from_iter(values))?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Usage> {
    let mut numbers = [0; Spent::COUNT];
    for (n, number) in numbers.iter_mut().enumerate() {
        *number = row.get(3 + n)?;
    }
    let disk_kib_s: u64 = row.get(3 + Spent::COUNT)?;
    Ok(Usage {
        tenant: row.get(0)?,
        from_s: 3600 * row.get::<_, u64>(1)?,
        length_s: 3600 * row.get::<_, u64>(2)?,
        used: Used::of(&Spent::of(numbers), disk_kib_s.saturating_mul(1000)),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{store, wish};
    use super::*;

    fn name() -> TenantName {
        "a".parse().unwrap()
    }

    fn with_a_tenant() -> Store {
        let mut store = store();
        store.reserve(&wish("a", "a.test"), 9).unwrap();
        store
    }

    fn entry(hour: u64, cpu_us: u64) -> Entry {
        let spent = Spent { cpu_us, ..Spent::default() };
        let look = Look { boot: u64::MAX, uptime_ms: 60_000, spent, disk_kib: 8 };
        Entry { tenant: name(), hours: [(hour, Amounts { spent, disk_kib_s: 1000 })].into(), look }
    }

    fn cpu(rows: &[Usage]) -> Vec<(u64, u64)> {
        rows.iter().map(|row| (row.from_s / 3600, row.used.cpu_ms)).collect()
    }

    #[test]
    fn rows_add_up_and_stay_when_the_tenant_goes() {
        let mut store = with_a_tenant();
        for (hour, cpu_us) in [(50, 1_000), (50, 2_000), (51, 7_000)] {
            store.keep_usage(&[entry(hour, cpu_us)]).unwrap();
        }
        assert_eq!(store.looks().unwrap(), [(name(), entry(51, 7_000).look)]);
        assert_eq!(cpu(&store.usage_of(&name(), 0..99).unwrap()), [(50, 3), (51, 7)]);
        assert_eq!(cpu(&store.usage_sums(48..72, 51).unwrap()), [(48, 10)]);
        assert_eq!(store.usage_sums(48..72, 51).unwrap()[0].used.disk_byte_s, 3000 << 10);
        store.forget(&name()).unwrap();
        assert_eq!((store.looks().unwrap(), store.usage_sums(0..99, 51).unwrap().len()), (vec![], 1));
        store.keep_usage(&[entry(52, 1_000)]).unwrap();
        assert_eq!(store.usage_of(&name(), 52..53).unwrap(), [], "it is gone");
        assert!(store.is_known(&name()).unwrap() && !store.is_known(&"b".parse().unwrap()).unwrap());
    }

    #[test]
    fn who_has_used_nothing_is_listed_from_the_month_on_in_which_it_came() {
        let mut store = with_a_tenant();
        let came = super::super::now_s() / 3600;
        let month = came / 720 * 720;
        let listed = |store: &mut Store, hours| {
            let rows = store.usage_sums(hours, came).unwrap();
            assert!(rows.iter().all(|row| row.used == Used::default()), "{rows:?}");
            rows.into_iter().map(|row| row.tenant).collect::<Vec<_>>()
        };
        assert_eq!(listed(&mut store, month..month + 720), [""; 0], "it is being made");
        store.confirm(&name()).unwrap();
        store.reserve(&wish("b", "b.test"), 9).unwrap();
        store.confirm(&"b".parse().unwrap()).unwrap();
        assert_eq!(listed(&mut store, month..month + 720), ["a", "b"]);
        assert_eq!(listed(&mut store, month - 720..month), [""; 0], "it was no tenant yet");
        assert_eq!(listed(&mut store, month + 720..month + 1440), [""; 0], "that is to come");
        store.forget(&name()).unwrap();
        assert_eq!(listed(&mut store, month..month + 720), ["b"], "nothing is owed");
    }

    #[test]
    fn the_last_day_with_visitors_says_who_had_most() {
        let mut store = with_a_tenant();
        assert_eq!(store.requests_lately().unwrap(), HashMap::new());
        for (hour, requests) in [(10, 500), (100, 3), (110, 4), (133, 0)] {
            let mut entry = entry(hour, 1);
            entry.hours.values_mut().for_each(|amounts| amounts.spent.traffic.requests = requests);
            store.keep_usage(&[entry]).unwrap();
        }
        assert_eq!(store.requests_lately().unwrap(), [(name(), 7)].into());
    }

    #[test]
    fn old_hours_become_days_and_very_old_days_are_forgotten() {
        let mut store = with_a_tenant();
        for hour in [24, 30, 47, 48, 24 * 70] {
            store.keep_usage(&[entry(hour, 1_000)]).unwrap();
        }
        let now = 24 * 70 + 5;
        for _ in 0..2 {
            store.tidy_usage(now).unwrap();
            let rows = store.usage_of(&name(), 0..now).unwrap();
            assert_eq!(cpu(&rows), [(24, 3), (48, 1), (24 * 70, 1)]);
            assert_eq!(rows.iter().map(|row| row.length_s / 3600).collect::<Vec<_>>(), [24, 24, 1]);
        }
        store.tidy_usage(24 * 9999).unwrap();
        assert_eq!(
            cpu(&store.usage_of(&name(), 0..now).unwrap()),
            [(24, 3), (48, 1), (24 * 70, 1)],
            "a wrong clock"
        );
        for day in 100..100 + DAYS_KEPT - 2 {
            store.keep_usage(&[entry(24 * day, 1_000)]).unwrap();
        }
        store.tidy_usage(24 * 600).unwrap();
        assert_eq!(cpu(&store.usage_of(&name(), 0..now).unwrap()), [(48, 1), (24 * 70, 1)]);
    }

    #[test]
    fn what_nobody_can_have_used_is_no_error() {
        let mut store = with_a_tenant();
        for _ in 0..2000 {
            store.keep_usage(&[entry(5, u64::MAX)]).unwrap();
        }
        assert_eq!(store.usage_sums(0..9, 5).unwrap().len(), 1);
    }
}
