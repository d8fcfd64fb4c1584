//! Tokens for programs that cannot sign in: made and removed by operators, kept hashed in the registry and, to be compared
//! with, in memory. Each has a scope, and is good for nothing else. Who guesses is slowed down, by address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kennel_model::TokenName;
use kennel_model::token::{NewToken, SECRET_PREFIX, Scope, Token, TokenMade};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::auth::random;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::registry::TokenRow;

/// Tokens at a time: each is compared with whatever is shown.
const MAX_TOKENS: usize = 64;
/// Wrong secrets that one address may show in this time; afterwards it waits for the time's end.
const MAX_WRONG: u32 = 10;
const WRONG_IN: Duration = Duration::from_secs(60);
/// Addresses that are remembered for that. Who has more of them is not slowed down by this, but by the secrets' length.
const MAX_ADDRESSES: usize = 1024;

/// Those that are good, and who has shown others.
#[derive(Default)]
pub(crate) struct Tokens {
    known: Mutex<Vec<TokenRow>>,
    wrong: Mutex<HashMap<IpAddr, Wrong>>,
}

/// Wrong secrets of one address.
struct Wrong {
    count: u32,
    since: Instant,
}

impl Tokens {
    /// These, and no others.
    pub(crate) fn of(known: Vec<TokenRow>) -> Self {
        Self { known: Mutex::new(known), wrong: Mutex::default() }
    }

    /// Lets in who shows a token that is good for what is asked.
    ///
    /// # Errors
    /// [`Error::SignInRequired`] for a secret that is none, [`Error::OutOfScope`] for one that is good for something else,
    /// [`Error::TooManyWrong`] for an address that has shown too many of the first.
    pub(crate) fn admit(&self, secret: &str, needed: Option<Scope>, from: IpAddr) -> Result<()> {
        let from = place(from);
        self.may_try(from)?;
        let hash: [u8; 32] = Sha256::digest(secret).into();
        // Every one is compared in full, so that the time taken tells nothing.
        let found = self.known().iter().fold(None, |found, row| {
            if bool::from(row.hash.ct_eq(&hash)) { Some(row.token.clone()) } else { found }
        });
        match found {
            Some(token) if Some(token.scope) == needed => Ok(()),
            Some(token) => Err(Error::OutOfScope(token.name, token.scope.may())),
            None => {
                self.count_wrong(from);
                Err(Error::SignInRequired)
            }
        }
    }

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

    fn known(&self) -> MutexGuard<'_, Vec<TokenRow>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrong(&self) -> MutexGuard<'_, HashMap<IpAddr, Wrong>> {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// All tokens, by name.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        self.tokens.known().iter().map(|row| row.token.clone()).collect()
    }

    /// Makes one; its secret is told this once.
    ///
    /// # Errors
    /// [`Error::TokenExists`], [`Error::TooManyTokens`], or the registry's.
    pub(crate) async fn add_token(&self, wish: NewToken, by: String) -> Result<TokenMade> {
        let NewToken { name, scope } = wish;
        let random = URL_SAFE_NO_PAD.encode(random::<32>()?);
        let secret = format!("{SECRET_PREFIX}{}_{random}", scope.as_str());
        let created_at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let token = Token { name, scope, by, created_at_s };
        let row = TokenRow { token: token.clone(), hash: Sha256::digest(&secret).into() };
        self.change_tokens(move |store| store.add_token(&row, MAX_TOKENS)).await?;
        Ok(TokenMade { token, secret })
    }

    /// Removes one: it is worth nothing when this returns.
    ///
    /// # Errors
    /// [`Error::NoSuchToken`], or the registry's.
    pub(crate) async fn remove_token(&self, name: TokenName) -> Result<()> {
        self.change_tokens(move |store| store.remove_token(&name)).await
    }

    /// Changes the registry, and what is compared with, in the same order.
    async fn change_tokens(
        &self,
        act: impl FnOnce(&mut crate::registry::Store) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let tokens = std::sync::Arc::clone(&self.tokens);
        self.registry
            .with(move |store| {
                act(store)?;
                *tokens.known() = store.tokens()?;
                Ok(())
            })
            .await
    }
}

/// Who counts as one: an address, or a network of 64 bits, as anybody has it with IPv6.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "kennel_metrics_x";

    fn tokens() -> Tokens {
        let token = Token {
            name: "prometheus".parse().unwrap(),
            scope: Scope::Metrics,
            by: String::new(),
            created_at_s: 0,
        };
        Tokens::of(vec![TokenRow { token, hash: Sha256::digest(SECRET).into() }])
    }

    fn from(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn a_token_is_good_for_its_scope_and_nothing_else() {
        let (tokens, here) = (tokens(), from("192.0.2.1"));
        assert!(tokens.admit(SECRET, Some(Scope::Metrics), here).is_ok());
        let refused = tokens.admit(SECRET, None, here).unwrap_err().to_string();
        assert_eq!(refused, "the token prometheus may only read GET /v1/metrics");
        for wrong in ["kennel_", "kennel_metrics_", "kennel_metrics_X", "kennel_metrics_xx"] {
            assert!(matches!(tokens.admit(wrong, Some(Scope::Metrics), here), Err(Error::SignInRequired)));
        }
    }

    #[test]
    fn who_guesses_is_slowed_down_and_nobody_else() {
        let (tokens, needed) = (tokens(), Some(Scope::Metrics));
        for n in 0..MAX_WRONG {
            let network = from(&format!("2001:db8::{n}"));
            assert!(matches!(tokens.admit("kennel_x", needed, network), Err(Error::SignInRequired)));
        }
        let refused =
            |address| matches!(tokens.admit(SECRET, needed, from(address)), Err(Error::TooManyWrong(_)));
        assert!(refused("2001:db8::ffff"), "even with the right one");
        assert!(!refused("2001:db8:0:1::1") && !refused("192.0.2.1"));
        let long_ago = Instant::now().checked_sub(WRONG_IN).unwrap();
        tokens.wrong().values_mut().for_each(|wrong| wrong.since = long_ago);
        assert!(!refused("2001:db8::ffff"), "after a while it may try again");
    }

    #[test]
    fn addresses_are_not_remembered_without_end() {
        let (tokens, needed) = (tokens(), Some(Scope::Metrics));
        for n in 0..MAX_ADDRESSES as u32 + 9 {
            assert!(tokens.admit("kennel_x", needed, IpAddr::V4(n.into())).is_err());
        }
        assert_eq!(tokens.wrong().len(), MAX_ADDRESSES);
    }
}
