//! Answers about what tenants do and use.

use hyper::StatusCode;
use kennel_model::TenantName;
use kennel_model::seeing::Month;

use super::answers::Answer;
use super::body::{json, raw};
use super::paths::Endpoint;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::metrics;
use crate::people::Who;
use crate::people::rights::sees;

/// Most changes that can be asked for; no more are kept.
const MAX_CHANGES: usize = 200;
/// Changes that are told to who does not say how many.
const CHANGES: usize = 50;

/// About all tenants.
pub(super) async fn of_host(
    control: &Control,
    endpoint: Endpoint,
    who: &Who,
    query: Option<&str>,
) -> Result<Answer> {
    match endpoint {
        Endpoint::Top => {
            parameter(query, &[])?;
            Ok(json(StatusCode::OK, &control.top().await?))
        }
        Endpoint::Metrics => {
            parameter(query, &[])?;
            Ok(raw(StatusCode::OK, metrics::MEDIA_TYPE, control.metrics().await?.into()))
        }
        _ => {
            let mut usage = control.usage(None, month(query)?).await?;
            usage.retain(|of| sees(who, &of.tenant));
            Ok(json(StatusCode::OK, &usage))
        }
    }
}

/// About one.
pub(super) async fn of_tenant(
    control: &Control,
    endpoint: Endpoint,
    name: TenantName,
    query: Option<&str>,
) -> Result<Answer> {
    match endpoint {
        Endpoint::Timeline => Ok(json(StatusCode::OK, &control.transitions(&name, lines(query)?).await?)),
        _ => Ok(json(StatusCode::OK, &control.usage(Some(name), month(query)?).await?)),
    }
}

fn month(query: Option<&str>) -> Result<Option<Month>> {
    let given = parameter(query, &["month"])?;
    given.map(|text| text.parse().map_err(|e| Error::BadRequest(format!("{e}")))).transpose()
}

fn lines(query: Option<&str>) -> Result<usize> {
    let Some(text) = parameter(query, &["lines"])? else { return Ok(CHANGES) };
    let bad = || Error::BadRequest(format!("lines cannot be {text:?}: up to {MAX_CHANGES} are kept"));
    text.parse().ok().filter(|n| *n <= MAX_CHANGES).ok_or_else(bad)
}

/// The one parameter that there can be.
pub(super) fn parameter<'q>(query: Option<&'q str>, known: &[&str]) -> Result<Option<&'q str>> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(None) };
    let (name, value) = query.split_once('=').unwrap_or((query, ""));
    if !known.contains(&name) || value.contains('&') {
        let shown: String = query.chars().take(80).collect();
        return Err(Error::BadRequest(format!("there are no such parameters: {shown:?}")));
    }
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_strict() {
        assert_eq!((lines(None).unwrap(), lines(Some("lines=7")).unwrap()), (CHANGES, 7));
        assert_eq!(month(Some("month=2026-11")).unwrap().unwrap().to_string(), "2026-11");
        for bad in ["lines=201", "lines=-1", "lines", "follow=true", "lines=1&lines=2"] {
            assert!(lines(Some(bad)).is_err(), "{bad}");
        }
        assert!(month(Some("month=11")).is_err() && parameter(Some("x=1"), &[]).is_err());
    }
}
