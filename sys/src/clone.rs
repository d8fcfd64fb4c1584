//! clone3(2) straight into a cgroup and new namespaces, with a pidfd: the one call by which slots and services are
//! born. nix and rustix have no clone3.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::linux::fs::MetadataExt;

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
    /// `CLONE_NEWNET`; it has no interface that is up.
    pub net: bool,
}

impl Namespaces {
    /// All but the network.
    pub const LOCAL: Self = Self { mount: true, pid: true, ipc: true, uts: true, net: false };
    /// Every one.
    pub const ALL: Self = Self { net: true, ..Self::LOCAL };

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
        if self.net {
            flags |= libc::CLONE_NEWNET;
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
/// Refused in a process with more than one thread: the child continues with a copy of this one alone, and a lock that
/// another thread held would stay locked in it.
///
/// # Errors
/// The system's; no child exists then.
pub fn spawn(
    namespaces: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    work: impl FnOnce() -> i32,
) -> io::Result<Child> {
    // The folder of a process's threads has two links and one more for each.
    let threads = std::fs::metadata("/proc/self/task")?.st_nlink().saturating_sub(2);
    if threads != 1 {
        return Err(io::Error::other(format!("a process with {threads} threads cannot be cloned")));
    }
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
    // space, in which no lock belongs to another thread, since there is none (checked above). The pointers in the
    // arguments are to locals that outlive the call.
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
