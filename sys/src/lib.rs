//! The only crate with `unsafe`: typed wrappers of what nix and rustix lack, a file per kind of system call, and the
//! message channel that every process shares. No wrapper decides anything; that is for init, proxy and control.

#[cfg(feature = "tokio")]
pub mod async_channel;
pub mod channel;
pub mod clock;
pub mod clone;
pub mod dm;
pub mod ext4;
pub mod heap;
pub mod inherited;
pub mod memfd;
pub mod mount;
pub mod netif;
pub mod power;
pub mod process;
pub mod quota;

pub use channel::{Channel, ChannelError};
