//! Routers' advertisements (RFC 4861, 4.2), as EC2's are: a way out, and addresses by DHCPv6. And false ones.

use std::net::Ipv6Addr;

use super::frames::{ICMPV6, from_router};
use super::{ROUTER_MAC, State};

/// Kinds of ICMPv6.
pub(super) const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// All hosts of the link.
const HOSTS: ([u8; 6], Ipv6Addr) = ([0x33, 0x33, 0, 0, 0, 1], Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));

/// What an advertisement says.
#[derive(Debug, Clone)]
pub struct Says {
    /// Addresses are to be had by DHCPv6.
    pub managed: bool,
    /// How long the router is one, in seconds.
    pub lifetime_s: u16,
    /// The hop limit that packets are to begin with.
    pub hop_limit: u8,
    /// A name server.
    pub name_server: Option<Ipv6Addr>,
    /// An advertisement goes out that nobody has asked for.
    pub now: bool,
}

impl Default for Says {
    fn default() -> Self {
        let name_server = Some(Ipv6Addr::new(0x2600, 0xdb8, 0x53, 0, 0, 0, 0, 1));
        Self { managed: true, lifetime_s: 1800, hop_limit: 64, name_server, now: false }
    }
}

impl Says {
    pub(super) fn advertisement(&self) -> Vec<u8> {
        self.with_hops(255)
    }

    /// With this many hops left: what comes from this very link has 255.
    pub fn with_hops(&self, hops: u8) -> Vec<u8> {
        let mut message = vec![ADVERTISEMENT, 0, 0, 0, self.hop_limit, u8::from(self.managed) << 7];
        message.extend(self.lifetime_s.to_be_bytes());
        message.extend([0; 8]);
        message.extend([1, 1]);
        message.extend(ROUTER_MAC);
        if let Some(server) = self.name_server {
            message.extend([25, 3, 0, 0, 0, 0, 2, 88]);
            message.extend(server.octets());
        }
        from_router(HOSTS, hops, ICMPV6, &message, 2)
    }
}

/// Whether a message asks who has this address (RFC 4861, 4.3).
pub(super) fn asks_for(message: &[u8], address: Ipv6Addr) -> bool {
    message.first() == Some(&NEIGHBOUR_SOLICITATION) && message.get(8..24) == Some(&address.octets())
}

/// To all: it is mine (RFC 4861, 4.4).
pub(super) fn claim(address: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend(address.octets());
    message.extend([2, 1]);
    message.extend(ROUTER_MAC);
    from_router(HOSTS, 255, ICMPV6, &message, 2)
}

impl State {
    pub(super) fn unasked(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.says.now).then(|| self.says.advertisement())
    }
}
