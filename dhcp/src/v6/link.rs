//! The loop's half for IPv6: the kernel's news and the client's one UDP socket, which is open only while an answer may come.

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use kennel_model::network::{FromDhcp, Ipv6, Leased, MAX_NAME_SERVERS};
use nix::sys::socket::NetlinkAddr;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};

use super::machine::{Action, Event, Machine};
use super::message;
use super::news::{self, News};
use crate::interface::Interface;

/// Ports of clients and of servers.
const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;
/// All servers and relays of the link.
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// The longest message that is looked at; one that fits a standard frame is shorter.
const MAX_MESSAGE: usize = 1500;
/// The kernel's messages come several at a time.
const MAX_NEWS: usize = 8192;
/// Messages read at a time, so that a flood cannot keep the timers waiting.
const BATCH: usize = 64;

/// Changed name servers are told to init at most so often: each time it loads rules of the packet filter.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// Routers are asked so far apart and so often, unless they name name servers (RFC 4861, 10).
const ASK_ROUTERS: (Duration, u8) = (Duration::from_secs(4), 3);

/// What is to be done about it by the loop.
pub enum Out {
    /// Tell init.
    Tell(FromDhcp),
    /// Say this on the console.
    Say(String),
}

/// IPv6 on one interface.
pub struct Link<R> {
    interface: Interface,
    machine: Machine<R>,
    news: OwnedFd,
    udp: Option<UdpSocket>,
    /// The address, until when.
    lease: Option<(Ipv6Addr, Option<Duration>)>,
    /// Name servers that came with the lease, and those that a router named, with the end of their life.
    lease_dns: Vec<Ipv6Addr>,
    router_dns: Vec<Ipv6Addr>,
    router_dns_end: Option<Duration>,
    told: Vec<Ipv6Addr>,
    /// Until when changed name servers wait.
    quiet: Duration,
    /// When routers are asked next, and how often still.
    ask_routers: Option<(Duration, u8)>,
}

impl<R: FnMut() -> u32> Link<R> {
    /// Listens to the kernel, and asks it what routers said so far.
    ///
    /// # Errors
    /// The system's.
    pub fn new(interface: Interface, random: R) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let news = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        nix::sys::socket::bind(news.as_raw_fd(), &NetlinkAddr::new(0, news::GROUPS))?;
        let link = Self {
            interface,
            machine: Machine::new(random),
            news,
            udp: None,
            lease: None,
            lease_dns: Vec::new(),
            router_dns: Vec::new(),
            router_dns_end: None,
            told: Vec::new(),
            quiet: Duration::ZERO,
            ask_routers: Some((Duration::ZERO, ASK_ROUTERS.1)),
        };
        link.ask_kernel()?;
        Ok(link)
    }

    /// Routers may have spoken before anybody here listened, and the kernel keeps no name servers.
    fn solicit(&self) -> io::Result<()> {
        let socket = self.interface.packet_socket()?;
        rustix::net::send(&socket, &news::solicitation(self.interface.mac), SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn ask_kernel(&self) -> io::Result<()> {
        rustix::net::send(&self.news, &news::question(), SendFlags::empty())?;
        Ok(())
    }

    /// When to call [`Link::work`] at the latest.
    pub fn wake(&self) -> Option<Duration> {
        let changed = (self.told != self.name_servers()).then_some(self.quiet);
        let routers = self.ask_routers.map(|(due, _)| due);
        self.machine.wake().into_iter().chain(self.router_dns_end).chain(changed).chain(routers).min()
    }

    /// What to wait for beside that.
    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.news.as_fd()).chain(self.udp.iter().map(AsFd::as_fd))
    }

    /// Does what is due and takes what has come.
    pub fn work(&mut self, now: Duration) -> Vec<Out> {
        let mut out = Vec::new();
        for news in self.kernel_news() {
            match news {
                News::Managed => self.step(now, Event::Managed, &mut out),
                News::Duplicate(address) => self.step(now, Event::Duplicate(address), &mut out),
                News::NameServers(servers, seconds) => self.take_servers(now, servers, seconds),
            }
        }
        for bytes in self.received() {
            if let Some(answer) = message::decode(&bytes, self.machine.xid(), self.interface.mac) {
                self.step(now, Event::Answer(answer), &mut out);
            }
        }
        if let Some((_, left)) = self.ask_routers.filter(|(due, _)| *due <= now) {
            self.ask_routers = (left > 1).then(|| (now + ASK_ROUTERS.0, left - 1));
            out.extend(self.solicit().err().map(|error| Out::Say(format!("cannot ask routers: {error}"))));
        }
        if self.machine.wake().is_some_and(|wake| wake <= now) {
            self.step(now, Event::Timer, &mut out);
        }
        if self.router_dns_end.is_some_and(|end| end <= now) {
            self.take_servers(now, Vec::new(), 0);
        }
        if self.told != self.name_servers() && self.quiet <= now {
            self.tell(now, &mut out);
        }
        if !self.machine.is_asking() {
            self.udp = None;
        }
        out
    }

    fn step(&mut self, now: Duration, event: Event, out: &mut Vec<Out>) {
        for action in self.machine.step(now, event) {
            match action {
                Action::Note(note) => out.push(Out::Say(note)),
                Action::Hold(lease, servers) => {
                    let end = |s: u32| now + Duration::from_secs(s.into());
                    self.lease = lease.map(|leased| (leased.address, leased.seconds.map(end)));
                    self.lease_dns = servers;
                    self.tell(now, out);
                }
                Action::Send(ask) => {
                    // The machine asks again by itself; while the link-local address is not ready there is none to ask from.
                    match self.send(&message::encode(&ask, self.interface.mac)) {
                        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                            self.machine.not_sent()
                        }
                        Err(error) => out.push(Out::Say(format!("cannot send by IPv6: {error}"))),
                        Ok(()) => {}
                    }
                }
            }
        }
    }

    fn tell(&mut self, now: Duration, out: &mut Vec<Out>) {
        self.quiet = now + TELL_AGAIN;
        self.told = self.name_servers();
        let left = |end: Duration| u32::try_from(end.saturating_sub(now).as_secs()).unwrap_or(u32::MAX);
        let leased = |(address, end): (_, Option<_>)| Leased { address, seconds: end.map(left) };
        let address = self.lease.map(leased);
        out.push(Out::Tell(FromDhcp::Ipv6(Ipv6 { address, dns: self.told.clone() })));
    }

    /// The latest router's list is the one that counts.
    fn take_servers(&mut self, now: Duration, servers: Vec<Ipv6Addr>, seconds: u32) {
        self.ask_routers = None;
        self.router_dns = if seconds == 0 { Vec::new() } else { servers };
        let ends = !self.router_dns.is_empty() && seconds != message::FOR_EVER;
        self.router_dns_end = ends.then(|| now + Duration::from_secs(seconds.into()));
    }

    fn name_servers(&self) -> Vec<Ipv6Addr> {
        let mut servers = self.lease_dns.clone();
        servers.extend(self.router_dns.iter().filter(|server| !self.lease_dns.contains(server)));
        servers.truncate(MAX_NAME_SERVERS);
        servers
    }

    fn kernel_news(&self) -> Vec<News> {
        let mut news = Vec::new();
        let mut buffer = [0; MAX_NEWS];
        for _ in 0..BATCH {
            match rustix::net::recv(&self.news, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((got, _)) => news.extend(news::read(&buffer[..got], self.interface.index())),
                // The kernel had more to tell than there was room for: what is so is asked for anew.
                Err(Errno::NOBUFS) => drop(self.ask_kernel()),
                Err(_) => break,
            }
        }
        news
    }

    fn received(&self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        let mut buffer = [0; MAX_MESSAGE];
        for _ in 0..BATCH {
            let Some(Ok(got)) = self.udp.as_ref().map(|socket| socket.recv(&mut buffer)) else { break };
            messages.push(buffer[..got].to_vec());
        }
        messages
    }

    /// From the link-local address, by which the socket is tied to the interface.
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let socket = match self.udp.take() {
            Some(socket) => socket,
            None => {
                let from = self.interface.link_local()?.ok_or(io::ErrorKind::AddrNotAvailable)?;
                let socket = UdpSocket::bind(SocketAddrV6::new(from, CLIENT_PORT, 0, self.interface.index()))?;
                socket.set_nonblocking(true)?;
                socket
            }
        };
        socket.send_to(message, SocketAddrV6::new(SERVERS, SERVER_PORT, 0, self.interface.index()))?;
        self.udp = Some(socket);
        Ok(())
    }
}
