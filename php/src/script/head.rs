//! The head of what PHP answers, as CGI writes it: headers, one of which may be the status.

use httparse::{EMPTY_HEADER, Status};
use hyper::header::{CONNECTION, HeaderName, HeaderValue, LOCATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use hyper::{Response, StatusCode};

use super::Failed;

/// Most headers of an answer.
const MAX_HEADERS: usize = 128;

/// The answer without its body, and how long its head was; nothing as long as it is not all there.
pub(super) fn read(begun: &[u8]) -> Result<Option<(Response<()>, usize)>, Failed> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let (length, headers) = match httparse::parse_headers(begun, &mut headers) {
        Ok(Status::Complete(read)) => read,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Failed::Head),
    };
    let mut answer = Response::new(());
    let mut said = None;
    for header in headers {
        if header.name.eq_ignore_ascii_case("status") {
            let number = header.value.get(..3).and_then(|number| StatusCode::from_bytes(number).ok());
            said = Some(number.filter(|status| !status.is_informational()).ok_or(Failed::Head)?);
            continue;
        }
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| Failed::Head)?;
        let value = HeaderValue::from_bytes(header.value).map_err(|_| Failed::Head)?;
        if !is_the_connections(&name) {
            answer.headers_mut().append(name, value);
        }
    }
    let moved = answer.headers().contains_key(LOCATION);
    *answer.status_mut() = said.unwrap_or(if moved { StatusCode::FOUND } else { StatusCode::OK });
    Ok(Some((answer, length)))
}

/// What one connection says to its other end is not PHP's.
fn is_the_connections(name: &HeaderName) -> bool {
    [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name) || name == "keep-alive"
}
