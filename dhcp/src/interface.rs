//! The interface to ask on: the first Ethernet one that is up. Bringing it up is init's work.

use nix::net::if_::InterfaceFlags;
use nix::sys::socket::LinkAddr;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};
use std::io;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use crate::frame::Mac;

/// `ARPHRD_ETHER`.
const ETHERNET: u16 = 1;
/// `ETH_P_IP`, in network byte order, as packet sockets want it.
const IPV4: u32 = 0x0800_u16.to_be() as u32;
/// How often the list of interfaces is read while none is up.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A network interface.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Its name, for messages.
    pub name: String,
    /// Its hardware address.
    pub mac: Mac,
    link: LinkAddr,
}

/// Why there is no interface.
#[derive(Debug, thiserror::Error)]
pub enum NoInterface {
    /// The system's list could not be read.
    #[error("cannot list the network interfaces: {0}")]
    List(#[source] nix::Error),
    /// None came up in time.
    #[error("no Ethernet interface is up after {0} s")]
    NoneUp(u64),
}

impl Interface {
    /// Waits for the first Ethernet interface that is up.
    ///
    /// # Errors
    /// [`NoInterface`] when none is within `patience`.
    pub fn wait(patience: Duration) -> Result<Self, NoInterface> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(found) = Self::first()? {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                return Err(NoInterface::NoneUp(patience.as_secs()));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    fn first() -> Result<Option<Self>, NoInterface> {
        let found = nix::ifaddrs::getifaddrs().map_err(NoInterface::List)?.filter_map(|interface| {
            let link = *interface.address.as_ref()?.as_link_addr()?;
            let mac = link.addr()?;
            let usable = interface.flags.contains(InterfaceFlags::IFF_UP)
                && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
                && link.hatype() == ETHERNET;
            usable.then_some(Self { name: interface.interface_name, mac, link })
        });
        Ok(found.min_by_key(|interface| interface.link.ifindex()))
    }

    /// The kernel's number for it.
    pub fn index(&self) -> u32 {
        self.link.ifindex() as u32
    }

    /// Its link-local address, when it has one.
    ///
    /// # Errors
    /// The system's list could not be read.
    pub fn link_local(&self) -> io::Result<Option<Ipv6Addr>> {
        let ours = nix::ifaddrs::getifaddrs()?.filter(|found| found.interface_name == self.name);
        let mut addresses = ours.filter_map(|found| Some(found.address?.as_sockaddr_in6()?.ip()));
        Ok(addresses.find(Ipv6Addr::is_unicast_link_local))
    }

    /// A packet socket that hears the interface's IPv4 frames and sends on it; non-blocking.
    ///
    /// # Errors
    /// The system's.
    pub fn packet_socket(&self) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let protocol = std::num::NonZeroU32::new(IPV4).map(Protocol::from_raw);
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, protocol)?;
        // The address from the list names no protocol, so that the socket's own stays.
        nix::sys::socket::bind(socket.as_raw_fd(), &self.link)?;
        Ok(socket)
    }
}
