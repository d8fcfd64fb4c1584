//! Who asks: a key of the host's user-data, an account, or a token of one. What each may do is read from the registry at every
//! request, so that it ends when it is taken away; but those whom the user-data names are asked of nobody, and no row keeps
//! them out.

mod accounts;
mod audit;
pub mod rights;
mod tokens;
mod told;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_model::account::{Account, Role, Whoami};
use kennel_model::api;
use kennel_model::token::{SECRET_PREFIX, Scope};
use kennel_model::{AccountName, TenantName, TokenName};
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) use audit::Note;
pub(crate) use told::Told;

use crate::auth::{Auth, bearer};
use crate::control::Control;
use crate::error::{Error, Result};
use audit::Failures;
use tokens::Wrong;

/// How long an operator's sign-in waits for the name of their account.
const NAMING: Duration = Duration::from_secs(1);

/// Streams that accounts read at a time: one, and all together. There are 128 connections.
const STREAMS_OF_ONE: usize = 16;
const MAX_STREAMS: usize = 64;

/// Somebody who was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    /// The account.
    pub(crate) account: Option<AccountName>,
    /// Fingerprint of the key that signed in.
    pub(crate) key: Option<String>,
    /// The token that was shown, and what it is for.
    pub(crate) token: Option<(TokenName, Scope)>,
    /// What the account may do, the token aside.
    pub(crate) role: Role,
    /// With which tenants, those of the token only; all, where there is nothing.
    pub(crate) tenants: Option<Vec<TenantName>>,
    /// The host's user-data names the key: nothing in the registry counts.
    pub(crate) by_user_data: bool,
}

/// What is remembered between requests.
pub(crate) struct People {
    /// Tokens that are none, by who showed them.
    wrong: Mutex<HashMap<IpAddr, Wrong>>,
    /// Attempts that were refused.
    failures: Mutex<Failures>,
    /// Who reads streams, once for each.
    places: Arc<Mutex<Vec<String>>>,
    /// Somebody may do less than before, or more.
    changed: watch::Sender<()>,
}

impl Default for People {
    fn default() -> Self {
        let changed = watch::channel(()).0;
        Self { wrong: Mutex::default(), failures: Mutex::default(), places: Arc::default(), changed }
    }
}

/// A stream that an account reads; given back when dropped.
pub(crate) struct Place {
    by: String,
    places: Arc<Mutex<Vec<String>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = places.iter().position(|by| *by == self.by) {
            places.swap_remove(at);
        }
    }
}

impl People {
    /// A place to read a stream from: accounts leave connections to those who have to look after the host.
    ///
    /// # Errors
    /// [`Error::TooManyStreams`].
    pub(crate) fn take_place(&self, who: &Who) -> Result<Place> {
        let by = who.by();
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MAX_STREAMS || places.iter().filter(|other| **other == by).count() >= STREAMS_OF_ONE
        {
            return Err(Error::TooManyStreams(STREAMS_OF_ONE));
        }
        places.push(by.clone());
        Ok(Place { by, places: Arc::clone(&self.places) })
    }
}

impl Who {
    /// The owner of a key that the user-data names; with the name of the account that has the key, if it is an operator's.
    pub(crate) fn of_key(key: String, account: Option<AccountName>) -> Self {
        Self { account, key: Some(key), token: None, role: Role::Operator, tenants: None, by_user_data: true }
    }

    /// Nobody in particular, who may do what anybody may.
    fn anybody() -> Self {
        Self {
            account: None,
            key: None,
            token: None,
            role: Role::Viewer,
            tenants: Some(vec![]),
            by_user_data: false,
        }
    }

    fn of_account(account: Account, key: Option<String>) -> Self {
        let tenants = (account.role < Role::Operator).then_some(account.tenants);
        Self { account: Some(account.name), key, token: None, role: account.role, tenants, by_user_data: false }
    }

    /// What stands for them wherever it says who did something.
    pub(crate) fn by(&self) -> String {
        match (&self.account, &self.key) {
            (Some(account), _) => account.to_string(),
            (None, Some(key)) => key.clone(),
            (None, None) => String::new(),
        }
    }

    /// The same for a sentence.
    pub(crate) fn words(&self) -> String {
        match &self.token {
            Some((token, _)) => format!("the token {token}"),
            None => self.by(),
        }
    }

    /// What they are told of themselves.
    pub(crate) fn told(self) -> Whoami {
        let most = self.token.as_ref().and_then(|(_, scope)| scope.most());
        Whoami {
            by: self.by(),
            role: most.map_or(self.role, |most| most.min(self.role)),
            tenants: self.tenants,
            token: self.token.map(|(token, _)| token),
            account: self.account,
        }
    }
}

impl Control {
    /// Who shows this, whatever they may.
    ///
    /// # Errors
    /// [`Error::SignInRequired`], [`Error::TokenExpired`], [`Error::TokenRevoked`], [`Error::TooManyWrong`], or the registry's.
    pub(crate) async fn identify(&self, auth: &Auth, authorization: Option<&str>, from: IpAddr) -> Result<Who> {
        if let Some(secret) = bearer(authorization).filter(|secret| secret.starts_with(SECRET_PREFIX)) {
            return self.by_token(secret, from).await;
        }
        let session = auth.session(authorization)?;
        if session.by_user_data {
            return Ok(Who::of_key(session.key, session.account));
        }
        let key = session.key.clone();
        let account = self.registry.with(move |store| store.account_of_key(&key)).await?;
        Ok(Who::of_account(account.ok_or(Error::SignInRequired)?, Some(session.key)))
    }

    /// Trades a signed challenge for a session.
    ///
    /// # Errors
    /// [`Error::SignInRefused`], [`Error::Overloaded`], or the registry's.
    pub(crate) async fn sign_in(
        &self,
        auth: &Auth,
        request: &api::SessionRequest,
    ) -> Result<(api::Session, Who)> {
        let signed = auth.verify(request)?;
        let key = signed.key.clone();
        let account = self.registry.with(move |store| store.account_of_key(&key));
        let who = if signed.by_user_data {
            // Only the name is wanted: a registry that is broken or stands still lets them in all the same.
            let account = timeout(NAMING, account).await.ok().and_then(Result::ok).flatten();
            let named = account.filter(|account| account.role == Role::Operator);
            Who::of_key(signed.key.clone(), named.map(|account| account.name))
        } else {
            Who::of_account(account.await?.ok_or(Error::SignInRefused)?, Some(signed.key.clone()))
        };
        Ok((auth.open(signed, who.account.clone(), &request.nonce)?, who))
    }

    /// Resolves when what people may do has changed since this was called.
    pub(crate) fn people_changed(&self) -> watch::Receiver<()> {
        self.people.changed.subscribe()
    }
}
