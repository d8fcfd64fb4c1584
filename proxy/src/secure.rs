//! What a site that has a certificate says to who comes without TLS, and to browsers that came with it. Nobody is woken for
//! it. The handshakes are `tls`' business.

use bytes::Bytes;
use hyper::header::{HeaderValue, LOCATION, STRICT_TRANSPORT_SECURITY};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use kennel_model::layout::HTTP_PORT;
use kennel_model::routes::Https;

use crate::asleep::Kind;
use crate::body::{self, Body};
use crate::host;
use crate::routes::Target;
use crate::shared::Shared;

/// The way to the same address with TLS: 308, which keeps method and body (RFC 9110, 15.4.9). None where there is no
/// certificate for the name or the tenant wants none; for health checks, which follow no redirects, and challenges, which
/// certificate authorities ask for without TLS; and for who came to another port than 80: something before us has ports of
/// its own, and which of them is TLS's is not known.
pub(crate) fn redirect(
    shared: &Shared,
    target: &Target,
    (authority, name): (&HeaderValue, &str),
    head: &Parts,
) -> Option<Response<Body>> {
    if target.https != Https::Redirect || !shared.certificates.has(name) {
        return None;
    }
    if matches!(Kind::of(head), Kind::HealthCheck | Kind::Challenge) {
        return None;
    }
    if !matches!(host::port(authority), None | Some(HTTP_PORT)) {
        return None;
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path } else { "/" };
    let location = HeaderValue::from_str(&format!("https://{name}{path}")).ok()?;
    let mut response = Response::new(body::page(Bytes::new()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, location);
    Some(response)
}

/// Tells browsers for how many seconds to come with TLS only (RFC 6797); 0 says nothing. What the program says itself stays.
pub(crate) fn with_hsts(mut response: Response<Body>, seconds: u32) -> Response<Body> {
    if seconds > 0
        && !response.headers().contains_key(STRICT_TRANSPORT_SECURITY)
        && let Ok(value) = HeaderValue::from_str(&format!("max-age={seconds}"))
    {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, value);
    }
    response
}
