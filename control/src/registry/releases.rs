//! Rows of releases. A release is `begun` before its first byte is written and `done` once it serves; both `begun`
//! rows of an interrupted deploy and `removing` ones name files that are still to be removed.

use std::collections::{HashMap, HashSet};

use kennel_model::api::Source;
use kennel_model::found::Origin;
use kennel_model::{ReleaseId, RuntimeName, TenantName};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{ReleaseRow, Store, Whose, checked, json, now_s};
use crate::error::{Error, Result};

/// What is known of a release when it is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes of its files.
    pub bytes: u64,
    /// Files and folders.
    pub entries: u32,
    /// What runs it.
    pub command: Vec<String>,
    /// Where that comes from.
    pub origin: Origin,
    /// What it runs on.
    pub runtime: RuntimeName,
    /// The commit that it was made from.
    pub source: Option<Source>,
    /// Fingerprint of the key that deployed it.
    pub by: String,
}

/// What is left to remove; files that another release shares are not.
const LEFT_OVER: &str = "state <> 'done' AND NOT EXISTS
    (SELECT 1 FROM releases AS other WHERE other.tenant = releases.tenant AND other.state = 'done'
     AND other.files = releases.number)";

impl Store {
    /// Gives out the next number; it is never given out again, whatever becomes of the upload.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`], or the database's.
    pub fn begin_release(&mut self, name: &TenantName) -> Result<ReleaseId> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "UPDATE tenants SET next_release = next_release + 1 WHERE name = ?1 AND phase = 'ready'
                   RETURNING id, next_release - 1";
        let found =
            tx.query_row(sql, [name.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()?;
        let (tenant, number) = found.ok_or_else(|| Error::NoSuchTenant(name.to_string()))?;
        tx.execute(
            "INSERT INTO releases (tenant, number, state, created_at_s) VALUES (?1, ?2, 'begun', ?3)",
            params![tenant, number, now_s()],
        )?;
        tx.commit()?;
        Ok(ReleaseId(number))
    }

    /// The newest number that was ever given out; 0 before the first.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`], or the database's.
    pub fn newest_release(&self, name: &TenantName) -> Result<ReleaseId> {
        let sql = "SELECT next_release - 1 FROM tenants WHERE name = ?1";
        let found = self.db.query_row(sql, [name.as_str()], |row| row.get(0)).optional()?;
        found.map(ReleaseId).ok_or_else(|| Error::NoSuchTenant(name.to_string()))
    }

    /// The release is complete and, if it is to serve, becomes the current one: the moment from which a deploy is acknowledged.
    /// `keep` are kept: it, the one that served until now, and the newest others; those that share files count as one. The rest is marked
    /// for removal in the same step.
    ///
    /// # Errors
    /// The database's.
    pub fn finish_release(
        &mut self,
        name: &TenantName,
        id: ReleaseId,
        facts: &Unpacked,
        (serves, keep): (bool, u32),
    ) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (tenant, before): (i64, Option<u32>) =
            tx.query_row("SELECT id, current FROM tenants WHERE name = ?1", [name.as_str()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        let changed = tx.execute(
            "UPDATE releases SET state = 'done', bytes = ?3, entries = ?4, command = ?5, by = ?6, created_at_s = ?7,
                 origin = ?8, runtime = ?9, source = ?10, env = (SELECT env FROM tenants WHERE id = ?1)
             WHERE tenant = ?1 AND number = ?2 AND state = 'begun'",
            params![
                tenant,
                id.0,
                facts.bytes,
                facts.entries,
                json(&facts.command)?,
                facts.by,
                now_s(),
                json(&facts.origin)?,
                facts.runtime.as_str(),
                facts.source.as_ref().map(json).transpose()?
            ],
        )?;
        if changed != 1 {
            return Err(Error::Internal(format!("{id} of {name} was not begun")));
        }
        if serves {
            tx.execute(
                "UPDATE tenants SET current = ?2, previous = NULL, settled = 0, runtime = ?3 WHERE id = ?1",
                params![tenant, id.0, facts.runtime.as_str()],
            )?;
        }
        tx.execute(
            "UPDATE releases SET state = 'removing'
             WHERE tenant = ?1 AND state = 'done' AND coalesce(files, number) NOT IN
             (SELECT coalesce(files, number) AS whose FROM releases WHERE tenant = ?1 AND state = 'done' GROUP BY whose
              ORDER BY max(number = ?3) DESC, max(number IS ?4) DESC, max(number) DESC LIMIT ?2)",
            params![tenant, keep.max(if serves { 1 } else { 2 }), id.0, before],
        )?;
        tx.commit()?;
        Ok(())
    }

    /// Init has switched to the current release, and nothing of an older one runs.
    ///
    /// # Errors
    /// The database's.
    pub fn settle(&mut self, name: &TenantName) -> Result<()> {
        self.db.execute("UPDATE tenants SET settled = 1 WHERE name = ?1", [name.as_str()])?;
        Ok(())
    }

    /// Releases whose files are to be removed: interrupted, refused, or too old. Files that another release has, too, stay, and
    /// what has none of its own is forgotten here.
    ///
    /// # Errors
    /// The database's.
    pub fn leftovers(&mut self, name: &TenantName) -> Result<Vec<ReleaseId>> {
        self.db.execute(
            "DELETE FROM releases WHERE state = 'removing' AND files <> number
             AND tenant = (SELECT id FROM tenants WHERE name = ?1)",
            [name.as_str()],
        )?;
        let mut query = self.db.prepare_cached(&format!(
            "SELECT number FROM releases JOIN tenants ON tenants.id = releases.tenant
             WHERE name = ?1 AND {LEFT_OVER} ORDER BY number"
        ))?;
        let numbers = query.query_map([name.as_str()], |row| Ok(ReleaseId(row.get(0)?)))?;
        Ok(numbers.collect::<rusqlite::Result<_>>()?)
    }

    /// The tenants that have any.
    ///
    /// # Errors
    /// The database's.
    pub fn all_leftovers(&mut self) -> Result<HashSet<TenantName>> {
        let mut query = self.db.prepare_cached(&format!(
            "SELECT DISTINCT name FROM releases JOIN tenants ON tenants.id = releases.tenant WHERE {LEFT_OVER}"
        ))?;
        let names = query.query_map([], |row| row.get::<_, String>(0))?;
        names.map(|name| checked("tenant", TenantName::new(name?))).collect()
    }

    /// The files of a leftover are gone.
    ///
    /// # Errors
    /// The database's.
    pub fn forget_release(&mut self, name: &TenantName, id: ReleaseId) -> Result<()> {
        self.db.execute(
            "DELETE FROM releases WHERE number = ?2 AND state != 'done'
             AND tenant = (SELECT id FROM tenants WHERE name = ?1)",
            params![name.as_str(), id.0],
        )?;
        Ok(())
    }
}

/// The complete releases of those who have any, oldest first.
pub(super) fn of(db: &Connection, whose: Whose) -> Result<HashMap<i64, Vec<ReleaseRow>>> {
    let sql =
        "SELECT tenant, number, bytes, entries, by, created_at_s, command, coalesce(files, number), origin, runtime,
                source
         FROM releases
         WHERE state = 'done'";
    let rows = whose.rows(db, sql, "number", |row| {
        let texts = (row.get::<_, String>(6)?, row.get::<_, Option<String>>(8)?, row.get::<_, String>(9)?);
        let source = row.get::<_, Option<String>>(10)?;
        let numbers = (ReleaseId(row.get(1)?), ReleaseId(row.get(7)?));
        Ok((numbers, (row.get(2)?, row.get(3)?), (row.get(4)?, row.get(5)?), (texts, source)))
    })?;
    let complete =
        |((id, files), (bytes, entries), (by, created_at_s), ((command, origin, runtime), source))| {
            let command: String = command;
            let origin: Option<String> = origin;
            let runtime: String = runtime;
            let source: Option<String> = source;
            Ok(ReleaseRow {
                id,
                files,
                bytes,
                entries,
                by,
                created_at_s,
                command: checked("command", serde_json::from_str(&command))?,
                origin: checked("origin", origin.map(|origin| serde_json::from_str(&origin)).transpose())?,
                runtime: checked("runtime", runtime.parse())?,
                source: checked("source", source.map(|source| serde_json::from_str(&source)).transpose())?,
            })
        };
    rows.into_iter()
        .map(|(tenant, rows)| Ok((tenant, rows.into_iter().map(complete).collect::<Result<_>>()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_tenant;
    use super::*;

    fn facts() -> Unpacked {
        Unpacked {
            bytes: 10,
            entries: 2,
            command: vec!["./server".into()],
            origin: Origin::Name,
            runtime: "node-24".parse().unwrap(),
            source: Some(Source {
                commit: "a".repeat(40).parse().unwrap(),
                name: Some("refs/heads/main".parse().unwrap()),
            }),
            by: "SHA256:me".into(),
        }
    }

    #[test]
    fn numbers_are_never_reused() {
        let (mut store, name) = with_tenant();
        let first = store.begin_release(&name).unwrap();
        store.forget_release(&name, first).unwrap();
        let second = store.begin_release(&name).unwrap();
        assert_eq!((first, second), (ReleaseId(1), ReleaseId(2)));
    }

    #[test]
    fn a_finished_release_is_current_and_unsettled() {
        let (mut store, name) = with_tenant();
        let id = store.begin_release(&name).unwrap();
        assert_eq!(store.tenant(&name).unwrap().unwrap().releases, []);
        assert_eq!(store.leftovers(&name).unwrap(), [id]);
        assert_eq!(store.all_leftovers().unwrap(), [name.clone()].into());
        store.finish_release(&name, id, &facts(), (true, 5)).unwrap();
        let row = store.tenant(&name).unwrap().unwrap();
        assert_eq!((row.current, row.settled, row.releases.len()), (Some(id), false, 1));
        let release = row.current_release().unwrap();
        assert_eq!((&release.command, release.origin), (&facts().command, Some(Origin::Name)));
        assert_eq!(release.source, facts().source);
        store.settle(&name).unwrap();
        assert!(store.tenant(&name).unwrap().unwrap().settled);
        assert!(store.finish_release(&name, id, &facts(), (true, 5)).is_err(), "twice");
    }

    #[test]
    fn only_the_newest_are_kept_and_a_done_one_is_never_forgotten() {
        let (mut store, name) = with_tenant();
        for _ in 0..4 {
            let id = store.begin_release(&name).unwrap();
            store.finish_release(&name, id, &facts(), (true, 2)).unwrap();
        }
        assert_eq!(store.leftovers(&name).unwrap(), [ReleaseId(1), ReleaseId(2)]);
        for n in 1..=4 {
            store.forget_release(&name, ReleaseId(n)).unwrap();
        }
        let kept: Vec<_> = store.tenant(&name).unwrap().unwrap().releases.iter().map(|r| r.id).collect();
        assert_eq!(kept, [ReleaseId(3), ReleaseId(4)]);
    }

    #[test]
    fn what_served_before_a_deploy_is_kept_however_old_it_is() {
        let (mut store, name) = with_tenant();
        for _ in 0..3 {
            let id = store.begin_release(&name).unwrap();
            store.finish_release(&name, id, &facts(), (true, 3)).unwrap();
        }
        store.begin_switch(&name, ReleaseId(1)).unwrap();
        store.db.execute("UPDATE tenants SET previous = NULL", []).unwrap();
        let id = store.begin_release(&name).unwrap();
        store.finish_release(&name, id, &facts(), (true, 3)).unwrap();
        let kept: Vec<_> = store.tenant(&name).unwrap().unwrap().releases.iter().map(|r| r.id.0).collect();
        assert_eq!(kept, [1, 3, 4]);
    }

    #[test]
    fn a_tenant_goes_with_its_releases_and_takes_none_when_removing() {
        let (mut store, name) = with_tenant();
        let id = store.begin_release(&name).unwrap();
        store.finish_release(&name, id, &facts(), (true, 5)).unwrap();
        store.begin_removal(&name).unwrap();
        assert!(matches!(store.begin_release(&name), Err(Error::NoSuchTenant(_))));
        store.forget(&name).unwrap();
        let left: u32 = store.db.query_row("SELECT count(*) FROM releases", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    }
}
