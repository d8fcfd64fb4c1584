//! The message channel under tokio, for the services that have a runtime; PID 1 has none and does without.

use std::io;

use tokio::io::unix::AsyncFd;

use crate::channel::Channel;

/// Makes a channel non-blocking and registers it with the runtime that this is called in.
///
/// # Errors
/// The system's.
pub fn register(channel: Channel) -> io::Result<AsyncFd<Channel>> {
    rustix::io::ioctl_fionbio(&channel, true)?;
    // SAFETY: a `Channel` owns its descriptor and has no way to close or replace it before it is dropped, so
    // `as_raw_fd` names the same open socket for as long as the `AsyncFd` has it.
    Ok(unsafe { AsyncFd::register(channel) }?)
}
