//! Connections, ports and addresses that are not a tenant's. Datagrams go out of sockets that were never bound, so that it
//! is the sending that is tried.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::thread;
use std::time::Duration;

use kennel_model::layout::{API_PORT, HTTP_PORT};
use nix::errno::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketType, sendto, socket};

use crate::outcome::{Attempt, done, refusal};
use crate::place::Place;

/// A connection that is neither taken nor refused.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where the cloud tells a host its credentials.
pub(crate) const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The same.
pub(crate) const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// Another link-local address.
pub(crate) const LINK_LOCAL: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// A machine of the operator's.
pub(crate) const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// Somebody's mail server: a public address by every list, from a network that is for a protocol which nobody uses (AMT,
/// RFC 7450), so that it is nobody's.
pub(crate) const MAIL: Ipv4Addr = Ipv4Addr::new(192, 52, 193, 25);
/// Its port.
pub(crate) const MAIL_PORT: u16 = 25;

fn connect(to: impl Into<IpAddr>, port: u16) -> Attempt {
    connect_to(SocketAddr::new(to.into(), port))
}

fn connect_to(to: SocketAddr) -> Attempt {
    TcpStream::connect_timeout(&to, PATIENCE)?;
    done(format!("connected to {to}"))
}

fn listen(on: Ipv4Addr, port: u16) -> Attempt {
    TcpListener::bind((on, port))?;
    done(format!("listening on {on}:{port}"))
}

fn send(to: Ipv4Addr, port: u16) -> Attempt {
    let sender = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    sendto(&sender, b"villain", SendFlags::empty(), &SocketAddr::from((to, port)))?;
    done(format!("sent to {to}:{port}"))
}

pub(super) fn other_port(place: &Place) -> Attempt {
    connect(Ipv4Addr::LOCALHOST, place.neighbour.port() + 1)
}

pub(super) fn other_port_v6(place: &Place) -> Attempt {
    connect(Ipv6Addr::LOCALHOST, place.neighbour.port() + 1)
}

pub(super) fn other_port_public(place: &Place) -> Attempt {
    let address: Ipv4Addr = place.address.parse().map_err(|_| refusal(Errno::EINVAL))?;
    connect(address, place.neighbour.port() + 1)
}

/// Data in the very first packet (TCP Fast Open): nobody is asked whether it may connect, since it never does.
pub(super) fn fast_open(place: &Place) -> Attempt {
    let sender = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    let flags = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.cast_unsigned()) | SendFlags::NOSIGNAL;
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, place.neighbour.port() + 1));
    sendto(&sender, b"villain", flags, &to)?;
    done(format!("sent to {to}"))
}

pub(super) fn other_port_bind(place: &Place) -> Attempt {
    listen(Ipv4Addr::LOCALHOST, place.neighbour.port() + 2)
}

pub(super) fn low_port_bind(_: &Place) -> Attempt {
    listen(Ipv4Addr::UNSPECIFIED, 81)
}

pub(super) fn public_listen(_: &Place) -> Attempt {
    listen(Ipv4Addr::UNSPECIFIED, 8080)
}

pub(super) fn udp_bind(_: &Place) -> Attempt {
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353))?;
    done("waiting for datagrams")
}

pub(super) fn loopback_datagram(place: &Place) -> Attempt {
    send(Ipv4Addr::LOCALHOST, place.neighbour.port() + 3)
}

pub(super) fn api(_: &Place) -> Attempt {
    connect(Ipv4Addr::LOCALHOST, API_PORT)
}

pub(super) fn proxy(_: &Place) -> Attempt {
    connect(Ipv4Addr::LOCALHOST, HTTP_PORT)
}

pub(super) fn metadata_v4(_: &Place) -> Attempt {
    connect(METADATA_V4, 80)
}

pub(super) fn metadata_v6(_: &Place) -> Attempt {
    connect(METADATA_V6, 80)
}

pub(super) fn metadata_mapped(_: &Place) -> Attempt {
    connect(METADATA_V4.to_ipv6_mapped(), 80)
}

/// Asks a server that redirects to the metadata service, and goes there.
pub(super) fn metadata_redirect(place: &Place) -> Attempt {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, place.own.port() + 2))?;
    let address = server.local_addr()?;
    let redirecting = thread::spawn(move || redirect_once(&server));
    let mut asking = TcpStream::connect(address)?;
    asking.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    asking.read_to_string(&mut answer)?;
    redirecting.join().map_err(|_| io::Error::other("the server panicked"))??;
    let host = answer.split_once("Location: http://").and_then(|(_, rest)| rest.split('/').next());
    let host = host.ok_or_else(|| io::Error::other("no redirect"))?;
    connect_to(host.parse().map_err(io::Error::other)?)
}

fn redirect_once(server: &TcpListener) -> io::Result<()> {
    let (mut asking, _) = server.accept()?;
    // The request's 18 bytes, so that closing does not reset the connection.
    asking.read_exact(&mut [0; 18])?;
    write!(asking, "HTTP/1.0 302 Found\r\nLocation: http://{METADATA_V4}:80/latest/meta-data/\r\n\r\n")
}

/// The address as one number, as the C library's look-up of names understands it: no filter of names sees through that.
pub(super) fn metadata_name(_: &Place) -> Attempt {
    let name = u32::from(METADATA_V4).to_string();
    let found = (name.as_str(), 80).to_socket_addrs()?.next();
    connect_to(found.ok_or_else(|| io::Error::other("the name leads nowhere"))?)
}

pub(super) fn metadata_datagram(_: &Place) -> Attempt {
    send(METADATA_V4, 53)
}

pub(super) fn link_local(_: &Place) -> Attempt {
    connect(LINK_LOCAL, 80)
}

pub(super) fn private_range(_: &Place) -> Attempt {
    connect(PRIVATE, 80)
}

pub(super) fn mail(_: &Place) -> Attempt {
    connect(MAIL, MAIL_PORT)
}
