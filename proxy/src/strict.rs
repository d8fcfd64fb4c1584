//! What a request must not be, beyond its framing, which `wire` checks, and what hyper refuses itself: a bad request line,
//! and a bad or folded field. Which site it is for is checked in `host`.

use hyper::Method;
use hyper::header::{CONNECTION, EXPECT, TRANSFER_ENCODING, UPGRADE, VIA};
use hyper::http::request::Parts;

use crate::fault::Fault;
use crate::headers::{Length, PSEUDONYM, has_token, tokens};

/// How often a request may have come through a host of ours: one behind another is no loop.
const MOST_HOSTS: usize = 4;

/// # Errors
/// [`Fault::Method`], [`Fault::BadRequest`], [`Fault::Loop`], [`Fault::TransferCoding`] or [`Fault::Expectation`].
pub(crate) fn check(head: &Parts) -> Result<(), Fault> {
    // CONNECT asks for a tunnel to anywhere; TRACE shows a page's script what the proxy added.
    if matches!(head.method, Method::CONNECT | Method::TRACE) {
        return Err(Fault::Method);
    }
    // Of the server as a whole only OPTIONS asks (RFC 9112, 3.2.4).
    if head.uri.path() == "*" && head.method != Method::OPTIONS {
        return Err(Fault::BadRequest);
    }
    if head.headers.contains_key(VIA)
        && tokens(&head.headers, VIA).filter(|via| is_ours(via)).count() >= MOST_HOSTS
    {
        return Err(Fault::Loop);
    }
    let mut codings = head.headers.get_all(TRANSFER_ENCODING).iter();
    let coding_is_good = match (codings.next(), codings.next()) {
        (None, _) => true,
        // One field, one coding: `gzip, chunked` would lose its gzip here, and two fields are read differently by
        // different programs.
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    if !coding_is_good {
        return Err(Fault::TransferCoding);
    }
    match head.headers.get(EXPECT) {
        Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Err(Fault::Expectation),
        _ => Ok(()),
    }
}

/// Whether a hop in `Via` is one of our hosts (RFC 9110, 7.6.3: protocol, then the name it goes by, then a comment).
fn is_ours(via: &str) -> bool {
    via.split_ascii_whitespace().nth(1) == Some(PSEUDONYM)
}

/// Whether the request opens a WebSocket; every other upgrade is ignored, as the RFC allows. Over HTTP/2 it is `websocket` that puts the
/// fields there: hyper takes no such from a client.
pub(crate) fn wants_websocket(head: &Parts, length: Length) -> bool {
    head.method == Method::GET
        && length == Length::None
        && head.version != hyper::Version::HTTP_10
        && has_token(&head.headers, CONNECTION, "upgrade")
        && has_token(&head.headers, UPGRADE, "websocket")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn head(method: &str, fields: &[(&str, &str)]) -> Parts {
        let request = fields.iter().fold(Request::builder().method(method), |r, (n, v)| r.header(*n, *v));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn ordinary_requests_pass() {
        for fields in [&[][..], &[("transfer-encoding", "Chunked")], &[("expect", "100-Continue")]] {
            assert_eq!(check(&head("POST", fields)), Ok(()), "{fields:?}");
        }
        assert_eq!(check(&head("PROPFIND", &[])), Ok(()));
    }

    #[test]
    fn odd_requests_do_not() {
        assert_eq!(check(&head("CONNECT", &[])), Err(Fault::Method));
        assert_eq!(check(&head("TRACE", &[])), Err(Fault::Method));
        assert_eq!(check(&head("POST", &[("expect", "200-ok")])), Err(Fault::Expectation));
        for fields in [
            &[("transfer-encoding", "gzip, chunked")][..],
            &[("transfer-encoding", "chunked, chunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "\u{b}chunked")],
        ] {
            let head = Request::builder().method("POST");
            let Ok(request) = fields.iter().fold(head, |r, (n, v)| r.header(*n, *v)).body(()) else { continue };
            assert_eq!(check(&request.into_parts().0), Err(Fault::TransferCoding), "{fields:?}");
        }
    }

    #[test]
    fn loops_are_cut() {
        let three = [("via", "1.1 kennel, 1.0 fred"), ("via", "1.1 kennel (a), HTTP/1.1 kennel , 1.1 kennel2")];
        assert_eq!(check(&head("GET", &three)), Ok(()));
        let four = [&three[..], &[("via", "1.1 kennel")]].concat();
        assert_eq!(check(&head("GET", &four)), Err(Fault::Loop));
    }

    #[test]
    fn a_websocket_is_asked_for_in_full_or_not_at_all() {
        let whole = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
        assert!(wants_websocket(&head("GET", &whole), Length::None));
        assert!(!wants_websocket(&head("POST", &whole), Length::None));
        assert!(!wants_websocket(&head("GET", &whole), Length::Exact(3)));
        assert!(!wants_websocket(&head("GET", &whole[1..]), Length::None));
        assert!(!wants_websocket(&head("GET", &[("connection", "upgrade"), ("upgrade", "h2c")]), Length::None));
    }
}
