//! Redirects of operators' own. Nobody is woken for them. Where TLS is wanted for a site, `secure` sends there.

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use kennel_model::Domain;
use kennel_model::redirect::Redirect;

use crate::body::{self, Body};
use crate::fault::Fault;

/// The way to elsewhere: 308 or 307, which keep method and body (RFC 9110, 15.4.8). What is temporary is not kept by anybody.
///
/// # Errors
/// [`Fault::Loop`] when it would lead to where the request has come; control sees circles that are longer.
pub(crate) fn elsewhere(
    redirect: &Redirect,
    from: &Domain,
    (scheme, authority): (&str, &HeaderValue),
    head: &Parts,
) -> Result<Response<Body>, Fault> {
    let location = redirect.location(from, head.uri.path(), head.uri.query());
    let asked = head.uri.path_and_query().map_or("/", |asked| asked.as_str());
    let same = location
        .strip_prefix(scheme)
        .and_then(|rest| rest.strip_prefix("://"))
        .and_then(|rest| rest.strip_suffix(asked))
        .is_some_and(|host| authority.as_bytes().eq_ignore_ascii_case(host.as_bytes()));
    if same {
        return Err(Fault::Loop);
    }
    let mut response = Response::new(body::page(Bytes::new()));
    *response.status_mut() =
        if redirect.permanent { StatusCode::PERMANENT_REDIRECT } else { StatusCode::TEMPORARY_REDIRECT };
    let fields = response.headers_mut();
    // Neither an operator's address nor a request's target can have what a field cannot.
    fields.insert(LOCATION, HeaderValue::from_str(&location).map_err(|_| Fault::BadRequest)?);
    if !redirect.permanent {
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}
