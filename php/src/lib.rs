//! `kennel-php`, the program that a runtime of PHP serves a site with: HTTP on the slot's port, PHP's own FastCGI process
//! manager behind it. `fpm` starts that, `site` says what a path means, `fastcgi` is the protocol between the two,
//! `script` has a request answered by PHP, `files` by a file; `server` puts them together.

mod body;
pub mod fastcgi;
mod files;
pub mod fpm;
mod script;
pub mod server;
pub mod site;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use body::Body;

/// What is answered with.
type Answer = Response<Body>;

/// An answer of a few words.
fn plain(status: StatusCode) -> Answer {
    let text = format!("{}\n", status.canonical_reason().unwrap_or("Error"));
    let mut answer = Response::new(Body::whole(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
