//! Rows of tokens. Of a secret there is only its hash.

use kennel_model::TokenName;
use kennel_model::token::{Scope, Token};
use rusqlite::params;

use super::{Store, checked};
use crate::error::{Error, Result};

/// A token as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// What operators are told of it.
    pub token: Token,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
}

impl Store {
    /// All tokens, by name.
    ///
    /// # Errors
    /// The database's.
    pub fn tokens(&mut self) -> Result<Vec<TokenRow>> {
        let mut query =
            self.db.prepare_cached("SELECT name, scope, hash, by, created_at_s FROM tokens ORDER BY name")?;
        let rows = query.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
        rows.map(|row| {
            let (name, scope, hash, by, created_at_s) = row?;
            let name = checked("token", TokenName::new(name))?;
            let token = Token { name, scope: scope_of(&scope)?, by, created_at_s };
            Ok(TokenRow { token, hash })
        })
        .collect()
    }

    /// Keeps one, unless there is one of its name or there are as many as there may be.
    ///
    /// # Errors
    /// [`Error::TokenExists`], [`Error::TooManyTokens`], or the database's.
    pub fn add_token(&mut self, row: &TokenRow, most: usize) -> Result<()> {
        let known = self.tokens()?;
        let TokenRow { token, hash } = row;
        if known.iter().any(|other| other.token.name == token.name) {
            return Err(Error::TokenExists(token.name.clone()));
        }
        if known.len() >= most {
            return Err(Error::TooManyTokens(most));
        }
        self.db.execute(
            "INSERT INTO tokens (name, scope, hash, by, created_at_s) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![token.name.as_str(), token.scope.as_str(), hash, token.by, token.created_at_s],
        )?;
        Ok(())
    }

    /// Forgets one.
    ///
    /// # Errors
    /// [`Error::NoSuchToken`], or the database's.
    pub fn remove_token(&mut self, name: &TokenName) -> Result<()> {
        match self.db.execute("DELETE FROM tokens WHERE name = ?1", [name.as_str()])? {
            0 => Err(Error::NoSuchToken(name.to_string())),
            _ => Ok(()),
        }
    }
}

fn scope_of(word: &str) -> Result<Scope> {
    let all = [Scope::Metrics];
    let found = all.into_iter().find(|scope| scope.as_str() == word);
    found.ok_or_else(|| Error::Damaged(format!("scope {word:?}")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::store;
    use super::*;

    fn row(name: &str) -> TokenRow {
        let token = Token {
            name: name.parse().unwrap(),
            scope: Scope::Metrics,
            by: "SHA256:x".into(),
            created_at_s: 7,
        };
        TokenRow { token, hash: [9; 32] }
    }

    #[test]
    fn tokens_come_and_go_and_are_not_without_end() {
        let mut store = store();
        store.add_token(&row("b"), 2).unwrap();
        assert!(matches!(store.add_token(&row("b"), 2), Err(Error::TokenExists(_))));
        store.add_token(&row("a"), 2).unwrap();
        assert!(matches!(store.add_token(&row("c"), 2), Err(Error::TooManyTokens(2))));
        assert_eq!(store.tokens().unwrap(), [row("a"), row("b")]);
        store.remove_token(&row("a").token.name).unwrap();
        assert!(matches!(store.remove_token(&row("a").token.name), Err(Error::NoSuchToken(_))));
        assert_eq!(store.tokens().unwrap(), [row("b")]);
    }
}
