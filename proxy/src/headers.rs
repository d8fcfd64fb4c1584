//! The header fields of what is passed on. Fields that belong to one connection go no further, what a stranger says
//! about who he is is replaced by what we know, and the framing is written anew from the body itself, so that nothing
//! a client or program wrote about lengths reaches the other side.

use std::sync::Arc;

use hyper::header::{self, Entry, HeaderName, HeaderValue};
use hyper::{HeaderMap, Version};

use crate::client::Who;
use crate::trailers;

/// Whom a request is from.
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Whether it came with TLS.
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Says of an answer that the proxy gave it for a program that is asleep, and how it came to it; never passed on from a tenant.
pub(crate) const ASLEEP_FIELD: HeaderName = HeaderName::from_static("kennel-asleep");

/// Our name in `Via`.
pub(crate) const PSEUDONYM: &str = "kennel";

/// What a gateway has to leave: the version that the request came with, and our name (RFC 9110, 7.6.3).
const fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_10 => "1.0 kennel",
        Version::HTTP_2 => "2 kennel",
        _ => "1.1 kennel",
    })
}

/// How long a body is, as far as is known before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is none.
    None,
    /// In bytes.
    Exact(u64),
    /// Its end will show.
    Unknown,
}

impl Length {
    /// Of any body of hyper's.
    pub(crate) fn of<B: http_body::Body>(body: &B) -> Self {
        match body.size_hint().exact() {
            _ if body.is_end_stream() => Self::None,
            Some(bytes) => Self::Exact(bytes),
            None => Self::Unknown,
        }
    }
}

/// What the fields of a request are made from.
#[derive(Debug)]
pub(crate) struct Sender<'t> {
    /// The visitor.
    pub(crate) who: Arc<Who>,
    /// Of HTTP, that it came with.
    pub(crate) version: Version,
    /// The authority that the request is for, as [`crate::host::authority`] found it.
    pub(crate) host: HeaderValue,
    /// The path that is taken off, if any is.
    pub(crate) prefix: &'t str,
    /// Of its body.
    pub(crate) length: Length,
    /// Whether it asks for a WebSocket.
    pub(crate) websocket: bool,
    /// Whether the program gets it by HTTP/2, which has no fields for the connection, for framing and for the host (RFC 9113, 8.2.2, 8.3.1).
    pub(crate) h2c: bool,
}

/// Makes a client's fields into those that the program gets.
pub(crate) fn to_program(fields: &mut HeaderMap, sender: Sender<'_>) {
    let wants_trailers = fields.contains_key(header::TE) && has_token(fields, header::TE, "trailers");
    let trailers = trailers::announced(fields, sender.length);
    remove_named_by_connection(fields);
    remove_where(fields, |name| {
        is_of_connection(name.as_str())
            || *name == header::EXPECT
            || *name == header::CONTENT_LENGTH
            || is_claim(name.as_str())
    });
    join_cookies(fields);
    fields.insert(X_FORWARDED_FOR, sender.who.x_forwarded_for.clone());
    fields.insert(header::FORWARDED, sender.who.forwarded.clone());
    fields.insert(X_FORWARDED_PROTO, HeaderValue::from_static(sender.who.scheme()));
    fields.insert(X_FORWARDED_HOST, sender.host.clone());
    if !sender.prefix.is_empty()
        && let Ok(prefix) = HeaderValue::from_str(sender.prefix)
    {
        fields.insert(X_FORWARDED_PREFIX, prefix);
    }
    match sender.h2c {
        true => remove_all(fields, header::HOST),
        false => _ = fields.insert(header::HOST, sender.host),
    }
    fields.append(header::VIA, via(sender.version));
    match sender.length {
        Length::None => (),
        Length::Exact(bytes) => _ = fields.insert(header::CONTENT_LENGTH, bytes.into()),
        Length::Unknown if sender.h2c => (),
        Length::Unknown => _ = fields.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
    }
    if wants_trailers {
        fields.insert(header::TE, HeaderValue::from_static("trailers"));
        if !sender.h2c {
            fields.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
    }
    if let Some(trailers) = trailers {
        fields.insert(header::TRAILER, trailers);
    }
    if sender.websocket {
        add_upgrade(fields);
    }
}

/// Makes a program's fields into those that the client gets. `bodiless` responses (to HEAD, 304) keep the length
/// that they tell of a body that is not there.
pub(crate) fn to_client(fields: &mut HeaderMap, length: Length, bodiless: bool, websocket: bool) {
    let was_chunked = fields.contains_key(header::TRANSFER_ENCODING);
    let trailers = trailers::announced(fields, length);
    remove_named_by_connection(fields);
    remove_where(fields, |name| is_of_connection(name.as_str()) || is_ours(name.as_str()));
    match length {
        Length::Exact(bytes) => _ = fields.insert(header::CONTENT_LENGTH, bytes.into()),
        Length::None if bodiless && !was_chunked => (),
        Length::None | Length::Unknown => _ = fields.remove(header::CONTENT_LENGTH),
    }
    if let Some(trailers) = trailers {
        fields.insert(header::TRAILER, trailers);
    }
    if websocket {
        add_upgrade(fields);
    }
}

/// Whether a list field such as `Connection` or `Upgrade` has this token.
pub(crate) fn has_token(fields: &HeaderMap, name: HeaderName, token: &str) -> bool {
    tokens(fields, name).any(|t| t.eq_ignore_ascii_case(token))
}

/// All that a list field has.
pub(crate) fn tokens(fields: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    fields.get_all(name).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',').map(str::trim))
}

fn add_upgrade(fields: &mut HeaderMap) {
    fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    fields.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
}

/// Whether a `Connection` names no field that would not go anyway: what most say.
pub(crate) fn names_none(value: &[u8]) -> bool {
    ["keep-alive", "close"].iter().any(|usual| value.eq_ignore_ascii_case(usual.as_bytes()))
}

fn remove_named_by_connection(fields: &mut HeaderMap) {
    let usual = |value: &HeaderValue| names_none(value.as_bytes());
    if !fields.get_all(header::CONNECTION).iter().all(usual) {
        // What most say names no field that would not go anyway.
        let says_more =
            |token: &&str| !["keep-alive", "close", "upgrade"].iter().any(|t| token.eq_ignore_ascii_case(t));
        let named = tokens(fields, header::CONNECTION).filter(says_more).filter_map(|t| t.parse().ok());
        for name in named.collect::<Vec<HeaderName>>() {
            remove_all(fields, name);
        }
    }
}

/// Whether it is a field of one connection (RFC 9110, 7.6.1).
pub(crate) fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
    )
}

/// Whether only the proxy says it to clients.
pub(crate) fn is_ours(name: &str) -> bool {
    matches!(name, "kennel-error" | "kennel-asleep")
}

/// Looks at the names that are there, which are few, instead of asking for each that may be.
pub(crate) fn remove_where(fields: &mut HeaderMap, is: impl Fn(&HeaderName) -> bool) {
    while let Some(name) = fields.keys().find(|name| is(name)).cloned() {
        remove_all(fields, name);
    }
}

/// Whether it is what a stranger claims to know about the way of the request, whatever spelling makes a program believe it:
/// CGI and WSGI turn `_` and `-` into the same variable.
pub(crate) fn is_claim(name: &str) -> bool {
    const CLAIMS: [&str; 10] = [
        "forwarded",
        "x-real-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        // Becomes HTTP_PROXY in CGI's environment, which libraries obey ("httpoxy").
        "proxy",
        // Only misspelt ones are left of these by now.
        "content-length",
        "transfer-encoding",
        // Ours is set anew.
        "x-request-id",
    ];
    if !matches!(name.as_bytes().first(), Some(b'f' | b'x' | b't' | b'c' | b'p')) {
        return false;
    }
    let spelled = |c: u8| if c == b'_' { b'-' } else { c };
    let is = |claim: &str| name.len() == claim.len() && name.bytes().map(spelled).eq(claim.bytes());
    let starts = |prefix: &str| {
        name.len() > prefix.len() && name.bytes().map(spelled).zip(prefix.bytes()).all(|(a, b)| a == b)
    };
    CLAIMS.into_iter().any(is) || starts("x-forwarded-")
}

/// HTTP/2 has cookies in as many fields as it likes, HTTP/1.1 in one (RFC 9113, 8.2.3).
fn join_cookies(fields: &mut HeaderMap) {
    let mut all = fields.get_all(header::COOKIE).iter();
    let (Some(_), Some(_)) = (all.next(), all.next()) else { return };
    let joined: Vec<&[u8]> = fields.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    // Parts of what was a header's value, joined by what may stand in one.
    if let Ok(joined) = HeaderValue::from_bytes(&joined.join(&b"; "[..])) {
        fields.insert(header::COOKIE, joined);
    }
}

fn remove_all(fields: &mut HeaderMap, name: HeaderName) {
    if let Entry::Occupied(entry) = fields.entry(name) {
        entry.remove_entry_mult();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        fields
    }

    fn sender(length: Length, websocket: bool) -> Sender<'static> {
        Sender {
            who: Arc::new(Who::new("::ffff:192.0.2.7".parse().unwrap(), false)),
            version: Version::HTTP_11,
            host: HeaderValue::from_static("a.example:8080"),
            prefix: "",
            length,
            websocket,
            h2c: false,
        }
    }

    #[test]
    fn http2_has_no_fields_for_the_connection_and_the_host() {
        let mut fields =
            map(&[("host", "a.example"), ("te", "trailers"), ("connection", "te, x-a"), ("x-a", "1")]);
        to_program(&mut fields, Sender { h2c: true, ..sender(Length::Unknown, false) });
        assert_eq!(fields["te"], "trailers");
        for name in ["host", "connection", "transfer-encoding", "x-a"] {
            assert!(!fields.contains_key(name), "{name}");
        }
    }

    fn sent(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut fields = map(lines);
        to_program(&mut fields, sender(Length::None, false));
        fields
    }

    #[test]
    fn a_strangers_claims_are_replaced() {
        let fields = sent(&[
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x_forwarded_for", "10.0.0.3"),
            ("x_request-id", "1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-prefix", "/evil"),
            ("forwarded", "for=10.0.0.1"),
            ("x-real_ip", "10.0.0.1"),
            ("proxy", "evil.example"),
            ("content_length", "5"),
            ("cookie", "a=1"),
        ]);
        let mut left: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                ("cookie", "a=1"),
                ("forwarded", "for=192.0.2.7;proto=http"),
                ("host", "a.example:8080"),
                ("via", "1.1 kennel"),
                ("x-forwarded-for", "192.0.2.7"),
                ("x-forwarded-host", "a.example:8080"),
                ("x-forwarded-proto", "http"),
            ]
        );
    }

    #[test]
    fn fields_of_the_connection_go_no_further() {
        let fields = sent(&[
            ("connection", "keep-alive, X-Private, TE"),
            ("connection", "host, x-forwarded-for, ,x-other"),
            ("x-private", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
            ("upgrade", "h2c"),
            ("http2-settings", "AAMAAABk"),
            ("proxy-authorization", "Basic eA=="),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
        ]);
        let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        // Trailers are passed on, so they may be asked for.
        assert_eq!(
            left,
            [
                "connection",
                "forwarded",
                "host",
                "te",
                "via",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-proto"
            ]
        );
        assert_eq!(
            (&fields["connection"], &fields["te"]),
            (&"te".parse().unwrap(), &"trailers".parse().unwrap())
        );
    }

    #[test]
    fn framing_is_written_anew() {
        let mut fields = map(&[("content-length", "7"), ("content-length", "8"), ("transfer-encoding", "x")]);
        to_program(&mut fields, sender(Length::Exact(5), false));
        assert_eq!(fields.get_all("content-length").iter().collect::<Vec<_>>(), ["5"]);
        assert!(!fields.contains_key("transfer-encoding"));
        to_program(&mut fields, sender(Length::Unknown, false));
        assert!(!fields.contains_key("content-length"));
        assert_eq!(fields["transfer-encoding"], "chunked");
    }

    #[test]
    fn a_response_tells_the_length_that_it_has() {
        let mut both =
            map(&[("content-length", "5"), ("transfer-encoding", "chunked"), ("kennel-error", "forged")]);
        to_client(&mut both, Length::Unknown, false, false);
        assert!(both.is_empty());
        let mut head = map(&[("content-length", "5"), ("connection", "close")]);
        to_client(&mut head, Length::None, true, false);
        assert_eq!(head.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["content-length"]);
        let mut odd = map(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
        to_client(&mut odd, Length::None, true, false);
        assert!(odd.is_empty());
    }

    #[test]
    fn only_websockets_are_upgraded() {
        let mut fields =
            map(&[("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "k")]);
        assert!(has_token(&fields, header::CONNECTION, "upgrade"));
        to_program(&mut fields, sender(Length::None, true));
        assert_eq!(
            (&fields["connection"], &fields["upgrade"]),
            (&"upgrade".parse().unwrap(), &"websocket".parse().unwrap())
        );
        assert!(fields.contains_key("sec-websocket-key"));
    }
}
