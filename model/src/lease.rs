//! An IPv4 address as a DHCP server lends it: what the client tells init of it, and what both hold to be possible. Asking for
//! one is `kennel-dhcp`'s business, putting it in force init's.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// What the DHCP client tells init of IPv4, once per new or changed lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Length of its prefix, 0 to 32.
    pub prefix_len: u8,
    /// Default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers, at most three.
    pub dns: Vec<Ipv4Addr>,
    /// MTU of the link when the server names one (option 26), in bytes.
    pub mtu: Option<u16>,
}

impl Lease {
    /// The one meaning of a lease that makes sense: the client drops what it cannot believe by it, init refuses the rest.
    ///
    /// # Errors
    /// What cannot be right, as a clause.
    pub fn validate(&self) -> Result<(), &'static str> {
        match self {
            l if !is_host(l.address) => Err("its address is not a host's"),
            l if !(8..=32).contains(&l.prefix_len) => Err("its netmask is out of range"),
            l if l.gateway.is_some_and(|g| !is_host(g) || g == l.address) => {
                Err("its gateway is not another host")
            }
            l if l.dns.len() > 3 || !l.dns.iter().all(|d| is_host(*d)) => Err("its name servers are not hosts"),
            l if l.mtu.is_some_and(|m| !LEASE_MTU.contains(&m)) => Err("its MTU is out of range"),
            _ => Ok(()),
        }
    }
}

/// Every IPv4 host takes packets of the least size (RFC 791); more than the largest no cloud's network carries.
pub const LEASE_MTU: std::ops::RangeInclusive<u16> = 576..=9216;

/// Whether an address can be one host's: 0.x is "this network", 224.x and above are groups and the reserved block.
pub fn is_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(change: impl FnOnce(&mut Lease)) -> Result<(), &'static str> {
        let mut lease = Lease {
            address: Ipv4Addr::new(10, 0, 2, 15),
            prefix_len: 24,
            gateway: Some(Ipv4Addr::new(10, 0, 2, 2)),
            dns: vec![Ipv4Addr::new(10, 0, 2, 3)],
            mtu: Some(1500),
        };
        change(&mut lease);
        lease.validate()
    }

    #[test]
    fn an_ordinary_lease_makes_sense() {
        assert_eq!(lease(|_| {}), Ok(()));
        assert_eq!(lease(|l| l.gateway = None), Ok(()));
    }

    #[test]
    fn a_lease_that_cannot_be_right_is_refused() {
        assert!(lease(|l| l.address = Ipv4Addr::LOCALHOST).is_err());
        assert!(lease(|l| l.address = Ipv4Addr::new(224, 0, 0, 1)).is_err());
        assert!(lease(|l| l.prefix_len = 0).is_err());
        assert!(lease(|l| l.prefix_len = 33).is_err());
        assert!(lease(|l| l.gateway = Some(l.address)).is_err());
        assert!(lease(|l| l.gateway = Some(Ipv4Addr::LOCALHOST)).is_err());
        assert!(lease(|l| l.dns = vec![Ipv4Addr::LOCALHOST]).is_err());
        assert!(lease(|l| l.dns = vec![Ipv4Addr::new(9, 9, 9, 9); 4]).is_err());
        assert!(lease(|l| l.mtu = Some(60)).is_err());
    }
}
