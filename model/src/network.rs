//! What the DHCP client tells init of IPv6, and what of it can be right. The client asks strangers on the link; init takes
//! nothing that fails [`Ipv6::validate`]. IPv4 is [`Lease`].

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use crate::msg::Lease;

/// Name servers that a host uses at most, of both families together: the C library reads no more.
pub const MAX_NAME_SERVERS: usize = 3;

/// One message of the client's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromDhcp {
    /// A new or changed lease of DHCPv4.
    Lease(Lease),
    /// What is so of IPv6 from now on; sent whenever something of it is new.
    Ipv6(Ipv6),
}

/// What DHCPv6 and routers' advertisements say of this host. Routes, and addresses that the host makes itself (SLAAC), are
/// between the routers and the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ipv6 {
    /// The address that DHCPv6 gives; nothing when there is none any more.
    pub address: Option<Leased>,
    /// Name servers, at most [`MAX_NAME_SERVERS`], DHCPv6's before the routers'.
    pub dns: Vec<Ipv6Addr>,
}

/// An address for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leased {
    /// The address; its prefix has 128 bits, what else is on the link is the routers' to say.
    pub address: Ipv6Addr,
    /// How long from now on it may be used, in seconds; nothing for ever.
    pub seconds: Option<u32>,
}

impl Ipv6 {
    /// The one meaning of what makes sense: the client drops the rest, init refuses it.
    ///
    /// # Errors
    /// What cannot be right, as a clause.
    pub fn validate(&self) -> Result<(), &'static str> {
        match self {
            s if s.address.is_some_and(|held| !can_be_leased(held.address)) => {
                Err("its address is not a host's to have")
            }
            s if s.dns.len() > MAX_NAME_SERVERS || !s.dns.iter().all(|server| is_host6(*server)) => {
                Err("its name servers are not hosts")
            }
            _ => Ok(()),
        }
    }
}

/// Whether an address can be one host's and means the same on every link: not this host itself, no group, not link-local,
/// and none that stands for an IPv4 address (`::ffff:0:0/96` and all that begins with 96 zeros).
pub fn is_host6(address: Ipv6Addr) -> bool {
    let stands_for_v4 = address.to_ipv4().is_some();
    !(stands_for_v4 || address.is_multicast() || address.is_unicast_link_local())
}

/// Whether this host can be given the address. EC2's own services are on the link (fd00:ec2::/32): a host that took such an
/// address would ask itself instead.
pub fn can_be_leased(address: Ipv6Addr) -> bool {
    is_host6(address) && address.segments()[..2] != [0xfd00, 0xec2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_hosts_make_sense() {
        let says = |address: &str| {
            let address = Some(Leased { address: address.parse().unwrap(), seconds: Some(60) });
            Ipv6 { address, dns: vec![] }.validate()
        };
        for good in ["2001:db8::7", "fd00:1234::7", "2600:1f18::7"] {
            assert_eq!(says(good), Ok(()), "{good}");
        }
        for bad in [
            "::",
            "::1",
            "::10.0.0.1",
            "::ffff:10.0.0.1",
            "ff02::1",
            "ff0e::1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
        ] {
            assert!(says(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn name_servers_are_few_and_hosts() {
        let says = |servers: &[&str]| {
            Ipv6 { address: None, dns: servers.iter().map(|s| s.parse().unwrap()).collect() }.validate()
        };
        assert_eq!(says(&["fd00:ec2::253", "2001:db8::1", "2001:db8::2"]), Ok(()));
        assert!(says(&["fe80::1"]).is_err());
        assert!(says(&["2001:db8::1"; 4]).is_err());
    }
}
