//! Network interfaces by the classic ioctls of netdevice(7): up, addresses, MTU, IPv4's default route (IPv6's is made by
//! the kernel); rtnetlink would bring an asynchronous library into PID 1 for a few calls.

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// A socket to configure interfaces through.
#[derive(Debug)]
pub struct Interfaces {
    socket: OwnedFd,
}

impl Interfaces {
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Self> {
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket })
    }

    /// Brings the interface up.
    ///
    /// # Errors
    /// The system's.
    pub fn up(&self, name: &str) -> io::Result<()> {
        let mut request = request(name)?;
        self.call(libc::SIOCGIFFLAGS, &mut request)?;
        // SAFETY: SIOCGIFFLAGS has filled this member of the union.
        let flags = unsafe { request.ifr_ifru.ifru_flags };
        request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
        self.call(libc::SIOCSIFFLAGS, &mut request)
    }

    /// Sets the interface's one address and the length of its prefix (0 to 32).
    ///
    /// # Errors
    /// The system's.
    pub fn set_address(&self, name: &str, address: Ipv4Addr, prefix_len: u8) -> io::Result<()> {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix_len.min(32))).unwrap_or(0);
        let mut request = request(name)?;
        request.ifr_ifru.ifru_addr = sockaddr(address);
        self.call(libc::SIOCSIFADDR, &mut request)?;
        request.ifr_ifru.ifru_netmask = sockaddr(Ipv4Addr::from(mask));
        self.call(libc::SIOCSIFNETMASK, &mut request)
    }

    /// Sets the MTU, in bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn set_mtu(&self, name: &str, bytes: u16) -> io::Result<()> {
        let mut request = request(name)?;
        request.ifr_ifru.ifru_mtu = i32::from(bytes);
        self.call(libc::SIOCSIFMTU, &mut request)
    }

    /// Adds the default route; one that is there already is no error.
    ///
    /// # Errors
    /// The system's.
    pub fn add_default_route(&self, gateway: Ipv4Addr) -> io::Result<()> {
        // SAFETY: rtentry is plain data, for which all zeros is a value.
        let mut route: libc::rtentry = unsafe { MaybeUninit::zeroed().assume_init() };
        route.rt_dst = sockaddr(Ipv4Addr::UNSPECIFIED);
        route.rt_genmask = sockaddr(Ipv4Addr::UNSPECIFIED);
        route.rt_gateway = sockaddr(gateway);
        route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
        match self.call(libc::SIOCADDRT, &mut route) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Adds an IPv6 address with a prefix of 128 bits; one that is there already is no error. The kernel asks the link first
    /// whether somebody has it, and uses it a moment later.
    ///
    /// # Errors
    /// The system's.
    pub fn add_address6(&self, name: &str, address: Ipv6Addr) -> io::Result<()> {
        match self.call6(libc::SIOCSIFADDR, name, address) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    /// Removes such an address; one that is not there is no error.
    ///
    /// # Errors
    /// The system's.
    pub fn remove_address6(&self, name: &str, address: Ipv6Addr) -> io::Result<()> {
        match self.call6(libc::SIOCDIFADDR, name, address) {
            Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable => Ok(()),
            other => other,
        }
    }

    fn call6(&self, act: libc::c_ulong, name: &str, address: Ipv6Addr) -> io::Result<()> {
        let mut named = request(name)?;
        self.call(libc::SIOCGIFINDEX, &mut named)?;
        let mut request = libc::in6_ifreq {
            ifr6_addr: libc::in6_addr { s6_addr: address.octets() },
            ifr6_prefixlen: 128,
            // SAFETY: SIOCGIFINDEX has filled this member of the union.
            ifr6_ifindex: unsafe { named.ifr_ifru.ifru_ifindex },
        };
        // Only sockets of the family know its addresses.
        let socket = socket_with(AddressFamily::INET6, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        call(&socket, act, &mut request)
    }

    fn call<T>(&self, request: libc::c_ulong, argument: &mut T) -> io::Result<()> {
        call(&self.socket, request, argument)
    }
}

fn call<T>(socket: &OwnedFd, request: libc::c_ulong, argument: &mut T) -> io::Result<()> {
    // SAFETY: each request above takes a pointer to the type that its caller passes (netdevice(7), route(4), ipv6(7)),
    // which lives for the length of the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), request as libc::Ioctl, argument) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: ifreq is plain data, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "interface name is too long"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn sockaddr(address: Ipv4Addr) -> libc::sockaddr {
    let mut data: [libc::c_char; 14] = [0; 14];
    for (to, from) in data[2..6].iter_mut().zip(address.octets()) {
        *to = from as libc::c_char;
    }
    // A sockaddr_in in the clothes that ioctls want: two bytes of port, then the address.
    libc::sockaddr { sa_family: libc::AF_INET as libc::sa_family_t, sa_data: data }
}
