//! The `kennel` command as a library, so that tests can use its parts: building images (by `kennel-builder`),
//! running them here in QEMU, and speaking to hosts' APIs. What hosts do is decided in `control` and `init`.

pub mod args;
pub mod backup;
pub mod client;
pub mod commands;
pub mod data;
pub mod deploy;
pub mod env;
pub mod exit;
pub mod git;
pub mod keys;
pub mod ui;
pub mod vm;

pub use kennel_known::{hosts, paths, pin};
