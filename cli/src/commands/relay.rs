//! `kennel relay`: one connection between QEMU and a server of this computer. QEMU's own forwarding has one connection for
//! the machine's whole life; a program it starts anew for each.

use std::fs::File;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::args::Relay;
use crate::exit::{Explain, Failure};

/// The server is on this computer.
const CONNECT: Duration = Duration::from_secs(5);
/// Nothing that is relayed is silent for longer.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
#[error("cannot relay to {0}: {1}")]
struct Broken(SocketAddr, io::Error);

impl Explain for Broken {}

pub(super) fn relay(args: &Relay) -> Result<(), Failure> {
    Ok(join(args.to).map_err(|cause| Broken(args.to, cause))?)
}

/// Until the server has closed its side.
fn join(to: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect_timeout(&to, CONNECT)?;
    server.set_read_timeout(Some(SILENCE))?;
    // Without the buffers of the standard streams: what comes goes on at once.
    let mut from_guest = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut to_guest = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut to_server = server.try_clone()?;
    // Ends with the process, if the guest says nothing any more.
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_guest, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    io::copy(&mut server, &mut to_guest).map(drop)
}
