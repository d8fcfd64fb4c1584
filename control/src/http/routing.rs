//! Answers about domains, redirects, maintenance and pages.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use kennel_model::{Domain, TenantName};

use super::answers::{Answer, read_of, undisturbed};
use super::body::{empty, json};
use super::paths::Endpoint;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::people::Who;
use crate::people::rights::sees;

/// Of the host as a whole.
pub(super) async fn of_host(
    control: &Arc<Control>,
    endpoint: Endpoint,
    who: &Who,
    head: &Parts,
    body: &mut Option<Incoming>,
) -> Result<Answer> {
    match endpoint {
        Endpoint::Domains => {
            let mut domains = control.domains().await?;
            domains.retain(|of| sees(who, of.tenant.as_str()));
            Ok(json(StatusCode::OK, &domains))
        }
        Endpoint::Redirects => {
            let mut redirects = control.redirects().await?;
            redirects.retain(|of| sees(who, of.tenant.as_str()));
            Ok(json(StatusCode::OK, &redirects))
        }
        other => page(control, other, None, (head, body)).await,
    }
}

/// Of one tenant.
pub(super) async fn of_tenant(
    control: &Arc<Control>,
    endpoint: Endpoint,
    name: TenantName,
    (head, body): (&Parts, &mut Option<Incoming>),
) -> Result<Answer> {
    match endpoint {
        Endpoint::AddDomain => {
            let wish = read_of(control, head, body).await?;
            let act = |control: Arc<Control>| async move { control.add_domain(&name, wish).await };
            Ok(json(StatusCode::CREATED, &undisturbed(control, act).await?))
        }
        Endpoint::RemoveDomain => {
            let domain = named(head)?;
            let act = |control: Arc<Control>| async move { control.remove_domain(&name, domain).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::AddRedirect => {
            let wish = read_of(control, head, body).await?;
            let act = |control: Arc<Control>| async move { control.add_redirect(&name, wish).await };
            Ok(json(StatusCode::CREATED, &undisturbed(control, act).await?))
        }
        Endpoint::RemoveRedirect => {
            let domain = named(head)?;
            let act = |control: Arc<Control>| async move { control.remove_redirect(&name, domain).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::BeginMaintenance => {
            let wish = read_of(control, head, body).await?;
            let act = |control: Arc<Control>| async move { control.begin_maintenance(&name, wish).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        Endpoint::EndMaintenance => {
            let act = |control: Arc<Control>| async move { control.end_maintenance(&name).await };
            Ok(json(StatusCode::OK, &undisturbed(control, act).await?))
        }
        other => page(control, other, Some(name), (head, body)).await,
    }
}

async fn page(
    control: &Arc<Control>,
    endpoint: Endpoint,
    of: Option<TenantName>,
    (head, body): (&Parts, &mut Option<Incoming>),
) -> Result<Answer> {
    let text = match endpoint {
        Endpoint::Page | Endpoint::TenantPage => return Ok(json(StatusCode::OK, &control.page(of).await?)),
        Endpoint::SetPage | Endpoint::SetTenantPage => Some(read_of(control, head, body).await?),
        Endpoint::RemovePage | Endpoint::RemoveTenantPage => None,
        other => return Err(Error::Internal(format!("{other:?} is not about routing"))),
    };
    undisturbed(control, |control| async move { control.set_page(of, text).await }).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// The domain in a query. All that one can have stands there as it is.
fn named(head: &Parts) -> Result<Domain> {
    let given = head.uri.query().and_then(|query| query.strip_prefix("domain="));
    let given =
        given.ok_or_else(|| Error::BadRequest("the parameter domain is missing, or not alone".into()))?;
    given.parse().map_err(|bad: kennel_model::domain::BadDomain| Error::BadRequest(bad.to_string()))
}
