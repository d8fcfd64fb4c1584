//! What lies outside of the host for villains to reach for, on a host from which nothing may leave: the metadata service,
//! a link-local address, a private network, a mail server. A program in a network of its own answers for all of them, at
//! the other end of a wire (veth) which ends in the host's network under the name `near`. To the host's packet filter and
//! to SELinux a packet there leaves the machine like any other.
//!
//! Only the bare neighbour of a proof image may make all this; it takes root's rights and a kernel with veth.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, socket};

use crate::netlink::{MAKE, ask, attribute};
use crate::probes::network::{LINK_LOCAL, MAIL, MAIL_PORT, METADATA_V4, METADATA_V6, PRIVATE};
use crate::raw::{Arg, call};

/// Who is out there, and the port at which they answer.
const OTHERS: [(IpAddr, u16); 5] = [
    (IpAddr::V4(METADATA_V4), 80),
    (IpAddr::V6(METADATA_V6), 80),
    (IpAddr::V4(LINK_LOCAL), 80),
    (IpAddr::V4(PRIVATE), 80),
    (IpAddr::V4(MAIL), MAIL_PORT),
];
/// The host's own addresses on the wire, so that answers find back.
const NEAR: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(100, 64, 77, 1)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 1))];
/// The ends of the wire, by numbers that the kernel does not give by itself so soon, and their hardware addresses. Each is
/// told the other's: looking for it takes packets of the kernel's, which bear no label in a network without a packet filter.
const NEAR_END: End = End { index: 1001, hardware: [2, 0, 0, 0, 0, 1] };
const FAR_END: End = End { index: 1002, hardware: [2, 0, 0, 0, 0, 2] };

/// For the other program to be ready, and for it to answer, once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts the program that answers, and sees that everybody out there does.
///
/// # Errors
/// What it said, or who did not answer.
pub(crate) fn there() -> io::Result<()> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("outside").stdin(Stdio::inherit()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut word = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut word)?;
    }
    if word.is_empty() {
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{} {}", output.status, said.trim())));
    }
    OTHERS.into_iter().try_for_each(|(address, port)| {
        let connected = TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE);
        connected.map(drop).map_err(|error| io::Error::other(format!("{address}: {error}")))
    })
}

/// Makes the network with its wire, and answers there for ever. Prints a line when it is ready.
///
/// # Errors
/// The system's.
pub fn answer() -> io::Result<()> {
    let near = Network::of_this_process()?;
    let home = std::fs::File::open("/proc/self/ns/net")?;
    call(libc::SYS_unshare, [Arg::Int(libc::CLONE_NEWNET.into())])?;
    let far = Network::of_this_process()?;
    far.wire(home.as_raw_fd())?;
    near.up(NEAR_END)?;
    far.up(FAR_END)?;
    for address in NEAR {
        near.address(NEAR_END, address)?;
        far.way(FAR_END, address, NEAR_END)?;
    }
    for (address, _) in OTHERS {
        far.address(FAR_END, address)?;
        near.way(NEAR_END, address, FAR_END)?;
    }
    let web = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 80))?;
    let mail = TcpListener::bind((Ipv6Addr::UNSPECIFIED, MAIL_PORT))?;
    writeln!(io::stdout(), "ready")?;
    thread::spawn(move || accept(&mail));
    accept(&web);
    Ok(())
}

/// Until the socket itself fails.
fn accept(listener: &TcpListener) {
    while listener.accept().is_ok() {}
}

/// One end of the wire.
#[derive(Clone, Copy)]
struct End {
    index: u32,
    hardware: [u8; 6],
}

/// A network, through a socket that was opened in it and stays its.
struct Network(OwnedFd);

impl Network {
    fn of_this_process() -> io::Result<Self> {
        // Protocol 0 is the one about interfaces and routes.
        Ok(Self(socket(AddressFamily::NETLINK, SocketType::RAW, None)?))
    }

    /// Makes both ends of the wire: the far one here, the near one in the network of this descriptor.
    fn wire(&self, home: i32) -> io::Result<()> {
        const HARDWARE_ADDRESS: u16 = 1;
        const NAME: u16 = 3;
        const LINK_INFO: u16 = 18;
        const NETWORK_BY_DESCRIPTOR: u16 = 28;
        const INFO_KIND: u16 = 1;
        const INFO_DATA: u16 = 2;
        const PEER: u16 = 1;
        let peer = [
            link(NEAR_END, 0),
            attribute(HARDWARE_ADDRESS, &NEAR_END.hardware),
            attribute(NAME, b"near\0"),
            attribute(NETWORK_BY_DESCRIPTOR, &home.to_ne_bytes()),
        ];
        let data = attribute(INFO_DATA, &attribute(PEER, &peer.concat()));
        let info = [attribute(INFO_KIND, b"veth\0"), data].concat();
        let hardware = attribute(HARDWARE_ADDRESS, &FAR_END.hardware);
        let message = [link(FAR_END, 0), hardware, attribute(NAME, b"far\0"), attribute(LINK_INFO, &info)];
        self.ask(libc::RTM_NEWLINK, MAKE, &message)
    }

    fn up(&self, end: End) -> io::Result<()> {
        self.ask(libc::RTM_NEWLINK, 0, &[link(end, libc::IFF_UP)])
    }

    /// An address of its own, good at once.
    fn address(&self, end: End, address: IpAddr) -> io::Result<()> {
        const ADDRESS: u16 = 1;
        const LOCAL: u16 = 2;
        const NOT_TO_BE_PROBED: u8 = 2;
        let (family, bits, octets) = parts(address);
        let head = [vec![family, bits, NOT_TO_BE_PROBED, 0], end.index.to_ne_bytes().to_vec()].concat();
        self.ask(libc::RTM_NEWADDR, MAKE, &[head, attribute(LOCAL, &octets), attribute(ADDRESS, &octets)])
    }

    /// That this address is to be found at the wire's other end, whose hardware address is known.
    fn way(&self, end: End, address: IpAddr, other: End) -> io::Result<()> {
        const NEIGHBOUR_ADDRESS: u16 = 1;
        const NEIGHBOUR_HARDWARE: u16 = 2;
        const PERMANENT: u16 = 0x80;
        const DESTINATION: u16 = 1;
        const INTERFACE: u16 = 4;
        let (family, bits, octets) = parts(address);
        let scope = if address.is_ipv4() { libc::RT_SCOPE_LINK } else { libc::RT_SCOPE_UNIVERSE };
        let (table, by, kind) = (libc::RT_TABLE_MAIN, libc::RTPROT_STATIC, libc::RTN_UNICAST);
        let head = vec![family, bits, 0, 0, table, by, scope, kind, 0, 0, 0, 0];
        let interface = attribute(INTERFACE, &end.index.to_ne_bytes());
        self.ask(libc::RTM_NEWROUTE, MAKE, &[head, attribute(DESTINATION, &octets), interface])?;
        let index = end.index.to_ne_bytes();
        let head = [&[family, 0, 0, 0][..], &index, &PERMANENT.to_ne_bytes(), &[0, 0]].concat();
        let hardware = attribute(NEIGHBOUR_HARDWARE, &other.hardware);
        self.ask(libc::RTM_NEWNEIGH, MAKE, &[head, attribute(NEIGHBOUR_ADDRESS, &octets), hardware])
    }

    fn ask(&self, kind: u16, flags: u16, parts: &[Vec<u8>]) -> io::Result<()> {
        ask(&self.0, kind, flags, &parts.concat())
    }
}

/// `struct ifinfomsg`: an interface and those of its flags that are to be set.
fn link(end: End, flags: i32) -> Vec<u8> {
    let words = [0, end.index, flags.cast_unsigned(), flags.cast_unsigned()];
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Family, length in bits, and bytes.
fn parts(address: IpAddr) -> (u8, u8, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (libc::AF_INET as u8, 32, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6 as u8, 128, v6.octets().to_vec()),
    }
}
