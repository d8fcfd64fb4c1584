//! A release on trial: its program is started beside the one that serves, at a place of its own in the slot, asked by the proxy
//! whether it is ready, and takes over without being started anew; the one before sleeps when it has
//! finished what it was asked, so that it can take over again, and ends as a task does after a while. Whether it is
//! good enough is control's to judge, and until then it is a task of control's.

use std::rc::Rc;
use std::time::Duration;

use kennel_model::msg::{ControlReply, Refusal, RequestId, ToControl, ToProxy};
use kennel_model::task::{Ask, Asked, Place, TaskEnd, TaskId};
use kennel_model::{LaunchSpec, SlotId};

use super::link::Outgoing;
use super::slots::Process;
use super::tasks::{Kind, Task};
use super::timers::Timer;
use super::{Child, Host};
use crate::console::uptime;
use crate::say;
use crate::slot::ladder::{Event, State};
use crate::slot::launch;
use crate::slot::meter::Counted;
use crate::slot::quota;
use crate::step::Failed;

/// How long a program that another has taken over from may go on with what it was given, before it is asked to end.
const REST: Duration = Duration::from_secs(60);
/// How long it is kept after that, frozen, for who wants it back.
const WARM: Duration = Duration::from_secs(300);

impl Host {
    pub(super) fn start_trial(&mut self, place: Place, id: TaskId, spec: LaunchSpec) -> Result<(), Failed> {
        quota::limit(place.slot, &spec.limits)?;
        let started = self.clone_program(place, &spec, " on trial")?;
        let (program, spec) = (launch::program_path(&spec), Rc::new(spec));
        let kind = Kind::Trial(Rc::clone(&spec));
        self.add_task(id, Task::new(place, started, &spec, program, Counted::default(), kind))
    }

    /// Has the proxy ask what is on trial whether it is ready. An error is the answer; otherwise it comes by itself.
    pub(super) fn ask_task(&mut self, id: TaskId, ask: Ask, request: RequestId) -> Result<(), Refusal> {
        let task = self.tasks.get(&id).filter(|task| matches!(task.kind, Kind::Trial(_)));
        let place = task.ok_or_else(not_there)?.place;
        if !self.is_linked("proxy") {
            return Err(Refusal::Busy("the proxy is being started".into()));
        }
        self.asks.insert(request);
        let message = ToProxy::Ask { id: request, slot: place.slot, port: place.port(), ask };
        self.send("proxy", Outgoing::Proxy(message), vec![]);
        Ok(())
    }

    /// The proxy has asked.
    pub(super) fn on_asked(&mut self, request: RequestId, asked: Asked) {
        if self.asks.remove(&request) {
            self.reply(request, Ok(ControlReply::Asked(asked)), vec![]);
        }
    }

    /// There is no proxy that could answer any more.
    pub(super) fn forget_asks(&mut self) {
        for request in std::mem::take(&mut self.asks) {
            self.reply(request, Err(Refusal::Busy("the proxy has ended".into())), vec![]);
        }
    }

    /// What is on trial, or was the slot's program before, is the slot's program from now on, if it is what is wanted.
    pub(super) fn promote(&mut self, id: TaskId, wanted: &LaunchSpec) -> Result<ControlReply, Refusal> {
        let task = self.tasks.get(&id).ok_or_else(not_there)?;
        let runs = task.report.is_none() && task.deadline.is_none();
        let spec = match &task.kind {
            Kind::Trial(spec) | Kind::Relieved { spec: Some(spec), .. } if runs => Rc::clone(spec),
            _ => return Err(Refusal::Invalid("that is not a program that could take over".into())),
        };
        if *spec != *wanted {
            return Err(Refusal::Invalid("that is not what is wanted any more".into()));
        }
        let slot_id = task.slot();
        if self.draining.is_some() {
            return Err(Refusal::Busy("the host is being drained".into()));
        }
        let slot = self.slots.entry(slot_id).or_default();
        if slot.wipe.is_some() || slot.is_leaving() || matches!(slot.state, State::Stopping { .. }) {
            return Err(Refusal::Busy("it is being stopped".into()));
        }
        let Some(task) = self.tasks.remove(&id) else { return Err(not_there()) };
        task.thaw();
        self.forget_specs(Some(slot_id));
        let relieved = self.relieve(slot_id);
        let place = task.place;
        self.children.insert(task.pid, Child::Tenant(slot_id));
        let slot = self.slots.entry(slot_id).or_default();
        slot.moves_to(place);
        // What was shown serves now.
        slot.beta.take_if(|beta| beta.spec == *spec);
        (slot.was_started, slot.weight) = (true, spec.limits.cpu_weight);
        slot.process = Some(Process { pid: task.pid, report: None, failure: None, spec: Rc::clone(&spec) });
        slot.spec = Some(spec);
        let held = slot.is_held();
        // Before the one that was relieved hears of it.
        self.send("proxy", Outgoing::Proxy(ToProxy::Moved(slot_id, place.port())), vec![]);
        self.leave_the_line(slot_id);
        self.feed(slot_id, Event::TakenOver(held));
        self.wake_is_over(slot_id);
        match relieved {
            Some(relieved) => {
                self.children.insert(relieved.pid, Child::Task(id));
                self.tasks.insert(id, relieved);
                match self.is_linked("proxy") {
                    true => self.timers.arm(uptime() + REST, Timer::Task(id)),
                    false => self.stop_task(id),
                }
            }
            None => {
                let nothing = TaskEnd { code: 0, why: "nothing ran".to_owned() };
                self.send("control", Outgoing::Control(ToControl::TaskEnded(id, nothing)), vec![]);
            }
        }
        Ok(ControlReply::Done)
    }

    /// Nothing is in flight any more that a program from before was given, at this port. It is kept warm for a while, asleep and
    /// ready to take over again; one that was before is not any more.
    pub(super) fn requests_have_left(&mut self, port: u16) {
        let left = self.tasks.iter().find(|(_, task)| task.place.port() == port && task.deadline.is_none());
        let Some((&id, task)) = left else { return };
        let slot = task.slot();
        let Kind::Relieved { spec, warm: false, .. } = &task.kind else { return };
        let may_stay = spec.is_some() && self.draining.is_none() && self.ending.is_none();
        self.cool(|task| task.slot() == slot);
        let Some(task) = self.tasks.get_mut(&id).filter(|_| may_stay && !self.memory.is_short()) else {
            return self.stop_task(id);
        };
        if let Err(e) = task.group().freeze(true) {
            say!("FAILED to {e}");
            return self.stop_task(id);
        }
        if let Kind::Relieved { warm, until, .. } = &mut task.kind {
            (*warm, *until) = (true, uptime() + WARM);
            self.timers.arm(*until, Timer::Task(id));
        }
    }

    /// Asks programs to end that are kept warm.
    pub(super) fn cool(&mut self, which: impl Fn(&Task) -> bool) {
        self.end_relieved(|task, warm| warm && which(task));
    }

    /// Asks programs to end that were slots' before; with each it is said whether it is kept warm.
    pub(super) fn end_relieved(&mut self, which: impl Fn(&Task, bool) -> bool) {
        let chosen = |task: &Task| matches!(task.kind, Kind::Relieved { warm, .. } if which(task, warm));
        let over = self.tasks.iter().filter(|(_, task)| chosen(task));
        for id in over.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.stop_task(id);
        }
    }

    /// What was relieved until now, and is not kept warm yet, is nobody's to go back to: it ends when it has finished, or when the
    /// proxy does not tell it from others any more, and is not frozen over what it may still be asked.
    pub(super) fn forget_specs(&mut self, of: Option<SlotId>) {
        for task in self.tasks.values_mut().filter(|task| of.is_none_or(|slot| slot == task.slot())) {
            if let Kind::Relieved { spec, warm: false, .. } = &mut task.kind {
                *spec = None;
            }
        }
    }

    /// Takes a slot's program from it, awake, as a task that is to end.
    fn relieve(&mut self, id: SlotId) -> Option<Task> {
        self.thaw(id);
        self.see_memory(id);
        let slot = self.slots.get_mut(&id)?;
        let (place, group) = (slot.place(id), slot.cgroup(id));
        let Process { pid, report, failure, spec } = slot.process.take()?;
        let counted = group.counted();
        slot.meter.count(counted);
        slot.meter.ended(uptime());
        if let Some(report) = &report {
            self.poller.forget(report);
        }
        // One that has not told of its start is not one to go back to.
        let kept = report.is_none().then(|| Rc::clone(&spec));
        let kind = Kind::Relieved { spec: kept, until: uptime() + REST, warm: false };
        let (program, release) = (launch::program_path(&spec), spec.release);
        let (files, limits) = (spec.files, spec.limits);
        Some(Task {
            place,
            pid,
            report: None,
            failure,
            program,
            release,
            files,
            limits,
            deadline: None,
            counted,
            kind,
        })
    }
}

fn not_there() -> Refusal {
    Refusal::Failed("it has ended".into())
}
