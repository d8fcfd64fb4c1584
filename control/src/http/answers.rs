//! From a request to its answer: who asks, what for, and who in control does it. Acts that change something run as
//! tasks of their own: a client that hangs up does not leave them half done.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, EXPECT, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use kennel_model::CertificateName;
use kennel_model::acme::NewAcme;
use kennel_model::api::{NewEgressRule, NewTenant, Rollback, Sleep};
use kennel_model::certificate::NewCertificate;
use kennel_model::env::ChangeEnv;
use kennel_model::msg::ControlRequest;
use kennel_model::token::{NewToken, SECRET_PREFIX};
use kennel_model::{HostName, Limits, TenantName, TokenName};
use serde::de::DeserializeOwned;

use super::Server;
use super::body::{AnswerBody, Streamed, empty, json, problem, raw, read_json, stream};
use super::paths::{Endpoint, resolve};
use super::{routing, seeing, streams};
use crate::auth::bearer;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::upload;

pub(super) type Answer = Response<AnswerBody>;

/// The API's description, as committed.
const OPENAPI: &str = include_str!("../../openapi.json");
/// A JSON document a line.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// Answers one request; what goes wrong is an answer too.
pub(super) async fn answer(server: Arc<Server>, from: IpAddr, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let mut body = Some(body);
    let answer = dispatch(&server, from, &head, &mut body).await.unwrap_or_else(|error| problem(&error));
    if let Some(unread) = body {
        let_go(&head, unread, &server.control);
    }
    answer
}

/// Reads on for a while in a body that was answered early, or its client would see a reset connection instead of the
/// answer. One that waits for `100 Continue` has sent nothing, and reading would ask it to.
fn let_go(head: &Parts, body: Incoming, control: &Control) {
    if !body.is_end_stream() && !head.headers.contains_key(EXPECT) {
        tokio::spawn(upload::drain(body, control.config.http.drain));
    }
}

/// Does what is asked; the body is left where it is unless it is wanted.
async fn dispatch(server: &Server, from: IpAddr, head: &Parts, body: &mut Option<Incoming>) -> Result<Answer> {
    let (endpoint, name) = resolve(&head.method, head.uri.path())?;
    let operator = admit(server, endpoint, from, header(&head.headers, AUTHORIZATION))?;
    let control = &server.control;
    match (endpoint, name.map(tenant_name).transpose()?) {
        (Endpoint::Ping, _) => Ok(json(StatusCode::OK, &serde_json::json!({}))),
        (Endpoint::OpenApi, _) => {
            Ok(raw(StatusCode::OK, "application/json", Bytes::from_static(OPENAPI.as_bytes())))
        }
        (Endpoint::Challenge, _) => {
            let challenge = server.auth.challenge(&read(server, head, body).await?)?;
            Ok(json(StatusCode::OK, &challenge))
        }
        (Endpoint::SignIn, _) => {
            let session = server.auth.sign_in(&read(server, head, body).await?)?;
            Ok(json(StatusCode::CREATED, &session))
        }
        (Endpoint::Host, _) => Ok(json(StatusCode::OK, &control.host().await?)),
        (Endpoint::PowerOff, _) => shut_down(control, ControlRequest::PowerOff).await,
        (Endpoint::Reboot, _) => shut_down(control, ControlRequest::Reboot).await,
        (Endpoint::Attest, _) => {
            let wish = read(server, head, body).await?;
            Ok(json(StatusCode::OK, &control.attest(wish, &server.certificate).await?))
        }
        (Endpoint::Prove, _) => {
            let wish = read(server, head, body).await?;
            let (sink, answer) = Streamed::channel();
            tokio::spawn(Arc::clone(control).prove(wish, operator, sink));
            Ok(stream(StatusCode::OK, NDJSON, answer.boxed_unsync()))
        }
        (Endpoint::Top | Endpoint::Usage | Endpoint::Metrics, _) => {
            seeing::of_host(control, endpoint, head.uri.query()).await
        }
        (Endpoint::Tokens, _) => Ok(json(StatusCode::OK, &control.tokens())),
        (Endpoint::AddToken, _) => {
            let wish: NewToken = read(server, head, body).await?;
            let act = |control: Arc<Control>| async move { control.add_token(wish, operator).await };
            Ok(json(StatusCode::CREATED, &undisturbed(control, act).await?))
        }
        (Endpoint::RemoveToken, _) => {
            let name = last_segment(head.uri.path());
            let name = TokenName::new(name).map_err(|invalid| Error::NoSuchToken(invalid.value))?;
            undisturbed(control, |control| async move { control.remove_token(name).await }).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (Endpoint::Certificates, _) => Ok(json(StatusCode::OK, &control.certificates().await?)),
        (Endpoint::AddCertificate, _) => {
            let wish: NewCertificate = read(server, head, body).await?;
            let act = |control: Arc<Control>| async move { control.add_certificate(wish, operator).await };
            Ok(json(StatusCode::CREATED, &undisturbed(control, act).await?))
        }
        (Endpoint::RemoveCertificate, _) => {
            let name = last_segment(head.uri.path());
            let name = CertificateName::new(name).map_err(|invalid| Error::NoSuchCertificate(invalid.value))?;
            undisturbed(control, |control| async move { control.remove_certificate(name).await }).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (Endpoint::Acme | Endpoint::AcmeOn | Endpoint::AcmeOff | Endpoint::AcmeRetry, _) => {
            acme(server, endpoint, head, body, operator).await
        }
        (Endpoint::Denials | Endpoint::Access | Endpoint::Traffic, _) => {
            streams::of(control, endpoint, None, head.uri.query()).await
        }
        (Endpoint::Tenants, _) => Ok(json(StatusCode::OK, &control.tenants().await?)),
        (Endpoint::AddTenant, _) => {
            let wish: NewTenant = read(server, head, body).await?;
            let made = undisturbed(control, |control| async move { control.add(wish).await }).await?;
            Ok(json(StatusCode::CREATED, &made))
        }
        (endpoint, None) if endpoint.is_routing() => routing::of_host(control, endpoint, head, body).await,
        (endpoint, Some(name)) => of_tenant(control, endpoint, name, Asked { head, body, operator }).await,
        (_, None) => Err(Error::Internal("a path without its tenant".into())),
    }
}

async fn acme(
    server: &Server,
    endpoint: Endpoint,
    head: &Parts,
    body: &mut Option<Incoming>,
    operator: String,
) -> Result<Answer> {
    let control = &server.control;
    match endpoint {
        Endpoint::AcmeOn => {
            let wish: NewAcme = read(server, head, body).await?;
            let act = |control: Arc<Control>| async move { control.acme_on(wish, operator).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::AcmeOff => {
            undisturbed(control, |control| async move { control.acme_off().await }).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Endpoint::AcmeRetry => {
            let name = last_segment(head.uri.path());
            let name =
                HostName::new(name).map_err(|bad| Error::NotOrdered(bad.value, "it is no host name".into()))?;
            let act = |control: Arc<Control>| async move { control.acme_retry(name).await };
            Ok(json(StatusCode::ACCEPTED, &undisturbed(control, act).await?))
        }
        _ => Ok(json(StatusCode::OK, &control.acme().await?)),
    }
}

/// The operator who asks; nobody's name where anybody may ask, or who has a token for it.
fn admit(server: &Server, endpoint: Endpoint, from: IpAddr, authorization: Option<&str>) -> Result<String> {
    if endpoint.is_public() {
        return Ok(String::new());
    }
    match bearer(authorization).filter(|secret| secret.starts_with(SECRET_PREFIX)) {
        Some(secret) => server.control.tokens.admit(secret, endpoint.scope(), from).map(|()| String::new()),
        None => server.auth.operator(authorization),
    }
}

/// What a request about one tenant brings along.
struct Asked<'r> {
    head: &'r Parts,
    body: &'r mut Option<Incoming>,
    operator: String,
}

async fn of_tenant(
    control: &Arc<Control>,
    endpoint: Endpoint,
    name: TenantName,
    asked: Asked<'_>,
) -> Result<Answer> {
    match endpoint {
        Endpoint::Tenant => Ok(json(StatusCode::OK, &control.tenant(&name).await?)),
        Endpoint::RemoveTenant => {
            undisturbed(control, |control| async move { control.remove(&name).await }).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Endpoint::SetLimits => {
            let limits: Limits = read_of(control, asked.head, asked.body).await?;
            let act = |control: Arc<Control>| async move { control.set_limits(&name, limits).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::Start => {
            let tenant = undisturbed(control, |control| async move { control.start(&name).await }).await?;
            Ok(json(StatusCode::OK, &tenant))
        }
        Endpoint::Stop => {
            let tenant = undisturbed(control, |control| async move { control.stop(&name).await }).await?;
            Ok(json(StatusCode::OK, &tenant))
        }
        Endpoint::Sleep => {
            let wish: Sleep = read_of(control, asked.head, asked.body).await?;
            let act = |control: Arc<Control>| async move { control.sleep(&name, wish.to).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::Deploy => deploy(control, name, asked).await,
        Endpoint::Releases => Ok(json(StatusCode::OK, &control.releases(&name).await?)),
        Endpoint::Rollback | Endpoint::Env | Endpoint::ChangeEnv => {
            switched(control, endpoint, name, asked).await
        }
        Endpoint::Egress => Ok(json(StatusCode::OK, &control.egress(&name).await?)),
        Endpoint::AddEgress => {
            let wish: NewEgressRule = read_of(control, asked.head, asked.body).await?;
            let act = |control: Arc<Control>| async move { control.add_egress(&name, wish).await };
            Ok(json(StatusCode::CREATED, &undisturbed(control, act).await?))
        }
        Endpoint::RemoveEgress => {
            let number = last_number(asked.head.uri.path())?;
            let act = |control: Arc<Control>| async move { control.remove_egress(&name, number).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::TenantUsage | Endpoint::Timeline => {
            seeing::of_tenant(control, endpoint, name, asked.head.uri.query()).await
        }
        Endpoint::Logs | Endpoint::TenantDenials | Endpoint::TenantAccess | Endpoint::TenantTraffic => {
            streams::of(control, endpoint, Some(name), asked.head.uri.query()).await
        }
        other if other.is_routing() => routing::of_tenant(control, other, name, (asked.head, asked.body)).await,
        other => Err(Error::Internal(format!("{other:?} is not about a tenant"))),
    }
}

async fn deploy(control: &Arc<Control>, name: TenantName, asked: Asked<'_>) -> Result<Answer> {
    media_type(&asked.head.headers, "application/x-tar")?;
    let (mut body, operator) = (asked.body.take().ok_or_else(gone)?, asked.operator);
    let act = |control: Arc<Control>| async move {
        let deployed = control.deploy(&name, &mut body, operator).await;
        Ok((deployed, body))
    };
    let (deployed, unread) = undisturbed(control, act).await?;
    *asked.body = Some(unread);
    Ok(json(StatusCode::CREATED, &deployed?))
}

/// What takes another release into use.
async fn switched(
    control: &Arc<Control>,
    endpoint: Endpoint,
    name: TenantName,
    asked: Asked<'_>,
) -> Result<Answer> {
    let operator = asked.operator;
    match endpoint {
        Endpoint::Rollback => {
            let wish: Rollback = read_of(control, asked.head, asked.body).await?;
            let act = |control: Arc<Control>| async move { control.rollback(&name, wish.to, &operator).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::ChangeEnv => {
            let wish: ChangeEnv = read_of(control, asked.head, asked.body).await?;
            let act = |control: Arc<Control>| async move { control.change_env(&name, wish, &operator).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        _ => Ok(json(StatusCode::OK, &control.env(&name).await?)),
    }
}

async fn shut_down(control: &Arc<Control>, request: ControlRequest) -> Result<Answer> {
    undisturbed(control, |control| async move { control.shut_down(request).await }).await?;
    Ok(json(StatusCode::ACCEPTED, &serde_json::json!({})))
}

/// Carries an act out to its end, whoever still waits for it.
pub(super) async fn undisturbed<T, F, A>(control: &Arc<Control>, act: A) -> Result<T>
where
    A: FnOnce(Arc<Control>) -> F,
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    tokio::spawn(act(Arc::clone(control))).await?
}

async fn read<T: DeserializeOwned>(server: &Server, head: &Parts, body: &mut Option<Incoming>) -> Result<T> {
    read_of(&server.control, head, body).await
}

pub(super) async fn read_of<T: DeserializeOwned>(
    control: &Control,
    head: &Parts,
    body: &mut Option<Incoming>,
) -> Result<T> {
    media_type(&head.headers, "application/json")?;
    let bounds = &control.config.http;
    let body = body.as_mut().ok_or_else(gone)?;
    read_json(body, bounds.json_bytes, bounds.json).await
}

fn gone() -> Error {
    Error::Internal("a body was read twice".into())
}

/// The media type must be this one; its parameters do not matter.
fn media_type(headers: &HeaderMap, wanted: &'static str) -> Result<()> {
    let given = header(headers, CONTENT_TYPE).unwrap_or("").split(';').next().unwrap_or("").trim();
    if given.eq_ignore_ascii_case(wanted) { Ok(()) } else { Err(Error::MediaType(wanted)) }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A name that cannot be a tenant's is no tenant's.
fn tenant_name(text: &str) -> Result<TenantName> {
    TenantName::new(text).map_err(|invalid| Error::NoSuchTenant(invalid.value))
}

/// The number at the end of a path.
fn last_number(path: &str) -> Result<u8> {
    let text = last_segment(path);
    text.parse().map_err(|_| Error::BadRequest(format!("{:?} is not a rule's number", cut(text))))
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_compared_without_parameters() {
        let mut headers = HeaderMap::new();
        assert!(media_type(&headers, "application/json").is_err());
        headers.insert(CONTENT_TYPE, "Application/JSON; charset=utf-8".parse().unwrap());
        assert!(media_type(&headers, "application/json").is_ok());
        assert!(media_type(&headers, "application/x-tar").is_err());
    }
}
