//! Rows of accounts: what each may do, with which tenants, and the keys that sign in. A tenant that goes takes with it what
//! anybody might do with it, so that another of its name starts with nobody.

use std::collections::HashMap;

use kennel_model::account::{Account, AccountKey, AccountRights, Role};
use kennel_model::{AccountName, TenantName};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::tokens::revoke_of_account;
use super::{Store, checked, now_s};
use crate::error::{Error, Result};

/// Accounts at a time.
const MAX_ACCOUNTS: u32 = 200;
/// Keys of one at a time.
const MAX_KEYS: u32 = 8;

impl Store {
    /// All accounts, by name.
    ///
    /// # Errors
    /// The database's.
    pub fn accounts(&mut self) -> Result<Vec<Account>> {
        let mut query =
            self.db.prepare_cached("SELECT name, role, by, created_at_s FROM accounts ORDER BY name")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        let rows = rows.collect::<rusqlite::Result<Vec<Row>>>()?;
        rows.into_iter().map(|row| whole(&self.db, row)).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// The database's.
    pub fn account(&mut self, name: &AccountName) -> Result<Option<Account>> {
        account(&self.db, name.as_str())
    }

    /// The one that has this key.
    ///
    /// # Errors
    /// The database's.
    pub fn account_of_key(&mut self, fingerprint: &str) -> Result<Option<Account>> {
        let sql = "SELECT account FROM account_keys WHERE fingerprint = ?1";
        let name =
            self.db.prepare_cached(sql)?.query_row([fingerprint], |row| row.get::<_, String>(0)).optional()?;
        name.map_or(Ok(None), |name| account(&self.db, &name))
    }

    /// Keeps a new one.
    ///
    /// # Errors
    /// [`Error::AccountExists`], [`Error::TooManyAccounts`], [`Error::NoSuchTenant`], [`Error::KeyTaken`], or the database's.
    pub fn add_account(&mut self, new: &Account) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let name = new.name.as_str();
        if is_known(&tx, name)? {
            return Err(Error::AccountExists(new.name.clone()));
        }
        if tx.query_row("SELECT count(*) FROM accounts", [], |row| row.get::<_, u32>(0))? >= MAX_ACCOUNTS {
            return Err(Error::TooManyAccounts(MAX_ACCOUNTS));
        }
        tx.execute(
            "INSERT INTO accounts (name, role, by, created_at_s) VALUES (?1, ?2, ?3, ?4)",
            params![name, new.role.as_str(), new.by, new.created_at_s],
        )?;
        set_tenants(&tx, name, &new.tenants)?;
        new.keys.iter().try_for_each(|key| add_key(&tx, name, key))?;
        Ok(tx.commit()?)
    }

    /// Gives one other rights.
    ///
    /// # Errors
    /// [`Error::NoSuchAccount`], [`Error::NoSuchTenant`], or the database's.
    pub fn set_account(&mut self, name: &AccountName, rights: &AccountRights) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sql = "UPDATE accounts SET role = ?2 WHERE name = ?1";
        if tx.execute(sql, [name.as_str(), rights.role.as_str()])? == 0 {
            return Err(Error::NoSuchAccount(name.to_string()));
        }
        tx.execute("DELETE FROM account_tenants WHERE account = ?1", [name.as_str()])?;
        set_tenants(&tx, name.as_str(), &rights.tenants)?;
        Ok(tx.commit()?)
    }

    /// Forgets one, with its keys; its tokens are revoked.
    ///
    /// # Errors
    /// [`Error::NoSuchAccount`], or the database's.
    pub fn remove_account(&mut self, name: &AccountName) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        revoke_of_account(&tx, name, now_s())?;
        if tx.execute("DELETE FROM accounts WHERE name = ?1", [name.as_str()])? == 0 {
            return Err(Error::NoSuchAccount(name.to_string()));
        }
        Ok(tx.commit()?)
    }

    /// One more key.
    ///
    /// # Errors
    /// [`Error::NoSuchAccount`], [`Error::KeyTaken`], [`Error::TooManyKeys`], or the database's.
    pub fn add_account_key(&mut self, name: &AccountName, key: &AccountKey) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !is_known(&tx, name.as_str())? {
            return Err(Error::NoSuchAccount(name.to_string()));
        }
        add_key(&tx, name.as_str(), key)?;
        Ok(tx.commit()?)
    }

    /// Forgets a key.
    ///
    /// # Errors
    /// [`Error::NoSuchAccount`], [`Error::NoSuchKey`], or the database's.
    pub fn remove_account_key(&mut self, name: &AccountName, fingerprint: &str) -> Result<()> {
        if !is_known(&self.db, name.as_str())? {
            return Err(Error::NoSuchAccount(name.to_string()));
        }
        let sql = "DELETE FROM account_keys WHERE account = ?1 AND fingerprint = ?2";
        match self.db.execute(sql, [name.as_str(), fingerprint])? {
            0 => Err(Error::NoSuchKey(name.clone(), fingerprint.chars().take(80).collect())),
            _ => Ok(()),
        }
    }
}

/// Name, role, maker and time.
type Row = (String, String, String, u64);

pub(super) fn account(db: &Connection, name: &str) -> Result<Option<Account>> {
    let mut query = db.prepare_cached("SELECT name, role, by, created_at_s FROM accounts WHERE name = ?1")?;
    let row =
        query.query_row([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).optional()?;
    row.map(|row| whole(db, row)).transpose()
}

/// The account with its tenants and keys.
fn whole(db: &Connection, (name, role, by, created_at_s): Row) -> Result<Account> {
    let mut query = db.prepare_cached(
        "SELECT tenants.name FROM account_tenants JOIN tenants ON tenants.id = tenant WHERE account = ?1 ORDER BY 1",
    )?;
    let tenants = query.query_map([&name], |row| row.get::<_, String>(0))?;
    let tenants = tenants.map(|tenant| checked("tenant", TenantName::new(tenant?))).collect::<Result<_>>()?;
    let mut query = db.prepare_cached(
        "SELECT fingerprint, comment FROM account_keys WHERE account = ?1 ORDER BY fingerprint",
    )?;
    let keys =
        query.query_map([&name], |row| Ok(AccountKey { fingerprint: row.get(0)?, comment: row.get(1)? }))?;
    let keys = keys.collect::<rusqlite::Result<_>>()?;
    let found = Role::ALL.into_iter().find(|known| known.as_str() == role);
    let role = found.ok_or_else(|| Error::Damaged(format!("role {role:?}")))?;
    Ok(Account { name: checked("account", AccountName::new(name))?, role, tenants, keys, by, created_at_s })
}

pub(super) fn is_known(db: &Connection, name: &str) -> Result<bool> {
    Ok(db.prepare_cached("SELECT 1 FROM accounts WHERE name = ?1")?.exists([name])?)
}

/// The tenants' rows, by name; those that are being removed are none.
pub(super) fn tenant_ids(db: &Connection, names: &[TenantName]) -> Result<HashMap<TenantName, i64>> {
    let mut query = db.prepare_cached("SELECT id FROM tenants WHERE name = ?1 AND phase = 'ready'")?;
    let mut found = HashMap::new();
    for name in names {
        let id = query.query_row([name.as_str()], |row| row.get(0)).optional()?;
        found.insert(name.clone(), id.ok_or_else(|| Error::NoSuchTenant(name.to_string()))?);
    }
    Ok(found)
}

fn set_tenants(tx: &Transaction<'_>, account: &str, tenants: &[TenantName]) -> Result<()> {
    for id in tenant_ids(tx, tenants)?.values() {
        tx.execute("INSERT INTO account_tenants (account, tenant) VALUES (?1, ?2)", params![account, id])?;
    }
    Ok(())
}

fn add_key(tx: &Transaction<'_>, account: &str, key: &AccountKey) -> Result<()> {
    let sql = "SELECT account FROM account_keys WHERE fingerprint = ?1";
    if let Some(owner) = tx.query_row(sql, [&key.fingerprint], |row| row.get::<_, String>(0)).optional()? {
        return Err(Error::KeyTaken(key.fingerprint.clone(), format!("the account {owner}")));
    }
    let sql = "SELECT count(*) FROM account_keys WHERE account = ?1";
    if tx.query_row(sql, [account], |row| row.get::<_, u32>(0))? >= MAX_KEYS {
        return Err(Error::TooManyKeys(MAX_KEYS));
    }
    tx.execute(
        "INSERT INTO account_keys (fingerprint, account, comment) VALUES (?1, ?2, ?3)",
        [&key.fingerprint, account, &key.comment],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{store, wish};
    use super::*;

    fn new(name: &str, role: Role, tenants: &[&str], keys: &[&str]) -> Account {
        Account {
            name: name.parse().unwrap(),
            role,
            tenants: tenants.iter().map(|t| t.parse().unwrap()).collect(),
            keys: keys
                .iter()
                .map(|k| AccountKey { fingerprint: (*k).into(), comment: String::new() })
                .collect(),
            by: "SHA256:x".into(),
            created_at_s: 7,
        }
    }

    fn with_tenants() -> Store {
        let mut store = store();
        for name in ["blog", "shop"] {
            store.reserve(&wish(name, &format!("{name}.test")), 9).unwrap();
            store.confirm(&name.parse().unwrap()).unwrap();
        }
        store
    }

    #[test]
    fn an_account_is_found_by_its_keys_until_it_goes() {
        let mut store = with_tenants();
        let ada = new("ada", Role::Owner, &["blog", "shop"], &["k1", "k2"]);
        store.add_account(&ada).unwrap();
        assert!(matches!(store.add_account(&ada), Err(Error::AccountExists(_))));
        let eve = new("eve", Role::Viewer, &["blog"], &["k2"]);
        assert!(matches!(store.add_account(&eve), Err(Error::KeyTaken(..))));
        assert_eq!(store.accounts().unwrap(), std::slice::from_ref(&ada), "all of it or nothing");
        assert!(matches!(
            store.add_account(&new("x", Role::Viewer, &["nope"], &[])),
            Err(Error::NoSuchTenant(_))
        ));
        assert_eq!(store.account_of_key("k2").unwrap().as_ref(), Some(&ada));
        store.remove_account_key(&ada.name, "k2").unwrap();
        assert!(matches!(store.remove_account_key(&ada.name, "k2"), Err(Error::NoSuchKey(..))));
        assert_eq!(store.account_of_key("k2").unwrap(), None);
        let rights = AccountRights { role: Role::Viewer, tenants: vec!["shop".parse().unwrap()] };
        store.set_account(&ada.name, &rights).unwrap();
        let seen = store.account(&ada.name).unwrap().unwrap();
        assert_eq!((seen.role, seen.tenants), (rights.role, rights.tenants));
        store.remove_account(&ada.name).unwrap();
        assert!(matches!(store.remove_account(&ada.name), Err(Error::NoSuchAccount(_))));
        assert_eq!(store.account_of_key("k1").unwrap(), None);
    }

    #[test]
    fn another_tenant_of_the_same_name_is_nobodys() {
        let mut store = with_tenants();
        store.add_account(&new("ada", Role::Owner, &["blog", "shop"], &[])).unwrap();
        store.forget(&"blog".parse().unwrap()).unwrap();
        store.reserve(&wish("blog", "blog.test"), 9).unwrap();
        store.confirm(&"blog".parse().unwrap()).unwrap();
        let seen = store.account(&"ada".parse().unwrap()).unwrap().unwrap();
        assert_eq!(seen.tenants, ["shop".parse().unwrap()]);
    }

    #[test]
    fn keys_and_accounts_are_not_without_end() {
        let mut store = with_tenants();
        let ada = new("ada", Role::Operator, &[], &[]);
        store.add_account(&ada).unwrap();
        let key = |n: u32| AccountKey { fingerprint: format!("k{n}"), comment: String::new() };
        (0..MAX_KEYS).for_each(|n| store.add_account_key(&ada.name, &key(n)).unwrap());
        assert!(matches!(store.add_account_key(&ada.name, &key(99)), Err(Error::TooManyKeys(MAX_KEYS))));
        (1..MAX_ACCOUNTS)
            .for_each(|n| store.add_account(&new(&format!("a{n}"), Role::Operator, &[], &[])).unwrap());
        let last = store.add_account(&new("last", Role::Operator, &[], &[]));
        assert!(matches!(last, Err(Error::TooManyAccounts(MAX_ACCOUNTS))));
    }
}
