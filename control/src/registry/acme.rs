//! Rows of ACME: the authority that is asked, accounts with their keys, and how orders of names have fared. That an order has
//! failed is kept, so that a control that starts anew does not ask sooner than one that went on.

use std::collections::HashMap;

use kennel_model::acme::{Account, Authority};
use kennel_model::seeing::Transition;
use kennel_model::{CertificateName, HostName, TenantName};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::timeline::word;
use super::{CertificateRow, Store, checked};
use crate::error::Result;

/// What is asked, and whether it may be now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AcmeRow {
    /// The account that is used; none while ACME is off.
    pub account: Option<AccountRow>,
    /// Nobody is asked before, in seconds since 1970.
    pub paused_until_s: u64,
    /// Times in a row that the authority could not be reached or did not do its part.
    pub stumbles: u32,
    /// Why, the last time.
    pub trouble: Option<String>,
}

/// An account with an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// With whom.
    pub authority: Authority,
    /// Whom it writes to.
    pub email: Option<String>,
    /// With its key.
    pub account: Account,
    /// The operator who agreed to the terms.
    pub by: String,
    /// When, in seconds since 1970.
    pub created_at_s: u64,
}

/// How orders of a name have fared since the last one that succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fared {
    /// Orders that failed.
    pub failures: u32,
    /// It is not ordered before, in seconds since 1970.
    pub next_s: u64,
    /// Why the last one failed.
    pub error: Option<String>,
}

impl Store {
    /// What is asked.
    ///
    /// # Errors
    /// The database's.
    pub fn acme(&mut self) -> Result<AcmeRow> {
        let read = "SELECT directory, paused_until_s, stumbles, trouble FROM acme";
        let (directory, paused_until_s, stumbles, trouble) = self.db.query_row(read, [], |row| {
            Ok((row.get::<_, Option<String>>(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        let account = match directory {
            Some(directory) => self.acme_account(&directory)?,
            None => None,
        };
        Ok(AcmeRow { account, paused_until_s, stumbles, trouble })
    }

    /// The account with an authority, whether it is used or not.
    ///
    /// # Errors
    /// The database's.
    pub fn acme_account(&mut self, directory: &str) -> Result<Option<AccountRow>> {
        let read = "SELECT roots_pem, email, account, by, created_at_s FROM acme_accounts WHERE directory = ?1";
        let row = self.db.query_row(read, [directory], |row| {
            let authority = Authority { directory: directory.to_owned(), roots_pem: row.get(0)? };
            let (email, account) = (row.get(1)?, Account(row.get(2)?));
            Ok(AccountRow { authority, email, account, by: row.get(3)?, created_at_s: row.get(4)? })
        });
        Ok(row.optional()?)
    }

    /// Keeps an account and uses it from now on. How names have fared with another authority says nothing of this one.
    ///
    /// # Errors
    /// The database's.
    pub fn use_acme(&mut self, row: &AccountRow) -> Result<()> {
        let tx = self.db.transaction()?;
        tx.execute(
            "INSERT OR REPLACE INTO acme_accounts (directory, roots_pem, email, account, by, created_at_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                row.authority.directory,
                row.authority.roots_pem,
                row.email,
                row.account.0,
                row.by,
                row.created_at_s
            ],
        )?;
        let changed = tx.execute(
            "UPDATE acme SET directory = ?1, paused_until_s = 0, stumbles = 0, trouble = NULL
             WHERE directory IS NOT ?1",
            [&row.authority.directory],
        )?;
        if changed > 0 {
            tx.execute("DELETE FROM acme_names", [])?;
        }
        Ok(tx.commit()?)
    }

    /// Nobody is asked any more. Accounts stay, for another time.
    ///
    /// # Errors
    /// The database's.
    pub fn acme_off(&mut self) -> Result<()> {
        self.db.execute("UPDATE acme SET directory = NULL", [])?;
        Ok(())
    }

    /// Nobody is asked until then, and why; 0 takes it back.
    ///
    /// # Errors
    /// The database's.
    pub fn pause_acme(&mut self, until_s: u64, stumbles: u32, trouble: Option<&str>) -> Result<()> {
        self.db.execute(
            "UPDATE acme SET paused_until_s = ?1, stumbles = ?2, trouble = ?3",
            params![until_s, stumbles, trouble],
        )?;
        Ok(())
    }

    /// How names have fared.
    ///
    /// # Errors
    /// The database's.
    pub fn fared(&mut self) -> Result<HashMap<HostName, Fared>> {
        let mut query = self.db.prepare_cached("SELECT name, failures, next_s, error FROM acme_names")?;
        let rows = query.query_map([], |row| {
            let fared = Fared { failures: row.get(1)?, next_s: row.get(2)?, error: row.get(3)? };
            Ok((row.get::<_, String>(0)?, fared))
        })?;
        rows.map(|row| {
            let (name, fared) = row?;
            Ok((checked("domain", HostName::new(name))?, fared))
        })
        .collect()
    }

    /// An order of a name has failed.
    ///
    /// # Errors
    /// The database's.
    pub fn order_failed(&mut self, name: &HostName, fared: &Fared) -> Result<()> {
        self.db.execute(
            "INSERT OR REPLACE INTO acme_names (name, failures, next_s, error) VALUES (?1, ?2, ?3, ?4)",
            params![name.as_str(), fared.failures, fared.next_s, fared.error],
        )?;
        Ok(())
    }

    /// A name may be ordered now. What failed before still says by which proof it is tried next.
    ///
    /// # Errors
    /// The database's.
    pub fn order_now(&mut self, name: &HostName) -> Result<()> {
        self.db.execute("UPDATE acme_names SET next_s = 0 WHERE name = ?1", [name.as_str()])?;
        self.pause_acme(0, 0, None)
    }

    /// A name is to be ordered as if nothing had happened.
    ///
    /// # Errors
    /// The database's.
    pub fn forget_failures(&mut self, name: &HostName) -> Result<()> {
        self.db.execute("DELETE FROM acme_names WHERE name = ?1", [name.as_str()])?;
        Ok(())
    }

    /// An order has succeeded: its certificate is kept, and what went before is forgotten.
    ///
    /// # Errors
    /// [`crate::error::Error::TooManyCertificates`], or the database's.
    pub fn order_succeeded(&mut self, name: &HostName, row: &CertificateRow, most: usize) -> Result<()> {
        self.put_certificate(row, most)?;
        self.forget_failures(name)?;
        self.pause_acme(0, 0, None)
    }

    /// The authority wants the certificate to be renewed at another time.
    ///
    /// # Errors
    /// The database's.
    pub fn renew_at(&mut self, name: &CertificateName, at_s: u64) -> Result<()> {
        self.db.execute(
            "UPDATE certificates SET renew_at_s = ?2 WHERE name = ?1 AND directory IS NOT NULL",
            params![name.as_str(), at_s],
        )?;
        Ok(())
    }

    /// Forgets what belongs to names that are no tenant's any more: failures at once, certificates, keys and all, when they
    /// have expired. Answers how many.
    ///
    /// # Errors
    /// The database's.
    pub fn sweep_acme(&mut self, now_s: u64) -> Result<usize> {
        let strange = "name NOT IN (SELECT host FROM domains)";
        self.db.execute(&format!("DELETE FROM acme_names WHERE {strange}"), [])?;
        let expired = "DELETE FROM certificates WHERE directory IS NOT NULL AND not_after_s < ?1";
        Ok(self.db.execute(&format!("{expired} AND {strange}"), [now_s])?)
    }

    /// Writes something into a tenant's timeline that is no change of what its program does.
    ///
    /// # Errors
    /// The database's.
    pub fn note(&mut self, tenant: &TenantName, told: &Transition) -> Result<()> {
        note(&self.db, tenant, told)
    }
}

/// The same, within a transaction.
pub(super) fn note(db: &Connection, tenant: &TenantName, told: &Transition) -> Result<()> {
    db.execute(
        "INSERT INTO timeline (tenant, at_ms, state, origin, reason, note)
         SELECT id, ?2, ?3, ?4, ?5, 1 FROM tenants WHERE name = ?1",
        params![tenant.as_str(), told.at_ms, word(&told.state)?, word(&told.from)?, told.reason],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{store, wish};
    use super::*;

    fn account(directory: &str) -> AccountRow {
        AccountRow {
            authority: Authority { directory: directory.into(), roots_pem: None },
            email: Some("ops@example.com".into()),
            account: Account("{}".into()),
            by: "SHA256:x".into(),
            created_at_s: 5,
        }
    }

    #[test]
    fn failures_outlive_control_and_not_a_change_of_authority() {
        let mut store = store();
        assert_eq!(store.acme().unwrap(), AcmeRow::default());
        store.use_acme(&account("https://one.example/")).unwrap();
        let name: HostName = "a.example".parse().unwrap();
        let fared = Fared { failures: 3, next_s: 900, error: Some("no".into()) };
        store.order_failed(&name, &fared).unwrap();
        store.pause_acme(50, 2, Some("gone")).unwrap();
        // The same once more, with another address to write to.
        store.use_acme(&AccountRow { email: None, ..account("https://one.example/") }).unwrap();
        assert_eq!(store.fared().unwrap()[&name], fared);
        let row = store.acme().unwrap();
        assert_eq!((row.paused_until_s, row.stumbles, row.trouble.as_deref()), (50, 2, Some("gone")));
        assert_eq!(row.account.unwrap().email, None);
        store.use_acme(&account("https://two.example/")).unwrap();
        assert!(store.fared().unwrap().is_empty());
        assert_eq!(store.acme().unwrap().paused_until_s, 0);
        store.acme_off().unwrap();
        assert_eq!(store.acme().unwrap().account, None);
        assert!(store.acme_account("https://one.example/").unwrap().is_some(), "it is kept");
    }

    #[test]
    fn what_is_no_tenants_any_more_is_forgotten() {
        let mut store = store();
        store.reserve(&wish("a", "a.example"), 9).unwrap();
        for name in ["a.example", "b.example"] {
            store.order_failed(&name.parse().unwrap(), &Fared::default()).unwrap();
        }
        store.sweep_acme(9).unwrap();
        let left: Vec<_> = store.fared().unwrap().into_keys().collect();
        assert_eq!(left, ["a.example".parse().unwrap()]);
    }
}
