//! Taking over the descriptors that a program is born with. Which number means what stands in
//! `kennel_model::services`; here a bare number becomes an owned descriptor, once.

use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Mutex;

use rustix::io::{Errno, FdFlags};

/// The first descriptor that init hands to a service; those below are the standard three.
pub const FIRST: RawFd = 3;

/// Numbers taken so far.
static TAKEN: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// Why a descriptor was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotInherited {
    /// One of the standard three, or taken before.
    #[error("descriptor {0} is not to be taken, or was taken before")]
    Spoken(RawFd),
    /// Nobody handed it over.
    #[error("descriptor {fd} was not handed over: {cause}")]
    Absent {
        /// Its number.
        fd: RawFd,
        /// What the system says.
        cause: Errno,
    },
}

/// Takes an inherited descriptor over, once, and sets close-on-exec. To be called first thing in `main`, before
/// the program opens anything of its own under that number.
///
/// # Errors
/// [`NotInherited`].
pub fn take(fd: RawFd) -> Result<OwnedFd, NotInherited> {
    let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if fd < FIRST || taken.contains(&fd) {
        return Err(NotInherited::Spoken(fd));
    }
    // SAFETY: only used for one system call, which answers EBADF if the number is not open; nothing can close
    // it meanwhile, since no one owns it before it is in `TAKEN`.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC).map_err(|cause| NotInherited::Absent { fd, cause })?;
    taken.push(fd);
    // SAFETY: it is open (the call above succeeded) and unowned: each number is given out at most once, and the
    // program has opened nothing yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes over all from `first` on, up to the first number that nobody handed over.
///
/// # Errors
/// [`NotInherited::Spoken`].
pub fn take_from(first: RawFd) -> Result<Vec<OwnedFd>, NotInherited> {
    let mut all = Vec::new();
    for fd in first.. {
        match take(fd) {
            Ok(taken) => all.push(taken),
            Err(NotInherited::Absent { .. }) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_descriptor_is_taken_once() {
        let raw = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        let owned = take(raw).unwrap();
        assert!(rustix::io::fcntl_getfd(&owned).unwrap().contains(FdFlags::CLOEXEC));
        assert_eq!(take(raw).unwrap_err(), NotInherited::Spoken(raw));
    }

    #[test]
    fn what_was_not_handed_over_is_an_error() {
        assert_eq!(take(2).unwrap_err(), NotInherited::Spoken(2));
        assert_eq!(take(9999).unwrap_err(), NotInherited::Absent { fd: 9999, cause: Errno::BADF });
    }
}
