//! `kennel-init`: PID 1, in the initramfs and on the verified root. Never returns: when it cannot go on it says why and
//! ends, which makes the kernel panic and, by `panic=` on its command line, start the machine again.

use std::path::Path;
use std::process::ExitCode;

use kennel_init::{boot, initramfs, say};

fn main() -> ExitCode {
    let stage = if Path::new(initramfs::MARKER).exists() { initramfs::run() } else { boot::run() };
    let Err(failed) = stage;
    say!("FAILED to {failed}");
    ExitCode::FAILURE
}
