//! What an address and a port stand for, in words: "metadata service", "a private address". Only words are made here;
//! the packet filter and the policy have lists of their own, which decide.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::SlotId;
use crate::layout::{API_PORT, HTTP_PORT, HTTPS_PORT};
use crate::slot::{FIRST_PORT, MAX_SLOTS, PORTS_PER_SLOT};

/// What a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The cloud's metadata service.
    Metadata,
    /// This host's resolver as the cloud offers it; only its DNS port may be used.
    Resolver,
    /// A port of a slot on this host.
    SlotPort(SlotId),
    /// The operator's API.
    Api,
    /// The proxy.
    Proxy,
    /// Any other port of this host.
    Loopback,
    /// Only on this link.
    LinkLocal,
    /// Of a network that is nobody's in particular: a VPC, an office.
    Private,
    /// To many at once.
    Group,
    /// Kept back for documentation, tests, tunnels, the future.
    Reserved,
    /// Anywhere else.
    Public,
}

impl Place {
    /// What an address and port stand for; an IPv6 address that carries an IPv4 one is taken as that.
    pub fn of(address: IpAddr, port: Option<u16>) -> Self {
        match address {
            IpAddr::V4(v4) => of_v4(v4, port),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => of_v4(v4, port),
                None => of_v6(v6, port),
            },
        }
    }

    /// The same for a port of which only the number is known: on this host, or of any public service.
    pub fn of_port(port: u16) -> Option<Self> {
        match on_host(Some(port)) {
            Self::Loopback => None,
            place => Some(place),
        }
    }
}

fn of_v4(a: Ipv4Addr, port: Option<u16>) -> Place {
    match a.octets() {
        [127, ..] => on_host(port),
        [169, 254, 169, 253] => Place::Resolver,
        [169, 254, 169 | 170, _] => Place::Metadata,
        [169, 254, ..] => Place::LinkLocal,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Place::Private,
        [224..=239, ..] | [255, 255, 255, 255] => Place::Group,
        [0 | 240..=255, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => Place::Reserved,
        _ => Place::Public,
    }
}

fn of_v6(a: Ipv6Addr, port: Option<u16>) -> Place {
    match a.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => on_host(port),
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253] => Place::Resolver,
        [0xfd00, 0xec2, 0, 0, ..] => Place::Metadata,
        [0xfe80..=0xfebf, ..] => Place::LinkLocal,
        [0xfc00..=0xfdff, ..] => Place::Private,
        [0xff00..=0xffff, ..] => Place::Group,
        [0x2001, 0 | 0xdb8, ..] | [0x2002, ..] => Place::Reserved,
        [0x2000..=0x3fff, ..] => Place::Public,
        _ => Place::Reserved,
    }
}

fn on_host(port: Option<u16>) -> Place {
    let Some(port) = port else { return Place::Loopback };
    let slot = port.checked_sub(FIRST_PORT).map(|n| n / PORTS_PER_SLOT).filter(|n| *n < MAX_SLOTS);
    match (port, slot.and_then(|n| SlotId::new(n).ok())) {
        (_, Some(slot)) => Place::SlotPort(slot),
        (API_PORT, _) => Place::Api,
        (HTTP_PORT | HTTPS_PORT, _) => Place::Proxy,
        _ => Place::Loopback,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: &str, port: u16) -> Place {
        Place::of(address.parse().unwrap(), Some(port))
    }

    #[test]
    fn each_place_is_known_in_both_families() {
        for (address, port, expected) in [
            ("169.254.169.254", 80, Place::Metadata),
            ("169.254.170.2", 80, Place::Metadata),
            ("::ffff:169.254.169.254", 80, Place::Metadata),
            ("fd00:ec2::254", 80, Place::Metadata),
            ("169.254.169.253", 80, Place::Resolver),
            ("fd00:ec2::253", 80, Place::Resolver),
            ("169.254.1.1", 80, Place::LinkLocal),
            ("fe80::1", 80, Place::LinkLocal),
            ("127.0.0.1", 8443, Place::Api),
            ("::1", 80, Place::Proxy),
            ("127.9.9.9", 22, Place::Loopback),
            ("10.0.2.2", 22, Place::Private),
            ("172.31.0.1", 443, Place::Private),
            ("100.64.0.1", 443, Place::Private),
            ("fd12::1", 443, Place::Private),
            ("224.0.0.251", 5353, Place::Group),
            ("ff02::fb", 5353, Place::Group),
            ("203.0.113.7", 443, Place::Reserved),
            ("2001:db8::1", 443, Place::Reserved),
            ("::", 443, Place::Reserved),
            ("93.184.215.14", 25, Place::Public),
            ("2606:2800:21f::1", 25, Place::Public),
        ] {
            assert_eq!(place(address, port), expected, "{address}:{port}");
        }
    }

    #[test]
    fn a_slots_port_names_its_slot() {
        let slot = SlotId::new(12).unwrap();
        for port in [slot.port(), slot.last_port()] {
            assert_eq!(place("127.0.0.1", port), Place::SlotPort(slot));
            assert_eq!(Place::of_port(port), Some(Place::SlotPort(slot)));
        }
        assert_eq!(place("::1", FIRST_PORT - 1), Place::Loopback);
        assert_eq!(place("::1", FIRST_PORT + PORTS_PER_SLOT * MAX_SLOTS), Place::Loopback);
        assert_eq!(Place::of_port(3000), None);
    }
}
