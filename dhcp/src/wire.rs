//! DHCP messages as bytes (RFC 2131, 2; RFC 2132). Reading borrows and never fails but by `None`: what a stranger
//! on the link sends is at worst passed over. (dhcproto, which asserts on some lengths, is the judge in the tests.)

use std::net::Ipv4Addr;

use crate::frame::Mac;

/// Fixed fields up to the options, and the cookie that opens them.
const HEADER: usize = 236;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// Some relays drop what is shorter than a BOOTP message.
const MIN_BYTES: usize = 300;

/// Option codes.
pub(crate) mod option {
    pub(crate) const PAD: u8 = 0;
    pub(crate) const SUBNET_MASK: u8 = 1;
    pub(crate) const ROUTER: u8 = 3;
    pub(crate) const DNS: u8 = 6;
    pub(crate) const MTU: u8 = 26;
    pub(crate) const REQUESTED_ADDRESS: u8 = 50;
    pub(crate) const LEASE_TIME: u8 = 51;
    pub(crate) const OVERLOAD: u8 = 52;
    pub(crate) const MESSAGE_TYPE: u8 = 53;
    pub(crate) const SERVER_ID: u8 = 54;
    pub(crate) const PARAMETERS: u8 = 55;
    pub(crate) const MAX_MESSAGE: u8 = 57;
    pub(crate) const RENEWAL: u8 = 58;
    pub(crate) const REBINDING: u8 = 59;
    pub(crate) const CLIENT_ID: u8 = 61;
    pub(crate) const END: u8 = 255;
}

/// A message from a server, over the bytes that it came in.
pub(crate) struct Reply<'a> {
    bytes: &'a [u8],
}

impl<'a> Reply<'a> {
    /// `None` unless the bytes are a server's message on Ethernet.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let is_reply = bytes.len() >= HEADER + COOKIE.len() && bytes[..3] == [2, 1, 6];
        (is_reply && bytes[HEADER..HEADER + COOKIE.len()] == COOKIE).then_some(Self { bytes })
    }

    pub(crate) fn xid(&self) -> u32 {
        u32::from_be_bytes([self.bytes[4], self.bytes[5], self.bytes[6], self.bytes[7]])
    }

    /// The address that is offered.
    pub(crate) fn your_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(self.bytes[16], self.bytes[17], self.bytes[18], self.bytes[19])
    }

    pub(crate) fn hardware_address(&self) -> &[u8] {
        &self.bytes[28..34]
    }

    /// The first option of this code, also in the fields that a full message overloads with options.
    pub(crate) fn option(&self, code: u8) -> Option<&'a [u8]> {
        let main = &self.bytes[HEADER + COOKIE.len()..];
        let overload = find(main, option::OVERLOAD).and_then(|v| v.first().copied()).unwrap_or(0);
        let (sname, file) = (&self.bytes[44..108], &self.bytes[108..HEADER]);
        find(main, code)
            .or_else(|| find(file, code).filter(|_| overload & 1 != 0))
            .or_else(|| find(sname, code).filter(|_| overload & 2 != 0))
    }

    pub(crate) fn byte(&self, code: u8) -> Option<u8> {
        self.option(code)?.try_into().ok().map(|[byte]: [u8; 1]| byte)
    }

    pub(crate) fn word(&self, code: u8) -> Option<u16> {
        self.option(code)?.try_into().ok().map(u16::from_be_bytes)
    }

    pub(crate) fn long(&self, code: u8) -> Option<u32> {
        self.option(code)?.try_into().ok().map(u32::from_be_bytes)
    }

    pub(crate) fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.long(code).map(Ipv4Addr::from)
    }

    /// A list of addresses; none when its length is not a multiple of four.
    pub(crate) fn addresses(&self, code: u8) -> impl Iterator<Item = Ipv4Addr> {
        let value = self.option(code).filter(|value| value.len() % 4 == 0).unwrap_or_default();
        value.chunks_exact(4).map(|a| Ipv4Addr::new(a[0], a[1], a[2], a[3]))
    }
}

/// The value of the first option `code` in `area`.
fn find(mut area: &[u8], code: u8) -> Option<&[u8]> {
    loop {
        let (&found, rest) = area.split_first()?;
        match found {
            option::PAD => area = rest,
            option::END => return None,
            _ => {
                let (&length, rest) = rest.split_first()?;
                let (value, rest) = rest.split_at_checked(length.into())?;
                if found == code {
                    return Some(value);
                }
                area = rest;
            }
        }
    }
}

/// A client's message.
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    pub(crate) fn new(mac: Mac, xid: u32, secs: u16, client: Ipv4Addr) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[..3].copy_from_slice(&[1, 1, 6]);
        bytes[4..8].copy_from_slice(&xid.to_be_bytes());
        bytes[8..10].copy_from_slice(&secs.to_be_bytes());
        bytes[12..16].copy_from_slice(&client.octets());
        bytes[28..34].copy_from_slice(&mac);
        bytes.extend_from_slice(&COOKIE);
        Self { bytes }
    }

    /// Adds an option; what is longer than an option can be is cut.
    pub(crate) fn option(mut self, code: u8, value: &[u8]) -> Self {
        let value = &value[..value.len().min(255)];
        self.bytes.extend_from_slice(&[code, value.len() as u8]);
        self.bytes.extend_from_slice(value);
        self
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(option::END);
        self.bytes.resize(self.bytes.len().max(MIN_BYTES), option::PAD);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_where_they_may_be() {
        let mut bytes = vec![0; HEADER];
        bytes[..3].copy_from_slice(&[2, 1, 6]);
        bytes.extend_from_slice(&COOKIE);
        bytes.extend_from_slice(&[option::PAD, option::MTU, 2, 5, 0xdc, option::OVERLOAD, 1, 2, option::END]);
        bytes[44..51].copy_from_slice(&[option::LEASE_TIME, 4, 0, 0, 1, 0, option::END]);
        bytes[108..111].copy_from_slice(&[option::RENEWAL, 0, option::END]);
        let reply = Reply::new(&bytes).unwrap();
        assert_eq!((reply.word(option::MTU), reply.long(option::LEASE_TIME)), (Some(1500), Some(256)));
        assert_eq!(reply.option(option::RENEWAL), None, "that field is not said to hold options");
        assert_eq!(reply.byte(option::MTU), None, "a wrong length");
    }

    #[test]
    fn an_option_that_is_cut_off_is_none() {
        assert_eq!(find(&[1, 4, 255, 255], 1), None);
        assert_eq!(find(&[1], 1), None);
        assert_eq!(find(&[option::END, 1, 1, 1], 1), None);
        assert_eq!(find(&[1, 0], 1), Some(&[][..]));
    }
}
