//! The numbers of a request: one of its own, in `X-Request-Id`, and the trace that it belongs to, as the W3C's Trace
//! Context has it (level 1). A stranger's request id is replaced. His trace goes on, if it is well-formed, with this
//! proxy as the parent of what the program does; else one begins here, and has the request's number.

use std::cell::RefCell;
use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use kennel_model::access::{Id, write_hex};
use rustix::rand::{GetRandomFlags, getrandom};

/// Also in answers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Of a request.
#[derive(Debug)]
pub(crate) struct Ids {
    /// Its own.
    pub(crate) request: Id,
    /// Its trace's.
    pub(crate) trace: Id,
    /// Whether that was there before.
    goes_on: bool,
    /// The request's.
    number: HeaderValue,
    /// Where in the trace it is; in one piece of memory with the other.
    parent: HeaderValue,
}

/// Digits of the request's number.
const NUMBER: usize = 32;
/// `00-` trace `-` parent `-` flags.
const PARENT: usize = 55;

impl Ids {
    /// Of a request with these fields.
    pub(crate) fn of(fields: &HeaderMap) -> Self {
        let mut parents = fields.get_all(TRACEPARENT).iter();
        Self::below(match (parents.next(), parents.next()) {
            (Some(parent), None) => Some(parent.as_bytes()),
            _ => None,
        })
    }

    /// Of a request whose one `traceparent` is this.
    pub(crate) fn below(parent: Option<&[u8]>) -> Self {
        let mut random = [0; 24];
        fill(&mut random);
        let mut request = [0; 16];
        request.copy_from_slice(&random[..16]);
        let request = Id(request);
        let before = parent.and_then(parse);
        let (trace, flags) = before.unwrap_or((request, RECORDED));
        let mut text = [b'-'; NUMBER + PARENT];
        text[..NUMBER].copy_from_slice(&request.digits());
        let parent = &mut text[NUMBER..];
        parent[..2].copy_from_slice(b"00");
        parent[3..35].copy_from_slice(&trace.digits());
        write_hex(&random[16..], &mut parent[36..52]);
        write_hex(&[flags], &mut parent[53..]);
        let text = Bytes::copy_from_slice(&text);
        Self {
            request,
            trace,
            goes_on: before.is_some(),
            number: value(text.slice(..NUMBER)),
            parent: value(text.slice(NUMBER..)),
        }
    }

    /// Says them to the program.
    pub(crate) fn to_program(&self, fields: &mut HeaderMap) {
        fields.insert(REQUEST_ID, self.number.clone());
        fields.insert(TRACEPARENT, self.parent.clone());
        if !self.goes_on {
            fields.remove(TRACESTATE);
        }
    }

    /// The request's, as text.
    pub(crate) fn number(&self) -> &[u8] {
        self.number.as_bytes()
    }

    /// For the program: its parent in the trace, and whether what a client says of the trace's state goes on.
    pub(crate) fn parent(&self) -> (&[u8], bool) {
        (self.parent.as_bytes(), self.goes_on)
    }

    /// Says the request's to the client.
    pub(crate) fn to_client(&self, fields: &mut HeaderMap) {
        fields.insert(REQUEST_ID, self.number.clone());
    }
}

/// The flag that the caller may have recorded something: this proxy has. Without it, programs that follow their parent would
/// trace nothing.
const RECORDED: u8 = 1;

/// Digits and dashes always are one.
fn value(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The trace that the client says the request belongs to, with its flags: reads `version-trace-parent-flags`. Of a version that is younger than ours, what we know of it: the flag for recording.
fn parse(text: &[u8]) -> Option<(Id, u8)> {
    let dashes = text.len() >= PARENT && [2, 35, 52].iter().all(|at| text[*at] == b'-');
    let version = hex(text.get(..2)?)?;
    let ends_well = match version {
        0 => text.len() == PARENT,
        0xff => false,
        _ => text.len() == PARENT || text.get(PARENT) == Some(&b'-'),
    };
    if !dashes || !ends_well {
        return None;
    }
    let trace = Id::of_digits(&text[3..35]).filter(|trace| trace.0 != [0; 16])?;
    let parent = &text[36..52];
    let is_parent = parent.chunks_exact(2).all(|pair| hex(pair).is_some()) && parent.iter().any(|b| *b != b'0');
    let flags = hex(&text[53..PARENT])?;
    is_parent.then_some((trace, flags & RECORDED))
}

/// One byte, in lower case.
fn hex(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)
}

/// Bytes that the kernel is asked for at a time: for 42 requests.
const STOCK: usize = 1008;

/// The kernel's random bytes, so many that most requests need not ask.
struct Stock {
    bytes: [u8; STOCK],
    left: usize,
}

thread_local! {
    static RANDOM: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; STOCK], left: 0 }) };
}

fn fill(wanted: &mut [u8; 24]) {
    RANDOM.with_borrow_mut(|stock| {
        if stock.left < wanted.len() {
            stock.left = getrandom(&mut stock.bytes, GetRandomFlags::empty()).unwrap_or(0);
        }
        match stock.left.checked_sub(wanted.len()) {
            Some(left) => {
                wanted.copy_from_slice(&stock.bytes[left..stock.left]);
                stock.left = left;
            }
            // The kernel gave none, which it does not do once it is up. These are as unlike each other.
            None => wanted.chunks_exact_mut(8).for_each(|piece| {
                piece.copy_from_slice(&RandomState::new().hash_one(piece.as_ptr()).to_ne_bytes());
            }),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn sent(lines: &[(&'static str, &str)]) -> (Ids, HeaderMap) {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let ids = Ids::of(&fields);
        ids.to_program(&mut fields);
        (ids, fields)
    }

    #[test]
    fn a_strangers_number_is_replaced_and_a_trace_begins() {
        let (ids, fields) = sent(&[("x-request-id", "mine"), ("tracestate", "a=b"), ("x-request-id", "too")]);
        assert_eq!(fields.get_all("x-request-id").iter().collect::<Vec<_>>(), [&*ids.request.to_string()]);
        assert!(!fields.contains_key("tracestate"), "it belongs to no trace");
        assert_eq!((ids.trace, ids.goes_on), (ids.request, false));
        let parent = fields["traceparent"].to_str().unwrap();
        assert!(parent.starts_with(&format!("00-{}-", ids.trace)) && parent.ends_with("-01"), "{parent}");
        assert_eq!(parse(parent.as_bytes()), Some((ids.trace, 1)), "it is what we take ourselves");
    }

    #[test]
    fn a_trace_goes_on_under_a_parent_of_ours() {
        for (flags, kept) in [("00", "00"), ("01", "01"), ("03", "01"), ("fe", "00")] {
            let given = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
            let (ids, fields) = sent(&[("traceparent", &given), ("tracestate", "a=b"), ("tracestate", "c=d")]);
            assert_eq!((ids.trace.to_string().as_str(), ids.goes_on), (TRACE, true));
            assert_ne!(ids.trace, ids.request);
            let parent = fields["traceparent"].to_str().unwrap();
            assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with(kept), "{parent}");
            assert!(!parent.contains("00f067aa0ba902b7"));
            assert_eq!(fields.get_all("tracestate").iter().count(), 2);
        }
        let younger = format!("cc-{TRACE}-00f067aa0ba902b7-01-what-the-future-will-be-like");
        assert!(sent(&[("traceparent", &younger)]).1["traceparent"].to_str().unwrap().starts_with("00-"));
        assert!(parse(&younger.as_bytes()[..PARENT]).is_some());
    }

    #[test]
    fn what_is_malformed_is_nobodys_trace() {
        let good = format!("00-{TRACE}-00f067aa0ba902b7-01");
        for bad in [
            "",
            "00",
            &good[..54],
            &format!("{good}-"),
            &format!("{good}0"),
            &format!("cc{}.", &good[2..]),
            &format!("ff{}", &good[2..]),
            &format!("0G{}", &good[2..]),
            &good.to_uppercase(),
            &good.replace('-', "_"),
            &good.replace(TRACE, &"0".repeat(32)),
            &good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &good.replace("00f067aa0ba902b7", "00f067aa0ba902bX"),
            &good.replace("-01", "-x1"),
            &format!(" {}", &good[..54]),
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
        let (ids, fields) = sent(&[("traceparent", &good), ("traceparent", &good), ("tracestate", "a=b")]);
        assert!(!ids.goes_on && !fields.contains_key("tracestate"), "two parents are none");
        assert_eq!(fields.get_all("traceparent").iter().count(), 1);
    }

    #[test]
    fn numbers_do_not_repeat() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 * STOCK {
            assert!(seen.insert(Ids::of(&HeaderMap::new()).parent));
        }
    }
}
