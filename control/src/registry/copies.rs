//! Releases that have the files of the one before: another environment, or another runtime, is all that they bring. Each is current
//! and on trial from its beginning, as what is switched to is.

use kennel_model::{ReleaseId, RuntimeName, TenantName};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::{Store, json, now_s};
use crate::error::{Error, Result};

/// Of those releases that share their files, so many are kept.
const KEPT_OF_THE_SAME: u32 = 5;

impl Store {
    /// Makes a release of the current one's files that runs on another runtime, by this command, and has it current, on trial.
    /// Without a release, the runtime is that of the first one to come.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`], or the database's.
    pub fn begin_move(
        &mut self,
        name: &TenantName,
        by: &str,
        runtime: &RuntimeName,
        command: &[String],
    ) -> Result<Option<ReleaseId>> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (tenant, number, current) = next(&tx, name)?;
        match current {
            None => {
                tx.execute("UPDATE tenants SET runtime = ?2 WHERE id = ?1", params![tenant, runtime.as_str()])?;
            }
            Some(current) => {
                take(&tx, tenant, (current, number), by)?;
                tx.execute(
                    "UPDATE releases SET runtime = ?3, command = ?4 WHERE tenant = ?1 AND number = ?2",
                    params![tenant, number, runtime.as_str(), json(&command)?],
                )?;
            }
        }
        tx.commit()?;
        Ok(current.map(|_| ReleaseId(number)))
    }
}

/// A tenant that is whole, the number of its next release, and the current one.
pub(super) fn next(db: &Connection, name: &TenantName) -> Result<(i64, u32, Option<u32>)> {
    let sql = "SELECT id, next_release, current FROM tenants
               WHERE name = ?1 AND phase = 'ready' AND previous IS NULL";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found = db.query_row(sql, [name.as_str()], read).optional()?;
    found.ok_or_else(|| Error::NoSuchTenant(name.to_string()))
}

/// Takes a copy of a release that differs in its number and in whose it is, and has it current; of those that share its files, old
/// ones go.
pub(super) fn take(db: &Connection, tenant: i64, (of, number): (u32, u32), by: &str) -> Result<()> {
    db.execute(
        "INSERT INTO releases (tenant, number, state, bytes, entries, command, by, created_at_s, env, files, tried,
                               origin, runtime, source)
         SELECT tenant, ?3, 'done', bytes, entries, command, ?4, ?5, env, coalesce(files, number), 0, origin, runtime,
                source
         FROM releases WHERE tenant = ?1 AND number = ?2",
        params![tenant, of, number, by, now_s()],
    )?;
    db.execute(
        "UPDATE tenants SET next_release = ?2 + 1, previous = current, current = ?2, settled = 0 WHERE id = ?1",
        params![tenant, number],
    )?;
    db.execute(
        "UPDATE releases SET state = 'removing' WHERE tenant = ?1 AND state = 'done'
         AND coalesce(files, number) = (SELECT files FROM releases WHERE tenant = ?1 AND number = ?2)
         AND number NOT IN (?2, ?3) AND number NOT IN
         (SELECT number FROM releases WHERE tenant = ?1 AND state = 'done'
          AND coalesce(files, number) = (SELECT files FROM releases WHERE tenant = ?1 AND number = ?2)
          ORDER BY number DESC LIMIT ?4)",
        params![tenant, number, of, KEPT_OF_THE_SAME],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use kennel_model::SlotState;
    use kennel_model::found::Origin;
    use kennel_model::msg::Rung;
    use kennel_model::seeing::Transition;

    use super::super::Unpacked;
    use super::super::testing::with_tenant;
    use super::*;

    fn told() -> Transition {
        let (state, from) = (SlotState::Running, Rung::Running);
        Transition { at_ms: 5, state, from, took_ms: None, reason: String::new(), note: true }
    }

    /// What the tenant's next release is for, and of each of its releases, what it runs on and by what.
    fn runs(store: &mut Store, name: &TenantName) -> (String, Vec<(u32, u32, String, String)>) {
        let row = store.tenant(name).unwrap().unwrap();
        let of = row.releases.iter();
        let of = of.map(|r| (r.id.0, r.files.0, r.runtime.to_string(), r.command.join(" ")));
        (row.runtime.to_string(), of.collect())
    }

    #[test]
    fn a_release_keeps_its_runtime_and_the_tenant_has_that_of_what_serves() {
        let (mut store, name) = with_tenant();
        let [node, python] = ["node-24", "python-3.13"].map(|name| name.parse::<RuntimeName>().unwrap());
        assert_eq!(store.begin_move(&name, "me", &python, &[]).unwrap(), None);
        assert_eq!(runs(&mut store, &name), ("python-3.13".into(), vec![]));
        let facts = Unpacked {
            bytes: 1,
            entries: 1,
            command: vec!["a".into()],
            origin: Origin::Name,
            source: None,
            runtime: node.clone(),
            by: "me".into(),
        };
        let id = store.begin_release(&name).unwrap();
        store.finish_release(&name, id, &facts, (true, 5)).unwrap();
        let first = (1, 1, "node-24".to_owned(), "a".to_owned());
        assert_eq!(runs(&mut store, &name), ("node-24".into(), vec![first.clone()]));
        let moved = || (2, 1, "python-3.13".to_owned(), "b".to_owned());
        assert_eq!(store.begin_move(&name, "me", &python, &["b".into()]).unwrap(), Some(ReleaseId(2)));
        assert_eq!(runs(&mut store, &name), ("node-24".into(), vec![first.clone(), moved()]), "on trial");
        store.give_up_switch(&name).unwrap();
        assert_eq!(runs(&mut store, &name), ("node-24".into(), vec![first.clone()]));
        assert_eq!(store.begin_move(&name, "me", &python, &["b".into()]).unwrap(), Some(ReleaseId(3)));
        store.keep_switch(&name, &told()).unwrap();
        assert_eq!(runs(&mut store, &name).0, "python-3.13");
        store.begin_switch(&name, ReleaseId(1)).unwrap();
        store.keep_switch(&name, &told()).unwrap();
        assert_eq!(runs(&mut store, &name).0, "node-24", "a rollback brings it back");
    }
}
