//! The client of a host's API: one TLS connection that is pinned to the host's certificate, sign-in when it is
//! needed, typed answers. What the answers are for is the commands' business.

mod body;
mod documents;
mod error;
mod jobs;
mod releases;
mod session;
mod tls;
mod verbs;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kennel_model::task::FRAMES;
use kennel_model::{HostName, api};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::hosts::KnownHost;
use crate::keys::{Agent, Candidate, candidates};
use crate::paths::Paths;

pub use body::{Body, BodySender};
pub use documents::Documents;
pub use error::{BrokenCause, ClientError};
pub use tls::fingerprint_of;

pub(crate) use kennel_known::tls::CONNECT;

/// From a request's last byte to the answer's head, but for uploads.
const ANSWER: Duration = Duration::from_secs(60);
/// Without a byte of an answer's body.
const STALL: Duration = Duration::from_secs(60);
/// What is sent and answered unless it is something else.
const JSON: &str = "application/json";
/// No JSON answer is longer.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// A host's API.
pub struct Client {
    name: HostName,
    host: KnownHost,
    paths: Paths,
    identity: Option<std::path::PathBuf>,
    /// A token's secret, which is shown instead of signing in.
    secret: Option<String>,
    connection: Option<SendRequest<Body>>,
    /// The job that the host told of last, 0 if it told of none.
    job: AtomicU64,
    /// What went out over each connection there was, in bytes.
    sent: Vec<Arc<AtomicU64>>,
}

/// Media types of a request.
#[derive(Debug, Clone, Copy)]
struct Types {
    /// Of its body.
    sent: &'static str,
    /// Of its answer.
    accepted: &'static str,
}

impl Types {
    /// With an answer of any type that answers have once they are there.
    const fn of(sent: &'static str) -> Self {
        Self { sent, accepted: "application/json, application/x-ndjson, text/plain" }
    }

    /// With an answer that tells of its job on the way.
    const fn live(sent: &'static str) -> Self {
        Self { sent, accepted: "application/json, text/event-stream" }
    }
}

impl Client {
    /// A client that has not connected yet. `identity` is the key named on the command line.
    pub fn new(name: HostName, host: KnownHost, paths: Paths, identity: Option<std::path::PathBuf>) -> Self {
        Self {
            name,
            host,
            paths,
            identity,
            secret: None,
            connection: None,
            job: AtomicU64::new(0),
            sent: vec![],
        }
    }

    /// The host's name here.
    pub const fn name(&self) -> &HostName {
        &self.name
    }

    /// The host as it is known here.
    pub const fn host(&self) -> &KnownHost {
        &self.host
    }

    /// The job that the host told of last.
    pub fn job(&self) -> Option<u64> {
        Some(self.job.load(Ordering::Relaxed)).filter(|job| *job > 0)
    }

    /// Bytes that went out to the host so far, TLS and all.
    pub fn sent(&self) -> u64 {
        self.sent.iter().map(|sent| sent.load(Ordering::Relaxed)).sum()
    }

    /// The host's certificate in DER, which is the pinned one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn certificate(&self) -> Result<Vec<u8>, ClientError> {
        let stream = tls::connect(&self.name, &self.host).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|shown| shown.first());
        shown.map(|der| der.to_vec()).ok_or_else(|| self.malformed(&"it showed no certificate"))
    }

    /// `POST` of frames that is answered by frames, both for as long as it takes; the body is the caller's to read.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn frames(&mut self, path: &str, body: Body) -> Result<Incoming, ClientError> {
        let token = self.token(false).await?;
        let types = Types::of(FRAMES);
        let response = self.send_typed(Method::POST, path, Some(&token), types, body, Some(ANSWER)).await?;
        Ok(self.checked(response).await?.into_body())
    }

    async fn call<B: Serialize, T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|e| self.malformed(&e))?;
        let response = self.signed(method, path, body.map(Bytes::from)).await?;
        let response = self.checked(response).await?;
        self.json(response).await
    }

    /// A request with a token.
    async fn signed(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Response<Incoming>, ClientError> {
        self.signed_typed(method, path, Types::of(JSON), body).await
    }

    /// A request with a token; a token that is no longer good is renewed once.
    async fn signed_typed(
        &mut self,
        method: Method,
        path: &str,
        types: Types,
        body: Option<Bytes>,
    ) -> Result<Response<Incoming>, ClientError> {
        let whole = || body.clone().map_or_else(Body::empty, Body::whole);
        let token = self.token(false).await?;
        let response =
            self.send_typed(method.clone(), path, Some(&token), types, whole(), Some(ANSWER)).await?;
        if response.status() != StatusCode::UNAUTHORIZED || self.secret.is_some() {
            return Ok(response);
        }
        drop(response);
        let token = self.token(true).await?;
        self.send_typed(method, path, Some(&token), types, whole(), Some(ANSWER)).await
    }

    /// A token that was not refused yet: the one on disk, or a new one.
    async fn token(&mut self, renew: bool) -> Result<String, ClientError> {
        if let Some(secret) = &self.secret {
            return Ok(secret.clone());
        }
        let file = self.paths.session(&self.name);
        if !renew && let Some(token) = session::load(&file, &self.host.fingerprint) {
            return Ok(token);
        }
        let keys = candidates(self.identity.as_deref(), &self.paths, Agent::from_env())?;
        let mut tried = Vec::new();
        for key in keys {
            if let Some(session) = self.sign_in(&key).await? {
                session::save(&file, &self.host.fingerprint, &session)?;
                return Ok(session.token);
            }
            tried.push(key.name);
        }
        Err(ClientError::NotAdmitted { host: self.name.clone(), tried: tried.join(", ") })
    }

    /// One key's attempt; `None` when the host does not admit it.
    async fn sign_in(&mut self, key: &Candidate) -> Result<Option<api::Session>, ClientError> {
        let request = api::ChallengeRequest { public_key: key.public_line()? };
        let challenge: api::Challenge = self.open_call("/v1/session/challenge", &request).await?;
        let text = api::signed_text(&challenge.nonce, &self.host.fingerprint.to_string());
        let request = api::SessionRequest { nonce: challenge.nonce, signature: key.sign(&text)? };
        match self.open_call("/v1/session", &request).await {
            Ok(session) => Ok(Some(session)),
            Err(ClientError::Refused { status: StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, .. }) => {
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// `POST` of JSON without a token.
    async fn open_call<B: Serialize, T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        let body = Body::whole(serde_json::to_vec(body).map_err(|e| self.malformed(&e))?.into());
        let response = self.send(Method::POST, path, None, body, ANSWER).await?;
        let response = self.checked(response).await?;
        self.json(response).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Body,
        patience: Duration,
    ) -> Result<Response<Incoming>, ClientError> {
        self.send_typed(method, path, token, Types::of(JSON), body, Some(patience)).await
    }

    async fn send_typed(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&str>,
        types: Types,
        body: Body,
        patience: Option<Duration>,
    ) -> Result<Response<Incoming>, ClientError> {
        let authority = format!("{}:{}", self.host.url.host, self.host.url.port);
        let mut request =
            Request::builder().method(method).uri(path).header(HOST, authority).header(ACCEPT, types.accepted);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, types.sent);
        }
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|e| self.malformed(&e))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(body).map_err(|e| self.malformed(&e))?;
        let mut connection = self.connected().await?;
        let exchange = connection.send_request(request);
        let answered = match patience {
            Some(patience) => {
                timeout(patience, exchange).await.map_err(|_| self.late("it did not answer in time"))?
            }
            None => exchange.await,
        };
        let response =
            answered.map_err(|e| ClientError::Broken { host: self.name.clone(), cause: e.into() })?;
        self.connection = Some(connection);
        Ok(response)
    }

    /// The open connection when it can take a request, or a new one.
    async fn connected(&mut self) -> Result<SendRequest<Body>, ClientError> {
        if let Some(mut open) = self.connection.take()
            && matches!(timeout(Duration::from_millis(100), open.ready()).await, Ok(Ok(())))
        {
            return Ok(open);
        }
        let stream = tls::connect(&self.name, &self.host).await?;
        self.sent.push(stream.get_ref().0.written());
        let (sender, driver) = timeout(CONNECT, http1::handshake(TokioIo::new(stream)))
            .await
            .map_err(|_| self.late("it did not answer in time"))?
            .map_err(|e| ClientError::Broken { host: self.name.clone(), cause: e.into() })?;
        // The driver ends with the connection; what went wrong reaches the request that was under way.
        tokio::spawn(driver);
        Ok(sender)
    }

    /// Turns an answer that is a problem into an error.
    async fn checked(&self, response: Response<Incoming>) -> Result<Response<Incoming>, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = self.collect(response.into_body()).await.unwrap_or_default();
        let problem = serde_json::from_slice(&bytes).unwrap_or_else(|_| api::Problem {
            code: format!("http-{}", status.as_u16()),
            message: format!("host {} answered with status {status}", self.name),
            hint: None,
        });
        Err(ClientError::Refused { status, problem })
    }

    async fn json<T: DeserializeOwned>(&self, response: Response<Incoming>) -> Result<T, ClientError> {
        let bytes = self.collect(response.into_body()).await?;
        serde_json::from_slice(&bytes).map_err(|e| self.malformed(&e))
    }

    async fn collect(&self, mut body: Incoming) -> Result<Vec<u8>, ClientError> {
        let mut bytes = Vec::new();
        while let Some(frame) =
            timeout(STALL, body.frame()).await.map_err(|_| self.late("its answer stalled"))?
        {
            let frame = frame.map_err(|e| ClientError::Broken { host: self.name.clone(), cause: e.into() })?;
            bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            if bytes.len() > MAX_ANSWER_BYTES {
                return Err(self.malformed(&"the answer is too long"));
            }
        }
        Ok(bytes)
    }

    fn malformed(&self, cause: &dyn std::fmt::Display) -> ClientError {
        ClientError::Malformed { host: self.name.clone(), cause: cause.to_string() }
    }

    fn late(&self, what: &'static str) -> ClientError {
        ClientError::Late { host: self.name.clone(), what }
    }
}
