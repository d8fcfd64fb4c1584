//! The child's side: carries a [`Plan`] out, between clone and exec. Runs in a copy of PID 1 with all its rights, which
//! it loses step by step; the order is explained in the module's head. Nothing here may return to init's own code.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use caps::CapSet;
use kennel_sys::process;
use nix::sys::signal::SigSet;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Gid, Rlimit, Uid, setrlimit, setsid, umask};
use rustix::thread::{CapabilitiesSecureBits as SecureBits, set_capabilities_secure_bits, set_no_new_privs};

use super::report::{Step, StepFailed};
use super::{Plan, Program};

/// Carries the plan out. Answers the exit status of a child that could not, after telling init why.
pub(super) fn run(plan: Plan<'_>, report: OwnedFd) -> i32 {
    // A descriptor that is opened late still needs `/proc`, which the new root need not have.
    let opened = match open_early(&plan) {
        Ok(opened) => opened,
        Err(failed) => return tell(report, failed),
    };
    let program = match &plan.program {
        Program::File(fd) => rustix::io::fcntl_dupfd_cloexec(fd, 0),
        Program::Paths(_) => rustix::io::fcntl_dupfd_cloexec(&opened, 0),
    };
    let kept = match program {
        Ok(program) => process::hand_over(&plan.descriptors, [report, opened.into(), program]),
        Err(errno) => return tell(report, StepFailed { step: Step::Descriptors, errno }),
    };
    match kept {
        Ok([report, domain, program]) => {
            let Err(failed) = carry_out(&plan, domain.into(), &program);
            tell(report, failed)
        }
        // The report pipe is lost with the others; init sees an end without a cause.
        Err(_) => 127,
    }
}

/// The session's steps, and the file through which the domain will be chosen.
fn open_early(plan: &Plan<'_>) -> Result<File, StepFailed> {
    at(Step::Session, || {
        setsid()?;
        process::restore_sigpipe();
        SigSet::empty().thread_set_mask()?;
        umask(Mode::from_raw_mode(0o022));
        File::options()
            .write(true)
            .open("/proc/self/oom_score_adj")?
            .write_all(plan.oom_score.to_string().as_bytes())
    })?;
    at(Step::Domain, || OpenOptions::new().write(true).open(exec_attribute(plan)))
}

/// Without SELinux the attribute cannot be opened; something else stands in for it, which nobody writes to.
fn exec_attribute(plan: &Plan<'_>) -> &'static str {
    if plan.context.is_some() { "/proc/thread-self/attr/exec" } else { "/dev/null" }
}

fn carry_out(plan: &Plan<'_>, mut domain: File, program: &OwnedFd) -> Result<Infallible, StepFailed> {
    if let Some(root) = &plan.root {
        at(Step::Root, || root.enter())?;
    }
    if !plan.is_open() {
        give_up_rights(plan, program)?;
    }
    if let Some(context) = &plan.context {
        at(Step::Domain, || domain.write_all(context.as_bytes()))?;
    }
    if let Some(filter) = plan.filter {
        at(Step::Seccomp, || filter.apply())?;
    }
    at(Step::Exec, || {
        match &plan.program {
            Program::Paths(paths) => execute_first(paths, plan),
            Program::File(_) => nix::unistd::fexecve(program, &plan.argv, &plan.env),
        }
        .map_err(io::Error::from)
    })
}

/// Only that a program is not there sends on to the next.
fn execute_first(paths: &[CString], plan: &Plan<'_>) -> nix::Result<Infallible> {
    let mut failed = nix::errno::Errno::ENOENT;
    for path in paths {
        let Err(errno) = nix::unistd::execve(path, &plan.argv, &plan.env);
        failed = errno;
        if failed != nix::errno::Errno::ENOENT {
            break;
        }
    }
    Err(failed)
}

/// From the host's name to Landlock: what is given up is gone for good.
fn give_up_rights(plan: &Plan<'_>, program: &OwnedFd) -> Result<(), StepFailed> {
    if let Some(name) = &plan.host_name {
        at(Step::HostName, || rustix::system::sethostname(name.as_bytes()).map_err(io::Error::from))?;
    }
    for (resource, value) in &plan.limits {
        let limit = Rlimit { current: Some(*value), maximum: Some(*value) };
        at(Step::Limits, || setrlimit(*resource, limit).map_err(io::Error::from))?;
    }
    at(Step::Bounds, || bound_capabilities(plan))?;
    at(Step::User, || become_user(plan.uid))?;
    at(Step::Capabilities, || set_capabilities(plan))?;
    at(Step::NoNewPrivileges, || set_no_new_privs(true).map_err(io::Error::from))?;
    if let Some(fence) = &plan.fence {
        let by_descriptor = matches!(plan.program, Program::File(_));
        at(Step::Landlock, || fence.apply(by_descriptor.then_some(program)))?;
    }
    if plan.no_new_code {
        at(Step::Memory, process::refuse_new_code)?;
    }
    Ok(())
}

/// Nothing that it executes can ever have more than the plan's capabilities, nor gain any by being root.
fn bound_capabilities(plan: &Plan<'_>) -> io::Result<()> {
    for capability in caps::all() {
        if !plan.capabilities.contains(&capability) {
            caps::drop(None, CapSet::Bounding, capability).map_err(io::Error::other)?;
        }
    }
    let mut bits = SecureBits::NO_ROOT
        | SecureBits::NO_ROOT_LOCKED
        | SecureBits::NO_SETUID_FIXUP
        | SecureBits::NO_SETUID_FIXUP_LOCKED
        | SecureBits::KEEP_CAPS_LOCKED;
    if plan.capabilities.is_empty() {
        bits |= SecureBits::NO_CAP_AMBIENT_RAISE | SecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    }
    Ok(set_capabilities_secure_bits(bits)?)
}

fn become_user(uid: u32) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(uid));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
}

/// Under `NO_SETUID_FIXUP` nothing went by itself: each set is put to what the plan keeps. Ambient ones are what an
/// executed program without file capabilities starts with.
fn set_capabilities(plan: &Plan<'_>) -> io::Result<()> {
    let keep = &plan.capabilities;
    for set in [CapSet::Effective, CapSet::Inheritable, CapSet::Permitted] {
        caps::set(None, set, keep).map_err(io::Error::other)?;
    }
    if !keep.is_empty() {
        caps::set(None, CapSet::Ambient, keep).map_err(io::Error::other)?;
    }
    Ok(())
}

fn at<T>(step: Step, work: impl FnOnce() -> io::Result<T>) -> Result<T, StepFailed> {
    work().map_err(|cause| StepFailed { step, errno: Errno::from_io_error(&cause).unwrap_or(Errno::PERM) })
}

fn tell(report: OwnedFd, failed: StepFailed) -> i32 {
    // Should even this fail, init sees an end without a cause.
    let _ = File::from(report).write_all(&failed.to_bytes());
    127
}
