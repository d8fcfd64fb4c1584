//! What the proxy tells control of the requests that it has seen: one record each, and counts of all. It goes past init,
//! which reads nothing that a stranger has written, over a pair of sockets of its own; one packet holds several parts in
//! postcard encoding, one behind the other. What control writes down and shows of it is [`Visit`]'s shape.

mod counts;
mod id;
mod visit;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::SlotId;
use crate::msg::BadMessage;

pub use counts::{BOUNDS_US, Durations, Histogram, HostCounts, SlotCounts};
pub use id::{Id, InvalidId, write_hex};
pub use visit::{LeftOut, Line, Visit};

/// No packet is longer.
pub const MAX_PACKET_BYTES: usize = 32 << 10;
/// No record is longer, with every string at its bound.
pub const MAX_RECORD_BYTES: usize = 4 << 10;

/// Bounds on the strings of a record, in bytes. What is longer is cut, and ends in `…`.
pub mod bounds {
    /// Of the method.
    pub const METHOD: usize = 24;
    /// Of the path with its query.
    pub const TARGET: usize = 1024;
    /// Of the host name: no longer one is valid.
    pub const HOST: usize = 256;
    /// Of `Referer`.
    pub const REFERER: usize = 512;
    /// Of `User-Agent`.
    pub const AGENT: usize = 256;
}

/// One part of a packet.
// It is there only while it is written or read.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Part<'a> {
    /// A request whose answer has ended.
    #[serde(borrow)]
    Record(Record<'a>),
    /// What was counted of a slot since that was said last.
    Slot(SlotCounts),
    /// What was counted of all requests since that was said last.
    Host(Box<HostCounts>),
}

/// One request. Strings are printable ASCII, whatever the client sent: any other byte, and a backslash, is written `\xNN`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// Whose it is, slot and name, by the route; nobody's when there is none.
    #[serde(borrow)]
    pub tenant: Option<(SlotId, &'a str)>,
    /// The host name that it was for; empty when it named none.
    pub host: &'a str,
    /// The other end of its connection.
    pub client: IpAddr,
    /// `GET`, …
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Of the client's connection.
    pub protocol: Protocol,
    /// Of the answer; [`CLIENT_LEFT`] when there was none.
    pub status: u16,
    /// Of its body, in bytes; of a tunnel, all from the client.
    pub bytes_in: u64,
    /// Of the answer's body, in bytes; of a tunnel, all to the client.
    pub bytes_out: u64,
    /// `Referer`, or nothing.
    pub referer: &'a str,
    /// `User-Agent`, or nothing.
    pub agent: &'a str,
    /// Its number, as the program and the client have it in `X-Request-Id`.
    pub id: Id,
    /// The trace that it belongs to (W3C Trace Context).
    pub trace: Id,
    /// Why the proxy answered in the program's place, as `Kennel-Error` has it; nothing if it did not.
    pub fault: &'a str,
    /// How the answer ended.
    pub ended: Ended,
    /// When its head had come, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// How long it took.
    pub took: Took,
}

/// The status of a request whose client left before there was an answer; nobody has seen it.
pub const CLIENT_LEFT: u16 = 499;

/// Where a request's time went, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// From the end of its head to the end of the answer's body.
    pub total_us: u64,
    /// Waiting for the program to be woken, its place in the line included; absent when it was awake.
    pub queue_us: Option<u64>,
    /// From there to the head of the program's answer; absent when the program was not asked.
    pub upstream_us: Option<u64>,
    /// What the proxy itself took until it had the answer's head ready.
    pub own_us: u64,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
    /// HTTP/3
    Http3,
}

impl Protocol {
    /// As a request line has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
            Self::Http3 => "HTTP/3.0",
        }
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// To its last byte.
    Whole,
    /// It broke off: the client left, or the program did, or it took too long.
    Cut,
}

/// Adds a part to a packet.
///
/// # Errors
/// [`BadMessage`]; the packet is empty then.
pub fn push(part: &Part<'_>, packet: &mut Vec<u8>) -> Result<(), BadMessage> {
    let bytes = std::mem::take(packet);
    *packet = postcard::to_extend(part, bytes).map_err(|e| BadMessage::Malformed(e.to_string()))?;
    Ok(())
}

/// The parts of a packet, up to the first that is malformed.
#[derive(Debug)]
pub struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    /// Of this packet.
    pub const fn of(packet: &'a [u8]) -> Self {
        Self(packet)
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, BadMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        match postcard::take_from_bytes(self.0) {
            Ok((part, rest)) => {
                self.0 = rest;
                Some(Ok(part))
            }
            Err(e) => {
                self.0 = &[];
                Some(Err(BadMessage::Malformed(e.to_string())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(tenant: Option<(SlotId, &'static str)>) -> Record<'static> {
        Record {
            tenant,
            host: "blog.example",
            client: "2001:db8::1".parse().unwrap(),
            method: "GET",
            target: "/a?b=c",
            protocol: Protocol::Http11,
            status: 200,
            bytes_in: 0,
            bytes_out: u64::MAX,
            referer: "",
            agent: "curl/8",
            id: Id([7; 16]),
            trace: Id([9; 16]),
            fault: "",
            ended: Ended::Whole,
            at_ms: 1_793_491_200_123,
            took: Took { total_us: 70_000, queue_us: None, upstream_us: Some(60_000), own_us: 90 },
        }
    }

    #[test]
    fn a_packet_has_its_parts_in_order() {
        let slot = SlotId::new(3).unwrap();
        let parts = [
            Part::Record(record(Some((slot, "blog")))),
            Part::Slot(SlotCounts { slot: Some(slot), statuses: [0, 9, 0, 1, 0], left_out: 70_000 }),
            Part::Host(Box::default()),
            Part::Record(record(None)),
        ];
        let mut packet = Vec::new();
        parts.iter().for_each(|part| push(part, &mut packet).unwrap());
        let read: Result<Vec<_>, _> = Parts::of(&packet).collect();
        assert_eq!(read.unwrap(), parts);
        packet.push(200);
        assert!(Parts::of(&packet).nth(4).is_some_and(|part| part.is_err()));
        assert_eq!(Parts::of(&packet).count(), 5);
    }

    #[test]
    fn the_longest_record_is_within_its_bound() {
        let text = |bound| -> &'static str { Box::leak("x".repeat(bound).into_boxed_str()) };
        let longest = Record {
            host: text(bounds::HOST),
            method: text(bounds::METHOD),
            target: text(bounds::TARGET),
            referer: text(bounds::REFERER),
            agent: text(bounds::AGENT),
            fault: text(64),
            bytes_in: u64::MAX,
            took: Took {
                total_us: u64::MAX,
                queue_us: Some(u64::MAX),
                upstream_us: Some(u64::MAX),
                own_us: u64::MAX,
            },
            at_ms: u64::MAX,
            ..record(Some((SlotId::new(4095).unwrap(), text(32))))
        };
        let mut packet = Vec::new();
        push(&Part::Record(longest), &mut packet).unwrap();
        assert!(packet.len() < MAX_RECORD_BYTES, "{}", packet.len());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Parts::of(&bytes).collect::<Vec<_>>();
        }
    }
}
