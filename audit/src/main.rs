//! `kennel-audit`: started by init with the channel to it as descriptor 3 and the kernel's log as descriptor 4.

use std::error::Error;
use std::process::ExitCode;

use kennel_audit::watch::Watch;
use kennel_sys::channel::Channel;
use kennel_sys::inherited;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("audit: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let init = Channel::from_fd(inherited::take(inherited::FIRST)?);
    let log = inherited::take(inherited::FIRST + 1)?;
    Watch::new(init, log)?.run()?;
    Ok(())
}
