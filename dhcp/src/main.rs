//! `kennel-dhcp`: started by init with the channel to it as descriptor 3.

use kennel_dhcp::client::Client;
use kennel_dhcp::interface::Interface;
use kennel_sys::channel::Channel;
use kennel_sys::inherited;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

/// How long the network interface may take to be there and up.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dhcp: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let init = Channel::from_fd(inherited::take(inherited::FIRST)?);
    let interface = Interface::wait(PATIENCE)?;
    // Asked once, so that a kernel without randomness is an error and not a predictable client.
    random()?;
    Client::new(interface, init, || random().unwrap_or_default())?.run()?;
    Ok(())
}

fn random() -> Result<u32, rustix::io::Errno> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u32::from_ne_bytes(bytes))
}
