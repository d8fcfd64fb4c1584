//! `kennel-init-proof`: PID 1 of a proof image. As `kennel-init`, but for what `src/proof.rs` says.

use std::path::Path;
use std::process::ExitCode;

use kennel_init_proof::{boot, initramfs, say};

fn main() -> ExitCode {
    let stage = if Path::new(initramfs::MARKER).exists() { initramfs::run() } else { boot::run() };
    let Err(failed) = stage;
    say!("FAILED to {failed}");
    ExitCode::FAILURE
}
