//! TCP for the network's own addresses, by smoltcp: connections of this computer's loopback go on to the host as a
//! visitor's, and the host's to the metadata service go on to the emulator.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint};

use super::{HOST, ROUTER, ROUTER_MAC, VISITOR};

/// The metadata service's address.
const IMDS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// The router's address on the host's network, by which it finds the host.
const INSIDE: Ipv6Addr = Ipv6Addr::new(0x2600, 0xdb8, 1, 0, 0, 0, 0, 1);
/// Connections that wait to be taken at each address.
const WAITING: usize = 4;
const BUFFER: usize = 64 << 10;

/// Frames on their way.
#[derive(Default)]
struct Wire {
    incoming: VecDeque<Vec<u8>>,
    outgoing: Vec<Vec<u8>>,
}

struct Incoming(Vec<u8>);
struct Outgoing<'a>(&'a mut Vec<Vec<u8>>);

impl Device for Wire {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming, Outgoing<'_>)> {
        self.incoming.pop_front().map(|frame| (Incoming(frame), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        // QEMU may leave checksums of TCP to hardware that is not there.
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

/// A connection here and one there, as one.
struct Pair {
    here: TcpStream,
    there: SocketHandle,
    /// What `here` does not take yet.
    waiting: Vec<u8>,
    here_ended: bool,
}

impl Pair {
    /// What `here` says goes there, as far as there is room.
    fn read_here(&mut self, socket: &mut Socket<'_>, buffer: &mut [u8]) -> io::Result<()> {
        while !self.here_ended && socket.can_send() {
            let room = (socket.send_capacity() - socket.send_queue()).min(buffer.len());
            match self.here.read(&mut buffer[..room]) {
                Ok(0) => self.here_ended = true,
                // There is room for it.
                Ok(got) => drop(socket.send_slice(&buffer[..got])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

pub(super) struct Stack {
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    /// Ports here, and the host's that they lead to.
    forwards: [(TcpListener, u16); 2],
    /// Sockets that wait for the host, and where here they lead to; nowhere where the connection is all.
    services: Vec<(SocketHandle, Ipv6Addr, Option<SocketAddr>)>,
    pairs: Vec<Pair>,
    next_port: u16,
}

fn socket() -> Socket<'static> {
    let mut socket = Socket::new(SocketBuffer::new(vec![0; BUFFER]), SocketBuffer::new(vec![0; BUFFER]));
    socket.set_nagle_enabled(false);
    socket
}

impl Stack {
    pub(super) fn new(forwards: [(TcpListener, u16); 2], imds: Option<SocketAddr>) -> io::Result<Self> {
        for (listener, _) in &forwards {
            listener.set_nonblocking(true)?;
        }
        let mut wire = Wire::default();
        let config = Config::new(EthernetAddress(ROUTER_MAC).into());
        let mut interface = Interface::new(config, &mut wire, Instant::now());
        interface.update_ip_addrs(|addresses| {
            for (address, prefix) in [(ROUTER, 64), (INSIDE, 64), (VISITOR, 128), (IMDS, 128)] {
                // There is room for eight.
                let _ = addresses.push(IpCidr::new(IpAddress::Ipv6(address), prefix));
            }
        });
        let mut stack = Self {
            wire,
            interface,
            sockets: SocketSet::new(Vec::new()),
            forwards,
            services: Vec::new(),
            pairs: Vec::new(),
            next_port: 40_000,
        };
        for _ in 0..WAITING {
            stack.listen(VISITOR, None);
            if imds.is_some() {
                stack.listen(IMDS, imds);
            }
        }
        Ok(stack)
    }

    fn listen(&mut self, address: Ipv6Addr, to: Option<SocketAddr>) {
        let mut socket = socket();
        // A new socket can listen.
        let _ = socket.listen(IpEndpoint::new(IpAddress::Ipv6(address), 80));
        self.services.push((self.sockets.add(socket), address, to));
    }

    /// A frame of the host's.
    pub(super) fn take(&mut self, frame: Vec<u8>) {
        self.wire.incoming.push_back(frame);
    }

    /// Does what can be done; the frames to send.
    pub(super) fn work(&mut self) -> io::Result<Vec<Vec<u8>>> {
        self.accept_here()?;
        self.interface.poll(Instant::now(), &mut self.wire, &mut self.sockets);
        self.accept_there();
        let pairs = std::mem::take(&mut self.pairs);
        self.pairs = pairs.into_iter().filter_map(|pair| self.copy(pair)).collect();
        self.interface.poll(Instant::now(), &mut self.wire, &mut self.sockets);
        Ok(std::mem::take(&mut self.wire.outgoing))
    }

    /// Connections to the two ports here become a visitor's to the host.
    fn accept_here(&mut self) -> io::Result<()> {
        for (listener, port) in &self.forwards {
            let here = match listener.accept() {
                Ok((here, _)) => here,
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            here.set_nonblocking(true)?;
            let mut socket = socket();
            self.next_port = self.next_port.checked_add(1).unwrap_or(40_000);
            let from = IpEndpoint::new(IpAddress::Ipv6(VISITOR), self.next_port);
            let to = IpEndpoint::new(IpAddress::Ipv6(HOST), *port);
            if socket.connect(self.interface.context(), to, from).is_ok() {
                let there = self.sockets.add(socket);
                self.pairs.push(Pair { here, there, waiting: Vec::new(), here_ended: false });
            }
        }
        Ok(())
    }

    /// Connections of the host's go on to where they lead; the next one is waited for.
    fn accept_there(&mut self) {
        let sockets = &self.sockets;
        let is_new = |handle: SocketHandle| sockets.get::<Socket<'_>>(handle).state() != State::Listen;
        let (new, waiting) = std::mem::take(&mut self.services).into_iter().partition(|one| is_new(one.0));
        self.services = waiting;
        for (there, address, to) in new {
            self.listen(address, to);
            let here = to.and_then(|to| TcpStream::connect(to).ok());
            match here.filter(|here| here.set_nonblocking(true).is_ok()) {
                Some(here) => self.pairs.push(Pair { here, there, waiting: Vec::new(), here_ended: false }),
                None => self.sockets.get_mut::<Socket<'_>>(there).close(),
            }
        }
    }

    /// Moves what can be moved; nothing remains of a pair whose both ends are over.
    fn copy(&mut self, mut pair: Pair) -> Option<Pair> {
        let socket = self.sockets.get_mut::<Socket<'_>>(pair.there);
        let mut buffer = [0; 16 << 10];
        let mut here_broke = pair.read_here(socket, &mut buffer).is_err();
        if pair.here_ended {
            socket.close();
        }
        while pair.waiting.len() < BUFFER && socket.can_recv() {
            let Ok(got) = socket.recv_slice(&mut buffer) else { break };
            pair.waiting.extend(&buffer[..got]);
        }
        match pair.here.write(&pair.waiting) {
            Ok(written) => drop(pair.waiting.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => here_broke = true,
        }
        let there_ended = !socket.may_recv() && !matches!(socket.state(), State::SynSent | State::SynReceived);
        if there_ended && pair.waiting.is_empty() {
            let _ = pair.here.shutdown(std::net::Shutdown::Write);
        }
        if here_broke {
            socket.abort();
        }
        if matches!(socket.state(), State::Closed | State::TimeWait) && (pair.waiting.is_empty() || here_broke)
        {
            self.sockets.remove(pair.there);
            return None;
        }
        Some(pair)
    }
}
