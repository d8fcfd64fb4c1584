//! The NIC: takes what the DHCP client found out, believes only what can be right, and configures the interface and the
//! name servers. The lease comes from the network through an unprivileged process; it is data to be checked, not trusted.

use std::fs::OpenOptions;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use kennel_model::layout::RESOLV_CONF;
use kennel_model::msg::Lease;
use kennel_model::network::{FromDhcp, Ipv6, MAX_NAME_SERVERS};
use kennel_sys::netif::Interfaces;

use super::Host;
use super::timers::Timer;
use crate::console::uptime;
use crate::say;
use crate::step::{Failed, Step};

/// The host's one NIC.
#[derive(Debug)]
pub struct Network {
    nic: String,
    lease: Option<Lease>,
    v6: Ipv6,
    /// When the address of `v6` is to be removed, in time since the kernel's start.
    v6_end: Option<Duration>,
}

/// The kernel's list of IPv6 addresses: address, index, length of the prefix, scope, flags, all in hexadecimal, and the
/// interface's name.
const IPV6_ADDRESSES: &str = "/proc/self/net/if_inet6";
/// Flags of an address that is not ours yet, or cannot be: the kernel asks the link whether somebody has it, and somebody has.
const NOT_OURS: u32 = 0x40 | 0x08;

impl Network {
    /// The interface of this name is the NIC.
    pub const fn new(nic: String) -> Self {
        Self { nic, lease: None, v6: Ipv6 { address: None, dns: Vec::new() }, v6_end: None }
    }

    /// Applies a lease of DHCPv4, unless it is the one that is in force or makes no sense.
    ///
    /// # Errors
    /// Why it was refused, or what failed.
    pub fn apply(&mut self, lease: Lease) -> Result<(), Failed> {
        lease.validate().step(|| "accept the DHCP lease".to_owned())?;
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
        say!("{} has {}/{}, gateway {}", self.nic, lease.address, lease.prefix_len, shown(lease.gateway));
        self.lease = Some(lease);
        write_resolv_conf(&self.name_servers())
    }

    /// Makes so what is said of IPv6. Answers when to call [`Network::expire`]: an address does not outlive its lease, whatever
    /// becomes of the client.
    ///
    /// # Errors
    /// Why it was refused, or what failed.
    pub fn apply6(&mut self, now: Duration, wanted: Ipv6) -> Result<Option<Duration>, Failed> {
        wanted.validate().step(|| "accept what is said of IPv6".to_owned())?;
        let new = wanted.address.map(|leased| leased.address);
        if let Some(old) = self.v6.address.filter(|old| Some(old.address) != new) {
            self.remove6(old.address)?;
        }
        if let Some(leased) = wanted.address {
            let interfaces = Interfaces::open().step(|| "open a socket".to_owned())?;
            interfaces
                .add_address6(&self.nic, leased.address)
                .step(|| format!("add the address {} to {}", leased.address, self.nic))?;
            if self.v6.address.map(|old| old.address) != new {
                say!("{} has {}/128", self.nic, leased.address);
            }
            self.v6_end = leased.seconds.map(|s| now + Duration::from_secs(s.into()));
        }
        self.v6 = wanted;
        write_resolv_conf(&self.name_servers())?;
        Ok(self.v6_end)
    }

    /// Removes an address whose time is over.
    ///
    /// # Errors
    /// The system's.
    pub fn expire(&mut self, now: Duration) -> Result<(), Failed> {
        match self.v6.address.filter(|_| self.v6_end.is_some_and(|end| end <= now)) {
            Some(leased) => self.remove6(leased.address),
            None => Ok(()),
        }
    }

    fn remove6(&mut self, address: Ipv6Addr) -> Result<(), Failed> {
        let interfaces = Interfaces::open().step(|| "open a socket".to_owned())?;
        let removed = interfaces.remove_address6(&self.nic, address);
        removed.step(|| format!("remove the address {address} from {}", self.nic))?;
        (self.v6.address, self.v6_end) = (None, None);
        say!("{} has {address} no more", self.nic);
        Ok(())
    }

    /// Name servers of both families, IPv4's first.
    pub fn name_servers(&self) -> Vec<IpAddr> {
        let v4 = self.lease.iter().flat_map(|lease| &lease.dns).copied().map(IpAddr::from);
        v4.chain(self.v6.dns.iter().copied().map(IpAddr::from)).take(MAX_NAME_SERVERS).collect()
    }

    /// The NIC's addresses that can be reached from other links, and those that are not ours yet left out.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let v4 = self.lease.as_ref().map(|lease| IpAddr::from(lease.address));
        let list = std::fs::read_to_string(IPV6_ADDRESSES).unwrap_or_default();
        v4.into_iter().chain(addresses6(&list, &self.nic).map(IpAddr::from)).collect()
    }
}

fn addresses6(list: &str, nic: &str) -> impl Iterator<Item = Ipv6Addr> {
    list.lines().filter_map(move |line| {
        let [address, _, _, scope, flags, name] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return None;
        };
        let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
        let flags = u32::from_str_radix(flags, 16).ok()?;
        // Scope 20 is the link.
        (name == nic && scope != "20" && flags & NOT_OURS == 0).then_some(address)
    })
}

impl Host {
    /// The DHCP client knows something new.
    pub(super) fn on_network(&mut self, news: FromDhcp) {
        let Some(network) = &mut self.network else { return };
        let done = match news {
            FromDhcp::Lease(lease) => network.apply(lease).map(|()| None),
            FromDhcp::Ipv6(wanted) => network.apply6(uptime(), wanted),
        };
        let name_servers = network.name_servers();
        match done {
            Ok(None) => {}
            Ok(Some(end)) => self.timers.arm(end, Timer::Network),
            Err(e) => return say!("FAILED to {e}"),
        }
        self.set_name_servers(name_servers);
    }

    /// An address' time may be over.
    pub(super) fn handle_network_timer(&mut self) {
        let expired = self.network.as_mut().map_or(Ok(()), |network| network.expire(uptime()));
        if let Err(e) = expired {
            say!("FAILED to {e}");
        }
    }
}

fn shown(gateway: Option<Ipv4Addr>) -> String {
    gateway.map_or_else(|| "none".to_owned(), |g| g.to_string())
}

/// Writes the file in its place: slots have it mounted, and a new file would not reach them.
pub fn write_resolv_conf(servers: &[IpAddr]) -> Result<(), Failed> {
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
    use kennel_model::network::Leased;

    #[test]
    fn addresses_of_the_nic_are_read_from_the_kernels_list() {
        let list = "00000000000000000000000000000001 01 80 10 80       lo\n\
                    20010db8000000000000000000000007 02 80 00 80     eth0\n\
                    20010db8000000000000000000000008 02 80 00 c0     eth0\n\
                    20010db8000000000000000000000009 02 80 00 88     eth0\n\
                    fd0012340000000050540000fe123456 02 40 00 00     eth0\n\
                    fe8000000000000050540000fe123456 02 40 20 80     eth0\nodd\n";
        let found: Vec<String> = addresses6(list, "eth0").map(|address| address.to_string()).collect();
        assert_eq!(found, ["2001:db8::7", "fd00:1234::5054:0:fe12:3456"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut network = Network::new("none".to_owned());
        for address in ["::1", "ff02::1", "fe80::1", "::ffff:1.2.3.4", "fd00:ec2::254"] {
            let address = Some(Leased { address: address.parse().unwrap(), seconds: None });
            let refused = network.apply6(Duration::ZERO, Ipv6 { address, dns: vec![] }).unwrap_err();
            assert!(refused.to_string().contains("accept what is said of IPv6"), "{refused}");
        }
        assert!(network.name_servers().is_empty());
    }

    #[test]
    fn name_servers_are_three_and_ipv4s_come_first() {
        let mut network = Network::new("none".to_owned());
        network.v6.dns = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(|s| s.parse().unwrap()).to_vec();
        assert_eq!(network.name_servers().len(), 3);
        network.lease = Some(Lease {
            address: Ipv4Addr::new(10, 0, 2, 15),
            prefix_len: 24,
            gateway: None,
            dns: vec![Ipv4Addr::new(10, 0, 2, 3)],
            mtu: None,
        });
        let named: Vec<String> = network.name_servers().iter().map(ToString::to_string).collect();
        assert_eq!(named, ["10.0.2.3", "2001:db8::1", "2001:db8::2"]);
    }
}
