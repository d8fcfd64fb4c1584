//! The only crate with `unsafe`: typed wrappers, one per system call, of what nix and rustix lack, and the message
//! channel that every process shares. No wrapper decides anything; the callers' rooms are init, proxy and control.

pub mod channel;
pub mod inherited;

pub use channel::{Channel, ChannelError};
