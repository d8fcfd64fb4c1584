//! Rows of tokens. Of a secret there is only its hash; of those that were revoked it is kept for a while, so that whoever shows
//! one is told that it was.

use kennel_model::account::Account;
use kennel_model::token::{Scope, Token};
use kennel_model::{AccountName, TenantName, TokenName};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::accounts::{account, is_known, tenant_ids};
use super::{Store, checked, now_s};
use crate::error::{Error, Result};

/// Tokens at a time: of the host and all accounts together, and of one account.
const MAX_TOKENS: usize = 512;
const MAX_OF_ACCOUNT: usize = 32;
/// Revoked ones that are remembered.
const REVOKED: u32 = 512;
/// How exact the time of the last use is, in seconds: a write for each request would be too many.
const USE_S: u64 = 60;

const COLUMNS: &str = "name, scope, by, created_at_s, account, narrowed, expires_at_s, used_at_s";

/// A token as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// What is told of it.
    pub token: Token,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
}

/// Whose secret has been shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A token that is there, expired or not, with its account.
    Token(Box<Token>, Option<Account>),
    /// One that was revoked.
    Revoked(TokenName),
}

impl Store {
    /// All tokens, by name.
    ///
    /// # Errors
    /// The database's.
    pub fn tokens(&mut self) -> Result<Vec<Token>> {
        let mut query = self.db.prepare_cached(&format!("SELECT {COLUMNS} FROM tokens ORDER BY name"))?;
        let rows = query.query_map([], columns)?.collect::<rusqlite::Result<Vec<_>>>()?;
        rows.into_iter().map(|row| whole(&self.db, row)).collect()
    }

    /// Whose secret has this hash; notes the use.
    ///
    /// # Errors
    /// The database's.
    pub fn token_shown(&mut self, hash: &[u8; 32]) -> Result<Option<Shown>> {
        let mut query = self.db.prepare_cached(&format!("SELECT {COLUMNS} FROM tokens WHERE hash = ?1"))?;
        let Some(row) = query.query_row([hash], columns).optional()? else {
            let mut query = self.db.prepare_cached("SELECT name FROM revoked_tokens WHERE hash = ?1")?;
            let name = query.query_row([hash], |row| row.get::<_, String>(0)).optional()?;
            return name.map(|name| Ok(Shown::Revoked(checked("token", TokenName::new(name))?))).transpose();
        };
        let token = whole(&self.db, row)?;
        let now = now_s();
        let is_over = token.expires_at_s.is_some_and(|at| at <= now);
        if !is_over && token.used_at_s.is_none_or(|used| used.saturating_add(USE_S) <= now) {
            // A disk that is full is no reason to keep anybody out.
            let _ = self
                .db
                .prepare_cached("UPDATE tokens SET used_at_s = ?2 WHERE name = ?1")?
                .execute(params![token.name.as_str(), now]);
        }
        let of = token.account.as_ref().map(|name| account(&self.db, name.as_str())).transpose()?.flatten();
        Ok(Some(Shown::Token(Box::new(token), of)))
    }

    /// Keeps one, unless there is one of its name or there are as many as there may be.
    ///
    /// # Errors
    /// [`Error::TokenExists`], [`Error::TooManyTokens`], [`Error::NoSuchAccount`], [`Error::NoSuchTenant`], or the database's.
    pub fn add_token(&mut self, row: &TokenRow) -> Result<()> {
        let TokenRow { token, hash } = row;
        let known = self.tokens()?;
        if known.iter().any(|other| other.name == token.name) {
            return Err(Error::TokenExists(token.name.clone()));
        }
        let same =
            known.iter().filter(|other| other.account.is_some() && other.account == token.account).count();
        for (count, most) in [(known.len(), MAX_TOKENS), (same, MAX_OF_ACCOUNT)] {
            if count >= most {
                return Err(Error::TooManyTokens(most));
            }
        }
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let account = token.account.as_ref().map(AccountName::as_str);
        if let Some(name) = account
            && !is_known(&tx, name)?
        {
            return Err(Error::NoSuchAccount(name.to_owned()));
        }
        tx.execute(
            "INSERT INTO tokens (name, scope, hash, by, created_at_s, account, narrowed, expires_at_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                token.name.as_str(),
                token.scope.as_str(),
                hash,
                token.by,
                token.created_at_s,
                account,
                token.tenants.is_some(),
                token.expires_at_s
            ],
        )?;
        for id in tenant_ids(&tx, token.tenants.as_deref().unwrap_or_default())?.values() {
            let sql = "INSERT INTO token_tenants (token, tenant) VALUES (?1, ?2)";
            tx.execute(sql, params![token.name.as_str(), id])?;
        }
        Ok(tx.commit()?)
    }

    /// One of them.
    ///
    /// # Errors
    /// The database's.
    pub fn token(&mut self, name: &TokenName) -> Result<Option<Token>> {
        let mut query = self.db.prepare_cached(&format!("SELECT {COLUMNS} FROM tokens WHERE name = ?1"))?;
        let row = query.query_row([name.as_str()], columns).optional()?;
        row.map(|row| whole(&self.db, row)).transpose()
    }

    /// Revokes one.
    ///
    /// # Errors
    /// [`Error::NoSuchToken`], or the database's.
    pub fn remove_token(&mut self, name: &TokenName) -> Result<()> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if revoke(&tx, "name", name.as_str(), now_s())? == 0 {
            return Err(Error::NoSuchToken(name.to_string()));
        }
        Ok(tx.commit()?)
    }
}

/// Revokes those of an account.
pub(super) fn revoke_of_account(tx: &Transaction<'_>, account: &AccountName, now_s: u64) -> Result<()> {
    revoke(tx, "account", account.as_str(), now_s).map(drop)
}

/// Revokes those that have this in a column, and tells how many there were.
fn revoke(tx: &Transaction<'_>, column: &str, value: &str, now_s: u64) -> Result<usize> {
    tx.execute(
        &format!("INSERT INTO revoked_tokens (hash, name, at_s) SELECT hash, name, ?2 FROM tokens WHERE {column} = ?1"),
        params![value, now_s],
    )?;
    tx.execute(
        "DELETE FROM revoked_tokens WHERE hash NOT IN
         (SELECT hash FROM revoked_tokens ORDER BY at_s DESC, rowid DESC LIMIT ?1)",
        [REVOKED],
    )?;
    Ok(tx.execute(&format!("DELETE FROM tokens WHERE {column} = ?1"), [value])?)
}

/// [`COLUMNS`].
type Columns = (String, String, String, u64, Option<String>, bool, Option<u64>, Option<u64>);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?))
}

fn whole(db: &Connection, columns: Columns) -> Result<Token> {
    let (name, scope, by, created_at_s, account, narrowed, expires_at_s, used_at_s) = columns;
    let found = Scope::ALL.into_iter().find(|known| known.as_str() == scope);
    let scope = found.ok_or_else(|| Error::Damaged(format!("scope {scope:?}")))?;
    let account = account.map(|name| checked("account", AccountName::new(name))).transpose()?;
    let tenants = if narrowed { Some(tenants(db, &name)?) } else { None };
    let name = checked("token", TokenName::new(name))?;
    Ok(Token { name, scope, by, created_at_s, account, tenants, expires_at_s, used_at_s })
}

fn tenants(db: &Connection, token: &str) -> Result<Vec<TenantName>> {
    let mut query = db.prepare_cached(
        "SELECT tenants.name FROM token_tenants JOIN tenants ON tenants.id = tenant WHERE token = ?1 ORDER BY 1",
    )?;
    let rows = query.query_map([token], |row| row.get::<_, String>(0))?;
    rows.map(|name| checked("tenant", TenantName::new(name?))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{store, wish};
    use super::*;
    use kennel_model::account::Role;

    fn row(name: &str, hash: u8) -> TokenRow {
        let token = Token {
            name: name.parse().unwrap(),
            scope: Scope::Metrics,
            by: "SHA256:x".into(),
            created_at_s: 7,
            account: None,
            tenants: None,
            expires_at_s: None,
            used_at_s: None,
        };
        TokenRow { token, hash: [hash; 32] }
    }

    fn of(account: &str, name: &str, hash: u8, tenants: Option<&[&str]>) -> TokenRow {
        let TokenRow { token, hash } = row(name, hash);
        let tenants = tenants.map(|names| names.iter().map(|t| t.parse().unwrap()).collect());
        let account = Some(account.parse().unwrap());
        TokenRow { token: Token { scope: Scope::Deploy, account, tenants, ..token }, hash }
    }

    fn with_ada() -> Store {
        let mut store = store();
        for name in ["blog", "shop"] {
            store.reserve(&wish(name, &format!("{name}.test")), 9).unwrap();
            store.confirm(&name.parse().unwrap()).unwrap();
        }
        let ada = Account {
            name: "ada".parse().unwrap(),
            role: Role::Deployer,
            tenants: vec!["blog".parse().unwrap(), "shop".parse().unwrap()],
            keys: vec![],
            by: String::new(),
            created_at_s: 1,
        };
        store.add_account(&ada).unwrap();
        store
    }

    #[test]
    fn tokens_come_and_go_and_are_known_as_revoked() {
        let mut store = store();
        store.add_token(&row("b", 1)).unwrap();
        assert!(matches!(store.add_token(&row("b", 2)), Err(Error::TokenExists(_))));
        store.add_token(&row("a", 2)).unwrap();
        assert_eq!(store.tokens().unwrap(), [row("a", 2).token, row("b", 1).token]);
        assert_eq!(store.token_shown(&[9; 32]).unwrap(), None);
        assert!(
            matches!(store.token_shown(&[2; 32]).unwrap(), Some(Shown::Token(token, None)) if token.used_at_s.is_none())
        );
        assert!(store.tokens().unwrap()[0].used_at_s.is_some(), "its use was noted");
        store.remove_token(&"a".parse().unwrap()).unwrap();
        assert!(matches!(store.remove_token(&"a".parse().unwrap()), Err(Error::NoSuchToken(_))));
        assert_eq!(store.token_shown(&[2; 32]).unwrap(), Some(Shown::Revoked("a".parse().unwrap())));
        store.add_token(&row("a", 3)).unwrap();
        assert!(matches!(store.token_shown(&[3; 32]).unwrap(), Some(Shown::Token(..))), "another of its name");
    }

    #[test]
    fn tokens_go_with_their_account_and_narrow_ones_never_widen() {
        let mut store = with_ada();
        store.add_token(&of("ada", "ci", 1, Some(&["blog"]))).unwrap();
        store.add_token(&of("ada", "all", 2, None)).unwrap();
        assert!(matches!(store.add_token(&of("eve", "x", 3, None)), Err(Error::NoSuchAccount(_))));
        assert!(matches!(store.add_token(&of("ada", "x", 3, Some(&["nope"]))), Err(Error::NoSuchTenant(_))));
        store.forget(&"blog".parse().unwrap()).unwrap();
        let Some(Shown::Token(token, Some(ada))) = store.token_shown(&[1; 32]).unwrap() else { panic!() };
        assert_eq!((token.tenants, ada.tenants), (Some(vec![]), vec!["shop".parse().unwrap()]));
        store.remove_account(&"ada".parse().unwrap()).unwrap();
        assert_eq!(store.tokens().unwrap(), []);
        assert_eq!(store.token_shown(&[2; 32]).unwrap(), Some(Shown::Revoked("all".parse().unwrap())));
    }

    #[test]
    fn no_account_fills_the_table() {
        let mut store = with_ada();
        for n in 0..MAX_OF_ACCOUNT {
            store.add_token(&of("ada", &format!("t{n}"), n as u8, None)).unwrap();
        }
        let last = store.add_token(&of("ada", "last", 200, None));
        assert!(matches!(last, Err(Error::TooManyTokens(MAX_OF_ACCOUNT))));
        store.add_token(&row("metrics", 201)).unwrap();
    }
}
