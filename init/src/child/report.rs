//! What a child tells init when it cannot execute its program: five bytes through a pipe that closes on exec. And the
//! words for it that a tenant's developer understands.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

/// The child's steps; the order is explained in the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Session, signals, umask, OOM score.
    Session = 1,
    /// Descriptors.
    Descriptors,
    /// Mounts and the pivot.
    Root,
    /// UTS host name.
    HostName,
    /// rlimits.
    Limits,
    /// Bounding set and securebits.
    Bounds,
    /// Groups, GID, UID.
    User,
    /// Capability sets.
    Capabilities,
    /// `no_new_privs`.
    NoNewPrivileges,
    /// Landlock.
    Landlock,
    /// No memory that is written and executed.
    Memory,
    /// SELinux exec context.
    Domain,
    /// System call filters.
    Seccomp,
    /// exec.
    Exec,
}

impl Step {
    const ALL: [Self; 14] = [
        Self::Session,
        Self::Descriptors,
        Self::Root,
        Self::HostName,
        Self::Limits,
        Self::Bounds,
        Self::User,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::Memory,
        Self::Domain,
        Self::Seccomp,
        Self::Exec,
    ];

    /// As a clause: "… failed".
    const fn name(self) -> &'static str {
        match self {
            Self::Session => "setting up its session",
            Self::Descriptors => "handing over its descriptors",
            Self::Root => "mounting its files",
            Self::HostName => "setting its host name",
            Self::Limits => "setting its limits",
            Self::Bounds => "bounding its capabilities",
            Self::User => "becoming its user",
            Self::Capabilities => "dropping capabilities",
            Self::NoNewPrivileges => "forbidding new privileges",
            Self::Landlock => "fencing it in with Landlock",
            Self::Memory => "forbidding new code in memory",
            Self::Domain => "entering its SELinux domain",
            Self::Seccomp => "filtering its system calls",
            Self::Exec => "executing it",
        }
    }
}

/// The step that failed in a child, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepFailed {
    /// Which.
    pub step: Step,
    /// The system's answer.
    pub errno: Errno,
}

impl StepFailed {
    /// For the pipe.
    pub fn to_bytes(self) -> [u8; 5] {
        let [a, b, c, d] = self.errno.raw_os_error().to_ne_bytes();
        [self.step as u8, a, b, c, d]
    }

    fn from_bytes([step, a, b, c, d]: [u8; 5]) -> Option<Self> {
        let step = Step::ALL.into_iter().find(|s| *s as u8 == step)?;
        Some(Self { step, errno: Errno::from_raw_os_error(i32::from_ne_bytes([a, b, c, d])) })
    }

    /// Why the program cannot be started, for the person who wrote it.
    pub fn explain(self, program: &str) -> String {
        let cause = match (self.step, self.errno) {
            (Step::Exec, Errno::NOENT) => {
                "no such file (or the interpreter that its first line or its ELF header names is missing)"
                    .into()
            }
            (Step::Exec, Errno::ACCESS) => {
                "permission denied (is it a file with its executable bit set?)".to_owned()
            }
            (Step::Exec, Errno::NOEXEC) => {
                "exec format error (it is neither a program for x86-64 Linux nor a script that starts with #!)"
                    .into()
            }
            (Step::Exec, errno) => errno.to_string(),
            (step, errno) => format!("{} failed: {errno}", step.name()),
        };
        format!("cannot start {program}: {cause}")
    }
}

/// What has come through a child's report pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The child is still on its way.
    None,
    /// It executes its program.
    Executed,
    /// It has given up, or died on its way (then without a cause).
    Failed(Option<StepFailed>),
}

/// Init's end of the pipe.
#[derive(Debug)]
pub struct Report {
    reader: OwnedFd,
}

impl Report {
    /// Wraps the non-blocking read end.
    pub const fn new(reader: OwnedFd) -> Self {
        Self { reader }
    }

    /// Asks without waiting. To be asked until it is not `None`, and once more when the child has ended.
    pub fn read(&self) -> News {
        let mut bytes = [0; 5];
        loop {
            return match rustix::io::read(&self.reader, &mut bytes) {
                Ok(0) => News::Executed,
                Ok(5) => News::Failed(StepFailed::from_bytes(bytes)),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => News::None,
                Ok(_) | Err(_) => News::Failed(None),
            };
        }
    }
}

impl AsFd for Report {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    #[test]
    fn every_step_survives_the_pipe() {
        for step in Step::ALL {
            let failed = StepFailed { step, errno: Errno::NOENT };
            assert_eq!(StepFailed::from_bytes(failed.to_bytes()), Some(failed));
        }
        assert_eq!(StepFailed::from_bytes([0, 2, 0, 0, 0]), None);
    }

    #[test]
    fn the_pipe_tells_waiting_from_done_from_failed() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let report = Report::new(reader);
        assert_eq!(report.read(), News::None);
        let failed = StepFailed { step: Step::User, errno: Errno::PERM };
        rustix::io::write(&writer, &failed.to_bytes()).unwrap();
        assert_eq!(report.read(), News::Failed(Some(failed)));
        drop(writer);
        assert_eq!(report.read(), News::Executed);
    }

    #[test]
    fn a_developer_is_told_what_to_look_at() {
        let failed = |step, errno| StepFailed { step, errno }.explain("/app/server");
        assert!(failed(Step::Exec, Errno::NOENT).starts_with("cannot start /app/server: no such file"));
        assert!(failed(Step::Exec, Errno::NOEXEC).contains("exec format error"));
        assert!(failed(Step::Exec, Errno::ACCESS).contains("permission denied"));
        assert!(failed(Step::Limits, Errno::PERM).contains("setting its limits failed"));
    }
}
