//! What the kernel knows of its clock. Reading it takes no privilege; nothing here sets anything.

use std::io;
use std::time::Duration;

/// `STA_UNSYNC` of <linux/timex.h>.
const UNSYNCHRONISED: i32 = 0x40;

/// The clock, as whoever keeps it right told the kernel last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Somebody keeps it right, and did so lately: the kernel takes the word back by itself when nothing is heard for hours.
    pub synchronised: bool,
    /// It is off by no more than this, which grows until the next correction.
    pub max_error: Duration,
}

/// Asks the kernel.
///
/// # Errors
/// The system's.
pub fn read() -> io::Result<State> {
    // SAFETY: `timex` is a plain C structure, for which all zeros is a value; with `modes` 0 the call only writes to it.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    let max_error = Duration::from_micros(timex.maxerror.unsigned_abs());
    Ok(State { synchronised: timex.status & UNSYNCHRONISED == 0, max_error })
}

/// Time since the kernel started, also that in which the machine slept: a clock that nobody can set. The C library asks for
/// it without a system call; rustix would first look for its way to do so in a file, which services may not open.
pub fn since_boot() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call only writes to the structure. It cannot fail: every Linux since 2.6.39 has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anybody_may_ask() {
        // Whether this computer's clock is kept right is not ours to know.
        let state = read().unwrap();
        assert!(!state.synchronised || state.max_error < Duration::from_secs(17), "{state:?}");
    }

    #[test]
    fn time_passes() {
        let before = since_boot();
        assert!(before > Duration::ZERO && since_boot() >= before);
    }
}
