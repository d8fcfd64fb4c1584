//! Carries out what the table in `slot/ladder.rs` decides: spawns, signals, answers and tells. And watches a slot's end:
//! it has ended when its process is reaped and its cgroup is gone, so that nothing of it is left when that is said.

use std::fs::File;
use std::mem;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use kennel_model::msg::{ControlReply, Depth, Refusal, RequestId, Rung, SlotEvent, ToProxy};
use kennel_model::task::Place;
use kennel_model::{LaunchSpec, Limits, ReleaseId, SlotId, SlotState, command};
use rustix::process::{Pid, Signal, kill_process};

use super::betas::Beta;
use super::data::Exchange;
use super::jobs::{Job, Wipe};
use super::link::Outgoing;
use super::poller::Source;
use super::timers::Timer;
use super::waiting::Starter;
use super::{Child, Host, millis};
use crate::child;
use crate::child::report::{News, Report};
use crate::console::uptime;
use crate::say;
use crate::slot::cgroup::Cgroup;
use crate::slot::ending::{self, End};
use crate::slot::ladder::{Action, Event, Rungs, State, step};
use crate::slot::launch::Role;
use crate::slot::meter::{Meter, millis as whole_ms};
use crate::slot::{launch, log};
use crate::step::Failed;

/// More waiters than this for one slot come from a service that has lost its senses.
pub(super) const MAX_WAITING: usize = 1024;
/// How long a cgroup may take to become empty after SIGKILL to all that is in it.
const CGROUP_LIMIT: Duration = Duration::from_secs(10);

/// One slot, as far as it is not at its defaults.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) state: State,
    pub(super) spec: Option<Rc<LaunchSpec>>,
    pub(super) job: Option<Job>,
    pub(super) wipe: Option<Wipe>,
    /// New data that takes the place of what there is.
    pub(super) exchange: Option<Exchange>,
    /// In this boot, for the tenant that lives there now.
    pub(super) was_started: bool,
    /// The `cpu.weight` of its control group.
    pub(super) weight: u16,
    /// Where its program is; at first, the first.
    place: Option<Place>,
    pub(super) process: Option<Process>,
    /// What is shown beside it.
    pub(super) beta: Option<Beta>,
    pub(super) starters: Vec<Starter>,
    pub(super) stoppers: Vec<RequestId>,
    /// Who wants it asleep, and how deep.
    pub(super) sleepers: Vec<(RequestId, Depth)>,
    /// The proxy's, while it holds the program awake.
    pub(super) lease: Option<RequestId>,
    /// What it has spent.
    pub(super) meter: Meter,
    /// Slices in a row in which nothing of its memory went to swap.
    pub(super) fruitless: u8,
    /// The events of its cgroup while it is to freeze.
    pub(super) freezer: Option<File>,
    /// Its cgroup is not empty although its process has ended: its events, and why the program ended.
    leaving: Option<(File, String)>,
}

/// A tenant's process.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: Pid,
    /// Until it has told of its start.
    pub(super) report: Option<Report>,
    /// Why it could not start.
    pub(super) failure: Option<String>,
    /// What it was started with.
    pub(super) spec: Rc<LaunchSpec>,
}

impl Slot {
    /// Whether the proxy holds its program awake, or waits to.
    pub(super) fn is_held(&self) -> bool {
        self.lease.is_some() || self.starters.iter().any(Starter::is_visitor)
    }

    /// Whether anybody waits for it to run.
    pub(super) const fn is_awaited(&self) -> bool {
        !self.starters.is_empty()
    }

    /// Where the program of the slot with this number is.
    pub(super) fn place(&self, id: SlotId) -> Place {
        self.place.unwrap_or(Place::first(id))
    }

    /// The cgroup of its program.
    pub(super) fn cgroup(&self, id: SlotId) -> Cgroup {
        Cgroup::at(&self.place(id).program_cgroup())
    }

    /// Its program is at another place from now on.
    pub(super) const fn moves_to(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// Whether what was its program is still on its way out.
    pub(super) const fn is_leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// Whether anything of a program is left, on its way in or out.
    pub(super) const fn has_process(&self) -> bool {
        self.process.is_some() || self.leaving.is_some()
    }

    /// The release that runs, when its program is awake.
    pub(super) fn awake(&self) -> Option<ReleaseId> {
        let awake = self.state.public() == SlotState::Running;
        self.process.as_ref().filter(|_| awake).map(|process| process.spec.release)
    }

    /// Of what it runs.
    pub(super) fn limits(&self) -> Option<&Limits> {
        self.spec.as_ref().map(|spec| &spec.limits)
    }

    pub(super) fn rungs(&self) -> Rungs {
        self.limits().map_or_else(|| Rungs::from(&Limits::default()), Rungs::from)
    }
}

impl Host {
    /// Somebody wants a slot stopped; control is answered when it is, if a request is given.
    pub(super) fn stop_slot(&mut self, id: SlotId, request: Option<RequestId>) -> Result<(), Refusal> {
        let slot = self.slots.entry(id).or_default();
        if slot.stoppers.len() >= MAX_WAITING {
            return Err(Refusal::Busy("too many requests wait for it".into()));
        }
        slot.stoppers.extend(request);
        let grace = slot.spec.as_ref().map_or(Duration::ZERO, |spec| millis(spec.limits.stop_grace_ms));
        if self.leave_the_line(id) {
            self.answer_starters(id, &Err("stopped before it had started".to_owned()));
        }
        self.feed(id, Event::Stop { grace });
        Ok(())
    }

    /// Puts an event through the table.
    pub(super) fn feed(&mut self, id: SlotId, event: Event) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let rungs = slot.rungs();
        let from = slot.state.rung();
        let (state, actions) = step(slot.state, event, uptime(), &rungs);
        slot.state = state;
        if let Some(deadline) = state.deadline(&rungs) {
            self.timers.arm(deadline, Timer::Slot(id));
        }
        for action in actions {
            self.act(id, action, from);
        }
    }

    fn act(&mut self, id: SlotId, action: Action, from: Rung) {
        match action {
            Action::Spawn => {
                if let Err(e) = self.spawn(id) {
                    self.note(id, &e.to_string());
                    self.feed(id, Event::Ended(e.to_string()));
                }
            }
            Action::Freeze => self.freeze(id),
            Action::Thaw => self.thaw(id),
            Action::Reclaim => self.reclaim(id),
            Action::Terminate => self.terminate(id),
            Action::Kill => self.kill(id),
            Action::AnswerStarters(result) => self.answer_starters(id, &result),
            Action::AnswerStoppers => self.answer_stoppers(id),
            Action::AnswerSleepers(result) => self.answer_sleepers(id, &result),
            Action::Tell(state, reason) => self.tell(id, state, from, reason),
        }
    }

    /// Says in its log what became of what a slot was to run.
    fn note(&self, id: SlotId, text: &str) {
        match self.slots.get(&id).map(|slot| (slot.place(id), &slot.spec)) {
            Some((place, Some(spec))) => log::note(place, spec.release, text),
            _ => say!("{id:?}: {text}"),
        }
    }

    fn spawn(&mut self, id: SlotId) -> Result<(), Failed> {
        if self.ending.is_some() || self.draining.is_some() {
            return Err(Failed::new("start the program", "the host is shutting down"));
        }
        let Some(slot) = self.slots.get(&id) else { return Ok(()) };
        let spec = slot.spec.clone().ok_or_else(|| Failed::new("start the program", "there is none"))?;
        let started = self.clone_program(slot.place(id), &spec, "")?;
        self.children.insert(started.pid, Child::Tenant(id));
        self.poller.add(&started.report, Source::SlotReport(id))?;
        let Some(slot) = self.slots.get_mut(&id) else { return Ok(()) };
        (slot.was_started, slot.weight) = (true, spec.limits.cpu_weight);
        slot.process = Some(Process { pid: started.pid, report: Some(started.report), failure: None, spec });
        Ok(())
    }

    /// Starts a tenant's program, for what the log is to say of it.
    pub(super) fn clone_program(
        &self,
        place: Place,
        spec: &LaunchSpec,
        what_for: &str,
    ) -> Result<child::Started, Failed> {
        let output = log::open(place, spec.release)?;
        let cgroup = Cgroup::at(&place.program_cgroup());
        cgroup.make()?;
        let argv = command::with_port(&spec.argv, place.port());
        let started = cgroup.limit(&spec.limits).and_then(|()| {
            let folder = cgroup.open()?;
            let role = Role {
                programs: vec![launch::program_path(spec)],
                argv: &argv,
                port: place.port(),
                stdio: [self.surroundings.null.as_fd(), output.as_fd(), output.as_fd()],
                builds: false,
            };
            let plan = launch::tenant(place.slot, spec, role, folder.as_fd(), &self.surroundings)?;
            let said = format!("starting release {}{what_for}: {}", spec.release.0, argv.join(" "));
            log::note(place, spec.release, &said);
            child::start(plan)
        });
        started.inspect_err(|_| {
            // Nothing is in it, so it goes at once; if not, the next start tries again.
            let _ = cgroup.remove();
        })
    }

    /// SIGTERM. A tenant's program is process 1 of its PID namespace, where a signal without a handler does nothing: it
    /// is not worth the grace then.
    fn terminate(&mut self, id: SlotId) {
        let Some(process) = self.slots.get(&id).and_then(|s| s.process.as_ref()) else { return };
        let status = crate::fs::read(format!("/proc/{}/status", process.pid.as_raw_pid()));
        if status.is_ok_and(|text| ending::handles_sigterm(&text)) {
            // It is our child and not reaped yet, so the PID is its own; that it has ended meanwhile is fine.
            let _ = kill_process(process.pid, Signal::TERM);
        } else {
            self.kill(id);
        }
    }

    fn kill(&mut self, id: SlotId) {
        let Some(slot) = self.slots.get(&id) else { return };
        if let Err(e) = slot.cgroup(id).kill() {
            say!("FAILED to {e}");
        }
    }

    fn answer_stoppers(&mut self, id: SlotId) {
        let stoppers = self.slots.get_mut(&id).map(|s| mem::take(&mut s.stoppers));
        for request in stoppers.into_iter().flatten() {
            self.reply(request, Ok(ControlReply::Done), vec![]);
        }
    }

    fn tell(&mut self, id: SlotId, state: SlotState, from: Rung, mut reason: String) {
        let now = uptime();
        self.see_memory(id);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.meter.moved(now, state, from);
        // The first who asked; the others found it on its way.
        if let (SlotState::Running, Some(first)) = (state, slot.starters.first()) {
            reason = format!("{reason} by {}", first.cause.as_str());
        }
        let message = match state {
            SlotState::Stopped | SlotState::Failed => {
                slot.lease = None;
                ToProxy::Down(id)
            }
            SlotState::Stopping => {
                slot.lease = None;
                ToProxy::Ending(id)
            }
            _ => ToProxy::Awake(id, slot.awake()),
        };
        self.send("proxy", Outgoing::Proxy(message), vec![]);
        self.share_processors();
        self.tell_control(SlotEvent { slot: id, state, from, at_ms: whole_ms(now), reason });
    }

    pub(super) fn handle_slot_report(&mut self, id: SlotId) {
        let Some(process) = self.slots.get_mut(&id).and_then(|s| s.process.as_mut()) else { return };
        let Some(report) = &process.report else { return };
        let news = report.read();
        if news == News::None {
            return;
        }
        self.poller.forget(report);
        process.report = None;
        match news {
            News::Executed => self.feed(id, Event::Executed),
            News::Failed(Some(failed)) => {
                process.failure = Some(failed.explain(&launch::program_path(&process.spec)))
            }
            // Its end tells all there is to tell.
            News::Failed(None) | News::None => {}
        }
    }

    pub(super) fn tenant_ended(&mut self, id: SlotId, end: End) {
        self.handle_slot_report(id);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let Some(process) = slot.process.take() else { return };
        self.forget_freezer(id);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let cgroup = slot.cgroup(id);
        let oom = cgroup.oom_kills() > 0;
        let why = match process.failure {
            Some(failure) => failure,
            None => ending::describe(end, oom, &process.spec.limits),
        };
        let asked = matches!(slot.state, State::Stopping { .. });
        let said = if asked { format!("stopped ({why})") } else { why.clone() };
        log::note(slot.place(id), process.spec.release, &said);
        self.leave_cgroup(id, &cgroup, why);
    }

    /// Removes the cgroup, now or when it has become empty; only then the slot has ended. As the end of process 1 of a
    /// PID namespace is the end of all in it, "now" is what is to be expected.
    fn leave_cgroup(&mut self, id: SlotId, cgroup: &Cgroup, why: String) {
        self.see_end(id, cgroup);
        let removed = cgroup.remove();
        if let Ok(false) = removed
            && let Ok(events) = cgroup.kill().and_then(|()| cgroup.events())
            && self.poller.add(&events, Source::Cgroup(id)).is_ok()
        {
            self.timers.arm(uptime() + CGROUP_LIMIT, Timer::Cgroup(id));
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.leaving = Some((events, why));
            }
            // It may have become empty before it was listened to.
            return self.handle_cgroup(id, false);
        }
        if !matches!(removed, Ok(true)) {
            say!("FAILED to remove the cgroup of {id:?}; the next start tries again");
        }
        self.slot_ended(id, why);
    }

    /// The cgroup of an ended program has changed, or its time is over.
    pub(super) fn handle_cgroup(&mut self, id: SlotId, overdue: bool) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let Some((events, why)) = slot.leaving.take() else { return };
        let cgroup = slot.cgroup(id);
        slot.meter.count(cgroup.counted());
        let gone = cgroup.remove().unwrap_or(false);
        if !gone && !overdue {
            slot.leaving = Some((events, why));
            return;
        }
        self.poller.forget(&events);
        if !gone {
            say!("FAILED to empty the cgroup of {id:?}; the next start tries again");
        }
        self.slot_ended(id, why);
    }

    fn slot_ended(&mut self, id: SlotId, why: String) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.meter.ended(uptime());
        }
        self.exchange_at_end(id);
        self.feed(id, Event::Ended(why));
        self.continue_wipe(id);
        self.continue_exchange(id);
        self.wake_is_over(id);
    }

    pub(super) fn handle_slot_timer(&mut self, id: SlotId) {
        let deadline = self.slots.get(&id).and_then(|s| s.state.deadline(&s.rungs()));
        if deadline.is_some_and(|at| at <= uptime()) {
            self.feed(id, Event::Timeout);
        }
    }
}
