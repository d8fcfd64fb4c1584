//! Rows of the audit log. A request is written down before it is carried out and what came of it afterwards, so that nothing was
//! done of which there is no row. Of each actor so many are kept that others' do not go when one asks without end.

use kennel_model::audit::AuditEntry;
use kennel_model::{AccountName, TenantName, TokenName};
use rusqlite::{Row, TransactionBehavior, params};

use super::{Store, checked};
use crate::error::Result;

/// Rows kept of one actor, and of all together.
const MAX_OF_ACTOR: u32 = 2_000;
const MAX_ROWS: u32 = 20_000;
/// Longest detail kept, in characters.
const MAX_DETAIL: usize = 300;

/// Whose rows are wanted: all, or those of these tenants from the time on at which each was made.
pub type Theirs = Option<Vec<(TenantName, u64)>>;

impl Store {
    /// Keeps an entry, and tells its number. The oldest make room.
    ///
    /// # Errors
    /// The database's.
    pub fn begin_audit(&mut self, entry: &AuditEntry) -> Result<i64> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let token = entry.token.as_ref().map(|token| token.to_string());
        let account = entry.account.as_ref().map(|account| account.to_string());
        let actor = account.as_ref().or(entry.key.as_ref()).or(token.as_ref()).cloned().unwrap_or_default();
        let tenant = entry.tenant.as_ref().map(TenantName::as_str);
        tx.execute(
            "INSERT INTO audit (at_ms, actor, account, key, token, source, act, tenant, detail, result)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                entry.at_ms,
                actor,
                account,
                entry.key,
                token,
                entry.from,
                entry.act,
                tenant,
                cut(&entry.detail),
                entry.result
            ],
        )?;
        let id = tx.last_insert_rowid();
        let of_actor = tx.execute(
            "DELETE FROM audit WHERE actor = ?1 AND id <=
             (SELECT id FROM audit WHERE actor = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![actor, MAX_OF_ACTOR],
        )?;
        let of_all = tx.execute(
            "DELETE FROM audit WHERE id <= (SELECT id FROM audit ORDER BY id DESC LIMIT 1 OFFSET ?1)",
            [MAX_ROWS],
        )?;
        if of_actor + of_all > 0 {
            tx.execute("UPDATE host SET audit_forgotten = audit_forgotten + ?1", [of_actor + of_all])?;
        }
        tx.commit()?;
        Ok(id)
    }

    /// What came of it, and what is known by then.
    ///
    /// # Errors
    /// The database's.
    pub fn end_audit(
        &mut self,
        id: i64,
        tenant: Option<&TenantName>,
        detail: &str,
        result: &str,
    ) -> Result<()> {
        self.db.execute(
            "UPDATE audit SET result = ?2, detail = ?3, tenant = coalesce(tenant, ?4) WHERE id = ?1",
            params![id, result, cut(detail), tenant.map(TenantName::as_str)],
        )?;
        Ok(())
    }

    /// The last entries, the oldest of them first, and how many were forgotten.
    ///
    /// # Errors
    /// The database's.
    pub fn audit(
        &mut self,
        theirs: &Theirs,
        tenant: Option<&TenantName>,
        since_ms: u64,
        most: usize,
    ) -> Result<(Vec<AuditEntry>, u64)> {
        let mut query = self.db.prepare_cached(
            "SELECT at_ms, account, key, token, source, act, tenant, detail, result FROM audit
             WHERE at_ms >= ?1 AND (?2 IS NULL OR tenant = ?2) ORDER BY id DESC",
        )?;
        let mut rows = query.query(params![since_ms, tenant.map(TenantName::as_str)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let entry = read(row)?;
            if may_see(theirs, &entry) {
                found.push(entry);
            }
            if found.len() >= most {
                break;
            }
        }
        found.reverse();
        drop(rows);
        drop(query);
        let forgotten = self.db.query_row("SELECT audit_forgotten FROM host", [], |row| row.get(0))?;
        Ok((found, forgotten))
    }
}

fn may_see(theirs: &Theirs, entry: &AuditEntry) -> bool {
    let Some(theirs) = theirs else { return true };
    let Some(tenant) = &entry.tenant else { return false };
    // What was done to an earlier tenant of the same name is none of theirs.
    theirs.iter().any(|(name, made_at_s)| name == tenant && entry.at_ms / 1000 >= *made_at_s)
}

fn read(row: &Row<'_>) -> Result<AuditEntry> {
    let text = |at: usize| row.get::<_, Option<String>>(at);
    Ok(AuditEntry {
        at_ms: row.get(0)?,
        account: text(1)?.map(|name| checked("account", AccountName::new(name))).transpose()?,
        key: text(2)?,
        token: text(3)?.map(|name| checked("token", TokenName::new(name))).transpose()?,
        from: row.get(4)?,
        act: row.get(5)?,
        tenant: text(6)?.map(|name| checked("tenant", TenantName::new(name))).transpose()?,
        detail: row.get(7)?,
        result: row.get(8)?,
    })
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_DETAIL).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::store;
    use super::*;
    use kennel_model::audit::{BEGUN, DONE};

    fn entry(account: &str, tenant: &str, at_ms: u64) -> AuditEntry {
        AuditEntry {
            at_ms,
            account: Some(account.parse().unwrap()),
            key: Some("SHA256:x".into()),
            token: None,
            from: "192.0.2.1".into(),
            act: "deploy".into(),
            tenant: Some(tenant.parse().unwrap()),
            detail: String::new(),
            result: BEGUN.into(),
        }
    }

    fn all(store: &mut Store) -> (Vec<AuditEntry>, u64) {
        store.audit(&None, None, 0, usize::MAX).unwrap()
    }

    #[test]
    fn what_has_begun_stands_there_until_it_has_ended() {
        let mut store = store();
        let id = store.begin_audit(&entry("ada", "blog", 1)).unwrap();
        assert_eq!(all(&mut store).0, [entry("ada", "blog", 1)]);
        store.end_audit(id, None, "r7", DONE).unwrap();
        let ended = AuditEntry { detail: "r7".into(), result: DONE.into(), ..entry("ada", "blog", 1) };
        assert_eq!(all(&mut store).0, [ended]);
    }

    #[test]
    fn who_asks_without_end_pushes_out_his_own_only() {
        let mut store = store();
        store.begin_audit(&entry("ada", "blog", 1)).unwrap();
        for at in 0..u64::from(MAX_OF_ACTOR) + 5 {
            store.begin_audit(&entry("eve", "shop", at + 2)).unwrap();
        }
        let (kept, forgotten) = all(&mut store);
        assert_eq!((kept.len(), forgotten), (MAX_OF_ACTOR as usize + 1, 5));
        assert_eq!((kept[0].at_ms, kept[1].at_ms), (1, 7));
    }

    #[test]
    fn owners_see_what_was_done_to_theirs_since_they_are_there() {
        let mut store = store();
        for (tenant, at_ms) in [("blog", 1_000), ("shop", 2_000), ("blog", 3_000), ("blog", 4_000)] {
            store.begin_audit(&entry("ada", tenant, at_ms)).unwrap();
        }
        let blog = "blog".parse().unwrap();
        let mut times = |theirs: &Theirs, tenant: Option<&TenantName>, since, most| {
            let (found, _) = store.audit(theirs, tenant, since, most).unwrap();
            found.into_iter().map(|entry| entry.at_ms).collect::<Vec<_>>()
        };
        let theirs = Some(vec![(TenantName::clone(&blog), 3)]);
        assert_eq!(times(&theirs, None, 0, 9), [3_000, 4_000]);
        assert_eq!(times(&theirs, Some(&"shop".parse().unwrap()), 0, 9), [0; 0]);
        assert_eq!(times(&Some(vec![]), None, 0, 9), [0; 0]);
        assert_eq!(times(&None, Some(&blog), 2_000, 9), [3_000, 4_000]);
        assert_eq!(times(&None, None, 0, 2), [3_000, 4_000], "the last");
    }
}
