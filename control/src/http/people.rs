//! The door, and answers about people: who is let in and for how long, accounts, tokens, and who did what. What each may do is
//! decided in `people::rights`.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use kennel_model::account::{AccountRights, NewAccount, NewAccountKey};
use kennel_model::api::SessionRequest;
use kennel_model::audit::DONE;
use kennel_model::token::NewToken;
use kennel_model::{AccountName, TenantName, TokenName};
use tokio::time::timeout;

use super::Server;
use super::answers::{Answer, header, last_segment, note, read};
use super::body::{AnswerBody, empty, json};
use super::paths::{Endpoint, ROUTES};
use super::streams::from_ms;
use crate::error::{Error, Result};
use crate::people::{Place, Who, rights};

/// Most entries of the audit log that can be asked for, and how many are told to who does not say.
const MAX_ENTRIES: usize = 10_000;
const ENTRIES: usize = 50;
/// Between two looks whether who reads a stream may still do so; a change of what people may is looked at once.
const LOOK: Duration = Duration::from_secs(60);

/// Where somebody stands who asks.
pub(super) struct Door<'r> {
    pub(super) server: &'r Server,
    pub(super) endpoint: Endpoint,
    /// The path's.
    pub(super) tenant: Option<&'r str>,
    pub(super) from: IpAddr,
    pub(super) head: &'r Parts,
}

impl Door<'_> {
    /// Who asks, if they may; nobody in particular, where anybody may.
    pub(super) async fn admit(&self) -> Result<Option<Who>> {
        if self.endpoint.is_public() {
            return Ok(None);
        }
        let control = &self.server.control;
        let shown = header(&self.head.headers, AUTHORIZATION);
        let who = match control.identify(&self.server.auth, shown, self.from).await {
            Ok(who) => who,
            Err(error) => {
                if shown.is_some() && error.is_about_sign_in() {
                    control.audit_refused(self.from, &error).await;
                }
                return Err(error);
            }
        };
        note(self.head).add(&self.path_tells());
        if let Err(error) = rights::decide(&who, self.endpoint, self.tenant) {
            // A look, too: `kennel deploy` looks at the tenant first. It is refused whether or not this can be kept.
            let (act, result) = (self.endpoint.word(), error.code().0);
            let _ = control.audit_at_once(&who, self.from, act, self.tenant, result).await;
            return Err(error);
        }
        Ok(Some(who))
    }

    /// What the path names beside the tenant, and its query.
    fn path_tells(&self) -> String {
        let pattern = ROUTES.iter().find(|route| route.2 == self.endpoint).map_or("", |route| route.1);
        let parts = pattern.split('/').zip(self.head.uri.path().split('/'));
        let named = parts
            .filter(|(pattern, _)| pattern.starts_with('{') && *pattern != "{name}")
            .map(|(_, given)| given);
        let value = self.head.uri.query().and_then(|query| query.split_once('=')).map(|(_, value)| value);
        named.chain(value).collect::<Vec<_>>().join(" ")
    }

    /// The answer, which breaks off when who reads it may no longer.
    ///
    /// # Errors
    /// [`Error::TooManyStreams`].
    pub(super) fn while_admitted(&self, who: &Who, answer: Answer) -> Result<Answer> {
        // Whatever came whole is sent whole.
        if who.by_user_data || answer.body().size_hint().exact().is_some() {
            return Ok(answer);
        }
        let place = self.server.control.people.take_place(who)?;
        let (control, auth) = (self.server.control.clone(), self.server.auth.clone());
        let shown = header(&self.head.headers, AUTHORIZATION).map(str::to_owned);
        let (endpoint, tenant, from) = (self.endpoint, self.tenant.map(str::to_owned), self.from);
        let mut changed = control.people_changed();
        let gone = async move {
            loop {
                let _ = timeout(LOOK, changed.changed()).await;
                let who = control.identify(&auth, shown.as_deref(), from).await;
                if who.and_then(|who| rights::decide(&who, endpoint, tenant.as_deref())).is_err() {
                    return;
                }
            }
        };
        Ok(answer.map(|body| Until { body, gone: Box::pin(gone), _place: place }.boxed_unsync()))
    }
}

/// A body that breaks off.
struct Until {
    body: AnswerBody,
    gone: Pin<Box<dyn Future<Output = ()> + Send>>,
    _place: Place,
}

impl Body for Until {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.gone.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(io::Error::other("who reads this may no longer")))),
            Poll::Pending => Pin::new(&mut self.body).poll_frame(context),
        }
    }
}

/// Lets somebody sign in.
pub(super) async fn sign_in(server: &Server, from: IpAddr, request: &SessionRequest) -> Result<Answer> {
    let control = &server.control;
    match control.sign_in(&server.auth, request).await {
        Ok((session, who)) => {
            control.audit_at_once(&who, from, Endpoint::SignIn.word(), None, DONE).await?;
            Ok(json(StatusCode::CREATED, &session))
        }
        Err(error) => {
            if error.is_about_sign_in() {
                control.audit_refused(from, &error).await;
            }
            Err(error)
        }
    }
}

/// Answers about people.
pub(super) async fn of(
    server: &Server,
    endpoint: Endpoint,
    who: Who,
    head: &Parts,
    body: &mut Option<Incoming>,
) -> Result<Answer> {
    let control = &server.control;
    match endpoint {
        Endpoint::Whoami => Ok(json(StatusCode::OK, &who.told())),
        Endpoint::Audit => {
            let Asked { tenant, since_ms, lines } = asked(head.uri.query().unwrap_or(""))?;
            Ok(json(StatusCode::OK, &control.audit(&who, tenant, since_ms, lines).await?))
        }
        Endpoint::Tokens => Ok(json(StatusCode::OK, &control.tokens(&who).await?)),
        Endpoint::AddToken => {
            let wish: NewToken = read(server, head, body).await?;
            Ok(json(StatusCode::CREATED, &control.add_token(wish, who, server.certificate).await?))
        }
        Endpoint::RemoveToken => {
            let name = last_segment(head.uri.path());
            let name = TokenName::new(name).map_err(|invalid| Error::NoSuchToken(invalid.value))?;
            control.remove_token(name, who).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Endpoint::Accounts => Ok(json(StatusCode::OK, &control.accounts().await?)),
        Endpoint::AddAccount => {
            let wish: NewAccount = read(server, head, body).await?;
            Ok(json(StatusCode::CREATED, &control.add_account(&server.auth, wish, &who).await?))
        }
        Endpoint::SetAccount => {
            let rights: AccountRights = read(server, head, body).await?;
            Ok(json(StatusCode::OK, &control.set_account(account(head)?, rights).await?))
        }
        Endpoint::RemoveAccount => {
            control.remove_account(&server.auth, account(head)?).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Endpoint::AddAccountKey => {
            let wish: NewAccountKey = read(server, head, body).await?;
            let made = control.add_account_key(&server.auth, account(head)?, &wish.key).await?;
            Ok(json(StatusCode::CREATED, &made))
        }
        Endpoint::RemoveAccountKey => {
            let key = head.uri.query().and_then(|query| query.strip_prefix("fingerprint="));
            let key = key.ok_or_else(|| {
                Error::BadRequest("the parameter fingerprint is missing, or not alone".into())
            })?;
            Ok(json(
                StatusCode::OK,
                &control.remove_account_key(&server.auth, account(head)?, key.to_owned()).await?,
            ))
        }
        other => Err(Error::Internal(format!("{other:?} is not about people"))),
    }
}

/// The account that the path names. A name that cannot be one's is no account's.
fn account(head: &Parts) -> Result<AccountName> {
    let name = head.uri.path().split('/').nth(3).unwrap_or_default();
    AccountName::new(name).map_err(|invalid| Error::NoSuchAccount(invalid.value))
}

/// What is asked of the audit log.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    tenant: Option<TenantName>,
    since_ms: u64,
    lines: usize,
}

fn asked(query: &str) -> Result<Asked> {
    let mut asked = Asked { tenant: None, since_ms: 0, lines: ENTRIES };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let bad = || Error::BadRequest(format!("the parameter {name} cannot be {value:?}"));
        match name {
            "lines" => asked.lines = value.parse().ok().filter(|n| *n <= MAX_ENTRIES).ok_or_else(bad)?,
            "since_s" => {
                asked.since_ms = from_ms(Duration::from_secs(value.parse::<u32>().map_err(|_| bad())?.into()));
            }
            "tenant" => asked.tenant = Some(TenantName::new(value).map_err(|_| bad())?),
            _ => {
                return Err(Error::BadRequest(format!(
                    "there is no parameter {name:?}: use tenant, since_s or lines"
                )));
            }
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_the_audit_log_is_strict() {
        assert_eq!(asked("").unwrap(), Asked { tenant: None, since_ms: 0, lines: ENTRIES });
        let found = asked("tenant=blog&lines=7&since_s=60").unwrap();
        assert_eq!((found.tenant, found.lines), (Some("blog".parse().unwrap()), 7));
        assert!(found.since_ms > 0);
        for bad in ["lines=10001", "lines", "since_s=1h", "tenant=", "tenant=A", "follow=true"] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }
}
