//! PID 1 of a Kennel host: the boot in two stages, slots, supervision. A library so that tests and measurements can
//! start slots without being PID 1; `main.rs` only chooses the stage.

pub mod boot;
pub mod child;
pub mod console;
pub mod fs;
pub mod host;
pub mod initramfs;
pub mod modules;
#[cfg(feature = "proof")]
mod proof;
pub mod slot;
pub mod step;
