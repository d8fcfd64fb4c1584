//! The only crate with `unsafe`: typed wrappers, one per system call, of what nix and rustix lack, and the message
//! channel that every process shares. No wrapper decides anything; the callers' rooms are init, proxy and control.

#[cfg(feature = "tokio")]
pub mod async_channel;
pub mod channel;
pub mod clone;
pub mod dm;
pub mod inherited;
pub mod netif;

pub use channel::{Channel, ChannelError};
