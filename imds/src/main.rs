//! `kennel-imds`: started by init with the channel to it as descriptor 3, on machines of EC2's only.

use std::error::Error;
use std::process::ExitCode;

use kennel_imds::http::SERVICE;
use kennel_imds::token::Session;
use kennel_imds::watch::Watch;
use kennel_sys::channel::Channel;
use kennel_sys::inherited;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("imds: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let init = Channel::from_fd(inherited::take(inherited::FIRST)?);
    Watch::new(init, Session::new(SERVICE.to_vec()))?.run()?;
    Ok(())
}
