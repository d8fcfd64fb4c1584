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
        write_resolv_conf(&lease.dns)?;
        say!("{} has {}/{}, gateway {}", self.nic, lease.address, lease.prefix_len, shown(lease.gateway));
        self.lease = Some(lease);
        Ok(())
    }
}

fn shown(gateway: Option<Ipv4Addr>) -> String {
    gateway.map_or_else(|| "none".to_owned(), |g| g.to_string())
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
