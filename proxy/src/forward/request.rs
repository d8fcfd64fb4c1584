//! The head of a plain request: read once, by the letter, into the fields that the program gets. Taken is only what everybody reads alike, and what
//! has no body: a head that came whole, in HTTP/1.1, for a path, with nothing in it that asks for more than an answer. Whatever else comes is
//! not refused here and not touched: it is `gate`'s and hyper's. So nothing that is read here is in doubt, and nothing is read here and there.

use std::ops::Range;

use hyper::Method;

use crate::client::Who;
use crate::headers::{PSEUDONYM, is_claim, is_of_connection};
use crate::seen::Ids;

/// As many as hyper takes.
const MOST_FIELDS: usize = 100;
const EMPTY: Range<usize> = 0..0;

/// What some bytes are.
#[derive(Debug)]
pub enum Reading {
    /// They begin with the head of a plain request.
    Plain(Head),
    /// They may, when there are more of them.
    Partial,
    /// They do not.
    Odd,
}

/// A plain request's head, by where its parts are in the bytes that it was read from.
#[derive(Debug)]
pub struct Head {
    /// How many bytes it has, up to the next request's.
    pub bytes: usize,
    /// What is to be done.
    pub method: Method,
    /// Path and query.
    pub target: Range<usize>,
    /// The path alone.
    pub path: Range<usize>,
    /// `Host`, without blanks around it, as all values here.
    pub host: Range<usize>,
    /// `Referer`.
    pub(crate) referer: Option<Range<usize>>,
    /// `User-Agent`.
    pub(crate) agent: Option<Range<usize>>,
    /// `traceparent`.
    pub(crate) parent: Option<Range<usize>>,
    /// `tracestate`.
    state: Option<Range<usize>>,
    cookie: bool,
}

/// Not plain.
struct Odd;

/// Of a token's characters: themselves in lower case; 0 of all others (RFC 9110, 5.6.2).
static TOKEN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = match b {
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
            | b'|' | b'~' => b,
            _ if b.is_ascii_alphanumeric() => b.to_ascii_lowercase(),
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// What a path and a query are made of (RFC 3986, 3.3, 3.4).
static TARGET: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
                    | b':'
                    | b'@'
                    | b'/'
                    | b'?'
                    | b'%'
            );
        byte += 1;
    }
    table
};

/// Reads what bytes begin with; a plain request's line and those of its fields that its program gets are in `out` then, in the place of what was there.
pub fn read(bytes: &[u8], out: &mut Vec<u8>) -> Reading {
    out.clear();
    match memchr::memmem::find(bytes, b"\r\n\r\n") {
        None => Reading::Partial,
        Some(end) => head(&bytes[..end + 4], out).map_or(Reading::Odd, Reading::Plain),
    }
}

/// Of a head that ends with its empty line.
fn head(bytes: &[u8], out: &mut Vec<u8>) -> Result<Head, Odd> {
    let (mut head, mut at) = request_line(bytes)?;
    out.extend_from_slice(&bytes[..at]);
    let mut fields = 0;
    while bytes[at] != b'\r' {
        fields += 1;
        if fields > MOST_FIELDS {
            return Err(Odd);
        }
        at = field(bytes, at, &mut head, out)?;
    }
    // The first CR LF CR LF is the end, and a CR is nowhere but before a LF.
    if at + 2 != bytes.len() || head.host == EMPTY {
        return Err(Odd);
    }
    Ok(head)
}

/// `METHOD SP target SP HTTP/1.1 CRLF`; and where the next line begins.
fn request_line(bytes: &[u8]) -> Result<(Head, usize), Odd> {
    const METHODS: [(&[u8], Method); 7] = [
        (b"GET ", Method::GET),
        (b"POST ", Method::POST),
        (b"HEAD ", Method::HEAD),
        (b"PUT ", Method::PUT),
        (b"PATCH ", Method::PATCH),
        (b"DELETE ", Method::DELETE),
        (b"OPTIONS ", Method::OPTIONS),
    ];
    let (name, method) = METHODS.into_iter().find(|(name, _)| bytes.starts_with(name)).ok_or(Odd)?;
    let from = name.len();
    if bytes[from] != b'/' {
        return Err(Odd);
    }
    let length = bytes[from..].iter().position(|b| !TARGET[usize::from(*b)]).ok_or(Odd)?;
    let to = from + length;
    let rest = b" HTTP/1.1\r\n";
    if !bytes[to..].starts_with(rest) {
        return Err(Odd);
    }
    let path = memchr::memchr(b'?', &bytes[from..to]).map_or(to, |at| from + at);
    let head = Head {
        bytes: bytes.len(),
        method,
        target: from..to,
        path: from..path,
        host: EMPTY,
        referer: None,
        agent: None,
        parent: None,
        state: None,
        cookie: false,
    };
    Ok((head, to + rest.len()))
}

/// `name: value CRLF`; answers where the next line begins.
fn field(bytes: &[u8], begin: usize, head: &mut Head, out: &mut Vec<u8>) -> Result<usize, Odd> {
    let before = out.len();
    let mut at = begin;
    loop {
        match (bytes[at], TOKEN[usize::from(bytes[at])]) {
            (b':', _) if at > begin => break,
            (_, 0) => return Err(Odd),
            (_, lower) => out.push(lower),
        }
        at += 1;
    }
    let from = at + 1;
    let length = bytes[from..].iter().position(|b| !matches!(b, b' '..=b'~' | b'\t')).ok_or(Odd)?;
    let end = from + length;
    if !bytes[end..].starts_with(b"\r\n") {
        return Err(Odd);
    }
    let value = trimmed(bytes, from..end);
    if head.goes_on(&out[before..], bytes, &value)? {
        out.extend_from_slice(b": ");
        out.extend_from_slice(&bytes[value]);
        out.extend_from_slice(b"\r\n");
    } else {
        out.truncate(before);
    }
    Ok(end + 2)
}

fn trimmed(bytes: &[u8], mut at: Range<usize>) -> Range<usize> {
    let is_blank = |b: u8| matches!(b, b' ' | b'\t');
    while !at.is_empty() && is_blank(bytes[at.start]) {
        at.start += 1;
    }
    while !at.is_empty() && is_blank(bytes[at.end - 1]) {
        at.end -= 1;
    }
    at
}

impl Head {
    /// Looks at a field, whose name is in lower case; answers whether the program gets it as it is.
    fn goes_on(&mut self, name: &[u8], bytes: &[u8], value: &Range<usize>) -> Result<bool, Odd> {
        let once = |place: &mut Option<Range<usize>>| match place.replace(value.clone()) {
            None => Ok(false),
            Some(_) => Err(Odd),
        };
        match name {
            b"host" if self.host == EMPTY && !value.is_empty() => {
                self.host = value.clone();
                Ok(false)
            }
            // A body, or more than an answer; what comes from a host of ours may go in circles.
            b"host" | b"content-length" | b"transfer-encoding" | b"expect" | b"upgrade" | b"te"
            | b"trailer" | b"via" => Err(Odd),
            b"connection" => match bytes[value.clone()].eq_ignore_ascii_case(b"keep-alive") {
                true => Ok(false),
                false => Err(Odd),
            },
            // HTTP/1.1 has one.
            b"cookie" => match std::mem::replace(&mut self.cookie, true) {
                true => Err(Odd),
                false => Ok(true),
            },
            b"traceparent" => once(&mut self.parent),
            b"tracestate" => once(&mut self.state),
            b"referer" => {
                self.referer.get_or_insert_with(|| value.clone());
                Ok(true)
            }
            b"user-agent" => {
                self.agent.get_or_insert_with(|| value.clone());
                Ok(true)
            }
            // All are ASCII by now.
            name => std::str::from_utf8(name)
                .map(|name| !is_of_connection(name) && !is_claim(name))
                .map_err(|_| Odd),
        }
    }

    /// Says what the proxy knows of the request, and ends the head: as `headers::to_program` has it.
    pub(crate) fn finish(&self, bytes: &[u8], who: &Who, ids: &Ids, out: &mut Vec<u8>) {
        let host = &bytes[self.host.clone()];
        let (parent, goes_on) = ids.parent();
        let state = self.state.clone().filter(|_| goes_on).map(|state| &bytes[state]);
        for (name, value) in [
            ("x-forwarded-for: ", who.x_forwarded_for.as_bytes()),
            ("forwarded: ", who.forwarded.as_bytes()),
            ("x-forwarded-proto: ", who.scheme().as_bytes()),
            ("x-forwarded-host: ", host),
            ("host: ", host),
            ("x-request-id: ", ids.number()),
            ("traceparent: ", parent),
        ] {
            line(out, name, value);
        }
        if let Some(state) = state {
            line(out, "tracestate: ", state);
        }
        out.extend_from_slice(b"via: 1.1 ");
        line(out, PSEUDONYM, b"\r\n");
    }
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
