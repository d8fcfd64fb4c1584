//! Starting a process: services, tenants' programs, `kennel-unpack` and the boot's helper programs all go through
//! here. A [`Plan`] says everything about the child; it is complete, and every string in it converted, before the
//! process is cloned: validate everything first, then burn the bridges. What goes into a plan is decided elsewhere.
//!
//! The child's steps, in this order (`steps.rs`), each reported by name when it fails (`report.rs`):
//!
//! | step | why here |
//! |---|---|
//! | clone | into the cgroup and the new namespaces at once: it never runs outside of them |
//! | session | own session, default signals, umask 022, OOM score |
//! | descriptors | 0, 1, 2, those handed over from 3 on; everything else closes on exec |
//! | root | mounts, `pivot_root`, the old root unmounted: from here on only its own files exist |
//! | host name | the tenant's |
//! | limits | rlimits |
//! | bounds | capability bounding set and securebits: needs `CAP_SETPCAP`, so before the UID |
//! | user | supplementary groups, GID, UID |
//! | capabilities | every set to exactly what the plan keeps; for tenants nothing |
//! | no new privileges | for good |
//! | Landlock | needs the step before, and the user by whose rights its places are opened |
//! | memory | for programs that make no code, none that is written can ever be executed |
//! | domain | the SELinux exec context |
//! | seccomp | last, so that it need not allow any of the above |
//! | exec | the report pipe closes by itself: that is the news of success |

pub mod landlock;
pub mod report;
pub mod root;
pub mod seccomp;
mod steps;

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};

use caps::CapsHashSet;
use kennel_sys::clone::{self, Namespaces};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Resource};

use crate::step::{Failed, Step as _};
use landlock::Fence;
use report::Report;
use root::Root;
use seccomp::Filter;

/// What is executed.
#[derive(Debug)]
pub enum Program {
    /// A path in the child's new root; of several the first that there is.
    Paths(Vec<CString>),
    /// An open file, for a root that does not have it.
    File(OwnedFd),
}

/// Everything about a child.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What is executed.
    pub program: Program,
    /// Its arguments, name included.
    pub argv: Vec<CString>,
    /// Its whole environment, as `NAME=value`.
    pub env: Vec<CString>,
    /// Descriptors 0, 1, 2, 3, …
    pub descriptors: Vec<BorrowedFd<'a>>,
    /// The folder of the cgroup that it is born into.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// What it gets of its own.
    pub namespaces: Namespaces,
    /// Its root; absent for the host's.
    pub root: Option<Root>,
    /// Its UTS host name; absent for the host's.
    pub host_name: Option<String>,
    /// Resource limits, soft and hard the same.
    pub limits: Vec<(Resource, u64)>,
    /// UID and GID.
    pub uid: u32,
    /// The capabilities it has; no other is in any of its sets.
    pub capabilities: CapsHashSet,
    /// Its SELinux context. Absent only where there is no SELinux: in tests.
    pub context: Option<String>,
    /// What it may reach; absent for whatever its root and user allow.
    pub fence: Option<Fence>,
    /// Memory that is or was writable can never be executed.
    pub no_new_code: bool,
    /// Which system calls it may make; absent for all.
    pub filter: Option<&'a Filter>,
    /// How readily the kernel kills it when memory is short: -1000 to 1000.
    pub oom_score: i32,
}

impl Plan<'_> {
    /// Whether the child keeps all rights but those of its domain.
    const fn is_open(&self) -> bool {
        #[cfg(feature = "proof")]
        if matches!(self.root, Some(Root::Host(_))) {
            return true;
        }
        false
    }
}

/// A child that was cloned; whether it has executed its program, `report` tells.
#[derive(Debug)]
pub struct Started {
    /// Its PID here.
    pub pid: Pid,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
    /// Says which step failed, or closes when none did. Non-blocking.
    pub report: Report,
}

/// Clones the child and lets it do its steps; does not wait for them.
///
/// # Errors
/// When there is no child. What fails in the child comes through the report.
pub fn start(plan: Plan<'_>) -> Result<Started, Failed> {
    let (reader, writer) =
        pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).step(|| "make a pipe".to_owned())?;
    let (namespaces, cgroup) = (plan.namespaces, plan.cgroup);
    let child =
        clone::spawn(namespaces, cgroup, || steps::run(plan, writer)).step(|| "clone a process".to_owned())?;
    let pid = Pid::from_raw(child.pid).ok_or_else(|| Failed::new("clone a process", "no PID"))?;
    Ok(Started { pid, pidfd: child.pidfd, report: Report::new(reader) })
}
