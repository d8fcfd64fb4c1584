//! `kennel-acme`: started by init when control asks for it, with the channel to control as descriptor 3 and the host's name
//! servers as arguments.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use kennel_acme::service::{Service, serve};
use kennel_sys::{Channel, inherited};

/// Where name servers listen.
const DNS_PORT: u16 = 53;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("acme: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let control = Channel::from_fd(inherited::take(inherited::FIRST)?);
    let servers: Result<Vec<IpAddr>, _> = std::env::args().skip(1).map(|a| a.parse()).collect();
    let servers = servers?.into_iter().map(|ip| SocketAddr::new(ip, DNS_PORT)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(control, Service::new(servers)))?;
    Ok(())
}
