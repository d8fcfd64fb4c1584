//! The loop: takes a question from init, answers it, ends with init.

use kennel_model::tpm::{Answer, MAX_REASON, Question};
use kennel_sys::channel::{Channel, ChannelError};

use crate::device::Device;
use crate::work::Tpm;

/// Answers questions until init closes the channel. Waiting for the next one is what this program is for, so it has no
/// deadline.
///
/// # Errors
/// The channel's.
pub fn serve(init: &Channel, device: Device) -> Result<(), ChannelError> {
    let mut tpm = Tpm::new(device);
    while let Some((question, _)) = init.recv::<Question>()? {
        let answer = tpm.answer(&question).unwrap_or_else(|error| {
            eprintln!("tpm: {error}");
            Answer::Failed(error.to_string().chars().filter(|c| !c.is_control()).take(MAX_REASON / 4).collect())
        });
        init.send(&answer, &[])?;
    }
    Ok(())
}
