//! A slot's rules with their counters, for control: two programs print them into pipes that control reads. Init only
//! starts them and sees that they end.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::msg::{ControlReply, Refusal, RequestId};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, kill_process};

use super::super::control::failed;
use super::super::timers::Timer;
use super::super::{Child, Host};
use crate::boot::firewall;
use crate::console::uptime;
use crate::step::{Failed, Step as _};

/// Reading a chain takes milliseconds.
const LIMIT: Duration = Duration::from_secs(10);
/// Programs that may read at once: two for each request.
const MAX_READERS: usize = 16;

/// Programs that read counters, with their deadlines.
#[derive(Debug, Default)]
pub(super) struct Counts {
    readers: Vec<(Pid, Duration)>,
}

impl Counts {
    /// Ends those that take too long.
    pub(super) fn end_overdue(&self) {
        for (pid, _) in self.readers.iter().filter(|(_, deadline)| *deadline <= uptime()) {
            // It is our child and not reaped yet, so the PID is its own.
            let _ = kill_process(*pid, Signal::KILL);
        }
    }
}

impl Host {
    /// Answers at once, with the pipes.
    pub(in super::super) fn count_egress(&mut self, slot: SlotId, request: RequestId) -> Result<(), Refusal> {
        if self.filter.counts.readers.len() + 2 > MAX_READERS {
            return Err(Refusal::Busy("counters are being read".into()));
        }
        let v4 = self.start_reader("/usr/sbin/iptables-nft", slot).map_err(failed)?;
        let v6 = self.start_reader("/usr/sbin/ip6tables-nft", slot).map_err(failed)?;
        self.reply(request, Ok(ControlReply::Done), vec![Rc::new(v4), Rc::new(v6)]);
        Ok(())
    }

    fn start_reader(&mut self, program: &str, slot: SlotId) -> Result<OwnedFd, Failed> {
        let (reader, output) = pipe_with(PipeFlags::CLOEXEC).step(|| format!("make a pipe for {program}"))?;
        let null = self.surroundings.null.as_fd();
        let chain = format!("slot{slot}");
        let started = firewall::start(program, &["-v", "-S", &chain], [null, output.as_fd(), null])?;
        let deadline = uptime() + LIMIT;
        self.timers.arm(deadline, Timer::Filter);
        self.children.insert(started.pid, Child::Counter);
        self.filter.counts.readers.push((started.pid, deadline));
        Ok(reader)
    }

    /// A reader has ended; what it printed is control's.
    pub(in super::super) fn counter_ended(&mut self, pid: Pid) {
        self.filter.counts.readers.retain(|(reader, _)| *reader != pid);
    }
}
