//! What the kernel tells of IPv6 on one interface, through rtnetlink (rtnetlink(7)): what routers' advertisements say that
//! is not the kernel's own business, and that somebody else has one of our addresses. The kernel checked that an
//! advertisement came from this link; what is in one is a stranger's.

use std::net::Ipv6Addr;

use super::message::name_servers;
use crate::frame::{Mac, checksum};

/// The groups to listen to: addresses, interfaces and routers' options of IPv6 (`RTNLGRP_IPV6_IFADDR`,
/// `RTNLGRP_IPV6_IFINFO`, `RTNLGRP_ND_USEROPT`), each a bit.
pub const GROUPS: u32 = 1 << (9 - 1) | 1 << (12 - 1) | 1 << (20 - 1);

/// Something new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Routers say that addresses are to be had by DHCPv6.
    Managed,
    /// A router names name servers (RDNSS, RFC 8106), good for so many seconds; none when 0.
    NameServers(Vec<Ipv6Addr>, u32),
    /// Somebody else on the link has this address.
    Duplicate(Ipv6Addr),
}

/// Kinds of messages.
mod kind {
    pub(super) const NEW_LINK: u16 = 16;
    pub(super) const GET_LINK: u16 = 18;
    pub(super) const NEW_ADDRESS: u16 = 20;
    pub(super) const ROUTER_OPTION: u16 = 68;
}

/// Of a message, before its own header.
const HEADER: usize = 16;
const AF_INET6: u8 = 10;
/// `NLM_F_REQUEST` and `NLM_F_DUMP`: IPv6 answers only who asks for all interfaces.
const REQUEST: u16 = 0x301;
/// `IFLA_PROTINFO`, `IFLA_INET6_FLAGS`, and the flag that the last router set (`IF_RA_MANAGED`).
const LINK_PROTOCOL: u16 = 12;
const LINK_FLAGS: u16 = 1;
const MANAGED: u32 = 0x40;
/// `IFA_ADDRESS`, and the flag of an address that failed the test whether somebody has it (`IFA_F_DADFAILED`).
const ADDRESS: u16 = 1;
const IN_USE: u8 = 0x08;
/// The router's option that names servers, and its length without any, in bytes.
const RDNSS: u8 = 25;
const RDNSS_HEAD: usize = 8;

/// The question how IPv6 fares: the answers are among the messages that [`read`] knows.
pub fn question() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 16);
    bytes.extend(32u32.to_ne_bytes());
    bytes.extend(kind::GET_LINK.to_ne_bytes());
    bytes.extend(REQUEST.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([AF_INET6, 0, 0, 0]);
    bytes.extend([0; 12]);
    bytes
}

/// A whole frame that asks routers to say what they say (RFC 4861, 4.1), from no address, which is right before there is one
/// and after.
pub fn solicitation(mac: Mac) -> Vec<u8> {
    let routers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2).octets();
    let mut message = [133, 0, 0, 0, 0, 0, 0, 0];
    let pseudo = [&[0; 16][..], &routers, &[0, 0, 0, 8, 0, 0, 0, 58]].concat();
    let sum = checksum(&[&pseudo, &message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let ethernet = [&[0x33, 0x33, 0, 0, 0, 2][..], &mac, &[0x86, 0xdd]].concat();
    [&ethernet[..], &[0x60, 0, 0, 0, 0, 8, 58, 255], &[0; 16], &routers, &message].concat()
}

/// What these messages say of the interface with this index.
pub fn read(mut bytes: &[u8], index: u32) -> Vec<News> {
    let mut news = Vec::new();
    while let Some(length) = number(bytes, 0).map(|n| n as usize).filter(|n| *n >= HEADER) {
        let Some(message) = bytes.get(..length) else { break };
        let kind = u16::from_ne_bytes([message[4], message[5]]);
        let body = &message[HEADER..];
        // Each has its interface's index as the second number of its own header.
        if body.first() == Some(&AF_INET6) && number(body, 4) == Some(index) {
            news.extend(one(kind, body));
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    news
}

fn one(kind: u16, body: &[u8]) -> Option<News> {
    match kind {
        kind::NEW_LINK => {
            let protocol = attribute(body.get(16..)?, LINK_PROTOCOL)?;
            let flags = number(attribute(protocol, LINK_FLAGS)?, 0)?;
            (flags & MANAGED != 0).then_some(News::Managed)
        }
        kind::NEW_ADDRESS if body.get(2)? & IN_USE != 0 => {
            let octets: &[u8; 16] = attribute(body.get(8..)?, ADDRESS)?.first_chunk()?;
            Some(News::Duplicate(Ipv6Addr::from(*octets)))
        }
        kind::ROUTER_OPTION => {
            let length = u16::from_ne_bytes(*body.get(2..)?.first_chunk()?);
            let option = body.get(16..)?.get(..length.into())?;
            let (head, servers) = option.split_at_checked(RDNSS_HEAD)?;
            let seconds = u32::from_be_bytes(*head[4..].first_chunk()?);
            (head[0] == RDNSS).then(|| News::NameServers(name_servers(servers), seconds))
        }
        _ => None,
    }
}

/// The value of the first attribute of this kind.
fn attribute(mut bytes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let head: &[u8; 4] = bytes.first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let value = bytes.get(4..length)?;
        // The two highest bits say how the value is written.
        if u16::from_ne_bytes([head[2], head[3]]) & 0x3fff == kind {
            return Some(value);
        }
        bytes = bytes.get(length.next_multiple_of(4)..)?;
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_ne_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INDEX: u32 = 2;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = [&((4 + value.len()) as u16).to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn link(flags: u32, index: u32) -> Vec<u8> {
        let head = [&[AF_INET6, 0, 0, 0][..], &index.to_ne_bytes(), &[0; 8]].concat();
        let protocol = attr(LINK_PROTOCOL | 0x8000, &attr(LINK_FLAGS, &flags.to_ne_bytes()));
        message(kind::NEW_LINK, &[head, attr(3, b"eth0\0"), protocol].concat())
    }

    fn address(flags: u8) -> Vec<u8> {
        let address: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let head = [&[AF_INET6, 128, flags, 0][..], &INDEX.to_ne_bytes()].concat();
        message(kind::NEW_ADDRESS, &[head, attr(ADDRESS, &address.octets())].concat())
    }

    fn servers(life: u32) -> Vec<u8> {
        let server: Ipv6Addr = "2001:db8::53".parse().unwrap();
        let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
        let option =
            [&[RDNSS, 5, 0, 0][..], &life.to_be_bytes(), &server.octets(), &link_local.octets()].concat();
        let length = (option.len() as u16).to_ne_bytes();
        let head = [&[AF_INET6, 0][..], &length, &INDEX.to_ne_bytes(), &[134, 0, 0, 0, 0, 0, 0, 0]].concat();
        message(kind::ROUTER_OPTION, &[head, option].concat())
    }

    #[test]
    fn what_is_new_is_read() {
        let all = [link(0x80, INDEX), link(0xc0, INDEX), link(MANAGED, 7), address(0x80), address(0x88)];
        let taken = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);
        assert_eq!(read(&all.concat(), INDEX), [News::Managed, News::Duplicate(taken)]);
        let server = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
        assert_eq!(read(&servers(600), INDEX), [News::NameServers(vec![server], 600)]);
    }

    #[test]
    fn routers_are_asked_with_a_right_checksum() {
        let frame = solicitation([2, 0, 0, 0, 0, 1]);
        assert_eq!((frame.len(), frame[21], frame[54]), (62, 255, 133));
        assert_eq!(checksum(&[&frame[22..54], &[0, 0, 0, 8, 0, 0, 0, 58], &frame[54..]]), 0);
    }

    #[test]
    fn the_question_is_a_whole_message() {
        assert_eq!((question().len(), number(&question(), 0)), (32, Some(32)));
        assert!(read(&question(), INDEX).is_empty());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes, INDEX);
        }

        #[test]
        fn damage_never_panics(damage in proptest::collection::vec((0usize..400, any::<u8>()), 1..6), cut in 0usize..300) {
            let mut bytes = [link(0x40, INDEX), address(8), servers(1)].concat();
            for (at, value) in damage {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            let _ = read(&bytes[..cut.min(bytes.len())], INDEX);
            let _ = read(&bytes, INDEX);
        }
    }
}
