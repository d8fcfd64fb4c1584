//! Runs one of Debian's helper programs in its own domain and with the few capabilities that it needs. During the boot its
//! end is waited for: there is nobody else yet who could be kept waiting.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use caps::{Capability, CapsHashSet};
use kennel_model::labels;
use kennel_sys::clone::Namespaces;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use crate::child::report::News;
use crate::child::{self, Plan, Program, Started};
use crate::console;
use crate::step::{Failed, Step};

/// A helper program.
#[derive(Debug)]
pub(super) struct Tool<'a> {
    /// Its path.
    pub(super) program: &'a str,
    /// Its arguments after the name.
    pub(super) args: &'a [&'a str],
    /// Its SELinux domain.
    pub(super) domain: &'a str,
    /// What it keeps of root's rights.
    pub(super) capabilities: &'a [Capability],
    /// Its standard input.
    pub(super) input: Option<File>,
}

impl<'a> Tool<'a> {
    /// One of e2fsprogs, for the data volume's disk.
    pub(super) const fn for_disks(program: &'a str, args: &'a [&'a str]) -> Self {
        // Flushing a disk's buffers takes it.
        Self { program, args, domain: "fsck_t", capabilities: &[Capability::CAP_SYS_ADMIN], input: None }
    }

    /// Runs it; answers its exit code. Its complaints are on the console.
    ///
    /// # Errors
    /// When it could not start, was killed, or took longer than `limit`.
    pub(super) fn run(self, limit: Duration) -> Result<i32, Failed> {
        let what = || format!("run {}", self.program);
        let console = console::open().step(what)?;
        let null = File::options().read(true).write(true).open("/dev/null").step(what)?;
        let input = self.input.as_ref().unwrap_or(&null);
        let started = self.start([input.as_fd(), null.as_fd(), console.as_fd()])?;
        let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: 0 };
        let mut poll = [PollFd::new(&started.pidfd, PollFlags::IN)];
        let in_time = matches!(rustix::event::poll(&mut poll, Some(&limit)), Ok(1));
        if !in_time {
            pidfd_send_signal(&started.pidfd, Signal::KILL).step(what)?;
        }
        let status = waitid(WaitId::PidFd(started.pidfd.as_fd()), WaitIdOptions::EXITED).step(what)?;
        match (started.report.read(), status.and_then(|s| s.exit_status())) {
            (News::Failed(Some(failed)), _) => Err(Failed::new(what(), failed.explain(self.program))),
            (_, Some(code)) => Ok(code),
            _ if !in_time => Err(Failed::new(what(), "it took too long")),
            _ => Err(Failed::new(what(), "it was killed")),
        }
    }

    /// Starts it with these descriptors as its standard ones, and does not wait for it.
    ///
    /// # Errors
    /// When there is no process.
    pub(super) fn start(&self, stdio: [BorrowedFd<'_>; 3]) -> Result<Started, Failed> {
        let text = |s: &str| CString::new(s).step(|| format!("run {}", self.program));
        child::start(Plan {
            program: Program::Paths(vec![text(self.program)?]),
            argv: std::iter::once(&self.program).chain(self.args).map(|a| text(a)).collect::<Result<_, _>>()?,
            env: vec![c"PATH=/usr/sbin:/usr/bin".to_owned()],
            descriptors: stdio.to_vec(),
            cgroup: None,
            namespaces: Namespaces::default(),
            root: None,
            host_name: None,
            limits: vec![],
            uid: 0,
            capabilities: self.capabilities.iter().copied().collect::<CapsHashSet>(),
            context: Some(labels::process(self.domain)),
            fence: None,
            no_new_code: true,
            filter: None,
            oom_score: -900,
        })
    }
}
