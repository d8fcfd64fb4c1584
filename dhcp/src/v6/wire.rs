//! DHCPv6 messages as bytes (RFC 8415, 8 and 21): a type, three bytes that tie an answer to its question, options. Reading
//! borrows and never fails but by `None`.

use std::net::Ipv6Addr;

/// Option codes.
pub(super) mod option {
    pub(in super::super) const CLIENT_ID: u16 = 1;
    pub(in super::super) const SERVER_ID: u16 = 2;
    pub(in super::super) const IA_NA: u16 = 3;
    pub(in super::super) const IA_ADDRESS: u16 = 5;
    pub(in super::super) const REQUEST: u16 = 6;
    pub(in super::super) const PREFERENCE: u16 = 7;
    pub(in super::super) const ELAPSED: u16 = 8;
    pub(in super::super) const STATUS: u16 = 13;
    pub(in super::super) const DNS: u16 = 23;
    pub(in super::super) const SOL_MAX_RT: u16 = 82;
}

/// Before the options.
const HEADER: usize = 4;
/// More options than any server sends; the rest is not looked at.
const MAX_OPTIONS: usize = 64;

/// Options, one behind the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// A message's type and its options, when it answers question `xid` (24 bits).
    pub(super) fn of_message(bytes: &'a [u8], xid: u32) -> Option<(u8, Self)> {
        let (header, options) = bytes.split_at_checked(HEADER)?;
        (header[1..] == xid.to_be_bytes()[1..]).then_some((header[0], Self(options)))
    }

    /// Those within an option, behind `fixed` bytes of its own.
    pub(super) fn within(value: &'a [u8], fixed: usize) -> Option<(&'a [u8], Self)> {
        value.split_at_checked(fixed).map(|(own, rest)| (own, Self(rest)))
    }

    /// All of this code. An option that is cut off ends the list.
    pub(super) fn all(self, code: u16) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.0;
        let next = std::iter::from_fn(move || {
            let (head, behind) = rest.split_at_checked(4)?;
            let length = u16::from_be_bytes([head[2], head[3]]);
            let (value, behind) = behind.split_at_checked(length.into())?;
            rest = behind;
            Some((u16::from_be_bytes([head[0], head[1]]), value))
        });
        next.take(MAX_OPTIONS).filter_map(move |(found, value)| (found == code).then_some(value))
    }

    /// The first of this code.
    pub(super) fn first(self, code: u16) -> Option<&'a [u8]> {
        self.all(code).next()
    }

    /// A status (RFC 8415, 21.13); success where none is given.
    pub(super) fn status(self) -> u16 {
        let code = self.first(option::STATUS).and_then(|value| value.first_chunk());
        code.map_or(0, |code| u16::from_be_bytes(*code))
    }
}

/// Four bytes as a number.
pub(super) fn long(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

/// A list of addresses; none when its length is not a multiple of theirs.
pub(super) fn addresses(value: &[u8]) -> impl Iterator<Item = Ipv6Addr> {
    let (whole, rest) = value.as_chunks::<16>();
    whole.iter().filter(move |_| rest.is_empty()).map(|octets| Ipv6Addr::from(*octets))
}

/// A client's message.
pub(super) struct Question(Vec<u8>);

impl Question {
    pub(super) fn new(kind: u8, xid: u32) -> Self {
        let [_, a, b, c] = xid.to_be_bytes();
        Self(vec![kind, a, b, c])
    }

    pub(super) fn option(mut self, code: u16, value: &[u8]) -> Self {
        self.0.extend(wrapped(code, value));
        self
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// One option; what is longer than an option can be is cut.
pub(super) fn wrapped(code: u16, value: &[u8]) -> Vec<u8> {
    let value = &value[..value.len().min(u16::MAX.into())];
    [&code.to_be_bytes()[..], &(value.len() as u16).to_be_bytes(), value].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_and_a_cut_one_ends_the_list() {
        let bytes = [&[7, 0, 0, 9][..], &wrapped(8, &[0, 1]), &wrapped(23, b"x"), &wrapped(8, &[2])].concat();
        let (kind, options) = Options::of_message(&bytes, 9).unwrap();
        assert_eq!((kind, options.first(23)), (7, Some(&b"x"[..])));
        assert_eq!(options.all(8).collect::<Vec<_>>(), [&[0, 1][..], &[2]]);
        let (_, cut) = Options::of_message(&bytes[..bytes.len() - 1], 9).unwrap();
        assert_eq!(cut.all(8).count(), 1);
        assert!(Options::of_message(&bytes, 8).is_none() && Options::of_message(&bytes[..3], 9).is_none());
    }

    #[test]
    fn a_list_of_addresses_is_whole_or_nothing() {
        assert_eq!(addresses(&[0; 32]).count(), 2);
        assert_eq!(addresses(&[0; 33]).count(), 0);
    }
}
