//! Trailers (RFC 9110, 6.5): which may go on behind a body, either way, and which are announced before it. hyper sends those
//! that are announced, and to a client only where it asked for trailers.

use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};

use crate::headers::{Length, is_claim, is_of_connection, remove_where, tokens};

/// What no trailer may be (RFC 9110, 6.5.1), beside fields of the connection and claims: what framing, routing, authentication,
/// caching, or the reading of the content depends on, which others have looked at before the trailer comes.
const NO_TRAILERS: [&str; 30] = [
    "content-length",
    "host",
    "expect",
    "max-forwards",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "authorization",
    "www-authenticate",
    "cookie",
    "set-cookie",
    "origin",
    "cache-control",
    "pragma",
    "age",
    "date",
    "expires",
    "vary",
    "warning",
    "location",
    "retry-after",
    "content-encoding",
    "content-range",
    "content-type",
    "via",
    "kennel-error",
    "kennel-asleep",
];

/// Removes from a trailer what may not be in it.
pub(crate) fn keep(fields: &mut HeaderMap) {
    remove_where(fields, |name| !is_trailer(name));
}

fn is_trailer(name: &HeaderName) -> bool {
    !NO_TRAILERS.contains(&name.as_str()) && !is_of_connection(name.as_str()) && !is_claim(name.as_str())
}

/// The trailers that are to come, of those that may.
pub(crate) fn announced(fields: &HeaderMap, length: Length) -> Option<HeaderValue> {
    if length != Length::Unknown || !fields.contains_key(header::TRAILER) {
        return None;
    }
    let names = tokens(fields, header::TRAILER).filter_map(|name| name.parse().ok()).filter(is_trailer);
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    HeaderValue::try_from(names.join(", ")).ok().filter(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::ERROR_FIELD;
    use crate::headers::{ASLEEP_FIELD, to_client};

    fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        fields
    }

    #[test]
    fn our_own_names_are_meant() {
        assert_eq!((ERROR_FIELD.as_str(), ASLEEP_FIELD.as_str()), ("kennel-error", "kennel-asleep"));
        assert!([ERROR_FIELD, ASLEEP_FIELD].iter().all(|name| NO_TRAILERS.contains(&name.as_str())));
    }

    #[test]
    fn trailers_are_announced_where_they_can_come() {
        let lines =
            [("trailer", "X-Sum, Content-Length, host"), ("trailer", "x_forwarded_for, grpc-status,, a b")];
        let mut fields = map(&lines);
        to_client(&mut fields, Length::Unknown, false, false);
        assert_eq!(fields["trailer"], "x-sum, grpc-status");
        let mut fields = map(&lines);
        to_client(&mut fields, Length::Exact(5), false, false);
        assert!(!fields.contains_key("trailer"));
        let mut fields = map(&[("trailer", "set-cookie"), ("transfer-encoding", "chunked")]);
        to_client(&mut fields, Length::Unknown, false, false);
        assert!(fields.is_empty());
    }
}
