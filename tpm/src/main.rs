//! `kennel-tpm`: started by init with the channel to it as descriptor 3 and the TPM as descriptor 4, where there is one.

use std::error::Error;
use std::process::ExitCode;

use kennel_sys::channel::Channel;
use kennel_sys::inherited;
use kennel_tpm::device::Device;
use kennel_tpm::serve::serve;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tpm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let init = Channel::from_fd(inherited::take(inherited::FIRST)?);
    let device = Device::new(inherited::take(inherited::FIRST + 1)?);
    Ok(serve(&init, device)?)
}
