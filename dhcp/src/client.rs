//! The loop around the machine: sockets, clock and the channel to init.

use kennel_sys::channel::{Channel, ChannelError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use crate::frame::{self, CLIENT_PORT, MAX_FRAME, SERVER_PORT};
use crate::interface::Interface;
use crate::machine::{Action, Event, Machine};
use crate::message::{self, Ask, AskKind};
use crate::v6::link::{Link, Out};
use kennel_model::network::FromDhcp;

/// Frames read at a time, so that a flood cannot keep the timers waiting.
const BATCH: usize = 64;

/// Why the client ended.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Init cannot be told of the lease.
    #[error("cannot tell init: {0}")]
    Init(#[from] ChannelError),
    /// Waiting failed.
    #[error("cannot wait for the network: {0}")]
    Poll(#[source] Errno),
}

/// A client on one interface.
pub struct Client<R> {
    interface: Interface,
    init: Channel,
    machine: Machine<R>,
    began: Instant,
    /// Open while an answer may come as a frame.
    packet: Option<OwnedFd>,
    /// Open while the lease's server is asked.
    udp: Option<UdpSocket>,
    /// IPv6, where the kernel has it.
    v6: Option<Link<R>>,
}

impl<R: FnMut() -> u32 + Clone> Client<R> {
    /// A client without a lease.
    ///
    /// # Errors
    /// [`ClientError::Init`].
    pub fn new(interface: Interface, init: Channel, random: R) -> Result<Self, ClientError> {
        init.set_nonblocking()?;
        let v6 = Link::new(interface.clone(), random.clone());
        let v6 = v6.inspect_err(|error| say(&format!("{}: no IPv6: {error}", interface.name))).ok();
        let machine = Machine::new(Duration::ZERO, random);
        Ok(Self { interface, init, machine, began: Instant::now(), packet: None, udp: None, v6 })
    }

    /// Runs until init closes its end.
    ///
    /// # Errors
    /// [`ClientError`]; trouble with the network is none, it is tried again.
    pub fn run(mut self) -> Result<(), ClientError> {
        loop {
            let now = self.began.elapsed();
            if self.machine.wake().is_some_and(|wake| wake <= now) {
                self.step(Event::Timer)?;
                continue;
            }
            if self.wait(now)? {
                return Ok(());
            }
            for payload in self.received() {
                if let Some(answer) = message::decode(&payload, self.machine.xid(), self.interface.mac) {
                    self.step(Event::Answer(answer))?;
                }
            }
            self.work_v6()?;
        }
    }

    fn work_v6(&mut self) -> Result<(), ClientError> {
        let now = self.began.elapsed();
        for out in self.v6.as_mut().map(|link| link.work(now)).unwrap_or_default() {
            match out {
                Out::Tell(news) => self.init.send(&news, &[])?,
                Out::Say(text) => say(&format!("{}: {text}", self.interface.name)),
            }
        }
        Ok(())
    }

    /// Until something can be read or is due; `true` when init has gone.
    fn wait(&self, now: Duration) -> Result<bool, ClientError> {
        // In no state is there nothing to wait for but init; a day is as good as for ever then.
        let wake = self.machine.wake().into_iter().chain(self.v6.as_ref().and_then(Link::wake)).min();
        let left = wake.map_or(Duration::from_secs(86_400), |wake| wake.saturating_sub(now));
        let timeout = Timespec::try_from(left.min(Duration::from_secs(86_400))).ok();
        let mut fds = vec![PollFd::from_borrowed_fd(self.init.as_fd(), PollFlags::empty())];
        fds.extend(self.packet.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        fds.extend(self.udp.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let v6 = self.v6.iter().flat_map(Link::sources);
        fds.extend(v6.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(ClientError::Poll(e)),
        }
        Ok(fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR))
    }

    /// The DHCP messages that have come, at most a batch.
    fn received(&self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        let mut buffer = [0; MAX_FRAME];
        for _ in 0..BATCH {
            let Some(Ok((got, _))) =
                self.packet.as_ref().map(|fd| rustix::net::recv(fd, &mut buffer[..], RecvFlags::DONTWAIT))
            else {
                break;
            };
            messages.extend(frame::payload(&buffer[..got], self.interface.mac).map(<[u8]>::to_vec));
        }
        for _ in 0..BATCH {
            let Some(Ok(got)) = self.udp.as_ref().map(|socket| socket.recv(&mut buffer)) else { break };
            messages.push(buffer[..got].to_vec());
        }
        messages
    }

    fn step(&mut self, event: Event) -> Result<(), ClientError> {
        for action in self.machine.step(self.began.elapsed(), event) {
            let sent = match action {
                Action::Broadcast(ask) => self.broadcast(&ask),
                Action::Unicast(ask, server) => self.unicast(&ask, server),
                Action::Note(note) => {
                    say(&format!("{}: {note}", self.interface.name));
                    Ok(())
                }
                Action::Lease(lease) => {
                    self.init.send(&FromDhcp::Lease(lease), &[])?;
                    Ok(())
                }
            };
            // The machine asks again by itself.
            if let Err(error) = sent {
                say(&format!("{}: cannot send: {error}", self.interface.name));
            }
        }
        if !self.machine.is_asking() {
            self.packet = None;
            self.udp = None;
        }
        Ok(())
    }

    fn broadcast(&mut self, ask: &Ask) -> io::Result<()> {
        let message = message::encode(ask, self.interface.mac);
        let source = match ask.kind {
            AskKind::Rebind(address) => address,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let frame = frame::broadcast(self.interface.mac, source, &message);
        let socket = match self.packet.take() {
            Some(socket) => socket,
            None => self.interface.packet_socket()?,
        };
        rustix::net::send(&socket, &frame, SendFlags::NOSIGNAL)?;
        self.packet = Some(socket);
        Ok(())
    }

    fn unicast(&mut self, ask: &Ask, server: Ipv4Addr) -> io::Result<()> {
        let message = message::encode(ask, self.interface.mac);
        let socket = match self.udp.take() {
            Some(socket) => socket,
            None => {
                let address = self.machine.address().unwrap_or(Ipv4Addr::UNSPECIFIED);
                let socket = UdpSocket::bind((address, CLIENT_PORT))?;
                socket.set_nonblocking(true)?;
                socket
            }
        };
        socket.send_to(&message, (server, SERVER_PORT))?;
        self.udp = Some(socket);
        Ok(())
    }
}

/// Says one line on the console, in one call: standard error has no buffer, and the console is everybody's.
fn say(text: &str) {
    use std::io::Write;
    let _ = std::io::stderr().lock().write_all(format!("dhcp: {text}\n").as_bytes());
}
