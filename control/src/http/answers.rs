//! From a request to its answer: who asks, what for, and who in control does it. What changes something runs as a task of its own,
//! audit log and all: a client that hangs up does not leave it half done.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, EXPECT, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use kennel_model::api::{NewEgressRule, NewTenant, Sleep};
use kennel_model::audit::DONE;
use kennel_model::certificate::NewCertificate;
use kennel_model::doctor::Repair;
use kennel_model::msg::{Cause, ControlRequest};
use kennel_model::process::Scale;
use kennel_model::{AccountName, CertificateName, Limits, TenantName};
use serde::de::DeserializeOwned;

use super::Server;
use super::body::{AnswerBody, Streamed, empty, json, problem, raw, read_json, stream, told};
use super::jobs::{self, Announce};
use super::paths::{Endpoint, resolve};
use super::{acme, data, people, releases, routing, seeing, streams, tasks};
use crate::control::Control;
use crate::error::{Error, Result};
use crate::jobs::within;
use crate::people::rights::sees;
use crate::people::{Note, Told, Who};
use crate::upload;

pub(super) type Answer = Response<AnswerBody>;

/// The API's description, as committed.
const OPENAPI: &str = include_str!("../../openapi.json");
/// A JSON document a line.
pub(super) const NDJSON: &str = "application/x-ndjson";

/// Answers one request; what goes wrong is an answer too.
pub(super) async fn answer(server: Arc<Server>, from: IpAddr, request: Request<Incoming>) -> Answer {
    let (mut head, body) = request.into_parts();
    head.extensions.insert(Arc::new(Note::default()));
    let changes = head.method != Method::GET;
    let (announce, begun) = jobs::live(&head).unzip();
    let answering = async move {
        let mut body = Some(body);
        let answered = dispatch(&server, from, (&head, announce), &mut body).await;
        let answer = answered.unwrap_or_else(|error| problem(&error));
        if let Some(unread) = body {
            let_go(&head, unread, &server.control);
        }
        answer
    };
    if !changes {
        return answering.await;
    }
    let answering = tokio::spawn(answering);
    match begun {
        Some(begun) => jobs::as_it_comes(begun, answering).await,
        None => jobs::whole(answering).await,
    }
}

/// Reads on for a while in a body that was answered early, or its client would see a reset connection instead of the
/// answer. One that waits for `100 Continue` has sent nothing, and reading would ask it to.
fn let_go(head: &Parts, body: Incoming, control: &Control) {
    if !body.is_end_stream() && !head.headers.contains_key(EXPECT) {
        tokio::spawn(upload::drain(body, control.config.http.drain));
    }
}

/// Lets in who may ask, and does it; what changes something is in the audit log before, and with what came of it afterwards.
async fn dispatch(
    server: &Server,
    from: IpAddr,
    (head, announce): (&Parts, Option<Announce>),
    body: &mut Option<Incoming>,
) -> Result<Answer> {
    let (endpoint, name) = resolve(&head.method, head.uri.path())?;
    let door = people::Door { server, endpoint, tenant: name, from, head };
    let who = door.admit().await?;
    let Some(who) = who else { return in_public(server, endpoint, from, head, body).await };
    if head.method == Method::GET {
        let answer = carry_out(server, endpoint, name, who.clone(), head, body).await?;
        return door.while_admitted(&who, answer);
    }
    let note = note(head);
    let record = server.control.audit_begin(&who, from, endpoint.word(), name, &note).await?;
    let job = record.number().filter(|_| endpoint.is_job()).map(|number| {
        let tenant = name.and_then(|name| TenantName::new(name).ok());
        server.control.jobs.begin(number, endpoint.word(), tenant, who.by())
    });
    if let (Some(job), Some(announce)) = (&job, announce) {
        // Who does not listen any more need not be told.
        let _ = announce.send(job.follow());
    }
    let acts = carry_out(server, endpoint, name, who.clone(), head, body);
    let answer = match &job {
        Some(job) => job.carry_out(acts).await,
        None => acts.await,
    };
    let result = answer.as_ref().map_or_else(|error| error.code().0, |_| DONE);
    server.control.audit_end(record, &note, result).await;
    if let Some(job) = job {
        job.is_of(note.tenant());
        job.end(answer.as_ref().err().map(told));
    }
    door.while_admitted(&who, answer?)
}

/// What the audit log is to be told of this request.
pub(super) fn note(head: &Parts) -> Arc<Note> {
    head.extensions.get::<Arc<Note>>().cloned().unwrap_or_default()
}

/// What anybody may ask for.
async fn in_public(
    server: &Server,
    endpoint: Endpoint,
    from: IpAddr,
    head: &Parts,
    body: &mut Option<Incoming>,
) -> Result<Answer> {
    match endpoint {
        Endpoint::Ping => Ok(json(StatusCode::OK, &serde_json::json!({}))),
        Endpoint::Challenge => {
            let challenge = server.auth.challenge(&read(server, head, body).await?)?;
            Ok(json(StatusCode::OK, &challenge))
        }
        Endpoint::SignIn => people::sign_in(server, from, &read(server, head, body).await?).await,
        other => Err(Error::Internal(format!("{other:?} is not for everybody"))),
    }
}

/// Does what is asked; the body is left where it is unless it is wanted.
async fn carry_out(
    server: &Server,
    endpoint: Endpoint,
    name: Option<&str>,
    who: Who,
    head: &Parts,
    body: &mut Option<Incoming>,
) -> Result<Answer> {
    let control = &server.control;
    let operator = who.by();
    match (endpoint, name.map(tenant_name).transpose()?) {
        (Endpoint::OpenApi, _) => {
            Ok(raw(StatusCode::OK, "application/json", Bytes::from_static(OPENAPI.as_bytes())))
        }
        (endpoint, None) if endpoint.is_people() => people::of(server, endpoint, who, head, body).await,
        (Endpoint::Host, _) => Ok(json(StatusCode::OK, &control.host().await?)),
        (Endpoint::PowerOff, _) => shut_down(control, ControlRequest::PowerOff).await,
        (Endpoint::Doctor, _) => Ok(json(StatusCode::OK, &control.doctor().await?)),
        (Endpoint::Repair, _) => {
            let wish: Repair = read(server, head, body).await?;
            let act = |control: Arc<Control>| async move { control.repair(wish).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
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
            seeing::of_host(control, endpoint, &who, head.uri.query()).await
        }
        (Endpoint::Certificates, _) => Ok(json(StatusCode::OK, &control.certificates().await?)),
        (Endpoint::AddCertificate, _) => {
            let wish: NewCertificate = read(server, head, body).await?;
            let act = |control: Arc<Control>| async move { control.add_certificate(wish, operator).await };
            let made = undisturbed(control, act).await?;
            note(head).add(made.name.as_str());
            Ok(json(StatusCode::CREATED, &made))
        }
        (Endpoint::RemoveCertificate, _) => {
            let name = last_segment(head.uri.path());
            let name = CertificateName::new(name).map_err(|invalid| Error::NoSuchCertificate(invalid.value))?;
            undisturbed(control, |control| async move { control.remove_certificate(name).await }).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        (Endpoint::Acme | Endpoint::AcmeOn | Endpoint::AcmeOff | Endpoint::AcmeRetry, _) => {
            acme::of(server, endpoint, head, body, operator).await
        }
        (Endpoint::Denials | Endpoint::Access | Endpoint::Traffic, _) => {
            streams::of(control, endpoint, None, head.uri.query()).await
        }
        (Endpoint::Jobs | Endpoint::Job | Endpoint::JobEvents, _) => {
            jobs::of(control, endpoint, &who, head.uri.path())
        }
        (Endpoint::Tenants, _) => {
            let mut tenants = control.tenants().await?;
            tenants.retain(|tenant| sees(&who, tenant.name.as_str()));
            Ok(json(StatusCode::OK, &tenants))
        }
        (Endpoint::Runtimes, _) => Ok(json(StatusCode::OK, &control.runtimes(&who).await?)),
        (Endpoint::AddTenant, _) => {
            let wish: NewTenant = read(server, head, body).await?;
            let made = undisturbed(control, |control| async move { control.add(wish).await }).await?;
            Ok(json(StatusCode::CREATED, &made))
        }
        (endpoint, None) if endpoint.is_routing() => {
            routing::of_host(control, endpoint, &who, head, body).await
        }
        (endpoint, Some(name)) => {
            of_tenant(control, endpoint, name, Asked { head, body, operator, account: who.account }).await
        }
        (_, None) => Err(Error::Internal("a path without its tenant".into())),
    }
}

/// What a request about one tenant brings along.
pub(super) struct Asked<'r> {
    pub(super) head: &'r Parts,
    pub(super) body: &'r mut Option<Incoming>,
    pub(super) operator: String,
    pub(super) account: Option<AccountName>,
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
            let by = asked.account.map_or_else(Cause::operator, |account| account.to_string().into());
            let tenant = undisturbed(control, |control| async move { control.start(&name, by).await }).await?;
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
        Endpoint::Deploy => releases::deploy(control, name, asked).await,
        Endpoint::Exec => tasks::exec(control, name, asked).await,
        Endpoint::Backup => Ok(json(StatusCode::OK, &control.backup(&name).await?)),
        Endpoint::SaveData => data::save(control, name).await,
        Endpoint::SaveRelease => data::save_release(control, name, asked.head.uri.path()).await,
        Endpoint::ReplaceData => data::replace(control, name, asked).await,
        Endpoint::Processes => Ok(json(StatusCode::OK, &control.processes(&name).await?)),
        Endpoint::Scale => {
            let wish: Scale = read_of(control, asked.head, asked.body).await?;
            let act = |control: Arc<Control>| async move { control.scale(&name, wish).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::Timetable | Endpoint::AddJob | Endpoint::RemoveJob | Endpoint::RunJob => {
            tasks::timetable(control, endpoint, name, asked).await
        }
        Endpoint::ReleaseFiles => releases::files(control, name, asked.head.uri.path()).await,
        Endpoint::Releases => Ok(json(StatusCode::OK, &control.releases(&name).await?)),
        Endpoint::Rollback | Endpoint::Promote | Endpoint::Move | Endpoint::Env | Endpoint::ChangeEnv => {
            releases::switched(control, endpoint, name, asked).await
        }
        Endpoint::Egress => Ok(json(StatusCode::OK, &control.egress(&name).await?)),
        Endpoint::AddEgress => {
            let wish: NewEgressRule = read_of(control, asked.head, asked.body).await?;
            let act = |control: Arc<Control>| async move { control.add_egress(&name, wish).await };
            Ok(json(StatusCode::CREATED, &undisturbed(control, act).await?))
        }
        Endpoint::RemoveEgress => {
            let number = number_of(last_segment(asked.head.uri.path()))?;
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
    tokio::spawn(within(act(Arc::clone(control)))).await?
}

pub(super) async fn read<T: DeserializeOwned + Told>(
    server: &Server,
    head: &Parts,
    body: &mut Option<Incoming>,
) -> Result<T> {
    read_of(&server.control, head, body).await
}

/// The request's body, of which the audit log is told what it says of itself.
pub(super) async fn read_of<T: DeserializeOwned + Told>(
    control: &Control,
    head: &Parts,
    body: &mut Option<Incoming>,
) -> Result<T> {
    media_type(&head.headers, "application/json")?;
    let bounds = &control.config.http;
    let body = body.as_mut().ok_or_else(gone)?;
    let read: T = read_json(body, bounds.json_bytes, bounds.json).await?;
    note(head).body(&read);
    Ok(read)
}

pub(super) fn gone() -> Error {
    Error::Internal("a body was read twice".into())
}

/// The media type must be this one; its parameters do not matter.
pub(super) fn media_type(headers: &HeaderMap, wanted: &'static str) -> Result<()> {
    let given = header(headers, CONTENT_TYPE).unwrap_or("").split(';').next().unwrap_or("").trim();
    if given.eq_ignore_ascii_case(wanted) { Ok(()) } else { Err(Error::MediaType(wanted)) }
}

pub(super) fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A name that cannot be a tenant's is no tenant's.
fn tenant_name(text: &str) -> Result<TenantName> {
    TenantName::new(text).map_err(|invalid| Error::NoSuchTenant(invalid.value))
}

/// A number in a path.
pub(super) fn number_of<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::BadRequest(format!("{:?} is not a number that there is", cut(text))))
}

pub(super) fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

pub(super) fn cut(text: &str) -> String {
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
