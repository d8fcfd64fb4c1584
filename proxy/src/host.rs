//! Which site a request is for: one value out of the request target and the Host field, or a refusal. Ambiguity
//! is refused, because what stands before or behind us might resolve it the other way. Looking the site up is
//! left to `routes`.

use std::borrow::Cow;

use hyper::Version;
use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::Scheme;

use crate::fault::Fault;

/// The authority that the request is for, as the client wrote it: `Blog.Example:8080`.
///
/// # Errors
/// [`Fault::BadRequest`] when Host is missing, empty, repeated or malformed, or the target is.
pub fn authority(head: &Parts) -> Result<HeaderValue, Fault> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (host, None) if head.version == Version::HTTP_2 => return of_http2(head, host),
        (Some(host), None) => host,
        _ => return Err(Fault::BadRequest),
    };
    let authority = match (head.uri.scheme(), head.uri.authority()) {
        (None, None) => host.clone(),
        // Absolute form: the target decides and Host is replaced by it (RFC 9112, 3.2.2).
        (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => {
            HeaderValue::from_str(authority.as_str()).map_err(|_| Fault::BadRequest)?
        }
        _ => return Err(Fault::BadRequest),
    };
    name(&authority)?;
    Ok(authority)
}

/// HTTP/2 has it in `:authority`; a Host beside it has to say the same (RFC 9113, 8.3.1).
fn of_http2(head: &Parts, host: Option<&HeaderValue>) -> Result<HeaderValue, Fault> {
    let authority = head.uri.authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    let authority = match (authority, host) {
        (Some(Ok(authority)), None) => authority,
        (Some(Ok(authority)), Some(host)) if authority == host => authority,
        (None, Some(host)) => host.clone(),
        _ => return Err(Fault::BadRequest),
    };
    name(&authority)?;
    Ok(authority)
}

/// The port in an authority, if it has one; one that is no port is 0.
pub fn port(authority: &HeaderValue) -> Option<u16> {
    let text = authority.to_str().ok()?;
    let at = text.rfind([':', ']']).filter(|at| text.as_bytes()[*at] == b':')?;
    let digits = &text[at + 1..];
    (!digits.is_empty()).then(|| digits.parse().unwrap_or(0))
}

/// The name in an authority, as routes have it: lower case, without port and trailing dot.
///
/// # Errors
/// [`Fault::BadRequest`] when it is not `host` or `host:port`.
pub fn name(authority: &HeaderValue) -> Result<Cow<'_, str>, Fault> {
    name_of(authority.to_str().map_err(|_| Fault::BadRequest)?)
}

/// The same, of an authority's text.
///
/// # Errors
/// [`Fault::BadRequest`].
pub fn name_of(text: &str) -> Result<Cow<'_, str>, Fault> {
    let (name, port) = match text.rfind([':', ']']) {
        Some(at) if text.as_bytes()[at] == b':' => (&text[..at], &text[at + 1..]),
        _ => (text, ""),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let port_is_good = port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    if !port_is_good || !(is_name(name) || is_bracketed_address(name)) {
        return Err(Fault::BadRequest);
    }
    Ok(match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    })
}

/// `reg-name` or IPv4 address of RFC 3986, not empty. Wider than what a route can have, so that an odd but legal
/// name is an unknown site and not an error.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&b))
}

fn is_bracketed_address(name: &str) -> bool {
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    inner.is_some_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn resolved(target: &str, hosts: &[&str]) -> Option<String> {
        let mut request = Request::builder().uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let head = request.body(()).unwrap().into_parts().0;
        authority(&head).ok().map(|a| name(&a).unwrap().into_owned())
    }

    #[test]
    fn case_port_and_dot_do_not_matter() {
        for host in [
            "blog.example",
            "BLOG.Example",
            "blog.example:80",
            "blog.example.",
            "blog.example.:8080",
            "blog.example:",
        ] {
            assert_eq!(resolved("/", &[host]).as_deref(), Some("blog.example"), "{host}");
        }
        assert_eq!(resolved("/", &["[::1]:80"]).as_deref(), Some("[::1]"));
        assert_eq!(resolved("/", &["a_b.example"]).as_deref(), Some("a_b.example"));
        assert_eq!(resolved("*", &["a.example"]).as_deref(), Some("a.example"));
    }

    #[test]
    fn an_absolute_target_replaces_host() {
        assert_eq!(resolved("http://a.example/x", &["b.example"]).as_deref(), Some("a.example"));
        assert_eq!(resolved("https://A.example:443", &["b.example"]).as_deref(), Some("a.example"));
    }

    #[test]
    fn ambiguous_and_malformed_hosts_are_refused() {
        for hosts in [&[][..], &["a.example", "a.example"], &[""], &["."], &[":80"], &["a.example, b.example"]]
        {
            assert_eq!(resolved("/", hosts), None, "{hosts:?}");
        }
        for host in
            ["a b", "a/b", "a@b", "a:b", "a:80:80", "a:123456", "a?b", "[::1", "::1", "[x]:80", "a\\b", "a#b"]
        {
            assert_eq!(resolved("/", &[host]), None, "{host}");
        }
        assert_eq!(resolved("/", &["b\u{e9}.example"]), None);
        // Refused even though the target would decide.
        assert_eq!(resolved("http://a.example/", &[]), None);
        assert_eq!(resolved("http://user@a.example/", &["a.example"]), None);
        assert_eq!(resolved("ftp://a.example/", &["a.example"]), None);
        assert_eq!(resolved("a.example:80", &["a.example"]), None);
    }
}
