//! Answers about certificates that are ordered from an authority.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use kennel_model::HostName;
use kennel_model::acme::NewAcme;

use super::Server;
use super::answers::{Answer, last_segment, read, undisturbed};
use super::body::{empty, json};
use super::paths::Endpoint;
use crate::control::Control;
use crate::error::{Error, Result};

/// Answers one.
pub(super) async fn of(
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
