//! The client of a host's API: one TLS connection that is pinned to the host's certificate, sign-in when it is
//! needed, typed answers. What the answers are for is the commands' business.

mod body;
mod documents;
mod error;
mod releases;
mod session;
mod tls;

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
    /// What went out over each connection there was, in bytes.
    sent: Vec<Arc<AtomicU64>>,
}

impl Client {
    /// A client that has not connected yet. `identity` is the key named on the command line.
    pub fn new(name: HostName, host: KnownHost, paths: Paths, identity: Option<std::path::PathBuf>) -> Self {
        Self { name, host, paths, identity, secret: None, connection: None, sent: vec![] }
    }

    /// The host's name here.
    pub const fn name(&self) -> &HostName {
        &self.name
    }

    /// The host as it is known here.
    pub const fn host(&self) -> &KnownHost {
        &self.host
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

    /// `GET`, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        self.call::<(), T>(Method::GET, path, None).await
    }

    /// `POST` with a JSON body, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `PUT` of a JSON document, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put<B: Serialize, T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// `PUT` that is answered by nothing, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_only<B: Serialize>(&mut self, path: &str, body: &B) -> Result<(), ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| self.malformed(&e))?;
        let response = self.signed(Method::PUT, path, Some(body.into())).await?;
        self.checked(response).await.map(drop)
    }

    /// `POST` without a body, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn act<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        self.call::<(), T>(Method::POST, path, None).await
    }

    /// `DELETE`, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&mut self, path: &str) -> Result<(), ClientError> {
        let response = self.signed(Method::DELETE, path, None).await?;
        self.checked(response).await.map(drop)
    }

    /// `DELETE` that is answered by what is gone, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, ClientError> {
        self.call::<(), T>(Method::DELETE, path, None).await
    }

    /// Whether the host answers at all, without signing in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ping(&mut self) -> Result<(), ClientError> {
        let response = self.send(Method::GET, "/v1/ping", None, Body::empty(), ANSWER).await?;
        self.checked(response).await.map(drop)
    }

    /// `GET` of a text, signed in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn text(&mut self, path: &str) -> Result<String, ClientError> {
        let response = self.signed(Method::GET, path, None).await?;
        let response = self.checked(response).await?;
        let bytes = self.collect(response.into_body()).await?;
        String::from_utf8(bytes).map_err(|e| self.malformed(&e))
    }

    /// `GET` of a stream, signed in; the body is the caller's to read.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stream(&mut self, path: &str) -> Result<Incoming, ClientError> {
        let response = self.signed(Method::GET, path, None).await?;
        Ok(self.checked(response).await?.into_body())
    }

    /// `POST` of JSON that is answered by a stream.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn stream_of<B: Serialize>(&mut self, path: &str, body: &B) -> Result<Incoming, ClientError> {
        let body = serde_json::to_vec(body).map_err(|e| self.malformed(&e))?;
        let response = self.signed(Method::POST, path, Some(body.into())).await?;
        Ok(self.checked(response).await?.into_body())
    }

    /// `POST` of frames that is answered by frames, both for as long as it takes; the body is the caller's to read.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn frames(&mut self, path: &str, body: Body) -> Result<Incoming, ClientError> {
        let token = self.token(false).await?;
        let response = self.send_typed(Method::POST, path, Some(&token), FRAMES, body, Some(ANSWER)).await?;
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

    /// A request with a token; a token that is no longer good is renewed once.
    async fn signed(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Response<Incoming>, ClientError> {
        let whole = || body.clone().map_or_else(Body::empty, Body::whole);
        let token = self.token(false).await?;
        let response = self.send(method.clone(), path, Some(&token), whole(), ANSWER).await?;
        if response.status() != StatusCode::UNAUTHORIZED || self.secret.is_some() {
            return Ok(response);
        }
        drop(response);
        let token = self.token(true).await?;
        self.send(method, path, Some(&token), whole(), ANSWER).await
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
        self.send_typed(method, path, token, "application/json", body, Some(patience)).await
    }

    async fn send_typed(
        &mut self,
        method: Method,
        path: &str,
        token: Option<&str>,
        content_type: &'static str,
        body: Body,
        patience: Option<Duration>,
    ) -> Result<Response<Incoming>, ClientError> {
        let authority = format!("{}:{}", self.host.url.host, self.host.url.port);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, authority)
            .header(ACCEPT, "application/json, application/x-ndjson, text/plain");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
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
