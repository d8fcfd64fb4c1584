//! Releases that are shown before they serve are for those who were told of them: search engines are asked to keep no page of one.

use hyper::Response;
use hyper::header::HeaderValue;

use crate::body::Body;
use crate::routes::Target;

/// As robotstxt.org and the engines have it. What the program says itself stays.
const FIELD: &str = "x-robots-tag";

/// Says so in an answer of one.
pub(crate) fn unlisted(mut response: Response<Body>, target: &Target) -> Response<Body> {
    if target.beta.is_some() {
        response.headers_mut().entry(FIELD).or_insert(HeaderValue::from_static("noindex"));
    }
    response
}
