//! The listening sockets, made before any service and kept for ever: a service that is started again finds its
//! connections waiting.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::OwnedFd;

use kennel_model::services::{Handed, MAX_LISTENERS, Service};
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr, set_socket_reuseport};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with};
use rustix::thread::sched_getaffinity;

use crate::step::{Failed, Step};

/// Connections that may wait while nobody accepts.
const BACKLOG: i32 = 1024;

/// Opens every listener that a service is to be handed, for IPv6 and IPv4 alike.
///
/// # Errors
/// The system's.
pub(super) fn open(table: &[Service]) -> Result<BTreeMap<u16, Vec<OwnedFd>>, Failed> {
    let processors = sched_getaffinity(None).step(|| "count the processors".to_owned())?.count() as usize;
    let handed = table.iter().flat_map(|service| &service.handed);
    let ports = handed.filter_map(|handed| match handed {
        Handed::Listener(port) => Some((*port, 1)),
        Handed::Listeners(port) => Some((*port, processors.clamp(1, MAX_LISTENERS))),
        _ => None,
    });
    let sockets = |(port, count): (u16, usize)| {
        let sockets = (0..count).map(|_| listener(port, count > 1)).collect::<Result<Vec<_>, _>>();
        Ok((port, sockets.step(|| format!("listen on port {port}"))?))
    };
    ports.map(sockets).collect()
}

fn listener(port: u16, is_one_of_many: bool) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET6, SocketType::STREAM, flags, None)?;
    set_ipv6_v6only(&socket, false)?;
    set_socket_reuseaddr(&socket, true)?;
    set_socket_reuseport(&socket, is_one_of_many)?;
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
        let socket = std::net::TcpListener::from(listener(0, true).unwrap());
        let port = socket.local_addr().unwrap().port();
        assert!(listener(port, false).is_err(), "who is not one of many does not become it");
        let _another = listener(port, true).unwrap();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_ok());
    }
}
