//! Rows of tenants and their domains, and the choice of a slot.

use std::collections::{BTreeSet, HashMap};

use kennel_model::api::NewTenant;
use kennel_model::egress::Egress;
use kennel_model::{Limits, ReleaseId, SlotId, TenantName};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{
    DomainRow, ReleaseRow, Store, TenantPhase, TenantRow, Whose, checked, domains, json, now_s, pages,
};
use crate::error::{Error, Result};

impl Store {
    /// Takes the lowest free slot of the pool, the name and the domains for a tenant that is being made. Slots that are occupied
    /// although nobody is known to live there are passed over.
    ///
    /// # Errors
    /// [`Error::TenantExists`], [`Error::DomainTaken`], [`Error::NoFreeSlot`], or the database's.
    pub fn reserve_unless(
        &mut self,
        wish: &NewTenant,
        pool: u16,
        is_occupied: impl Fn(SlotId) -> bool,
    ) -> Result<SlotId> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let name = wish.name.as_str();
        if exists(&tx, name)? {
            return Err(Error::TenantExists(wish.name.clone()));
        }
        let slot = lowest_free(&tx, pool, is_occupied)?.ok_or(Error::NoFreeSlot(pool))?;
        tx.execute(
            "INSERT INTO tenants (name, slot, runtime, command, limits, phase, created_at_s)
             VALUES (?1, ?2, ?3, ?4, ?5, 'adding', ?6)",
            params![
                name,
                slot.index(),
                wish.runtime.as_str(),
                json(&wish.command)?,
                json(&wish.limits)?,
                now_s()
            ],
        )?;
        let tenant = tx.last_insert_rowid();
        let domains: Vec<_> = wish.domains.iter().cloned().map(DomainRow::from).collect();
        domains::insert(&tx, tenant, &domains)?;
        domains::check(&tx)?;
        tx.commit()?;
        Ok(slot)
    }

    /// The slot's folders are there: from now on it is a tenant.
    ///
    /// # Errors
    /// The database's.
    pub fn confirm(&mut self, name: &TenantName) -> Result<()> {
        self.set_phase(name, TenantPhase::Ready)
    }

    /// From now on it can only be removed, also after a restart.
    ///
    /// # Errors
    /// The database's.
    pub fn begin_removal(&mut self, name: &TenantName) -> Result<()> {
        self.set_phase(name, TenantPhase::Removing)
    }

    /// Other limits.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`], or the database's.
    pub fn set_limits(&mut self, name: &TenantName, limits: &Limits) -> Result<()> {
        let sql = "UPDATE tenants SET limits = ?2 WHERE name = ?1";
        match self.db.execute(sql, [name.as_str(), &json(limits)?])? {
            0 => Err(Error::NoSuchTenant(name.to_string())),
            _ => Ok(()),
        }
    }

    /// Nothing of it is left on the host: frees its slot, its name and its domains.
    ///
    /// # Errors
    /// The database's.
    pub fn forget(&mut self, name: &TenantName) -> Result<()> {
        self.db.execute("DELETE FROM tenants WHERE name = ?1", [name.as_str()])?;
        self.clean_pages()
    }

    /// One tenant, whatever its phase.
    ///
    /// # Errors
    /// The database's.
    pub fn tenant(&mut self, name: &TenantName) -> Result<Option<TenantRow>> {
        let mut query = self.db.prepare_cached(&format!("{SELECT} WHERE name = ?1"))?;
        let raw = query.query_row([name.as_str()], RawTenant::read).optional()?;
        let Some(raw) = raw else { return Ok(None) };
        let mut parts = Parts::of(&self.db, Whose::One(raw.id))?;
        raw.complete(&mut parts).map(Some)
    }

    /// All tenants, whatever their phase, by name.
    ///
    /// # Errors
    /// The database's.
    pub fn tenants(&mut self) -> Result<Vec<TenantRow>> {
        let mut query = self.db.prepare_cached(&format!("{SELECT} ORDER BY name"))?;
        let raw = query.query_map([], RawTenant::read)?.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut parts = Parts::of(&self.db, Whose::All)?;
        raw.into_iter().map(|raw| raw.complete(&mut parts)).collect()
    }

    /// Slots that are not free.
    ///
    /// # Errors
    /// The database's.
    pub fn slots_used(&mut self) -> Result<u16> {
        Ok(self.db.query_row("SELECT count(*) FROM tenants", [], |row| row.get(0))?)
    }

    /// Who lives in which slot, also those who are going, by name.
    ///
    /// # Errors
    /// The database's.
    pub fn homes(&mut self) -> Result<Vec<(TenantName, SlotId)>> {
        let mut query =
            self.db.prepare_cached("SELECT name, slot FROM tenants WHERE phase <> 'adding' ORDER BY name")?;
        let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        rows.map(|row| {
            let (name, slot) = row?;
            Ok((checked("name", TenantName::new(name))?, checked("slot", SlotId::new(slot))?))
        })
        .collect()
    }

    fn set_phase(&mut self, name: &TenantName, phase: TenantPhase) -> Result<()> {
        let sql = "UPDATE tenants SET phase = ?2 WHERE name = ?1";
        match self.db.execute(sql, [name.as_str(), phase.word()])? {
            0 => Err(Error::NoSuchTenant(name.to_string())),
            _ => Ok(()),
        }
    }
}

impl TenantPhase {
    fn word(self) -> &'static str {
        match self {
            Self::Adding => "adding",
            Self::Ready => "ready",
            Self::Removing => "removing",
        }
    }

    fn from_word(word: &str) -> Result<Self> {
        let all = [Self::Adding, Self::Ready, Self::Removing];
        all.into_iter()
            .find(|phase| phase.word() == word)
            .ok_or_else(|| Error::Damaged(format!("phase {word:?}")))
    }
}

const SELECT: &str = "SELECT id, name, slot, runtime, command, limits, phase, current, settled, created_at_s,
                             maintenance, maintenance_page, page, previous
                      FROM tenants";

/// A row as SQLite has it, before the texts are checked.
struct RawTenant {
    id: i64,
    name: String,
    slot: u16,
    runtime: String,
    command: String,
    limits: String,
    phase: String,
    current: Option<u32>,
    settled: bool,
    created_at_s: u64,
    maintenance: (Option<String>, Option<i64>),
    page: Option<i64>,
    previous: Option<u32>,
}

/// What else belongs to tenants.
struct Parts {
    domains: HashMap<i64, Vec<DomainRow>>,
    egress: HashMap<i64, (Vec<u8>, Egress)>,
    releases: HashMap<i64, Vec<ReleaseRow>>,
}

impl Parts {
    fn of(db: &Connection, whose: Whose) -> Result<Self> {
        Ok(Self {
            domains: domains::of(db, whose)?,
            egress: super::egress::of(db, whose)?,
            releases: super::releases::of(db, whose)?,
        })
    }
}

impl RawTenant {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            name: row.get(1)?,
            slot: row.get(2)?,
            runtime: row.get(3)?,
            command: row.get(4)?,
            limits: row.get(5)?,
            phase: row.get(6)?,
            current: row.get(7)?,
            settled: row.get(8)?,
            created_at_s: row.get(9)?,
            maintenance: (row.get(10)?, row.get(11)?),
            page: row.get(12)?,
            previous: row.get(13)?,
        })
    }

    fn complete(self, parts: &mut Parts) -> Result<TenantRow> {
        let (rule_numbers, egress) = parts.egress.remove(&self.id).unwrap_or_default();
        Ok(TenantRow {
            egress,
            rule_numbers,
            name: checked("name", self.name.parse())?,
            slot: checked("slot", SlotId::new(self.slot))?,
            runtime: checked("runtime", self.runtime.parse())?,
            command: checked("command", serde_json::from_str(&self.command))?,
            limits: checked("limits", serde_json::from_str(&self.limits))?,
            phase: TenantPhase::from_word(&self.phase)?,
            current: self.current.map(ReleaseId),
            previous: self.previous.map(ReleaseId),
            settled: self.settled,
            created_at_s: self.created_at_s,
            domains: parts.domains.remove(&self.id).unwrap_or_default(),
            maintenance: pages::maintenance(self.maintenance)?,
            page: self.page,
            releases: parts.releases.remove(&self.id).unwrap_or_default(),
        })
    }
}

fn exists(db: &Connection, name: &str) -> Result<bool> {
    Ok(db.query_row("SELECT count(*) FROM tenants WHERE name = ?1", [name], |row| row.get::<_, u32>(0))? > 0)
}

/// The first gap in the slots taken. A slot that is being wiped is still taken.
fn lowest_free(db: &Connection, pool: u16, is_occupied: impl Fn(SlotId) -> bool) -> Result<Option<SlotId>> {
    let mut query = db.prepare_cached("SELECT slot FROM tenants ORDER BY slot")?;
    let taken = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<BTreeSet<u16>>>()?;
    Ok(SlotId::pool(pool).find(|slot| !taken.contains(&slot.index()) && !is_occupied(*slot)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{store, wish};
    use super::*;

    fn slot(n: u16) -> SlotId {
        SlotId::new(n).unwrap()
    }

    #[test]
    fn the_lowest_free_slot_is_taken_and_a_removing_one_is_not_free() {
        let mut store = store();
        for (n, name) in ["a", "b", "c"].into_iter().enumerate() {
            assert_eq!(store.reserve(&wish(name, &format!("{name}.test")), 3).unwrap(), slot(n as u16));
        }
        assert!(matches!(store.reserve(&wish("d", "d.test"), 3), Err(Error::NoFreeSlot(3))));
        let b = "b".parse().unwrap();
        store.begin_removal(&b).unwrap();
        assert!(matches!(store.reserve(&wish("d", "d.test"), 3), Err(Error::NoFreeSlot(3))));
        store.forget(&b).unwrap();
        assert_eq!(store.reserve(&wish("d", "d.test"), 3).unwrap(), slot(1));
        assert_eq!(store.slots_used().unwrap(), 3);
    }

    #[test]
    fn names_and_domains_are_unique_and_a_refusal_leaves_nothing() {
        let mut store = store();
        store.reserve(&wish("a", "a.test"), 9).unwrap();
        assert!(matches!(store.reserve(&wish("a", "x.test"), 9), Err(Error::TenantExists(_))));
        let mut second = wish("b", "b.test");
        second.domains.push("a.test".parse().unwrap());
        let error = store.reserve(&second, 9).unwrap_err();
        assert_eq!(error.to_string(), "the domain a.test belongs to the tenant a");
        assert_eq!(store.tenants().unwrap().len(), 1);
        assert_eq!(store.reserve(&wish("b", "b.test"), 9).unwrap(), slot(1));
        let mut twice = wish("c", "c.test");
        twice.domains.push("c.test".parse().unwrap());
        assert!(matches!(store.reserve(&twice, 9), Err(Error::DomainTaken { .. })));
    }

    #[test]
    fn a_tenant_comes_back_as_it_was_given() {
        let mut store = store();
        let mut given = wish("a", "z.test");
        given.domains.push("b.test".parse().unwrap());
        given.command = vec!["./serve".into(), "--quiet".into()];
        given.limits.pids_max = 7;
        store.reserve(&given, 9).unwrap();
        store.confirm(&given.name).unwrap();
        let row = store.tenant(&given.name).unwrap().unwrap();
        let domains: Vec<_> = row.domains.iter().map(|row| row.domain.clone()).collect();
        assert_eq!((&domains, &row.command, row.limits), (&given.domains, &given.command, given.limits));
        assert_eq!((row.phase, row.current, row.settled), (TenantPhase::Ready, None, true));
        assert_eq!(store.tenants().unwrap(), [row]);
        assert!(store.tenant(&"b".parse().unwrap()).unwrap().is_none());
        assert!(store.confirm(&"b".parse().unwrap()).is_err());
    }
}
