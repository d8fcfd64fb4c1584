//! Making, changing and removing accounts. What was taken away is gone when the answer is sent: sessions and tokens are looked up
//! at every request, and streams are told to look again.

use kennel_model::AccountName;
use kennel_model::account::{Account, AccountKey, AccountRights, NewAccount, Role};
use kennel_user_data::parse_key;
use ssh_key::HashAlg;

use super::Who;
use crate::auth::Auth;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::registry::{Store, now_s};

/// Longest comment of a key that is kept, in characters.
const MAX_COMMENT: usize = 80;

impl Control {
    /// All accounts, by name.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) async fn accounts(&self) -> Result<Vec<Account>> {
        self.registry.with(|store| store.accounts()).await
    }

    /// Makes one.
    ///
    /// # Errors
    /// [`Error::InvalidAccount`], [`Error::BadKey`], [`Error::KeyTaken`], or the registry's.
    pub(crate) async fn add_account(&self, auth: &Auth, wish: NewAccount, who: &Who) -> Result<Account> {
        let NewAccount { name, role, tenants, keys } = wish;
        let rights = checked(AccountRights { role, tenants })?;
        let keys = keys.iter().map(|line| key(auth, rights.role, line)).collect::<Result<_>>()?;
        let AccountRights { role, tenants } = rights;
        let account = Account { name, role, tenants, keys, by: who.by(), created_at_s: now_s() };
        self.change_account(account.name.clone(), move |store| store.add_account(&account)).await
    }

    /// Gives one other rights, from the next request on.
    ///
    /// # Errors
    /// [`Error::InvalidAccount`], or the registry's.
    pub(crate) async fn set_account(&self, name: AccountName, rights: AccountRights) -> Result<Account> {
        let rights = checked(rights)?;
        self.change_account(name.clone(), move |store| store.set_account(&name, &rights)).await
    }

    /// Removes one: its sessions have ended and its tokens are revoked when this returns.
    ///
    /// # Errors
    /// [`Error::NoSuchAccount`], or the registry's.
    pub(crate) async fn remove_account(&self, auth: &Auth, name: AccountName) -> Result<()> {
        let gone = name.clone();
        self.change_people(move |store| store.remove_account(&gone)).await?;
        auth.end(|session| session.account.as_ref() == Some(&name));
        Ok(())
    }

    /// One more key of an account.
    ///
    /// # Errors
    /// [`Error::BadKey`], [`Error::KeyTaken`], or the registry's.
    pub(crate) async fn add_account_key(&self, auth: &Auth, name: AccountName, line: &str) -> Result<Account> {
        let wanted = name.clone();
        let known = self.registry.with(move |store| store.account(&wanted)).await?;
        let role = known.ok_or_else(|| Error::NoSuchAccount(name.to_string()))?.role;
        let key = key(auth, role, line)?;
        self.change_account(name.clone(), move |store| store.add_account_key(&name, &key)).await
    }

    /// One key less: who has signed in with it is signed out when this returns.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`], or the registry's.
    pub(crate) async fn remove_account_key(
        &self,
        auth: &Auth,
        name: AccountName,
        fingerprint: String,
    ) -> Result<Account> {
        let gone = fingerprint.clone();
        let rest =
            self.change_account(name.clone(), move |store| store.remove_account_key(&name, &gone)).await?;
        auth.end(|session| session.key == fingerprint);
        Ok(rest)
    }

    /// Changes an account, and tells what it is then.
    async fn change_account(
        &self,
        name: AccountName,
        act: impl FnOnce(&mut Store) -> Result<()> + Send + 'static,
    ) -> Result<Account> {
        self.change_people(move |store| {
            act(store)?;
            store.account(&name)?.ok_or_else(|| Error::NoSuchAccount(name.to_string()))
        })
        .await
    }

    /// Changes what people may, and has whoever is listened to looked up again.
    pub(super) async fn change_people<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let changed = self.people.changed.clone();
        self.registry
            .with(move |store| {
                let done = act(store)?;
                changed.send_replace(());
                Ok(done)
            })
            .await
    }
}

/// Rights that make sense: an operator's tenants are all, and anybody else without one can do nothing.
fn checked(mut rights: AccountRights) -> Result<AccountRights> {
    rights.tenants.sort();
    rights.tenants.dedup();
    match (rights.role, rights.tenants.is_empty()) {
        (Role::Operator, false) => {
            Err(Error::InvalidAccount("an operator's tenants are all: name none".into()))
        }
        (Role::Operator, true) | (_, false) => Ok(rights),
        (role, true) => Err(Error::InvalidAccount(format!("{} is one of some tenants: name them", role.one()))),
    }
}

/// A key that may be an account's. One that the user-data names is an operator's, whatever an account says; so that nobody is
/// misled, it can be no lesser account's.
fn key(auth: &Auth, role: Role, line: &str) -> Result<AccountKey> {
    let key = parse_key(line).map_err(Error::BadKey)?;
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    if role < Role::Operator && auth.is_operators(&key) {
        return Err(Error::KeyTaken(fingerprint, "an operator, by the host's user-data".into()));
    }
    let comment = key.comment().chars().filter(|c| !c.is_control()).take(MAX_COMMENT).collect();
    Ok(AccountKey { fingerprint, comment })
}
