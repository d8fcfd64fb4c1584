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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anybody_may_ask() {
        // Whether this computer's clock is kept right is not ours to know.
        let state = read().unwrap();
        assert!(!state.synchronised || state.max_error < Duration::from_secs(17), "{state:?}");
    }
}
