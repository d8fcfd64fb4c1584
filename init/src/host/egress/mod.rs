//! Slots' egress lists, the host's name servers and its time servers in the packet filter: rendered here, loaded by Debian's
//! `iptables-nft-restore` and `ip6tables-nft-restore`, one after the other, as children whose ends are events like any
//! other. Each is one transaction; when one of the two fails, what was before is put back in both. Requests that come
//! meanwhile wait for the next go, and go together. What the lists say is control's business, and `kennel_model::egress`'s.

mod count;
mod lists;

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::time::Duration;

use kennel_iptables::{RenderError, Rules, Updates};
use kennel_model::SlotId;
use kennel_model::egress::Egress;
use kennel_model::msg::{ControlReply, Refusal, RequestId};
use kennel_sys::memfd;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};

use super::timers::Timer;
use super::{Child, Host};
use crate::boot::firewall;
use crate::child::Started;
use crate::child::report::News;
use crate::console::uptime;
use crate::say;
use crate::slot::ending::End;
use crate::step::{Failed, Step as _};
use count::Counts;
use lists::{Asked, Batch, Lists};

/// A thousand lists take a second on a slow machine.
const LIMIT: Duration = Duration::from_secs(30);
/// How soon name servers and time servers are tried again.
const PAUSE: Duration = Duration::from_secs(10);
/// Of what a program complains, so much is passed on.
const MAX_COMPLAINT: usize = 300;

/// The packet filter, as far as it changes.
#[derive(Debug)]
pub(super) struct Filter {
    updates: Updates,
    lists: Lists,
    run: Option<Run>,
    counts: Counts,
}

/// A batch on its way.
#[derive(Debug)]
struct Run {
    batch: Batch,
    step: Step,
    rules: Rules,
    /// Why it has to be put back.
    failure: Option<String>,
    pid: Pid,
    started: Started,
    complaint: File,
    deadline: Duration,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    ApplyV4,
    ApplyV6,
    RestoreV4,
    RestoreV6,
}

impl Step {
    const fn is_v4(self) -> bool {
        matches!(self, Self::ApplyV4 | Self::RestoreV4)
    }

    const fn is_apply(self) -> bool {
        matches!(self, Self::ApplyV4 | Self::ApplyV6)
    }
}

impl Filter {
    pub(super) fn new() -> Result<Self, RenderError> {
        Ok(Self { updates: Updates::new()?, lists: Lists::default(), run: None, counts: Counts::default() })
    }

    /// Whether a slot's list is in force, so that it may be started.
    pub(super) fn is_sent(&self, slot: SlotId) -> bool {
        self.lists.is_sent(slot)
    }

    /// The slot was wiped.
    pub(super) fn forget(&mut self, slot: SlotId) {
        self.lists.forget(slot);
    }

    /// Control has gone.
    pub(super) fn forget_requests(&mut self) {
        self.lists.forget_requests();
        if let Some(run) = &mut self.run {
            run.batch.lists.values_mut().for_each(|wanted| wanted.requests.clear());
        }
    }

    /// Starts the program for a step.
    fn start(&self, rules: &Rules, step: Step) -> Result<(Started, File), Failed> {
        let (program, text) = if step.is_v4() {
            ("/usr/sbin/iptables-nft-restore", &rules.v4)
        } else {
            ("/usr/sbin/ip6tables-nft-restore", &rules.v6)
        };
        let what = || format!("run {program}");
        let input = memfd::sealed("rules", text.as_bytes()).step(what)?;
        let (complaint, stderr) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).step(what)?;
        let stdio = [input.as_fd(), stderr.as_fd(), stderr.as_fd()];
        Ok((firewall::start(program, &["--noflush"], stdio)?, complaint.into()))
    }
}

impl Host {
    /// A new list for a slot. No answer is one that comes later.
    pub(super) fn set_egress(
        &mut self,
        slot: SlotId,
        list: Egress,
        request: RequestId,
    ) -> Option<Result<ControlReply, Refusal>> {
        if let Err(e) = list.check(self.facts.slots) {
            return Some(Err(Refusal::Invalid(e.to_string())));
        }
        match self.filter.lists.ask(slot, list, request) {
            Asked::Done => Some(Ok(ControlReply::Done)),
            Asked::TooMany => Some(Err(Refusal::Busy("too many egress lists wait".into()))),
            Asked::Waits => {
                self.load_filter();
                None
            }
        }
    }

    /// The host's name servers, as the lease says.
    pub(super) fn set_name_servers(&mut self, servers: Vec<std::net::IpAddr>) {
        if self.filter.lists.ask_name_servers(servers) {
            self.load_filter();
        }
    }

    /// Whom the host asks for the time; `time_servers_open` is called when it may.
    pub(super) fn let_ask_for_time(&mut self, servers: Vec<std::net::SocketAddr>) {
        self.filter.lists.ask_time_servers(servers);
        self.load_filter();
    }

    /// Begins with what waits, unless something is on its way.
    fn load_filter(&mut self) {
        if self.filter.run.is_some() {
            return;
        }
        let Some(batch) = self.filter.lists.take() else { return };
        match self.filter.updates.render(&batch.change()) {
            Ok(rules) => self.begin_step(batch, rules, Step::ApplyV4, None),
            Err(e) => self.finish_filter(&batch, Err(e.to_string()), true),
        }
    }

    fn begin_step(&mut self, batch: Batch, rules: Rules, step: Step, failure: Option<String>) {
        match self.filter.start(&rules, step) {
            Ok((started, complaint)) => {
                let deadline = uptime() + LIMIT;
                self.timers.arm(deadline, Timer::Filter);
                self.children.insert(started.pid, Child::Filter);
                let pid = started.pid;
                self.filter.run = Some(Run { batch, step, rules, failure, pid, started, complaint, deadline });
            }
            Err(e) => self.step_failed(batch, step, failure, e.to_string()),
        }
    }

    /// A program has ended: the next step, or the answer.
    pub(super) fn filter_ended(&mut self, end: End) {
        let Some(mut run) = self.filter.run.take() else { return };
        if let Err(why) = run.outcome(end) {
            return self.step_failed(run.batch, run.step, run.failure, why);
        }
        match run.step {
            Step::ApplyV4 => self.begin_step(run.batch, run.rules, Step::ApplyV6, None),
            Step::RestoreV4 => self.begin_step(run.batch, run.rules, Step::RestoreV6, run.failure),
            Step::ApplyV6 => self.finish_filter(&run.batch, Ok(()), true),
            Step::RestoreV6 => self.finish_filter(&run.batch, Err(run.failure.unwrap_or_default()), true),
        }
    }

    /// Puts back what was before in both families, since a program that was killed may have done its work or not; when
    /// that is what failed, it is over.
    fn step_failed(&mut self, batch: Batch, step: Step, failure: Option<String>, why: String) {
        say!("FAILED to load egress rules: {why}");
        if !step.is_apply() {
            return self.finish_filter(&batch, Err(failure.unwrap_or(why)), false);
        }
        let before = self.filter.updates.render(&self.filter.lists.before(&batch, &Egress::default()));
        match before {
            Ok(rules) => self.begin_step(batch, rules, Step::RestoreV4, Some(why)),
            Err(e) => self.finish_filter(&batch, Err(e.to_string()), false),
        }
    }

    fn finish_filter(&mut self, batch: &Batch, result: Result<(), String>, known: bool) {
        match &result {
            Ok(()) => self.filter.lists.loaded(batch),
            Err(_) => self.filter.lists.not_loaded(batch, known),
        }
        let answer = result.map(|()| ControlReply::Done).map_err(Refusal::Failed);
        for request in batch.lists.values().flat_map(|wanted| &wanted.requests) {
            self.reply(*request, answer.clone(), vec![]);
        }
        if let (Ok(_), Some(servers)) = (&answer, &batch.time_servers) {
            self.time_servers_open(servers);
        }
        if answer.is_ok() || (batch.name_servers.is_none() && batch.time_servers.is_none()) {
            self.load_filter();
        } else {
            self.timers.arm(uptime() + PAUSE, Timer::Filter);
        }
    }

    /// A deadline: of a program that runs, or of the pause before another try.
    pub(super) fn handle_filter_timer(&mut self) {
        self.filter.counts.end_overdue();
        match &self.filter.run {
            // It is our child and not reaped yet, so the PID is its own.
            Some(run) if run.deadline <= uptime() => drop(kill_process(run.pid, Signal::KILL)),
            Some(_) => {}
            None => self.load_filter(),
        }
    }
}

impl Run {
    /// Whether the step was done, or why not.
    fn outcome(&mut self, end: End) -> Result<(), String> {
        let program = if self.step.is_v4() { "iptables-restore" } else { "ip6tables-restore" };
        if let News::Failed(Some(failed)) = self.started.report.read() {
            return Err(failed.explain(program));
        }
        match end {
            End::Exited(0) => Ok(()),
            End::Killed(_) if self.deadline <= uptime() => Err(format!("{program} took too long")),
            end => Err(format!("{program} {end}: {}", printable(&mut self.complaint))),
        }
    }
}

/// The beginning of what a program complained of. Its pipe does not wait, and was big enough or the rest is lost.
fn printable(complaint: &mut File) -> String {
    let mut bytes = [0; MAX_COMPLAINT];
    let length = complaint.read(&mut bytes).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..length]);
    let words = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_becomes_one_printable_line() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut writer, b"iptables: \x1b[1m\nline 7 failed\n").unwrap();
        let mut file = File::from(std::os::fd::OwnedFd::from(reader));
        assert_eq!(printable(&mut file), "iptables: [1m line 7 failed");
    }
}
