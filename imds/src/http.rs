//! One request over one connection, and its answer: HTTP/1.1 as far as a metadata service needs it. Whatever the answer
//! is, it costs so many bytes and so much time and no more.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The service's addresses, the one that every instance has first.
pub const SERVICE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), 80),
];
/// For a connection; the service is on the machine's own link.
const CONNECT: Duration = Duration::from_secs(2);
/// For a whole request.
const WHOLE: Duration = Duration::from_secs(5);
/// Longest head of an answer.
pub const MAX_HEAD: usize = 8 << 10;
/// Longest body: user-data has at most 16 KiB.
pub const MAX_BODY: usize = 20 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The connection's.
    #[error("cannot connect to the metadata service: {0}")]
    Connect(#[source] io::Error),
    /// It broke, or took too long.
    #[error("the metadata service did not answer: {0}")]
    Io(#[from] io::Error),
    /// It took too long as a whole.
    #[error("the metadata service did not answer in {} s", WHOLE.as_secs())]
    Late,
    /// Not HTTP as we understand it.
    #[error("the metadata service's answer makes no sense: {0}")]
    Nonsense(&'static str),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its head's lines after the first; names in lower case.
    fields: Vec<(String, String)>,
    /// What came with it.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field that is there once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(n, _)| n == name);
        found.next().filter(|_| found.next().is_none()).map(|(_, value)| value.as_str())
    }
}

/// Asks. The fields are ours alone: names and values without line breaks.
///
/// # Errors
/// [`HttpError`].
pub fn ask(to: SocketAddr, method: &str, path: &str, fields: &[(&str, &str)]) -> Result<Answer, HttpError> {
    let end = Instant::now() + WHOLE;
    let mut stream = TcpStream::connect_timeout(&to, CONNECT).map_err(HttpError::Connect)?;
    stream.set_write_timeout(Some(left(end)?))?;
    stream.write_all(request(to, method, path, fields).as_bytes())?;
    let read = |buffer: &mut [u8]| {
        stream.set_read_timeout(Some(left(end)?))?;
        match stream.read(buffer) {
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(HttpError::Late)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(None),
            read => Ok(Some(read?)),
        }
    };
    receive(read)
}

/// The time that is left; never zero, which would mean for ever.
fn left(end: Instant) -> Result<Duration, HttpError> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(HttpError::Late) } else { Ok(left) }
}

fn request(to: SocketAddr, method: &str, path: &str, fields: &[(&str, &str)]) -> String {
    let host = match to {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    };
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let empty = if method == "PUT" { "Content-Length: 0\r\n" } else { "" };
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{empty}{fields}\r\n")
}

/// Reads until the answer is whole. `read` gives nothing when it is to be tried again.
fn receive(mut read: impl FnMut(&mut [u8]) -> Result<Option<usize>, HttpError>) -> Result<Answer, HttpError> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let closed = match read(&mut buffer)? {
            None => continue,
            Some(0) => true,
            Some(n) => {
                bytes.extend_from_slice(buffer.get(..n).unwrap_or_default());
                false
            }
        };
        if let Some(answer) = parse(&bytes, closed)? {
            return Ok(answer);
        }
    }
}

/// The answer, when these bytes are all of it; nothing when there is more to come.
///
/// # Errors
/// [`HttpError::Nonsense`].
pub fn parse(bytes: &[u8], closed: bool) -> Result<Option<Answer>, HttpError> {
    let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
        return match () {
            () if bytes.len() > MAX_HEAD => Err(HttpError::Nonsense("its head is too long")),
            () if closed => Err(HttpError::Nonsense("it ends in its head")),
            () => Ok(None),
        };
    };
    let (head, body) = (bytes.get(..at).unwrap_or_default(), bytes.get(at + 4..).unwrap_or_default());
    if head.len() > MAX_HEAD {
        return Err(HttpError::Nonsense("its head is too long"));
    }
    let mut answer = parse_head(head)?;
    match expected(&answer)? {
        Some(length) if body.len() >= length => answer.body = body.get(..length).unwrap_or_default().to_vec(),
        Some(_) if closed => return Err(HttpError::Nonsense("it ends in its body")),
        None if body.len() > MAX_BODY => return Err(HttpError::Nonsense("its body is too long")),
        None if closed => answer.body = body.to_vec(),
        Some(_) | None => return Ok(None),
    }
    Ok(Some(answer))
}

fn parse_head(head: &[u8]) -> Result<Answer, HttpError> {
    let head = std::str::from_utf8(head).map_err(|_| HttpError::Nonsense("its head is not text"))?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let rest = first.strip_prefix("HTTP/1.1 ").or_else(|| first.strip_prefix("HTTP/1.0 "));
    let status = rest.and_then(|rest| rest.split(' ').next()?.parse().ok()).filter(|s| (200..600).contains(s));
    let status = status.ok_or(HttpError::Nonsense("its first line is no status"))?;
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let fields = lines.map(field).collect::<Option<_>>().ok_or(HttpError::Nonsense("a field has no name"))?;
    Ok(Answer { status, fields, body: Vec::new() })
}

/// How long the body is, as the head says; nothing when it ends with the connection.
fn expected(answer: &Answer) -> Result<Option<usize>, HttpError> {
    let has = |name| answer.fields.iter().any(|(n, _)| n == name);
    if has("transfer-encoding") || has("content-encoding") {
        return Err(HttpError::Nonsense("its body is encoded"));
    }
    if !has("content-length") {
        return Ok(None);
    }
    let length = answer.field("content-length").and_then(|value| value.parse().ok());
    match length.ok_or(HttpError::Nonsense("its length is no number"))? {
        length if length > MAX_BODY => Err(HttpError::Nonsense("its body is too long")),
        length => Ok(Some(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &str) -> Result<Option<Answer>, String> {
        parse(text.as_bytes(), true).map_err(|e| e.to_string())
    }

    #[test]
    fn an_answer_is_whole_when_its_length_is_there_or_the_connection_ends() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-A: b\r\n\r\nabcd";
        let answer = parse(text.as_bytes(), false).unwrap().unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice(), answer.field("x-a")),
            (200, &b"abcd"[..], Some("b"))
        );
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut], false).unwrap(), None, "{cut}");
            assert!(parse(&text.as_bytes()[..cut], true).is_err(), "{cut}");
        }
        assert_eq!(whole("HTTP/1.0 404 Not Found\r\n\r\ngone").unwrap().unwrap().body, b"gone");
        assert_eq!(parse(b"HTTP/1.0 404 Not Found\r\n\r\ngone", false).unwrap(), None);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 99 X\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno field\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        ] {
            assert!(whole(text).is_err(), "{text:?}");
        }
        assert!(parse(&vec![b'x'; MAX_HEAD + 1], false).is_err());
        let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; MAX_BODY + 1]].concat();
        assert!(parse(&endless, false).is_err());
    }

    #[test]
    fn a_request_names_the_host_and_ends_its_head() {
        let text = request(SERVICE[1], "PUT", "/latest/api/token", &[("A", "b")]);
        assert_eq!(
            text,
            "PUT /latest/api/token HTTP/1.1\r\nHost: [fd00:ec2::254]\r\nConnection: close\r\n\
             Content-Length: 0\r\nA: b\r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512), closed: bool) {
            let _ = parse(&bytes, closed);
        }
    }
}
