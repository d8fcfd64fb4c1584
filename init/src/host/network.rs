//! The NIC: takes what the DHCP client found out, believes only what can be right, and configures the interface and the
//! name servers. The lease comes from the network through an unprivileged process; it is data to be checked, not trusted.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::net::Ipv4Addr;

use kennel_model::layout::RESOLV_CONF;
use kennel_model::msg::Lease;
use kennel_sys::netif::Interfaces;

use crate::say;
use crate::step::{Failed, Step};

/// The host's one NIC.
#[derive(Debug)]
pub struct Network {
    nic: String,
    lease: Option<Lease>,
}

impl Network {
    /// The interface of this name is the NIC.
    pub const fn new(nic: String) -> Self {
        Self { nic, lease: None }
    }

    /// Applies a lease, unless it is the one that is in force or makes no sense.
    ///
    /// # Errors
    /// Why it was refused, or what failed.
    pub fn apply(&mut self, lease: Lease) -> Result<(), Failed> {
        check(&lease).step(|| "accept the DHCP lease".to_owned())?;
        if self.lease.as_ref() == Some(&lease) {
            return Ok(());
        }
        let interfaces = Interfaces::open().step(|| "open a socket".to_owned())?;
        if let Some(mtu) = lease.mtu {
            interfaces.set_mtu(&self.nic, mtu).step(|| format!("set the MTU of {} to {mtu}", self.nic))?;
        }
        interfaces
            .set_address(&self.nic, lease.address, lease.prefix_len)
            .step(|| format!("set the address of {}", self.nic))?;
        if let Some(gateway) = lease.gateway {
            interfaces.add_default_route(gateway).step(|| format!("add the route by {gateway}"))?;
        }
        write_resolv_conf(&lease.dns)?;
        say!("{} has {}/{}, gateway {}", self.nic, lease.address, lease.prefix_len, shown(lease.gateway));
        self.lease = Some(lease);
        Ok(())
    }
}

fn shown(gateway: Option<Ipv4Addr>) -> String {
    gateway.map_or_else(|| "none".to_owned(), |g| g.to_string())
}

/// Says what about a lease cannot be right.
fn check(lease: &Lease) -> Result<(), &'static str> {
    let host = |a: Ipv4Addr| {
        !(a.is_unspecified() || a.is_loopback() || a.is_multicast() || a.is_broadcast() || a.octets()[0] == 0)
    };
    match lease {
        l if !host(l.address) => Err("its address is not a host's"),
        l if !(8..=32).contains(&l.prefix_len) => Err("its netmask is out of range"),
        l if l.gateway.is_some_and(|g| !host(g) || g == l.address) => Err("its gateway is not another host"),
        l if l.dns.len() > 3 || !l.dns.iter().all(|d| host(*d)) => Err("its name servers are not hosts"),
        l if l.mtu.is_some_and(|m| !(576..=9216).contains(&m)) => Err("its MTU is out of range"),
        _ => Ok(()),
    }
}

/// Writes the file in its place: slots have it mounted, and a new file would not reach them.
pub fn write_resolv_conf(servers: &[Ipv4Addr]) -> Result<(), Failed> {
    let text: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(RESOLV_CONF)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(text.as_bytes())?;
        file.set_len(text.len() as u64)
    };
    write().step(|| format!("write {RESOLV_CONF}"))
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
        check(&lease)
    }

    #[test]
    fn an_ordinary_lease_is_taken() {
        assert_eq!(lease(|_| {}), Ok(()));
        assert_eq!(lease(|l| l.gateway = None), Ok(()));
    }

    #[test]
    fn what_cannot_be_right_is_refused() {
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
