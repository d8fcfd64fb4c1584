//! Sockets of kinds that no tenant has: packets of its own making, the kernel's own conversations, address families that
//! nobody uses.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::files::read;
use crate::netlink::ask;
use crate::outcome::{Attempt, done, passed, refusal};
use crate::place::Place;
use crate::raw::{Arg, call, fd, open};

/// What is said of a type or protocol that a family does not have. That the kernel has no such family is not among these:
/// a system call filter says the same.
const LACKING: [Errno; 4] = [Errno::EPROTONOSUPPORT, Errno::ESOCKTNOSUPPORT, Errno::EINVAL, Errno::ENOPROTOOPT];

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    let arguments = [family, kind | libc::SOCK_CLOEXEC, protocol].map(|n| Arg::Int(n.into()));
    open(libc::SYS_socket, arguments)
}

fn set_option(socket: &OwnedFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    let bytes = value.to_ne_bytes();
    let arguments = [fd(socket), Arg::Int(level.into()), Arg::Int(option.into()), Arg::In(&bytes), Arg::Int(4)];
    call(libc::SYS_setsockopt, arguments).map(|_| ())
}

/// `struct sockaddr_in`.
fn address_in(ip: Ipv4Addr) -> [u8; 16] {
    let mut address = [0; 16];
    address[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    address[4..8].copy_from_slice(&ip.octets());
    address
}

pub(super) fn raw_socket(_: &Place) -> Attempt {
    socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)?;
    done("made")
}

pub(super) fn packet_socket(_: &Place) -> Attempt {
    let every_protocol = i32::from((libc::ETH_P_ALL as u16).to_be());
    passed(socket(libc::AF_PACKET, libc::SOCK_RAW, every_protocol), &[])
}

pub(super) fn spoofed_source(_: &Place) -> Attempt {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    passed(set_option(&socket, libc::SOL_IP, libc::IP_TRANSPARENT, 1), &[])
}

pub(super) fn free_bind(_: &Place) -> Attempt {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    set_option(&socket, libc::SOL_IP, libc::IP_FREEBIND, 1)?;
    let foreign = address_in(Ipv4Addr::new(203, 0, 113, 9));
    passed(call(libc::SYS_bind, [fd(&socket), Arg::In(&foreign), Arg::Int(16)]), &[])
}

/// TCP over several paths is a protocol of its own, of which those who watch over TCP need not know.
pub(super) fn multipath_bind(place: &Place) -> Attempt {
    const MULTIPATH_TCP: i32 = 262;
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, MULTIPATH_TCP)?;
    let mut port = address_in(Ipv4Addr::LOCALHOST);
    port[2..4].copy_from_slice(&(place.neighbour.port() + 2).to_be_bytes());
    passed(call(libc::SYS_bind, [fd(&socket), Arg::In(&port), Arg::Int(16)]), &[])
}

pub(super) fn packet_mark(_: &Place) -> Attempt {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    passed(set_option(&socket, libc::SOL_SOCKET, libc::SO_MARK, 1), &[])
}

/// Gives the loopback interface one more address, under a label of its own.
fn add_address(label: &str, ip: Ipv4Addr) -> io::Result<()> {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let mut request = [0; 40];
    request[..label.len()].copy_from_slice(label.as_bytes());
    request[16..32].copy_from_slice(&address_in(ip));
    call(libc::SYS_ioctl, [fd(&socket), Arg::Int(libc::SIOCSIFADDR.cast_signed()), Arg::In(&request)])
        .map(|_| ())
}

pub(super) fn address_add(_: &Place) -> Attempt {
    add_address("lo:7", Ipv4Addr::new(127, 0, 7, 7))?;
    done("added")
}

/// Asks the kernel one thing.
fn netlink(protocol: i32, kind: u16, payload: &[u8]) -> io::Result<()> {
    ask(&socket(libc::AF_NETLINK, libc::SOCK_RAW, protocol)?, kind, 0, payload)
}

/// Removes a route that is not there.
pub(super) fn route_change(_: &Place) -> Attempt {
    const DELETE_ROUTE: u16 = 25;
    const MAIN_TABLE: u8 = 254;
    // struct rtmsg: IPv4, 32 bits of destination; then the attribute RTA_DST with 203.0.113.77.
    let mut payload = vec![libc::AF_INET as u8, 32, 0, 0, MAIN_TABLE, 0, 0, 0, 0, 0, 0, 0];
    payload.extend([8, 0, 1, 0, 203, 0, 113, 77]);
    passed(netlink(libc::NETLINK_ROUTE, DELETE_ROUTE, &payload), &[Errno::ESRCH])
}

/// Asks nftables for the number of its rules' generation.
pub(super) fn filter_netlink(_: &Place) -> Attempt {
    const NFTABLES_GET_GENERATION: u16 = 10 << 8 | 16;
    passed(netlink(libc::NETLINK_NETFILTER, NFTABLES_GET_GENERATION, &[0; 4]), &[])
}

/// That the kernel has no module for it is said after the caller was let pass.
pub(super) fn socket_list(_: &Place) -> Attempt {
    const BY_FAMILY: u16 = 20;
    let mut request = [0; 56];
    request[0] = libc::AF_INET as u8;
    request[1] = libc::IPPROTO_TCP as u8;
    request[4..8].copy_from_slice(&[0xff; 4]);
    passed(netlink(libc::NETLINK_SOCK_DIAG, BY_FAMILY, &request), &[Errno::ENOENT])
}

pub(super) fn table_read(_: &Place) -> Attempt {
    read("/proc/net/tcp")
}

pub(super) fn kernel_events(_: &Place) -> Attempt {
    let socket = socket(libc::AF_NETLINK, libc::SOCK_DGRAM, libc::NETLINK_KOBJECT_UEVENT)?;
    // struct sockaddr_nl: the group of the kernel's own events.
    let mut address = [0; 12];
    address[0] = libc::AF_NETLINK as u8;
    address[8] = 1;
    passed(call(libc::SYS_bind, [fd(&socket), Arg::In(&address), Arg::Int(12)]), &[])
}

/// ECONNREFUSED is what audit says to whoever is in a user namespace of its own.
pub(super) fn audit_netlink(_: &Place) -> Attempt {
    const USER_MESSAGE: u16 = 1005;
    passed(netlink(libc::NETLINK_AUDIT, USER_MESSAGE, b"villain\0"), &[Errno::EPROTONOSUPPORT])
}

pub(super) fn crypto(_: &Place) -> Attempt {
    passed(socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0), &LACKING)
}

pub(super) fn vm(_: &Place) -> Attempt {
    passed(socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0), &LACKING)
}

/// Families from amateur radio to telephone exchanges; the first that is let pass is one too many.
pub(super) fn odd(_: &Place) -> Attempt {
    // Those without a name in libc: AX.25 3, NET/ROM 6, ROSE 11, DECnet 12, key management 15, ATM 20, RDS 21,
    // IRDA 23, PPPoX 24, CAN 29, TIPC 30, Bluetooth 31, phonet 35, CAIF 37, NFC 39, KCM 41, Qualcomm 42, SMC 43, XDP 44,
    // MCTP 45.
    const FAMILIES: [i32; 23] =
        [3, 4, 5, 6, 9, 11, 12, 15, 20, 21, 23, 24, 29, 30, 31, 35, 37, 39, 41, 42, 43, 44, 45];
    let mut last = refusal(Errno::EAFNOSUPPORT);
    for family in FAMILIES {
        match passed(socket(family, libc::SOCK_DGRAM, 0), &LACKING) {
            Err(refused) => last = refused,
            Ok(_) => return done(format!("family {family} is let pass")),
        }
    }
    Err(last)
}
