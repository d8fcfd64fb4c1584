//! Ethernet and IPv6 around what is said, with checksums: written, and read as far as the network's own parts need it.

use std::net::Ipv6Addr;

use super::{ROUTER, ROUTER_MAC};

/// Next headers.
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;

/// Without extension headers, of which the host sends none but in front of group reports.
pub(super) struct Frame<'a> {
    pub(super) to: [u8; 6],
    pub(super) from: [u8; 6],
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) hop_limit: u8,
    pub(super) protocol: u8,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// `None` when it is not IPv6.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, ip) = bytes.split_at_checked(14)?;
        if head[12..] != [0x86, 0xdd] {
            return None;
        }
        let (ip, rest) = ip.split_at_checked(40)?;
        let address = |at: usize| ip[at..].first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets));
        Some(Self {
            to: *head.first_chunk()?,
            from: *head[6..].first_chunk()?,
            source: address(8)?,
            destination: address(24)?,
            hop_limit: ip[7],
            protocol: ip[6],
            payload: rest.get(..usize::from(u16::from_be_bytes([ip[4], ip[5]])))?,
        })
    }

    /// Of UDP and TCP.
    pub(super) fn destination_port(&self) -> u16 {
        self.word(2)
    }

    /// Of UDP and TCP.
    pub(super) fn source_port(&self) -> u16 {
        self.word(0)
    }

    fn word(&self, at: usize) -> u16 {
        let bytes = self.payload.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u16::from_be_bytes(*bytes))
    }

    /// Whether its checksum is right, which is over the addresses as well.
    pub(super) fn is_whole(&self) -> bool {
        sum(self.source, self.destination, self.protocol, self.payload) == 0xffff
    }
}

/// A frame from the router. `check` is where in the payload its checksum goes.
pub(super) fn from_router(
    to: ([u8; 6], Ipv6Addr),
    hop_limit: u8,
    protocol: u8,
    payload: &[u8],
    check: usize,
) -> Vec<u8> {
    let mut payload = payload.to_vec();
    payload[check..check + 2].fill(0);
    let checksum = !sum(ROUTER, to.1, protocol, &payload);
    payload[check..check + 2].copy_from_slice(&checksum.to_be_bytes());
    let mut frame = [&to.0[..], &ROUTER_MAC, &[0x86, 0xdd, 0x60, 0, 0, 0]].concat();
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([protocol, hop_limit]);
    frame.extend(ROUTER.octets());
    frame.extend(to.1.octets());
    frame.extend(payload);
    frame
}

/// The Internet checksum with the pseudo header of IPv6, not turned round.
fn sum(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, payload: &[u8]) -> u16 {
    let length = (payload.len() as u32).to_be_bytes();
    let pseudo = [&source.octets()[..], &destination.octets(), &length, &[0, 0, 0, protocol]].concat();
    let words = pseudo.chunks(2).chain(payload.chunks(2));
    let total: u32 =
        words.map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))).sum();
    let folded = (total & 0xffff) + (total >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}
