//! The story of the boot: one plain line for each thing that happened, with the seconds since the kernel started.
//! What the lines say is decided where things happen.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since the kernel started.
pub fn uptime() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Opens the console for writing, without making it anybody's controlling terminal.
///
/// # Errors
/// The system's.
pub fn open() -> io::Result<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NOCTTY).open("/dev/console")
}

/// Makes the console this process's standard output and error. The ones it was born with are the kernel's, from the
/// initramfs, which is gone.
///
/// # Errors
/// The system's.
pub fn take() -> io::Result<()> {
    let console = open()?;
    rustix::stdio::dup2_stdout(&console)?;
    Ok(rustix::stdio::dup2_stderr(&console)?)
}

/// Prints a line as it is. A console that cannot be written to has nobody reading it, so that is no error.
pub fn raw(text: &str) {
    let _ = io::stdout().lock().write_all(format!("{text}\n").as_bytes());
}

/// Prints one line of the story. Use it through [`say!`](crate::say).
pub fn line(text: &str) {
    raw(&format!("init: [{:8.3}] {text}", uptime().as_secs_f64()));
}

/// Prints one line of the story, with [`format!`]'s arguments.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::console::line(&format!($($arg)*)) };
}
