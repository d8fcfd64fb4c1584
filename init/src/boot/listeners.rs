//! The listening sockets, made before any service and kept for ever: a service that is started again finds its
//! connections waiting.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::OwnedFd;

use kennel_model::services::{Handed, Service};
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};

use crate::step::{Failed, Step};

/// Connections that may wait while nobody accepts.
const BACKLOG: i32 = 1024;

/// Opens every listener that a service is to be handed, for IPv6 and IPv4 alike.
///
/// # Errors
/// The system's.
pub(super) fn open(table: &[Service]) -> Result<BTreeMap<u16, OwnedFd>, Failed> {
    let handed = table.iter().flat_map(|service| &service.handed);
    let ports =
        handed.filter_map(|handed| if let Handed::Listener(port) = handed { Some(*port) } else { None });
    ports.map(|port| Ok((port, listener(port).step(|| format!("listen on port {port}"))?))).collect()
}

fn listener(port: u16) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET6, SocketType::STREAM, flags, None)?;
    set_ipv6_v6only(&socket, false)?;
    set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpStream};

    #[test]
    fn a_listener_takes_both_kinds_of_address() {
        let socket = std::net::TcpListener::from(listener(0).unwrap());
        let port = socket.local_addr().unwrap().port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_ok());
    }
}
