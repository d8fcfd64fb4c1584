//! Rows of environments, which are sealed: nothing here knows what is in them.

use kennel_model::{ReleaseId, TenantName};
use rusqlite::{OptionalExtension, TransactionBehavior, params};

use super::{Store, checked, copies};
use crate::error::Result;

impl Store {
    /// The environment of a tenant's current release, or what its first one will have.
    ///
    /// # Errors
    /// The database's.
    pub fn env(&mut self, name: &TenantName) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT iif(current IS NULL, tenants.env, releases.env) FROM tenants
                   LEFT JOIN releases ON (tenant, number) = (tenants.id, current) WHERE name = ?1";
        Ok(self.db.query_row(sql, [name.as_str()], |row| row.get(0)).optional()?.flatten())
    }

    /// Those of all current releases.
    ///
    /// # Errors
    /// The database's.
    pub fn envs(&mut self) -> Result<Vec<(TenantName, Vec<u8>)>> {
        let mut query = self.db.prepare_cached(
            "SELECT name, releases.env FROM tenants JOIN releases ON (tenant, number) = (tenants.id, current)
             WHERE releases.env IS NOT NULL",
        )?;
        let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
        rows.map(|row| {
            let (name, sealed) = row?;
            Ok((checked("tenant", TenantName::new(name))?, sealed))
        })
        .collect()
    }

    /// Makes a release of the current one's files with another environment, and has it current, on trial. Without a release the
    /// environment is what the first one begins with.
    ///
    /// # Errors
    /// What `seal` says, which is given the new release's number; [`Error::NoSuchTenant`], or the database's.
    pub fn begin_env(
        &mut self,
        name: &TenantName,
        by: &str,
        seal: impl FnOnce(Option<ReleaseId>) -> Result<Vec<u8>>,
    ) -> Result<Option<ReleaseId>> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (tenant, number, current) = copies::next(&tx, name)?;
        let made = current.map(|_| ReleaseId(number));
        let sealed = seal(made)?;
        let Some(current) = current else {
            tx.execute("UPDATE tenants SET env = ?2 WHERE id = ?1", params![tenant, sealed])?;
            tx.commit()?;
            return Ok(None);
        };
        copies::take(&tx, tenant, (current, number), by)?;
        tx.execute(
            "UPDATE releases SET env = ?3 WHERE tenant = ?1 AND number = ?2",
            params![tenant, number, sealed],
        )?;
        tx.commit()?;
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use kennel_model::found::Origin;

    use super::super::Unpacked;
    use super::super::testing::with_tenant;
    use super::*;
    use crate::error::Error;
    use kennel_model::SlotState;
    use kennel_model::msg::Rung;
    use kennel_model::seeing::Transition;

    fn deploy(store: &mut Store, name: &TenantName, keep: u32) -> ReleaseId {
        let facts = Unpacked {
            bytes: 7,
            entries: 1,
            command: vec!["./server".into()],
            origin: Origin::Name,
            source: None,
            runtime: "node-24".parse().unwrap(),
            by: "SHA256:me".into(),
        };
        let id = store.begin_release(name).unwrap();
        store.finish_release(name, id, &facts, (true, keep)).unwrap();
        id
    }

    fn keep(store: &mut Store, name: &TenantName) {
        let told = Transition {
            at_ms: 5,
            state: SlotState::Running,
            from: Rung::Running,
            took_ms: None,
            reason: String::new(),
            note: true,
        };
        store.keep_switch(name, &told).unwrap();
    }

    fn set(store: &mut Store, name: &TenantName, text: &str) -> Option<ReleaseId> {
        let made = store.begin_env(name, "SHA256:me", |_| Ok(text.into())).unwrap();
        if made.is_some() {
            keep(store, name);
        }
        made
    }

    fn kept(store: &mut Store, name: &TenantName) -> Vec<(u32, u32)> {
        let row = store.tenant(name).unwrap().unwrap();
        row.releases.iter().map(|release| (release.id.0, release.files.0)).collect()
    }

    #[test]
    fn the_first_release_begins_with_what_was_set_before() {
        let (mut store, name) = with_tenant();
        assert_eq!(store.env(&name).unwrap(), None);
        assert_eq!(set(&mut store, &name, "one"), None);
        assert_eq!((store.env(&name).unwrap(), store.envs().unwrap().len()), (Some("one".into()), 0));
        deploy(&mut store, &name, 5);
        assert_eq!(store.envs().unwrap(), [(name.clone(), "one".into())]);
        assert_eq!(set(&mut store, &name, "two"), Some(ReleaseId(2)));
        assert_eq!(kept(&mut store, &name), [(1, 1), (2, 1)]);
        deploy(&mut store, &name, 5);
        assert_eq!(store.env(&name).unwrap(), Some("two".into()), "a deploy keeps it");
        store.begin_switch(&name, ReleaseId(1)).unwrap();
        keep(&mut store, &name);
        assert_eq!(store.env(&name).unwrap(), Some("one".into()), "a rollback brings its own back");
        deploy(&mut store, &name, 5);
        assert_eq!(store.env(&name).unwrap(), Some("one".into()), "for what comes, too");
    }

    #[test]
    fn files_stay_as_long_as_a_release_has_them() {
        let (mut store, name) = with_tenant();
        deploy(&mut store, &name, 2);
        for n in 2..=8 {
            assert_eq!(set(&mut store, &name, "x"), Some(ReleaseId(n)));
        }
        assert_eq!(kept(&mut store, &name), [(4, 1), (5, 1), (6, 1), (7, 1), (8, 1)]);
        assert_eq!(store.leftovers(&name).unwrap(), [], "they are the others' as well");
        assert!(store.all_leftovers().unwrap().is_empty());
        deploy(&mut store, &name, 2);
        assert_eq!(kept(&mut store, &name).len(), 6, "files count once");
        deploy(&mut store, &name, 2);
        assert_eq!(kept(&mut store, &name), [(9, 9), (10, 10)]);
        assert_eq!(store.leftovers(&name).unwrap(), [ReleaseId(1)], "whose files nobody has any more");
    }

    #[test]
    fn one_that_does_not_stay_is_none() {
        let (mut store, name) = with_tenant();
        deploy(&mut store, &name, 5);
        set(&mut store, &name, "good");
        store.begin_env(&name, "SHA256:me", |id| Ok(format!("{id:?}").into())).unwrap();
        assert_eq!(store.env(&name).unwrap(), Some("Some(ReleaseId(3))".into()));
        store.give_up_switch(&name).unwrap();
        assert_eq!(store.env(&name).unwrap(), Some("good".into()));
        assert_eq!((kept(&mut store, &name), store.leftovers(&name).unwrap()), (vec![(1, 1), (2, 1)], vec![]));
        let refused = store.begin_env(&name, "", |_| Err(Error::Internal(String::new())));
        assert!(refused.is_err());
        assert_eq!(kept(&mut store, &name), [(1, 1), (2, 1)]);
    }
}
