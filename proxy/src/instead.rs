//! Answers in the place of a program that is asleep, as the table in `asleep` has it.

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};

use crate::asleep::{Kind, Verdict};
use crate::body::{self, Body};
use crate::fault::Fault;
use crate::headers::ASLEEP_FIELD;
use crate::kept::Key;
use crate::routes::Target;
use crate::shared::Shared;

/// The answer to a request; none when the program is to be woken for it.
///
/// # Errors
/// The fault that the client is to be told.
pub(crate) fn of_program(
    shared: &Shared,
    (target, name): (&Target, &str),
    head: &Parts,
) -> Result<Option<Response<Body>>, Fault> {
    match Kind::of(head).verdict(target.crawlers) {
        Verdict::Wake => Ok(None),
        Verdict::Fine if target.release.is_some_and(|r| shared.awake.has_failed(target.slot, r)) => {
            Err(Fault::CannotStart)
        }
        Verdict::Fine => Ok(Some(fine())),
        Verdict::NotFound => Err(Fault::NoChallenge),
        Verdict::Later => Err(Fault::Asleep),
        Verdict::Kept => kept(shared, (target, name), head),
    }
}

fn kept(
    shared: &Shared,
    (target, name): (&Target, &str),
    head: &Parts,
) -> Result<Option<Response<Body>>, Fault> {
    let key = Key::of(target, name, head).ok_or(Fault::Asleep)?;
    match shared.kept.find(&key) {
        Some(answer) => Ok(Some(answer)),
        None if head.method == Method::GET && shared.kept.is_first(&key) => Ok(None),
        None => Err(Fault::Asleep),
    }
}

/// To a health check: nothing is wrong.
pub(crate) fn fine() -> Response<Body> {
    let mut response = Response::new(body::page(Bytes::from_static(b"ready\n")));
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(ASLEEP_FIELD, HeaderValue::from_static("health-check"));
    response
}
