//! The head of a program's answer, read once, into what the client gets. Taken is what is plain: a last answer in HTTP/1.1 whose one length says where it
//! ends, or that has no body. Any other, and what is no answer at all, is left to hyper with all that was read (`replay`), which judges it.

use std::mem::MaybeUninit;

use hyper::StatusCode;
use hyper::header::STRICT_TRANSPORT_SECURITY;

use super::date;
use crate::headers::{is_of_connection, is_ours, names_none};
use crate::request::is_lasting;
use crate::seen::{REQUEST_ID, SERVER_TIMING, Seen};

/// As many as hyper takes.
const MOST_FIELDS: usize = 100;

/// What some bytes are.
#[derive(Debug)]
pub(super) enum Reading {
    /// They begin with the head of a plain answer.
    Plain(Answer),
    /// They may, when there are more of them.
    Partial,
    /// They do not.
    Odd,
}

/// A plain answer's head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// How many bytes it has.
    pub(super) bytes: usize,
    /// How it went.
    pub(super) status: StatusCode,
    /// Bytes of the body that follows.
    pub(super) length: u64,
    /// Whether the connection can be used again.
    pub(super) keep: bool,
    /// Whether it may last as long as somebody listens.
    pub(super) lasts: bool,
    has_date: bool,
    has_hsts: bool,
}

/// Reads what bytes begin with, the answer to a HEAD if it is one; the client's status line and fields are in `out` then, in the place of what was there.
pub(super) fn read(bytes: &[u8], is_head: bool, out: &mut Vec<u8>) -> Reading {
    out.clear();
    let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
    let mut read = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut read, bytes, &mut fields);
    match parsed {
        Ok(httparse::Status::Partial) => Reading::Partial,
        Ok(httparse::Status::Complete(end)) => {
            plain(&read, end, is_head, out).map_or(Reading::Odd, Reading::Plain)
        }
        Err(_) => Reading::Odd,
    }
}

fn plain(read: &httparse::Response<'_, '_>, bytes: usize, is_head: bool, out: &mut Vec<u8>) -> Option<Answer> {
    let (Some(code @ 200..), Some(1), Some(reason)) = (read.code, read.version, read.reason) else {
        return None;
    };
    let status = StatusCode::from_u16(code).ok()?;
    let has_body = !is_head && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let mut answer =
        Answer { bytes, status, length: 0, keep: true, lasts: false, has_date: false, has_hsts: false };
    for part in [b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes(), b"\r\n"] {
        out.extend_from_slice(part);
    }
    let mut length = None;
    let mut kind = None;
    for field in read.headers.iter() {
        let before = out.len();
        out.extend_from_slice(field.name.as_bytes());
        let name = &mut out[before..];
        name.make_ascii_lowercase();
        let mut goes_on = true;
        match &*name {
            b"transfer-encoding" | b"trailer" => return None,
            b"content-length" => {
                let digits = digits(field.value)?;
                if length.replace(digits).is_some() {
                    return None;
                }
                goes_on = has_body || is_head;
            }
            b"connection" if names_none(field.value) => {
                answer.keep &= field.value.eq_ignore_ascii_case(b"keep-alive");
                goes_on = false;
            }
            b"connection" => return None,
            b"date" => answer.has_date = true,
            b"content-type" => kind = kind.or(Some(field.value)),
            b"strict-transport-security" => answer.has_hsts = true,
            // All are tokens.
            name => {
                let name = std::str::from_utf8(name).ok()?;
                goes_on = !is_of_connection(name) && !is_ours(name) && name != REQUEST_ID.as_str();
            }
        }
        if goes_on {
            line(out, b": ", field.value);
        } else {
            out.truncate(before);
        }
    }
    if has_body {
        answer.length = length?;
    }
    answer.lasts = kind.is_some_and(is_lasting);
    Some(answer)
}

/// A length, written as anybody would.
fn digits(value: &[u8]) -> Option<u64> {
    let usual = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.iter().all(u8::is_ascii_digit);
    if usual { std::str::from_utf8(value).ok()?.parse().ok() } else { None }
}

impl Answer {
    /// Says what the proxy says of an answer, and ends the head.
    pub(super) fn finish(&self, seen: &Seen, hsts_s: u32, closes: bool, out: &mut Vec<u8>) {
        if hsts_s > 0 && !self.has_hsts {
            out.extend_from_slice(STRICT_TRANSPORT_SECURITY.as_str().as_bytes());
            line(out, b": max-age=", hsts_s.to_string().as_bytes());
        }
        line(out, b"x-request-id: ", seen.ids().number());
        if let Some(timing) = seen.told_timing() {
            out.extend_from_slice(SERVER_TIMING.as_str().as_bytes());
            line(out, b": ", timing.as_bytes());
        }
        if closes {
            out.extend_from_slice(b"connection: close\r\n");
        }
        if !self.has_date {
            out.extend_from_slice(b"date: ");
            date::append(out);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn line(out: &mut Vec<u8>, before: &[u8], value: &[u8]) {
    out.extend_from_slice(before);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, is_head: bool) -> (Answer, String) {
        let mut out = Vec::new();
        match read(text.as_bytes(), is_head, &mut out) {
            Reading::Plain(answer) => (answer, String::from_utf8(out).unwrap()),
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn what_is_of_the_connection_or_ours_goes_no_further() {
        let (answer, out) = plain(
            "HTTP/1.1 200 Fine by me\r\nServer: x\r\nKeep-Alive: 5\r\nKennel-Error: died\r\nX-Request-ID: 1\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\nDate: now\r\n\r\nhello",
            false,
        );
        assert_eq!(out, "HTTP/1.1 200 Fine by me\r\nserver: x\r\ncontent-length: 5\r\ndate: now\r\n");
        assert!(answer.keep && answer.has_date && !answer.lasts && !answer.has_hsts);
        assert_eq!(answer.length, 5);
    }

    #[test]
    fn where_there_is_no_body_none_is_waited_for() {
        let (answer, out) = plain("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", true);
        assert_eq!((answer.length, out.contains("content-length: 5")), (0, true));
        for status in ["204 No Content", "304 Not Modified"] {
            let (answer, out) = plain(&format!("HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\n"), false);
            assert_eq!((answer.length, out.contains("content-length")), (0, false), "{status}");
        }
        let (answer, _) = plain("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", false);
        assert!(!answer.keep);
    }

    #[test]
    fn what_is_not_plain_is_left() {
        for odd in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 05\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: x-private\r\nx-private: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntrailer: x-sum\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 099 Odd\r\ncontent-length: 5\r\n\r\n",
            "hello\r\n\r\n",
        ] {
            assert!(matches!(read(odd.as_bytes(), false, &mut Vec::new()), Reading::Odd), "{odd:?}");
        }
        assert!(matches!(read(b"HTTP/1.1 200 OK\r\ncontent-le", false, &mut Vec::new()), Reading::Partial));
    }

    #[test]
    fn streams_of_events_last() {
        let (answer, _) =
            plain("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 5\r\n\r\n", false);
        assert!(answer.lasts);
    }
}
