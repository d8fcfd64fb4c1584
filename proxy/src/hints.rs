//! 103 Early Hints (RFC 8297) on their way from a program to a client that speaks HTTP/1.1: hyper tells of them but cannot send
//! them, so they go past it, between what it sends (`gate`). Only to clients that fetch a page for a person and say so, as
//! browsers do: others may take any 1xx but 100 for the answer. Of a hint's fields only `Link` goes on. Other
//! 1xx than 100, 101 and 103 end in the proxy.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::ext::on_informational;
use hyper::header::{HeaderName, LINK};
use hyper::{HeaderMap, Request, StatusCode, Version};

/// What browsers say of the way in which an answer is used.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// A hint's links may not be longer together; longer ones are left out.
const LONGEST: usize = 8 << 10;

/// Hints on their way over one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hints(Arc<Line>);

#[derive(Debug, Default)]
struct Line {
    waiting: Mutex<Vec<u8>>,
    /// Something else is on its way: a hint would come amid it, and is left out.
    busy: AtomicBool,
}

impl Hints {
    /// Whether the client of a request takes any.
    pub(crate) fn are_taken(version: Version, fields: &HeaderMap) -> bool {
        version == Version::HTTP_11 && fields.get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate")
    }

    /// Sees to it that those that come before the answer to this request go on.
    pub(crate) fn hear<B>(self, request: &mut Request<B>) {
        on_informational(request, move |hint| {
            if hint.status() == StatusCode::EARLY_HINTS {
                self.add(hint.headers());
            }
        });
    }

    /// Those that have come.
    pub(crate) fn take(&self) -> Vec<u8> {
        mem::take(&mut *self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Something else is on its way, or all of it has left.
    pub(crate) fn set_busy(&self, busy: bool) {
        self.0.busy.store(busy, Ordering::Relaxed);
    }

    /// Whether something else is on its way.
    pub(crate) fn is_busy(&self) -> bool {
        self.0.busy.load(Ordering::Relaxed)
    }

    fn add(&self, fields: &HeaderMap) {
        let mut hints = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let links: usize = fields.get_all(LINK).iter().map(|link| link.len()).sum();
        if self.is_busy() || links == 0 || hints.len() + links > LONGEST {
            return;
        }
        hints.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\n");
        for link in fields.get_all(LINK) {
            hints.extend_from_slice(b"link: ");
            hints.extend_from_slice(link.as_bytes());
            hints.extend_from_slice(b"\r\n");
        }
        hints.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_go_on_and_nothing_else() {
        let hints = Hints::default();
        let mut fields = HeaderMap::new();
        hints.add(&fields);
        assert!(hints.take().is_empty());
        for (name, value) in
            [("link", "</a>; rel=preload"), ("set-cookie", "a=1"), ("link", "</b>; rel=preload")]
        {
            fields.append(name, value.parse().unwrap());
        }
        hints.add(&fields);
        let text = "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\nlink: </b>; rel=preload\r\n\r\n";
        assert_eq!(hints.take(), text.as_bytes());
        hints.set_busy(true);
        hints.add(&fields);
        assert!(hints.take().is_empty());
        hints.set_busy(false);
        fields.insert("link", "x".repeat(LONGEST + 1).parse().unwrap());
        hints.add(&fields);
        assert!(hints.take().is_empty());
    }

    #[test]
    fn who_does_not_ask_gets_none() {
        let mut fields = HeaderMap::new();
        assert!(!Hints::are_taken(Version::HTTP_11, &fields));
        fields.insert(SEC_FETCH_MODE, "navigate".parse().unwrap());
        assert!(Hints::are_taken(Version::HTTP_11, &fields));
        assert!(!Hints::are_taken(Version::HTTP_10, &fields));
        fields.insert(SEC_FETCH_MODE, "no-cors".parse().unwrap());
        assert!(!Hints::are_taken(Version::HTTP_11, &fields));
    }
}
