//! Tokens for programs that cannot sign in: made and revoked by people, kept hashed in the registry. What one is good for is
//! decided in `rights`, by its scope and by what its account may when it is shown. Who guesses is slowed down, by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kennel_model::account::Role;
use kennel_model::token::{LIFE_S, MAX_LIFE_S, NewToken, Scope, Secret, Token, TokenMade};
use kennel_model::{TenantName, TokenName};
use sha2::{Digest, Sha256};

use super::{People, Who, rights};
use crate::auth::random;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::registry::{Shown, TokenRow, now_s};

/// Wrong secrets that one address may show in this time; afterwards it waits for the time's end.
const MAX_WRONG: u32 = 10;
const WRONG_IN: Duration = Duration::from_secs(60);
/// Addresses that are remembered for that. Who has more of them is not slowed down by this, but by the secrets' length.
const MAX_ADDRESSES: usize = 1024;

/// Wrong secrets of one address.
pub(super) struct Wrong {
    count: u32,
    since: Instant,
}

impl People {
    fn may_try(&self, from: IpAddr) -> Result<()> {
        let wrong = self.wrong();
        let Some(Wrong { count, since }) = wrong.get(&from) else { return Ok(()) };
        let left = WRONG_IN.saturating_sub(since.elapsed());
        if *count < MAX_WRONG || left.is_zero() { Ok(()) } else { Err(Error::TooManyWrong(left)) }
    }

    fn count_wrong(&self, from: IpAddr) {
        let mut wrong = self.wrong();
        if wrong.len() >= MAX_ADDRESSES {
            wrong.retain(|_, wrong| wrong.since.elapsed() < WRONG_IN);
        }
        if wrong.len() >= MAX_ADDRESSES && !wrong.contains_key(&from) {
            return;
        }
        let of = wrong.entry(from).or_insert_with(|| Wrong { count: 0, since: Instant::now() });
        if of.since.elapsed() >= WRONG_IN {
            *of = Wrong { count: 0, since: Instant::now() };
        }
        of.count += 1;
    }

    fn wrong(&self) -> MutexGuard<'_, HashMap<IpAddr, Wrong>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// Whose token this is.
    ///
    /// # Errors
    /// [`Error::SignInRequired`] for a secret that is none, [`Error::TokenExpired`] and [`Error::TokenRevoked`] for one that was,
    /// [`Error::TooManyWrong`] for an address that has shown too many of the first.
    pub(super) async fn by_token(&self, secret: &str, from: IpAddr) -> Result<Who> {
        let from = place(from);
        self.people.may_try(from)?;
        // Looked up by its hash: what the time taken tells of that is nothing about the secret.
        let hash: [u8; 32] = Sha256::digest(secret).into();
        match self.registry.with(move |store| store.token_shown(&hash)).await? {
            Some(Shown::Token(token, _)) if token.expires_at_s.is_some_and(|at| at <= now_s()) => {
                Err(Error::TokenExpired(token.name))
            }
            Some(Shown::Token(token, account)) => Ok(of_token(*token, account)),
            Some(Shown::Revoked(name)) => Err(Error::TokenRevoked(name)),
            None => {
                self.people.count_wrong(from);
                Err(Error::SignInRequired)
            }
        }
    }

    /// The tokens that they may see, by name.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) async fn tokens(&self, who: &Who) -> Result<Vec<Token>> {
        let mut tokens = self.registry.with(|store| store.tokens()).await?;
        tokens.retain(|token| rights::is_theirs(who, token));
        Ok(tokens)
    }

    /// Makes one, for the host with this certificate; its secret is told this once.
    ///
    /// # Errors
    /// As [`rights::of_new_token`], [`Error::TokenExists`], [`Error::TooManyTokens`], or the registry's.
    pub(crate) async fn add_token(&self, wish: NewToken, who: Who, certificate: [u8; 32]) -> Result<TokenMade> {
        let account = rights::of_new_token(&who, &wish)?;
        let life_s = wish.expires_in_s.or((wish.scope != Scope::Metrics).then_some(LIFE_S));
        if let Some(life_s) = life_s.filter(|life_s| !(1..=MAX_LIFE_S).contains(life_s)) {
            return Err(Error::InvalidToken(format!(
                "a token is good for 1 to {MAX_LIFE_S} seconds, not {life_s}"
            )));
        }
        let secret = Secret::new(wish.scope, &random::<32>()?, certificate);
        let now = now_s();
        let token = Token {
            name: wish.name,
            scope: wish.scope,
            by: who.by(),
            created_at_s: now,
            account,
            tenants: (!wish.tenants.is_empty()).then_some(wish.tenants),
            expires_at_s: life_s.map(|life_s| now + life_s),
            used_at_s: None,
        };
        let row = TokenRow { token: token.clone(), hash: Sha256::digest(secret.expose()).into() };
        self.registry.with(move |store| store.add_token(&row)).await?;
        Ok(TokenMade { token, secret: secret.expose().to_owned() })
    }

    /// Revokes one: it is worth nothing when this returns. Of somebody else's they are not told that it is there.
    ///
    /// # Errors
    /// [`Error::NoSuchToken`], or the registry's.
    pub(crate) async fn remove_token(&self, name: TokenName, who: Who) -> Result<()> {
        self.change_people(move |store| {
            let token = store.token(&name)?.filter(|token| rights::is_theirs(&who, token));
            let token = token.ok_or_else(|| Error::NoSuchToken(name.to_string()))?;
            store.remove_token(&token.name)
        })
        .await
    }
}

/// What its account may, with those tenants only that it is for. Without an account it may nothing that takes a role.
fn of_token(token: Token, account: Option<kennel_model::account::Account>) -> Who {
    let mut who = match account {
        Some(account) => Who::of_account(account, None),
        None => Who { role: Role::Viewer, ..Who::anybody() },
    };
    if let Some(only) = token.tenants {
        let is_in = |tenant: &TenantName| who.tenants.as_ref().is_none_or(|theirs| theirs.contains(tenant));
        who.tenants = Some(only.into_iter().filter(is_in).collect());
    }
    Who { token: Some((token.name, token.scope)), ..who }
}

/// Who counts as one: an address, or a network of 64 bits, as anybody has it with IPv6.
pub(super) fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> IpAddr {
        place(address.parse().unwrap())
    }

    #[test]
    fn who_guesses_is_slowed_down_and_nobody_else() {
        let people = People::default();
        for n in 0..MAX_WRONG {
            let network = from(&format!("2001:db8::{n}"));
            assert!(people.may_try(network).is_ok());
            people.count_wrong(network);
        }
        let refused = |address| matches!(people.may_try(from(address)), Err(Error::TooManyWrong(_)));
        assert!(refused("2001:db8::ffff"));
        assert!(!refused("2001:db8:0:1::1") && !refused("192.0.2.1"));
        let long_ago = Instant::now().checked_sub(WRONG_IN).unwrap();
        people.wrong().values_mut().for_each(|wrong| wrong.since = long_ago);
        assert!(!refused("2001:db8::ffff"), "after a while it may try again");
    }

    #[test]
    fn addresses_are_not_remembered_without_end() {
        let people = People::default();
        for n in 0..MAX_ADDRESSES as u32 + 9 {
            people.count_wrong(IpAddr::V4(n.into()));
        }
        assert_eq!(people.wrong().len(), MAX_ADDRESSES);
    }
}
