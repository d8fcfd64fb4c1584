//! The least of HTTP/1.1 that the scenarios need: one request a connection, to a port on 127.0.0.1, with a deadline.
//! A client of its own rather than a library's, so that what is sent is what stands here.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Everything before the body, in lower case.
    pub head: String,
    /// The body, as text.
    pub body: String,
}

/// Asks for `path` of `host`.
///
/// # Errors
/// In words: nobody there, deadline, not HTTP.
pub fn get(port: u16, host: &str, path: &str, limit: Duration) -> Result<Answer, String> {
    get_as(port, (host, path), "kennel-tests", limit)
}

/// Asks for `path` of `host` in the name of a program.
///
/// # Errors
/// In words: nobody there, deadline, not HTTP.
pub fn get_as(port: u16, to: (&str, &str), agent: &str, limit: Duration) -> Result<Answer, String> {
    ask(port, "GET", to, &[("User-Agent", agent)], limit)
}

/// Asks for `path` of `host` with these fields.
///
/// # Errors
/// In words: nobody there, deadline, not HTTP.
pub fn get_with(
    port: u16,
    to: (&str, &str),
    fields: &[(&str, &str)],
    limit: Duration,
) -> Result<Answer, String> {
    ask(port, "GET", to, fields, limit)
}

/// Asks for `path` of `host` in any way, with these fields.
///
/// # Errors
/// In words: nobody there, deadline, not HTTP.
pub fn ask(
    port: u16,
    method: &str,
    (host, path): (&str, &str),
    fields: &[(&str, &str)],
    limit: Duration,
) -> Result<Answer, String> {
    let fault = |e: std::io::Error| format!("{method} http://{host}{path}: {e}");
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(fault)?;
    stream.set_read_timeout(Some(limit)).map_err(fault)?;
    stream.set_write_timeout(Some(limit)).map_err(fault)?;
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(fault)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(fault)?;
    parse(&bytes)
        .ok_or_else(|| format!("{method} http://{host}{path}: no HTTP answer in {} bytes", bytes.len()))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let head = head.to_ascii_lowercase();
    let chunked = head.contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body)? } else { body.to_owned() };
    Some(Answer { status, head, body })
}

fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size + 2..)?;
    }
}
