//! Rows of what tenants' programs did: the last of each tenant, which go with it.

use std::collections::BTreeSet;

use kennel_model::msg::{Rung, SlotEvent};
use kennel_model::seeing::Transition;
use kennel_model::{SlotId, SlotState, TenantName};
use rusqlite::{Row, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::denials::residents;
use super::{Store, checked};
use crate::error::{Error, Result};
use crate::init::Change;
use crate::timeline::Noted;

/// Rows kept of each tenant. Three a visit to a program that sleeps in between.
const KEPT: u32 = 200;
/// Longest reason kept, in characters.
const MAX_REASON: usize = 200;

/// What the registry adds to what init knows of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub tenant: TenantName,
    /// Where it lives.
    pub slot: SlotId,
    /// It is not being removed.
    pub ready: bool,
    /// Why it was woken last.
    pub last_wake: Option<String>,
    /// Acts that were refused to it.
    pub denials: u64,
}

impl Store {
    /// Keeps changes, all or none. Those of slots without a tenant are nobody's.
    ///
    /// # Errors
    /// The database's.
    pub fn keep_changes(&mut self, changes: &[Noted]) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let residents = residents(&tx)?;
        let mut grown = BTreeSet::new();
        for noted in changes {
            let Some((tenant, _)) = residents.get(&noted.slot()) else { continue };
            match &noted.change {
                Change::Moved(event) => keep(&tx, *tenant, noted.at_ms, event)?,
                Change::Woken { took_ms, .. } => add_time(&tx, *tenant, *took_ms)?,
            }
            grown.insert(*tenant);
        }
        grown.into_iter().try_for_each(|tenant| forget_oldest(&tx, tenant))?;
        Ok(tx.commit()?)
    }

    /// The last changes of a tenant, the oldest of them first.
    ///
    /// # Errors
    /// The database's.
    pub fn timeline(&mut self, name: &TenantName, limit: usize) -> Result<Vec<Transition>> {
        let mut query = self.db.prepare_cached(
            "SELECT at_ms, state, origin, took_ms, reason, note FROM timeline
             WHERE tenant = (SELECT id FROM tenants WHERE name = ?1) ORDER BY id DESC LIMIT ?2",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = query.query_map(params![name.as_str(), limit], read)?;
        let mut found = rows.collect::<rusqlite::Result<Result<Vec<_>>>>()??;
        found.reverse();
        Ok(found)
    }

    /// All tenants that are there, and those that are going, by name.
    ///
    /// # Errors
    /// The database's.
    pub fn seen(&mut self) -> Result<Vec<Seen>> {
        let mut query = self.db.prepare_cached(
            "SELECT name, slot, phase = 'ready',
                 (SELECT reason FROM timeline WHERE timeline.tenant = tenants.id AND state = 'running' AND note = 0
                  ORDER BY timeline.id DESC LIMIT 1),
                 (SELECT coalesce(sum(count), 0) FROM denials WHERE coalesce(denials.tenant, 0) = tenants.id)
             FROM tenants WHERE phase <> 'adding' ORDER BY name",
        )?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, u16>(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
        rows.map(|row| {
            let (name, slot, ready, last_wake, denials) = row?;
            let tenant = checked("tenant", TenantName::new(name))?;
            Ok(Seen { tenant, slot: checked("slot", SlotId::new(slot))?, ready, last_wake, denials })
        })
        .collect()
    }
}

fn keep(tx: &Transaction<'_>, tenant: i64, at_ms: u64, event: &SlotEvent) -> Result<()> {
    let reason: String = event.reason.chars().take(MAX_REASON).collect();
    let (state, origin) = (word(&event.state)?, word(&event.from)?);
    tx.prepare_cached(
        "INSERT INTO timeline (tenant, at_ms, state, origin, reason) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![tenant, at_ms, state, origin, reason])?;
    Ok(())
}

/// Adds to the last wake how long it took.
fn add_time(tx: &Transaction<'_>, tenant: i64, took_ms: u32) -> Result<()> {
    tx.prepare_cached(
        "UPDATE timeline SET took_ms = ?2 WHERE id = (SELECT id FROM timeline
         WHERE tenant = ?1 AND state = 'running' AND note = 0 ORDER BY id DESC LIMIT 1)",
    )?
    .execute(params![tenant, took_ms])?;
    Ok(())
}

fn forget_oldest(tx: &Transaction<'_>, tenant: i64) -> Result<()> {
    tx.prepare_cached(
        "DELETE FROM timeline WHERE tenant = ?1 AND id <=
         (SELECT id FROM timeline WHERE tenant = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![tenant, KEPT])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Result<Transition>> {
    let (at_ms, took_ms, reason, note) = (row.get(0)?, row.get(3)?, row.get(4)?, row.get(5)?);
    let (state, origin): (String, String) = (row.get(1)?, row.get(2)?);
    Ok((|| {
        let (state, from): (SlotState, Rung) = (meaning(&state)?, meaning(&origin)?);
        Ok(Transition { at_ms, state, from, took_ms, reason, note })
    })())
}

/// A state as the API writes it.
pub(super) fn word(value: &impl Serialize) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(Error::Internal("a state without a word".into())),
    }
}

fn meaning<T: DeserializeOwned>(word: &str) -> Result<T> {
    checked("state", serde_json::from_value(word.into()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{store, wish};
    use super::*;

    fn moved(slot: u16, state: SlotState, from: Rung, at_ms: u64) -> Noted {
        let slot = SlotId::new(slot).unwrap();
        let reason = format!("at {at_ms}");
        Noted { at_ms, change: Change::Moved(SlotEvent { slot, state, from, at_ms, reason }) }
    }

    fn with_two_tenants() -> Store {
        let mut store = store();
        for name in ["a", "b"] {
            store.reserve(&wish(name, &format!("{name}.test")), 9).unwrap();
            store.confirm(&name.parse().unwrap()).unwrap();
        }
        store
    }

    fn of(store: &mut Store, name: &str, limit: usize) -> Vec<Transition> {
        store.timeline(&name.parse().unwrap(), limit).unwrap()
    }

    #[test]
    fn changes_are_kept_in_order_with_the_time_that_a_wake_took() {
        let mut store = with_two_tenants();
        let slot = SlotId::new(0).unwrap();
        store
            .keep_changes(&[
                moved(0, SlotState::Running, Rung::Stopped, 10),
                moved(1, SlotState::Failed, Rung::Running, 20),
                moved(7, SlotState::Running, Rung::Stopped, 30),
            ])
            .unwrap();
        let woken = Change::Woken { slot, from: Rung::Stopped, took_ms: 250 };
        store
            .keep_changes(&[moved(0, SlotState::Frozen, Rung::Running, 40), Noted { at_ms: 50, change: woken }])
            .unwrap();
        let told: Vec<_> =
            of(&mut store, "a", 9).into_iter().map(|t| (t.at_ms, t.state, t.from, t.took_ms)).collect();
        assert_eq!(
            told,
            [(10, SlotState::Running, Rung::Stopped, Some(250)), (40, SlotState::Frozen, Rung::Running, None)]
        );
        assert_eq!(of(&mut store, "a", 1)[0].at_ms, 40, "the last");
        assert_eq!(of(&mut store, "b", 9).len(), 1);
        let seen = store.seen().unwrap();
        assert_eq!(seen.iter().map(|s| s.last_wake.as_deref()).collect::<Vec<_>>(), [Some("at 10"), None]);
    }

    #[test]
    fn who_flaps_pushes_out_his_own_only() {
        let mut store = with_two_tenants();
        store.keep_changes(&[moved(1, SlotState::Running, Rung::Stopped, 1)]).unwrap();
        for round in 0..10 {
            let many: Vec<_> =
                (0..50).map(|n| moved(0, SlotState::Failed, Rung::Running, round * 50 + n)).collect();
            store.keep_changes(&many).unwrap();
        }
        let kept = of(&mut store, "a", 999);
        assert_eq!((kept.len(), kept.last().unwrap().at_ms), (KEPT as usize, 499));
        assert_eq!(of(&mut store, "b", 9).len(), 1);
        store.forget(&"a".parse().unwrap()).unwrap();
        let rows: u32 = store.db.query_row("SELECT count(*) FROM timeline", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1, "they go with the tenant");
    }
}
