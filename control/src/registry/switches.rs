//! A switch to another release, as the registry has it: what served until now is remembered until the other has stayed up,
//! so that a switch that is cut off, or comes to nothing, is undone.

use kennel_model::seeing::Transition;
use kennel_model::{ReleaseId, TenantName};
use rusqlite::{TransactionBehavior, params};

use super::{Store, checked};
use crate::error::{Error, Result};

impl Store {
    /// From now on `to`, one of the kept releases, is the current one, on trial.
    ///
    /// # Errors
    /// The database's.
    pub fn begin_switch(&mut self, name: &TenantName, to: ReleaseId) -> Result<()> {
        let changed = self.db.execute(
            "UPDATE tenants SET previous = current, current = ?2, settled = 0
             WHERE name = ?1 AND phase = 'ready' AND previous IS NULL AND current <> ?2 AND EXISTS
             (SELECT 1 FROM releases WHERE tenant = tenants.id AND number = ?2 AND state = 'done')",
            params![name.as_str(), to.0],
        )?;
        if changed == 1 { Ok(()) } else { Err(Error::Internal(format!("{name} cannot be switched to {to}"))) }
    }

    /// It stays: the switch is acknowledged, and told in the timeline.
    ///
    /// # Errors
    /// The database's.
    pub fn keep_switch(&mut self, name: &TenantName, told: &Transition) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let changed = tx.execute(
            "UPDATE tenants SET previous = NULL, settled = 1 WHERE name = ?1 AND previous IS NOT NULL",
            [name.as_str()],
        )?;
        if changed != 1 {
            return Err(Error::Internal(format!("{name} was not switched")));
        }
        tx.execute(
            "UPDATE releases SET tried = 1 WHERE (tenant, number) = (SELECT id, current FROM tenants WHERE name = ?1)",
            [name.as_str()],
        )?;
        tx.execute(
            "UPDATE tenants SET (env, runtime) =
                 (SELECT env, runtime FROM releases WHERE (tenant, number) = (tenants.id, tenants.current))
             WHERE name = ?1",
            [name.as_str()],
        )?;
        super::acme::note(&tx, name, told)?;
        Ok(tx.commit()?)
    }

    /// What served before is the current one again; init is still to be told. A release that was made for this is none.
    ///
    /// # Errors
    /// The database's.
    pub fn give_up_switch(&mut self, name: &TenantName) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute(
            "UPDATE tenants SET current = previous, previous = NULL, settled = 0
             WHERE name = ?1 AND previous IS NOT NULL",
            [name.as_str()],
        )?;
        tx.execute(
            "UPDATE releases SET state = 'removing'
             WHERE tried = 0 AND tenant = (SELECT id FROM tenants WHERE name = ?1)",
            [name.as_str()],
        )?;
        Ok(tx.commit()?)
    }

    /// The same for all that an end of control has cut off. Gives the tenants.
    ///
    /// # Errors
    /// The database's.
    pub fn give_up_switches(&mut self) -> Result<Vec<TenantName>> {
        let mut query = self.db.prepare_cached("SELECT name FROM tenants WHERE previous IS NOT NULL")?;
        let names =
            query.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        drop(query);
        let names: Vec<_> =
            names.into_iter().map(|name| checked("tenant", TenantName::new(name))).collect::<Result<_>>()?;
        names.iter().try_for_each(|name| self.give_up_switch(name))?;
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Unpacked;
    use super::super::testing::with_tenant;
    use super::*;
    use kennel_model::SlotState;
    use kennel_model::found::Origin;
    use kennel_model::msg::Rung;

    /// A tenant with the releases 1 to 3, the last of which serves.
    fn tenant() -> (Store, TenantName) {
        let (mut store, name) = with_tenant();
        let facts = Unpacked {
            bytes: 1,
            entries: 1,
            command: vec!["./server".into()],
            origin: Origin::Name,
            source: None,
            runtime: "node-24".parse().unwrap(),
            by: "SHA256:me".into(),
        };
        for _ in 0..3 {
            let id = store.begin_release(&name).unwrap();
            store.finish_release(&name, id, &facts, (true, 5)).unwrap();
        }
        store.settle(&name).unwrap();
        (store, name)
    }

    fn told() -> Transition {
        let reason = "rolled back from r3 to r1".to_owned();
        Transition {
            at_ms: 5,
            state: SlotState::Running,
            from: Rung::Running,
            took_ms: None,
            reason,
            note: true,
        }
    }

    fn state(store: &mut Store, name: &TenantName) -> (u32, Option<u32>, bool) {
        let row = store.tenant(name).unwrap().unwrap();
        (row.current.unwrap().0, row.previous.map(|id| id.0), row.settled)
    }

    #[test]
    fn a_switch_is_on_trial_until_it_is_kept() {
        let (mut store, name) = tenant();
        store.begin_switch(&name, ReleaseId(1)).unwrap();
        assert_eq!(state(&mut store, &name), (1, Some(3), false));
        assert!(store.begin_switch(&name, ReleaseId(2)).is_err(), "one at a time");
        store.keep_switch(&name, &told()).unwrap();
        assert_eq!(state(&mut store, &name), (1, None, true));
        assert_eq!(store.timeline(&name, 9).unwrap(), [told()]);
        assert_eq!(store.tenant(&name).unwrap().unwrap().releases.len(), 3, "what it left is kept");
        assert!(store.keep_switch(&name, &told()).is_err(), "twice");
    }

    #[test]
    fn one_that_comes_to_nothing_is_undone_also_by_the_next_start() {
        let (mut store, name) = tenant();
        store.begin_switch(&name, ReleaseId(2)).unwrap();
        store.give_up_switch(&name).unwrap();
        assert_eq!(state(&mut store, &name), (3, None, false));
        store.settle(&name).unwrap();
        assert_eq!(store.give_up_switches().unwrap(), []);
        store.begin_switch(&name, ReleaseId(2)).unwrap();
        assert_eq!(store.give_up_switches().unwrap(), std::slice::from_ref(&name));
        assert_eq!(state(&mut store, &name), (3, None, false));
        assert!(store.timeline(&name, 9).unwrap().is_empty());
    }

    #[test]
    fn a_deploy_is_not_undone_by_a_switch_before_it() {
        let (mut store, name) = tenant();
        store.begin_switch(&name, ReleaseId(1)).unwrap();
        let facts = Unpacked {
            bytes: 1,
            entries: 1,
            command: vec![],
            origin: Origin::Index,
            source: None,
            runtime: "static".parse().unwrap(),
            by: String::new(),
        };
        let id = store.begin_release(&name).unwrap();
        store.finish_release(&name, id, &facts, (true, 5)).unwrap();
        assert_eq!(store.give_up_switches().unwrap(), []);
        assert_eq!(state(&mut store, &name), (4, None, false));
    }

    #[test]
    fn only_to_what_is_kept() {
        let (mut store, name) = tenant();
        for to in [3, 4] {
            assert!(store.begin_switch(&name, ReleaseId(to)).is_err(), "{to}");
        }
        assert_eq!(state(&mut store, &name), (3, None, true));
    }
}
