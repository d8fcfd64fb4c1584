//! Rows of denied acts: one for each kind and tenant, with how often and when. A tenant's rows go with it. Whoever
//! tries in ever new ways pushes out his own oldest rows and nobody else's.

use std::collections::{BTreeMap, BTreeSet};

use kennel_model::denial::words::Names;
use kennel_model::denial::{Batch, Counted, Denial};
use kennel_model::{SlotId, TenantName};
use rusqlite::{OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Store, checked, json, now_s};
use crate::error::Result;

/// Kinds kept of each tenant, and of all that is no tenant's.
const KEPT: u32 = 200;

/// One kind of denied act, as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DenialRow {
    /// Whose.
    pub tenant: Option<TenantName>,
    /// What.
    pub denial: Denial,
    /// How often.
    pub count: u64,
    /// Seconds since 1970-01-01 UTC.
    pub first_at_s: u64,
    /// Seconds since 1970-01-01 UTC.
    pub last_at_s: u64,
    /// It was never seen before; only of rows that were just written.
    pub new: bool,
}

/// Tenants by slot, with the numbers of their rows.
pub(super) type Residents = BTreeMap<SlotId, (i64, TenantName)>;

impl Store {
    /// Adds what was counted, and gives the rows with the counts of this batch alone.
    ///
    /// # Errors
    /// The database's.
    pub fn keep_denials(&mut self, batch: Batch) -> Result<Vec<DenialRow>> {
        let now = now_s();
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let residents = residents(&tx)?;
        let (mut rows, mut grown) = (Vec::with_capacity(batch.counted.len()), BTreeSet::new());
        for counted in batch.counted {
            let resident = counted.denial.actor.slot().and_then(|slot| residents.get(&slot));
            let row = keep(&tx, resident, counted, now)?;
            if row.new {
                grown.insert(resident.map(|(id, _)| *id));
            }
            rows.push(row);
        }
        grown.into_iter().try_for_each(|tenant| forget_oldest(&tx, tenant))?;
        let lost = i64::try_from(batch.lost).unwrap_or(i64::MAX);
        tx.execute("UPDATE host SET denials_lost = min(denials_lost + ?1, 1 << 62)", [lost])?;
        tx.commit()?;
        Ok(rows)
    }

    /// The newest kinds of a tenant, or of everybody, the oldest of them first.
    ///
    /// # Errors
    /// The database's.
    pub fn denials(&mut self, of: Option<&TenantName>, limit: usize) -> Result<Vec<DenialRow>> {
        self.select("?1 IS NULL OR name = ?1", of.map(TenantName::as_str), limit)
    }

    /// All kinds of the host's own programs.
    ///
    /// # Errors
    /// The database's.
    pub fn warnings(&mut self) -> Result<Vec<DenialRow>> {
        let mut rows = self.select("?1 IS NULL AND tenant IS NULL", None, usize::MAX)?;
        rows.retain(|row| row.denial.actor.slot().is_none());
        Ok(rows)
    }

    fn select(&mut self, filter: &str, name: Option<&str>, limit: usize) -> Result<Vec<DenialRow>> {
        let mut query = self.db.prepare_cached(&format!(
            "SELECT name, denial, count, first_at_s, last_at_s FROM denials
             LEFT JOIN tenants ON tenants.id = denials.tenant
             WHERE {filter} ORDER BY last_at_s DESC, denials.id DESC LIMIT ?2"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = query.query_map(params![name, limit], |row| {
            Ok((
                row.get::<_, Option<String>>(0)?,
                row.get::<_, String>(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })?;
        let mut found = Vec::new();
        for row in rows {
            let (name, denial, count, first_at_s, last_at_s) = row?;
            let tenant = name.map(|name| checked("tenant", TenantName::new(name))).transpose()?;
            // A kind that an older program knew and this one does not is not worth an error.
            let Ok(denial) = serde_json::from_str(&denial) else { continue };
            found.push(DenialRow { tenant, denial, count, first_at_s, last_at_s, new: false });
        }
        found.reverse();
        Ok(found)
    }

    /// Records of the kernel that nobody saw.
    ///
    /// # Errors
    /// The database's.
    pub fn denials_lost(&mut self) -> Result<u64> {
        Ok(self.db.query_row("SELECT denials_lost FROM host", [], |row| row.get(0))?)
    }

    /// Who lives in which slot.
    ///
    /// # Errors
    /// The database's.
    pub fn residents(&mut self) -> Result<Names> {
        let tx = self.db.transaction()?;
        Ok(residents(&tx)?.into_iter().map(|(slot, (_, name))| (slot, name)).collect())
    }
}

pub(super) fn residents(tx: &Transaction<'_>) -> Result<Residents> {
    let mut query = tx.prepare_cached("SELECT slot, id, name FROM tenants")?;
    let rows = query.query_map([], |row| Ok((row.get::<_, u16>(0)?, row.get(1)?, row.get::<_, String>(2)?)))?;
    rows.map(|row| {
        let (slot, id, name) = row?;
        Ok((checked("slot", SlotId::new(slot))?, (id, checked("tenant", TenantName::new(name))?)))
    })
    .collect()
}

fn keep(
    tx: &Transaction<'_>,
    resident: Option<&(i64, TenantName)>,
    counted: Counted,
    now: u64,
) -> Result<DenialRow> {
    let Counted { denial, count } = counted;
    let (tenant, text) = (resident.map(|(id, _)| *id), json(&denial)?);
    // SQLite counts up to 2⁶³; nobody tries as often.
    let added = i64::try_from(count).unwrap_or(i64::MAX).min(1 << 40);
    let mut known = tx.prepare_cached(
        "UPDATE denials SET count = min(count + ?3, 1 << 62), last_at_s = ?4
         WHERE coalesce(tenant, 0) = coalesce(?1, 0) AND denial = ?2 RETURNING first_at_s",
    )?;
    let first = known.query_row(params![tenant, text, added, now], |row| row.get(0)).optional()?;
    if first.is_none() {
        tx.prepare_cached(
            "INSERT INTO denials (tenant, denial, count, first_at_s, last_at_s) VALUES (?1, ?2, ?3, ?4, ?4)",
        )?
        .execute(params![tenant, text, added, now])?;
    }
    Ok(DenialRow {
        tenant: resident.map(|(_, name)| name.clone()),
        denial,
        count,
        first_at_s: first.unwrap_or(now),
        last_at_s: now,
        new: first.is_none(),
    })
}

fn forget_oldest(tx: &Transaction<'_>, tenant: Option<i64>) -> Result<()> {
    tx.prepare_cached(
        "DELETE FROM denials WHERE id IN (SELECT id FROM denials WHERE coalesce(tenant, 0) = coalesce(?1, 0)
         ORDER BY last_at_s DESC, id DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute(params![tenant, KEPT])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{store, wish};
    use super::*;
    use kennel_model::denial::{Act, Actor};

    fn tenant(slot: u16) -> Actor {
        Actor::Tenant(SlotId::new(slot).unwrap())
    }

    fn batch(actor: &Actor, calls: impl IntoIterator<Item = u32>) -> Batch {
        let counted = calls.into_iter().map(|number| {
            let act = Act::SystemCall { number, foreign: false };
            Counted { denial: Denial { actor: actor.clone(), program: String::new(), act }, count: 5 }
        });
        Batch { counted: counted.collect(), lost: 1 }
    }

    fn with_two_tenants() -> Store {
        let mut store = store();
        for name in ["a", "b"] {
            store.reserve(&wish(name, &format!("{name}.test")), 9).unwrap();
        }
        store
    }

    fn name(name: &str) -> TenantName {
        name.parse().unwrap()
    }

    #[test]
    fn the_same_again_is_a_count() {
        let mut store = with_two_tenants();
        let first = store.keep_denials(batch(&tenant(0), [1])).unwrap();
        assert!(first[0].new && first[0].tenant == Some(name("a")));
        let again = store.keep_denials(batch(&tenant(0), [1])).unwrap();
        assert!(!again[0].new && again[0].count == 5);
        let rows = store.denials(None, 9).unwrap();
        assert_eq!(rows.iter().map(|row| row.count).collect::<Vec<_>>(), [10]);
        assert_eq!(store.denials_lost().unwrap(), 2);
    }

    #[test]
    fn each_tenant_has_its_own_and_the_host_has_warnings() {
        let mut store = with_two_tenants();
        for actor in [tenant(0), tenant(1), tenant(7), Actor::Host("proxy_t".into())] {
            store.keep_denials(batch(&actor, [1])).unwrap();
        }
        assert_eq!(store.denials(None, 9).unwrap().len(), 4);
        assert_eq!(store.denials(None, 2).unwrap().len(), 2);
        let of_b = store.denials(Some(&name("b")), 9).unwrap();
        assert_eq!(of_b.iter().map(|row| row.denial.actor.clone()).collect::<Vec<_>>(), [tenant(1)]);
        let warnings = store.warnings().unwrap();
        assert_eq!(
            warnings.iter().map(|row| &row.denial.actor).collect::<Vec<_>>(),
            [&Actor::Host("proxy_t".into())]
        );
    }

    #[test]
    fn a_flood_of_kinds_pushes_out_its_own_only() {
        let mut store = with_two_tenants();
        store.keep_denials(batch(&tenant(1), [7])).unwrap();
        for from in (0..1000).step_by(40) {
            store.keep_denials(batch(&tenant(0), from..from + 40)).unwrap();
        }
        let of_a = store.denials(Some(&name("a")), 9999).unwrap();
        assert_eq!(of_a.len(), KEPT as usize);
        assert_eq!(of_a.last().unwrap().denial.act, Act::SystemCall { number: 999, foreign: false });
        assert_eq!(store.denials(Some(&name("b")), 9).unwrap().len(), 1);
    }

    #[test]
    fn a_tenants_denials_go_with_it() {
        let mut store = with_two_tenants();
        store.keep_denials(batch(&tenant(0), [1])).unwrap();
        store.begin_removal(&name("a")).unwrap();
        store.forget(&name("a")).unwrap();
        assert_eq!(store.denials(None, 9).unwrap(), []);
    }
}
