//! A host on this computer: the image in QEMU. `boot` starts it, `watch` tells when it is ready, `instance` is what is
//! kept of it between commands; the other files each know one thing: firmware, KVM, QEMU's arguments, its control
//! socket, the guest's console. What is inside the guest is `init`'s.

pub mod accel;
pub mod boot;
pub mod console;
mod error;
pub mod firmware;
pub mod instance;
pub mod machine;
mod qmp;
pub mod stop;
pub mod tpm;
pub mod watch;

pub use error::VmError;

/// The emulator, found in PATH.
pub const QEMU: &str = "qemu-system-x86_64";
