//! Rows of processes: what the files of a release say is to run beside its program, and how often each tenant wants that. Releases that
//! share files share these, too.

use std::collections::BTreeMap;

use kennel_model::{ProcessName, ReleaseId, TenantName};
use rusqlite::{OptionalExtension as _, params};

use super::{Store, checked, json};
use crate::error::{Error, Result};

/// A process that a release knows how to run: its name, and what is run.
pub type ProcessRow = (ProcessName, Vec<String>);

/// A process that is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedRow {
    /// For whom.
    pub tenant: TenantName,
    /// Which.
    pub process: ProcessName,
    /// How often.
    pub count: u16,
    /// In which release: the one that serves, or did before the one on trial.
    pub release: ReleaseId,
    /// What is run.
    pub command: Vec<String>,
}

impl Store {
    /// What the files of a release that has been begun say.
    ///
    /// # Errors
    /// The database's.
    pub fn add_processes(
        &mut self,
        name: &TenantName,
        release: ReleaseId,
        processes: &[ProcessRow],
    ) -> Result<()> {
        let work = self.db.transaction()?;
        for (position, (process, command)) in processes.iter().enumerate() {
            work.execute(
                "INSERT INTO processes (tenant, number, position, name, command)
                 VALUES ((SELECT id FROM tenants WHERE name = ?1), ?2, ?3, ?4, ?5)",
                params![name.as_str(), release.0, position, process.as_str(), json(command)?],
            )?;
        }
        Ok(work.commit()?)
    }

    /// What is known of those of the files of a release, in their order.
    ///
    /// # Errors
    /// The database's.
    pub fn processes(&mut self, name: &TenantName, files: ReleaseId) -> Result<Vec<ProcessRow>> {
        let mut query = self.db.prepare_cached(
            "SELECT name, command FROM processes
             WHERE tenant = (SELECT id FROM tenants WHERE name = ?1) AND number = ?2 ORDER BY position",
        )?;
        let rows = query.query_map(params![name.as_str(), files.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.map(|row| read(row?)).collect()
    }

    /// How often a tenant wants what, whatever its release says.
    ///
    /// # Errors
    /// The database's.
    pub fn scale(&mut self, name: &TenantName) -> Result<BTreeMap<ProcessName, u16>> {
        let mut query = self.db.prepare_cached(
            "SELECT process, count FROM scale WHERE tenant = (SELECT id FROM tenants WHERE name = ?1)",
        )?;
        let rows = query.query_map([name.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        rows.map(|row| {
            row.map_err(Error::from).and_then(|(name, n)| Ok((checked("process", name.parse())?, n)))
        })
        .collect()
    }

    /// Has it another wish. What is not wanted at all is forgotten.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`], or the database's.
    pub fn set_scale(&mut self, name: &TenantName, scale: &BTreeMap<ProcessName, u16>) -> Result<()> {
        let work = self.db.transaction()?;
        let sql = "SELECT id FROM tenants WHERE name = ?1 AND phase = 'ready'";
        let tenant: Option<i64> = work.query_row(sql, [name.as_str()], |row| row.get(0)).optional()?;
        let tenant = tenant.ok_or_else(|| Error::NoSuchTenant(name.to_string()))?;
        work.execute("DELETE FROM scale WHERE tenant = ?1", [tenant])?;
        for (process, count) in scale.iter().filter(|(_, count)| **count > 0) {
            work.execute(
                "INSERT INTO scale (tenant, process, count) VALUES (?1, ?2, ?3)",
                params![tenant, process.as_str(), count],
            )?;
        }
        Ok(work.commit()?)
    }

    /// All that is to run on the host.
    ///
    /// # Errors
    /// The database's.
    pub fn wanted_processes(&mut self) -> Result<Vec<WantedRow>> {
        let mut query = self.db.prepare_cached(
            "SELECT tenants.name, process, count, releases.number, processes.command
             FROM scale
             JOIN tenants ON tenants.id = scale.tenant AND phase = 'ready'
             JOIN releases ON releases.tenant = tenants.id AND releases.number = coalesce(previous, current)
             JOIN processes ON processes.tenant = tenants.id AND processes.name = process
                  AND processes.number = coalesce(releases.files, releases.number)
             ORDER BY tenants.name, position",
        )?;
        let rows = query.query_map([], |row| {
            let words = (row.get::<_, String>(0)?, (row.get(1)?, row.get(4)?));
            Ok((words, row.get(2)?, ReleaseId(row.get(3)?)))
        })?;
        rows.map(|row| {
            let ((tenant, words), count, release) = row?;
            let (process, command) = read(words)?;
            let tenant = checked("tenant", TenantName::new(tenant))?;
            Ok(WantedRow { tenant, process, count, release, command })
        })
        .collect()
    }
}

fn read((name, command): (String, String)) -> Result<ProcessRow> {
    Ok((checked("process", name.parse())?, checked("command", serde_json::from_str(&command))?))
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

    fn facts() -> Unpacked {
        Unpacked {
            bytes: 1,
            entries: 1,
            command: vec!["a".into()],
            origin: Origin::Procfile,
            source: None,
            runtime: "node-24".parse().unwrap(),
            by: "me".into(),
        }
    }

    #[test]
    fn what_a_release_says_is_wanted_as_often_as_its_tenant_says() {
        let (mut store, name) = with_tenant();
        let process = |name: &str| -> ProcessName { name.parse().unwrap() };
        let (worker, clock) = (process("worker"), process("clock"));
        let words = |word: &str| vec!["node".to_owned(), word.to_owned()];
        let deploy = |store: &mut Store, said: &[ProcessRow]| {
            let id = store.begin_release(&name).unwrap();
            store.add_processes(&name, id, said).unwrap();
            store.finish_release(&name, id, &facts(), (true, 5)).unwrap();
            id
        };
        let said = [(worker.clone(), words("b.js")), (clock.clone(), words("c.js"))];
        let first = deploy(&mut store, &said);
        assert_eq!(store.processes(&name, first).unwrap(), said);
        assert!(store.wanted_processes().unwrap().is_empty(), "nobody has said that it is to run");
        let scale = [(worker.clone(), 2), (clock.clone(), 0)].into();
        store.set_scale(&name, &scale).unwrap();
        assert_eq!(store.scale(&name).unwrap(), [(worker.clone(), 2)].into());
        let wanted = |release, command| WantedRow {
            tenant: name.clone(),
            process: worker.clone(),
            count: 2,
            release,
            command,
        };
        assert_eq!(store.wanted_processes().unwrap(), [wanted(first, words("b.js"))]);
        // Another environment has the same files, and is not yet what runs while it is on trial.
        let second = store.begin_env(&name, "me", |_| Ok(vec![1])).unwrap().unwrap();
        assert_eq!(store.wanted_processes().unwrap(), [wanted(first, words("b.js"))]);
        store.give_up_switch(&name).unwrap();
        assert_eq!(second, ReleaseId(2));
        let third = deploy(&mut store, &[(worker.clone(), words("d.js"))]);
        assert_eq!(store.wanted_processes().unwrap(), [wanted(third, words("d.js"))]);
        // One that knows no such process runs none; the wish is kept.
        deploy(&mut store, &[]);
        assert!(store.wanted_processes().unwrap().is_empty());
        assert_eq!(store.scale(&name).unwrap().len(), 1);
        store.begin_removal(&name).unwrap();
        assert!(store.set_scale(&name, &scale).is_err());
    }

    #[test]
    fn a_history_of_a_thousand_releases_leaves_a_handful_of_rows() {
        let (mut store, name) = with_tenant();
        let worker: ProcessName = "worker".parse().unwrap();
        store.set_scale(&name, &[(worker.clone(), 1)].into()).unwrap();
        let told = Transition {
            at_ms: 5,
            state: SlotState::Running,
            from: Rung::Running,
            took_ms: None,
            reason: String::new(),
            note: true,
        };
        for n in 0..200 {
            let id = store.begin_release(&name).unwrap();
            store.add_processes(&name, id, &[(worker.clone(), vec![format!("./{n}")])]).unwrap();
            store.finish_release(&name, id, &facts(), (true, 5)).unwrap();
            // More environments of the same files than are kept, the first of them not among these.
            for _ in 0..7 {
                store.begin_env(&name, "me", |_| Ok(vec![1])).unwrap().unwrap();
                store.keep_switch(&name, &told).unwrap();
            }
            for id in store.leftovers(&name).unwrap() {
                store.forget_release(&name, id).unwrap();
            }
        }
        let row = store.tenant(&name).unwrap().unwrap();
        assert_eq!(row.current, Some(ReleaseId(1600)));
        assert_eq!(store.wanted_processes().unwrap()[0].command, ["./199"], "of files whose release has gone");
        let count = |sql: &str| store.db.query_row(sql, [], |row| row.get::<_, usize>(0)).unwrap();
        // Five times files, each with five environments at most, and the row that they are of.
        assert!(count("SELECT count(*) FROM releases") <= 30);
        assert_eq!(count("SELECT count(*) FROM processes"), 5);
    }
}
