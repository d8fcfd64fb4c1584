//! clone3(2) straight into a cgroup and new namespaces, with a pidfd: the one call by which slots and services are
//! born. nix and rustix have no clone3.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// From <linux/sched.h>; libc's constant does not fit its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the child gets of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Namespaces {
    /// `CLONE_NEWNS`.
    pub mount: bool,
    /// `CLONE_NEWPID`; the child is process 1 of it.
    pub pid: bool,
    /// `CLONE_NEWIPC`.
    pub ipc: bool,
    /// `CLONE_NEWUTS`.
    pub uts: bool,
}

impl Namespaces {
    /// All four.
    pub const ALL: Self = Self { mount: true, pid: true, ipc: true, uts: true };

    const fn flags(self) -> libc::c_int {
        let mut flags = 0;
        if self.mount {
            flags |= libc::CLONE_NEWNS;
        }
        if self.pid {
            flags |= libc::CLONE_NEWPID;
        }
        if self.ipc {
            flags |= libc::CLONE_NEWIPC;
        }
        if self.uts {
            flags |= libc::CLONE_NEWUTS;
        }
        flags
    }
}

/// A child process, as its parent knows it.
#[derive(Debug)]
pub struct Child {
    /// Its PID here.
    pub pid: i32,
    /// Readable when it has ended; never means another process.
    pub pidfd: OwnedFd,
}

/// Starts a child that runs `work` and exits with what it answers. `cgroup` is a folder of cgroup2 that the child is
/// born into.
///
/// The caller must have one thread only: the child continues with a copy of this one alone, and a lock that another
/// thread held would stay locked in it.
///
/// # Errors
/// The system's; no child exists then.
pub fn spawn(
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    work: impl FnOnce() -> i32,
) -> io::Result<Child> {
    let mut pidfd: libc::c_int = -1;
    let mut flags = (namespaces.flags() | libc::CLONE_PIDFD) as u64;
    if cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    let arguments = libc::clone_args {
        flags,
        pidfd: (&raw mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: cgroup.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    // SAFETY: without CLONE_VM and with no stack given this is fork(2): the child gets a copy of the whole address
    // space. The pointers in the arguments are to locals that outlive the call. One thread only, see above.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of_val(&arguments)) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let status = work();
            // SAFETY: _exit never returns and runs no destructor or exit handler of the parent's copy.
            unsafe { libc::_exit(status) }
        }
        // SAFETY: the kernel has put a new descriptor there, which nobody else owns.
        pid => Ok(Child { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    use std::os::fd::AsFd;

    #[test]
    fn the_childs_answer_is_its_exit_status() {
        let child = spawn(Namespaces::default(), None, || 7).unwrap();
        let status = waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(7));
    }
}
