//! A network of the tests' own at the other end of a host's only cable: QEMU brings each frame to a Unix socket, and here
//! are a router, a DHCPv6 server and visitors, by IPv6 alone. Nothing of it leaves this process but for connections to
//! 127.0.0.1: two ports there lead to the host's port 80 and its API, as a visitor's, and the metadata service's address
//! leads to the emulator.
//!
//! `frames` has Ethernet and IPv6, `router` what routers say, `server` DHCPv6 and its judge, `stack` TCP.

mod frames;
mod router;
mod server;
mod stack;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use frames::Frame;
pub use router::Says;
pub use server::Serves;
use stack::Stack;

/// The address that the server gives.
pub const HOST: Ipv6Addr = Ipv6Addr::new(0x2600, 0xdb8, 1, 0, 0, 0, 0, 7);
/// Whose connections the host sees, and whose port 80 takes some: as public as an address can be.
pub const VISITOR: Ipv6Addr = Ipv6Addr::new(0x2600, 0xdb8, 0x77, 0, 0, 0, 0, 0x99);
/// The router's own.
const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];
/// Longest frame, with room for what a network interface may add.
const MAX_FRAME: usize = 65_550;
/// How often the stack looks after its timers while no frame comes.
const TICK: Duration = Duration::from_millis(5);

/// What the network does, and what it saw.
#[derive(Debug, Default)]
pub struct State {
    /// What routers say.
    pub says: Says,
    /// What the DHCPv6 server does.
    pub serves: Serves,
    /// Questions of DHCPv6 that the host asked, by name, each once.
    pub asked: Vec<String>,
    /// What the host did and may not.
    pub faults: Vec<String>,
    /// Kinds of ICMPv6 that the host sent, and UDP ports that it sent to.
    pub icmp: Vec<u8>,
    pub datagrams: Vec<u16>,
    /// The last hop limit of a TCP segment.
    pub hop_limit: u8,
    /// Frames to be sent as they are.
    pub send: Vec<Vec<u8>>,
    /// Whoever asks whether somebody has the host's address is told so.
    pub is_taken: bool,
}

/// The network. It ends with the process.
#[derive(Debug, Clone)]
pub struct Cable {
    arguments: [String; 6],
    state: Arc<Mutex<State>>,
}

impl Cable {
    /// Listens in this folder, and on two ports here. The metadata service's address leads to the last one, where there is one.
    ///
    /// # Errors
    /// The system's.
    pub fn plug(folder: &Path, imds: Option<SocketAddr>) -> io::Result<Self> {
        let socket = folder.join("cable");
        let listener = UnixListener::bind(&socket)?;
        let [web, api] = [0, 0].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
        let (web, api) = (web?, api?);
        let state = Arc::new(Mutex::new(State::default()));
        let port = |listener: &TcpListener| Ok::<_, io::Error>(listener.local_addr()?.port().to_string());
        let [cable, web_port, api_port] = ["--cable", "--port", "--api-port"].map(str::to_owned);
        let arguments = [cable, socket.display().to_string(), web_port, port(&web)?, api_port, port(&api)?];
        let cable = Self { arguments, state: state.clone() };
        let mut stack = Stack::new([(web, 80), (api, 8443)], imds)?;
        std::thread::spawn(move || {
            // A machine after the other: each boot is another QEMU.
            for stream in listener.incoming().flatten() {
                if let Err(error) = carry(&stream, &state, &mut stack) {
                    eprintln!("the cable broke: {error}");
                }
            }
        });
        Ok(cable)
    }

    /// What `kennel run` is to be told.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(String::as_str)
    }

    /// What it does and saw, to look at and to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many questions of this kind the host has asked by DHCPv6.
    pub fn times(&self, message: &str) -> usize {
        self.state().asked.iter().filter(|asked| *asked == message).count()
    }
}

/// Carries frames until QEMU ends.
fn carry(mut stream: &UnixStream, state: &Mutex<State>, stack: &mut Stack) -> io::Result<()> {
    let frames = read_frames(stream.try_clone()?);
    loop {
        let first = match frames.recv_timeout(TICK) {
            Ok(frame) => Some(frame),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
        };
        let mut out = Vec::new();
        {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            for frame in first.into_iter().chain(frames.try_iter()) {
                state.hear(frame, stack, &mut out);
            }
            out.append(&mut state.send);
            out.extend(state.unasked());
        }
        out.extend(stack.work()?);
        for frame in out {
            let whole = [&(frame.len() as u32).to_be_bytes()[..], &frame].concat();
            if stream.write_all(&whole).is_err() {
                return Ok(());
            }
        }
    }
}

fn read_frames(mut stream: UnixStream) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        loop {
            let mut length = [0; 4];
            if stream.read_exact(&mut length).is_err() {
                return;
            }
            let mut frame = vec![0; (u32::from_be_bytes(length) as usize).min(MAX_FRAME)];
            if stream.read_exact(&mut frame).is_err() || sender.send(frame).is_err() {
                return;
            }
        }
    });
    receiver
}

impl State {
    /// One frame of the host's: to the router, to the server, or to TCP.
    fn hear(&mut self, bytes: Vec<u8>, stack: &mut Stack, out: &mut Vec<Vec<u8>>) {
        let Some(frame) = Frame::read(&bytes) else { return };
        match frame.protocol {
            frames::ICMPV6 => {
                let kind = frame.payload.first().copied().unwrap_or_default();
                self.icmp.push(kind);
                if self.is_taken && router::asks_for(frame.payload, HOST) && frame.source.is_unspecified() {
                    return out.push(router::claim(HOST));
                }
                if kind == router::SOLICITATION {
                    if !frame.is_whole() || frame.hop_limit != 255 {
                        self.faults.push("a solicitation that routers drop".to_owned());
                    }
                    out.push(self.says.advertisement());
                }
            }
            frames::UDP => {
                let port = frame.destination_port();
                self.datagrams.push(port);
                if port == server::SERVER_PORT {
                    return out.extend(self.question(&frame));
                }
            }
            frames::TCP => self.hop_limit = frame.hop_limit,
            _ => {}
        }
        stack.take(bytes);
    }
}
