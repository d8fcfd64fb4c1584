//! How a process ended, in words for the tenant's log and for control.

use std::fmt;

use kennel_model::Limits;
use rustix::process::WaitStatus;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl From<WaitStatus> for End {
    fn from(status: WaitStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Exited(code),
            // A child that init waits for without asking for stops has ended one way or the other.
            (None, signal) => Self::Killed(signal.unwrap_or(0)),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Killed(signal) => write!(f, "killed by signal {signal}{}", nickname(*signal)),
        }
    }
}

/// Says how a tenant's program ended. `oom` when the kernel killed something in its cgroup for want of memory.
pub fn describe(end: End, oom: bool, limits: &Limits) -> String {
    match end {
        End::Killed(_) if oom => {
            let mib = limits.memory_max_bytes >> 20;
            format!("out of memory: it needed more than its limit of {mib} MiB and was killed")
        }
        end => end.to_string(),
    }
}

const fn nickname(signal: i32) -> &'static str {
    match signal {
        libc::SIGILL => " (illegal instruction)",
        libc::SIGABRT => " (aborted itself)",
        libc::SIGBUS => " (bus error)",
        libc::SIGFPE => " (arithmetic error)",
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (segmentation fault)",
        libc::SIGSYS => " (forbidden system call)",
        libc::SIGTERM => " (SIGTERM)",
        _ => "",
    }
}

/// Whether SIGTERM does anything to a process with this `/proc/PID/status`. For process 1 of a PID namespace, which a
/// tenant's program is, the kernel drops signals that it does not handle.
pub fn handles_sigterm(status: &str) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = caught.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (libc::SIGTERM - 1)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_words() {
        let limits = Limits::default();
        assert_eq!(describe(End::Exited(3), true, &limits), "exited with code 3");
        assert_eq!(describe(End::Killed(11), false, &limits), "killed by signal 11 (segmentation fault)");
        let oom = describe(End::Killed(9), true, &limits);
        assert!(oom.starts_with("out of memory") && oom.contains("256 MiB"), "{oom}");
    }

    #[test]
    fn a_handler_for_sigterm_is_seen() {
        let status = |mask: &str| format!("Name:\tnode\nSigIgn:\t0000000000001000\nSigCgt:\t{mask}\n");
        assert!(handles_sigterm(&status("0000000000004000")));
        assert!(!handles_sigterm(&status("0000000108000402")));
        assert!(!handles_sigterm("Name:\tx\n"));
    }
}
