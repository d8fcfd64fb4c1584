//! What PHP is told of a request (RFC 3875): whose scripts find it in `$_SERVER`.

use std::path::Path;

use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderName};
use hyper::http::request::Parts;

use crate::fastcgi::{Params, TooLong};
use crate::site::Script;

/// Whoever sends it would choose where a script's own requests go, which takes `HTTP_PROXY` for a setting.
const PROXY: &str = "proxy";

/// All of it. Who the visitor is and how he came says the host's proxy, which alone can reach this port.
pub(super) fn of(root: &Path, script: &Script, parts: &Parts, length: u64) -> Result<Params, TooLong> {
    let headers = &parts.headers;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let https = text("x-forwarded-proto") == "https";
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let (name, port) = split(host);
    let port = port.unwrap_or(if https { "443" } else { "80" });
    let uri = parts.uri.path_and_query().map_or("/", |uri| uri.as_str());
    let file = script.file.to_string_lossy();
    let document = format!("{}{}", script.name, script.info);
    let mut params = Params::default();
    for (name, value) in [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", "kennel"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_METHOD", parts.method.as_str()),
        ("REQUEST_SCHEME", if https { "https" } else { "http" }),
        ("REQUEST_URI", uri),
        ("QUERY_STRING", parts.uri.query().unwrap_or_default()),
        ("DOCUMENT_ROOT", &root.to_string_lossy()),
        ("DOCUMENT_URI", &document),
        ("SCRIPT_FILENAME", &file),
        ("SCRIPT_NAME", &script.name),
        ("SERVER_NAME", name),
        ("SERVER_PORT", port),
        ("SERVER_ADDR", "127.0.0.1"),
        ("REMOTE_ADDR", visitor(text("x-forwarded-for"))),
        // Without it PHP believes that somebody asks past the web server.
        ("REDIRECT_STATUS", "200"),
    ] {
        params.add(name, value.as_bytes())?;
    }
    if https {
        params.add("HTTPS", b"on")?;
    }
    if !script.info.is_empty() {
        params.add("PATH_INFO", script.info.as_bytes())?;
    }
    if length > 0 || headers.contains_key(CONTENT_LENGTH) {
        params.add("CONTENT_LENGTH", length.to_string().as_bytes())?;
    }
    if let Some(kind) = headers.get(CONTENT_TYPE) {
        params.add("CONTENT_TYPE", kind.as_bytes())?;
    }
    for name in headers.keys().filter(|name| is_told(name)) {
        let variable = format!("HTTP_{}", name.as_str().to_ascii_uppercase().replace('-', "_"));
        params.add(&variable, &joined(headers, name))?;
    }
    Ok(params)
}

/// Headers that are variables by their names. One with an underscore would be another's variable.
fn is_told(name: &HeaderName) -> bool {
    ![CONTENT_LENGTH, CONTENT_TYPE].contains(name) && name != PROXY && !name.as_str().contains('_')
}

/// One header that was sent in parts.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Vec<u8> {
    let between: &[u8] = if name == COOKIE { b"; " } else { b", " };
    let values: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
    values.join(between)
}

/// The host and its port, which an address of version 6 has behind its bracket.
fn split(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            (name, Some(port))
        }
        _ => (host, None),
    }
}

/// Whom the proxy names last, which is who it has seen.
fn visitor(forwarded: &str) -> &str {
    let last = forwarded.rsplit(',').next().map_or("", str::trim);
    if last.is_empty() { "127.0.0.1" } else { last }
}
