//! What a child has to put right about descriptors and signals before it executes a program. The order of its steps is
//! init's business.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::fcntl_dupfd_cloexec;

/// Undoes what Rust's start-up does to SIGPIPE: ignored signals stay ignored across exec.
pub fn restore_sigpipe() {
    // SAFETY: SIG_DFL installs no handler, so no code of ours will run on a signal.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// From here on this process, and all that it starts, can execute no memory that is or was writable: neither by mapping it
/// so nor by changing it later.
///
/// # Errors
/// The system's.
pub fn refuse_new_code() -> io::Result<()> {
    const MDWE: libc::c_int = 65;
    const REFUSE_EXEC_GAIN: libc::c_ulong = 1;
    const NONE: libc::c_ulong = 0;
    // SAFETY: this prctl takes numbers only and changes nothing that exists.
    let done = unsafe { libc::prctl(MDWE, REFUSE_EXEC_GAIN, NONE, NONE, NONE) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Puts `handed` at the numbers 0, 1, 2, … where an executed program finds them, moves `kept` out of their way and
/// marks every other descriptor to close on exec. For a child between clone and exec: whatever else it has open under
/// those numbers is replaced, so all that it may use afterwards is what comes back, and what it opens anew.
///
/// # Errors
/// The system's, when descriptors are short.
pub fn hand_over<const N: usize>(handed: &[BorrowedFd<'_>], kept: [OwnedFd; N]) -> io::Result<[OwnedFd; N]> {
    let count = i32::try_from(handed.len()).map_err(io::Error::other)?;
    let mut moved = Vec::with_capacity(N);
    for fd in &kept {
        moved.push(fcntl_dupfd_cloexec(fd, count)?);
    }
    // Above all targets, so that none is overwritten before its turn.
    let sources = handed.iter().map(|fd| fcntl_dupfd_cloexec(fd, count)).collect::<Result<Vec<_>, _>>()?;
    // The old numbers may be about to be replaced; closing them later would close the new ones.
    std::mem::forget(kept);
    for (target, source) in (0..count).zip(&sources) {
        // SAFETY: dup3 closes `target` for whoever owned it in this process; that is the contract in the
        // documentation above, and the child of a clone has no other thread to break it.
        if unsafe { libc::dup2(source.as_fd().as_raw_fd(), target) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    close_on_exec_from(count.unsigned_abs())?;
    <[OwnedFd; N]>::try_from(moved).map_err(|_| io::Error::other("descriptors were lost"))
}

/// Marks every descriptor from `first` on to close on exec.
fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: with CLOSE_RANGE_CLOEXEC no descriptor is closed before exec, so no owner in this process is betrayed.
    let done = unsafe { libc::close_range(first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC.cast_signed()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
