//! One attempt: the probe in a process of its own, with a deadline, and how that process ended.

use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use crate::outcome::{Outcome, name_of};
use crate::{Place, Probe};

/// How a probe went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The probe's, and the row's, name.
    pub id: String,
    /// An errno's name, a signal's, `held`, or `done`; `deadline` when it went on for too long.
    pub result: String,
    /// What it saw, for people.
    pub detail: String,
}

impl Report {
    fn new(probe: &Probe, result: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { id: probe.id.to_owned(), result: result.into(), detail: detail.into() }
    }
}

/// Makes the attempt in this very process, which is to end afterwards.
pub fn run_here(probe: &Probe, place: &Place) -> Report {
    match (probe.run)(place) {
        Ok(Outcome::Done(detail)) => Report::new(probe, "done", detail),
        Ok(Outcome::Held(detail)) => Report::new(probe, "held", detail),
        Err(error) => Report::new(probe, name_of(&error), error.to_string()),
    }
}

/// Makes the attempt in a new process and waits for its end.
pub fn attempt(probe: &Probe, place: &Place) -> Report {
    let started = loop {
        match start(probe, place) {
            // The neighbour's PID is the host's; in a PID namespace this very child could have the same number.
            Ok(mut child) if i32::try_from(child.id()).ok() == Some(place.pid) => end(&mut child),
            other => break other,
        }
    };
    match started.and_then(|child| watch(child, probe.deadline)) {
        Ok((status, said)) => judge(probe, status, &said),
        Err(error) => Report::new(probe, "unknown", format!("the probe could not be run: {error}")),
    }
}

fn start(probe: &Probe, place: &Place) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("probe").arg(probe.id).args(place.pairs());
    command.stdout(Stdio::piped()).spawn()
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads what it prints until it ends; `None` for one that had to be ended.
fn watch(mut child: Child, limit: Duration) -> io::Result<(Option<ExitStatus>, String)> {
    let end_of_time = Instant::now() + limit;
    let mut said = Vec::new();
    let mut pipe = child.stdout.take().ok_or_else(|| io::Error::other("the pipe is gone"))?;
    loop {
        let left = end_of_time.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        if poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&timeout))? == 0 {
            end(&mut child);
            return Ok((None, String::new()));
        }
        let mut bytes = [0; 4096];
        match pipe.read(&mut bytes)? {
            0 => break,
            count => said.extend_from_slice(&bytes[..count]),
        }
    }
    Ok((Some(child.wait()?), String::from_utf8_lossy(&said).into_owned()))
}

fn judge(probe: &Probe, status: Option<ExitStatus>, said: &str) -> Report {
    let Some(status) = status else {
        return Report::new(probe, "deadline", format!("not ended after {} s", probe.deadline.as_secs()));
    };
    if let Some(number) = status.signal() {
        let name = Signal::try_from(number).map_or_else(|_| format!("SIG{number}"), |s| s.as_str().to_owned());
        return Report::new(probe, name, "killed");
    }
    serde_json::from_str(said)
        .unwrap_or_else(|_| Report::new(probe, "unknown", format!("it ended with {status} and said {said:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{done, held, refusal};
    use nix::errno::Errno;

    fn probe(run: fn(&Place) -> crate::Attempt) -> Probe {
        Probe { id: "x", harmless: true, deadline: Duration::from_secs(1), run }
    }

    #[test]
    fn each_outcome_has_its_word() {
        let place = Place::at(20_000).unwrap();
        let result = |run| run_here(&probe(run), &place).result;
        assert_eq!(result(|_| done("")), "done");
        assert_eq!(result(|_| held("")), "held");
        assert_eq!(result(|_| Err(refusal(Errno::EPERM))), "EPERM");
    }

    #[test]
    fn a_killed_probe_and_one_that_says_nothing_are_told_apart() {
        let probe = probe(|_| done(""));
        let status = |raw| Some(ExitStatus::from_raw(raw));
        assert_eq!(judge(&probe, status(libc::SIGSYS), "").result, "SIGSYS");
        assert_eq!(judge(&probe, status(0), "").result, "unknown");
        assert_eq!(judge(&probe, None, "").result, "deadline");
    }
}
