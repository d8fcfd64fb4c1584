//! Tasks: what control wants run in a slot once, beside its program, with the same start, domain and files. They have a group
//! with limits of their own, no place on the ladder, and end with the control that asked for them: who waits for one is there.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use kennel_model::msg::{ControlReply, Refusal, RequestId, ToControl};
use kennel_model::task::{Place, TaskEnd, TaskId, TaskIo};
use kennel_model::{LaunchSpec, Limits, ReleaseId, SlotId};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, kill_process};

use super::control::failed;
use super::link::Outgoing;
use super::poller::Source;
use super::timers::Timer;
use super::{Child, Host, millis};
use crate::child;
use crate::child::report::{News, Report};
use crate::console::uptime;
use crate::fs::write;
use crate::say;
use crate::slot::cgroup::{BUILDS, Cgroup};
use crate::slot::ending::{self, End};
use crate::slot::launch::{self, Role};
use crate::slot::meter::Counted;
use crate::slot::{log, quota};
use crate::step::{Failed, Step};

/// Which domain the sockets are of that this thread makes; proc_pid_attr(5).
const SOCKETS_ARE: &str = "/proc/thread-self/attr/sockcreate";

/// A task.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) place: Place,
    pub(super) pid: Pid,
    /// Until it has told of its start.
    pub(super) report: Option<Report>,
    /// Why it could not start.
    pub(super) failure: Option<String>,
    pub(super) program: String,
    pub(super) release: ReleaseId,
    pub(super) files: ReleaseId,
    pub(super) limits: Limits,
    /// When it is killed; absent while nobody wants it to end.
    pub(super) deadline: Option<Duration>,
    /// What is on its slot's account of it already, or is not its own.
    pub(super) counted: Counted,
    pub(super) kind: Kind,
}

/// What a task is to others.
#[derive(Debug)]
pub(super) enum Kind {
    /// Somebody waits for it, and sees its end.
    Attended,
    /// Its end is said in the tenant's log.
    Logged,
    /// It fetches a release's packages; its end is said there too.
    Build,
    /// It may become the slot's program, with this.
    Trial(Rc<LaunchSpec>),
    /// It was the slot's program.
    Relieved {
        /// With which it may be that again.
        spec: Option<Rc<LaunchSpec>>,
        /// When it is asked to end.
        until: Duration,
        /// It has nothing left to do, and is frozen.
        warm: bool,
    },
}

impl Task {
    /// One that was just started.
    pub(super) fn new(
        place: Place,
        started: child::Started,
        spec: &LaunchSpec,
        program: String,
        counted: Counted,
        kind: Kind,
    ) -> Self {
        Self {
            place,
            pid: started.pid,
            report: Some(started.report),
            failure: None,
            program,
            release: spec.release,
            files: spec.files,
            limits: spec.limits,
            deadline: None,
            counted,
            kind,
        }
    }

    /// Whose it is.
    pub(super) const fn slot(&self) -> SlotId {
        self.place.slot
    }

    /// Its cgroup.
    pub(super) fn group(&self) -> Cgroup {
        match self.kind {
            Kind::Attended | Kind::Logged => Cgroup::at(&self.place.task_cgroup()),
            Kind::Build => build_group(self.place),
            Kind::Trial(_) | Kind::Relieved { .. } => Cgroup::at(&self.place.program_cgroup()),
        }
    }

    /// Lets it run if it is frozen.
    pub(super) fn thaw(&self) {
        if matches!(self.kind, Kind::Relieved { warm: true, .. })
            && let Err(e) = self.group().freeze(false)
        {
            say!("FAILED to {e}");
        }
    }

    /// Where kills for want of memory are counted that may be of it.
    fn counts_kills(&self) -> Cgroup {
        match self.kind {
            Kind::Attended | Kind::Logged => Cgroup::at(&Place::cgroup_of_all(self.place.slot)),
            Kind::Build | Kind::Trial(_) | Kind::Relieved { .. } => self.group(),
        }
    }

    /// Whether it runs with these files.
    pub(super) fn uses(&self, slot: SlotId, files: ReleaseId) -> bool {
        self.place.slot == slot && self.files == files
    }
}

impl Host {
    /// Starts a task. Control is answered at once, with its ends of the streams.
    pub(super) fn begin_task(
        &mut self,
        slot: SlotId,
        task: TaskId,
        spec: LaunchSpec,
        io: TaskIo,
        request: RequestId,
    ) -> Result<(), Refusal> {
        spec.validate().map_err(|e| Refusal::Invalid(e.to_string()))?;
        if self.tasks.contains_key(&task) {
            return Err(Refusal::Invalid(format!("there is a task {} already", task.0)));
        }
        if self.draining.is_some() {
            return Err(Refusal::Busy("the host is being drained".into()));
        }
        if self.slots.get(&slot).is_some_and(|s| s.wipe.is_some()) {
            return Err(Refusal::Busy("it is being wiped".into()));
        }
        if self.slots.get(&slot).is_some_and(super::slots::Slot::is_to_exchange) {
            return Err(Refusal::Busy("its data is being replaced".into()));
        }
        // As for its program: what it may connect to has to be known before it can try.
        if !self.filter.is_sent(slot) {
            return Err(Refusal::Invalid(format!("{slot:?}: its egress rules are not in force yet")));
        }
        let place = self.free_place(slot)?;
        let started = match io {
            TaskIo::Trial => self.start_trial(place, task, spec).map(|()| vec![]),
            TaskIo::Build => self.start_build(place, task, &spec).map(|()| vec![]),
            TaskIo::Streams | TaskIo::Log => self.start_task(place, task, &spec, io),
        };
        let ends = started.map_err(failed)?;
        self.reply(request, Ok(ControlReply::Done), ends);
        Ok(())
    }

    /// A place where nothing is, and where the slot's program is not meant to be.
    fn free_place(&self, id: SlotId) -> Result<Place, Refusal> {
        let of_program = self.slots.get(&id).map_or(Place::first(id), |slot| slot.place(id));
        let taken: BTreeSet<_> = self.tasks.values().map(|t| t.place).chain([of_program]).collect();
        let place = Place::all(id).find(|place| !taken.contains(place));
        place.ok_or_else(|| Refusal::Busy("too many tasks run in it".into()))
    }

    fn start_task(
        &mut self,
        place: Place,
        task: TaskId,
        spec: &LaunchSpec,
        io: TaskIo,
    ) -> Result<Vec<Rc<OwnedFd>>, Failed> {
        let (all, group) = (Cgroup::at(&Place::cgroup_of_all(place.slot)), Cgroup::at(&place.task_cgroup()));
        all.make_once()?;
        all.limit_tasks(&spec.limits)?;
        group.make()?;
        let counted = Counted { cpu_us: 0, oom_kills: all.oom_kills() };
        let started = self.clone_task(place, spec, io, &group).inspect_err(|_| {
            // Nothing is in it, so it goes at once; if not, the next start tries again.
            let _ = group.remove();
            let _ = all.remove();
        });
        let (started, ends) = started?;
        let kind = if io == TaskIo::Log { Kind::Logged } else { Kind::Attended };
        let program = spec.argv.first().cloned().unwrap_or_default();
        self.add_task(task, Task::new(place, started, spec, program, counted, kind))?;
        Ok(ends)
    }

    fn start_build(&mut self, place: Place, task: TaskId, spec: &LaunchSpec) -> Result<(), Failed> {
        let group = build_group(place);
        group.make()?;
        let started = group.limit_build().and_then(|()| self.clone_task(place, spec, TaskIo::Build, &group));
        let (started, _) = started.inspect_err(|_| {
            let _ = group.remove();
        })?;
        let program = spec.argv.first().cloned().unwrap_or_default();
        self.add_task(task, Task::new(place, started, spec, program, Counted::default(), Kind::Build))
    }

    /// What is known of a task that was just started; its report is listened to.
    pub(super) fn add_task(&mut self, id: TaskId, task: Task) -> Result<(), Failed> {
        self.children.insert(task.pid, Child::Task(id));
        let place = task.place;
        let listened = task.report.as_ref().map_or(Ok(()), |r| self.poller.add(r, Source::TaskReport(place)));
        self.tasks.insert(id, task);
        listened
    }

    fn clone_task(
        &self,
        place: Place,
        spec: &LaunchSpec,
        io: TaskIo,
        group: &Cgroup,
    ) -> Result<(child::Started, Vec<Rc<OwnedFd>>), Failed> {
        let slot = place.slot;
        quota::limit(slot, &spec.limits)?;
        let (own, ends) = match io {
            TaskIo::Streams => streams(&slot.run_context(launch::makes_code(spec, &self.surroundings)))?,
            TaskIo::Log | TaskIo::Build | TaskIo::Trial => {
                log::note(place, spec.release, &format!("running {}", spec.argv.join(" ")));
                let output = OwnedFd::from(log::open(place, spec.release)?);
                let again = output.try_clone().step(|| "open the log twice".to_owned())?;
                let null = self.surroundings.null.try_clone().step(|| "open /dev/null twice".to_owned())?;
                ([null.into(), output, again], vec![])
            }
        };
        let [input, output, errors] = &own;
        let role = Role {
            programs: launch::task_programs(spec),
            argv: &spec.argv,
            port: place.port(),
            stdio: [input.as_fd(), output.as_fd(), errors.as_fd()],
            builds: io == TaskIo::Build,
        };
        let folder = group.open()?;
        let plan = launch::tenant(slot, spec, role, folder.as_fd(), &self.surroundings)?;
        Ok((child::start(plan)?, ends))
    }

    pub(super) fn handle_task_report(&mut self, place: Place) {
        let Some(task) = self.tasks.values_mut().find(|task| task.place == place) else { return };
        let Some(report) = &task.report else { return };
        match report.read() {
            News::None => return,
            News::Failed(Some(failed)) => task.failure = Some(failed.explain(&task.program)),
            // Its end tells all there is to tell.
            News::Executed | News::Failed(None) => {}
        }
        self.poller.forget(report);
        task.report = None;
    }

    /// SIGTERM, and SIGKILL after its grace. One without a handler for the first is not worth the grace: it is process 1 of
    /// its PID namespace.
    pub(super) fn stop_task(&mut self, id: TaskId) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| task.deadline.is_none()) else { return };
        let deadline = uptime() + millis(task.limits.stop_grace_ms);
        task.deadline = Some(deadline);
        task.thaw();
        let status = crate::fs::read(format!("/proc/{}/status", task.pid.as_raw_pid()));
        if status.is_ok_and(|text| ending::handles_sigterm(&text)) {
            // It is our child and not reaped yet, so the PID is its own; that it has ended meanwhile is fine.
            let _ = kill_process(task.pid, Signal::TERM);
            self.timers.arm(deadline, Timer::Task(id));
        } else {
            kill(task);
        }
    }

    pub(super) fn handle_task_timer(&mut self, id: TaskId) {
        match self.tasks.get(&id) {
            Some(task) if task.deadline.is_some_and(|at| at <= uptime()) => kill(task),
            Some(Task { kind: Kind::Relieved { until, .. }, .. }) if *until <= uptime() => self.stop_task(id),
            _ => {}
        }
    }

    /// Ends all tasks of a slot at once.
    pub(super) fn kill_tasks_of(&self, slot: SlotId) {
        self.tasks.values().filter(|task| task.slot() == slot).for_each(kill);
    }

    /// Control has gone: ends all tasks that are its at once, and asks those to end that it kept to go back to; none is kept from now on.
    pub(super) fn end_tasks(&mut self) {
        self.tasks.values().filter(|task| !matches!(task.kind, Kind::Relieved { .. })).for_each(kill);
        self.slots.values_mut().for_each(|slot| slot.beta = None);
        self.forget_specs(None);
        self.cool(|_| true);
    }

    pub(super) fn task_ended(&mut self, id: TaskId, end: End) {
        if let Some(place) = self.tasks.get(&id).map(|task| task.place) {
            self.handle_task_report(place);
        }
        let Some(task) = self.tasks.remove(&id) else { return };
        let (slot, group) = (task.slot(), task.group());
        let oom_kills = task.counts_kills().oom_kills().saturating_sub(task.counted.oom_kills);
        let cpu_us = group.counted().cpu_us.saturating_sub(task.counted.cpu_us);
        if let Some(slot) = self.slots.get_mut(&slot) {
            slot.meter.add(Counted { cpu_us, oom_kills });
        }
        // It is process 1 of its PID namespace, so nothing is left in the group.
        if !matches!(group.remove(), Ok(true)) {
            say!("FAILED to remove the cgroup of a task in {slot:?}; the next start tries again");
        }
        let ended = end_of(&task, end, oom_kills > 0);
        let said = match task.kind {
            Kind::Attended => None,
            Kind::Logged | Kind::Build => Some(format!("{}: {}", task.program, ended.why)),
            Kind::Trial(spec) => Some(format!("release {} on trial: {}", spec.release.0, ended.why)),
            Kind::Relieved { .. } => Some(format!("the release before: {}", ended.why)),
        };
        if let Some(said) = said {
            log::note(task.place, task.release, &said);
        }
        // Others of the slot may be in it.
        let _ = Cgroup::at(&Place::cgroup_of_all(slot)).remove();
        self.send("control", Outgoing::Control(ToControl::TaskEnded(id, ended)), vec![]);
        self.continue_wipe(slot);
        self.continue_exchange(slot);
    }
}

fn kill(task: &Task) {
    if let Err(e) = task.group().kill() {
        say!("FAILED to {e}");
    }
}

fn build_group(place: Place) -> Cgroup {
    Cgroup::at(&format!("{BUILDS}/{}", place.index()))
}

/// A task's three streams, and control's ends of them. The sockets are the tenant's by their label, not init's, so that this
/// opens nothing between tenants whoever else has such a socket.
fn streams(context: &str) -> Result<([OwnedFd; 3], Vec<Rc<OwnedFd>>), Failed> {
    write(SOCKETS_ARE, context)?;
    let pair = || socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let pairs = pair().and_then(|input| Ok([input, pair()?, pair()?]));
    // Empty: as this thread's own from here on.
    write(SOCKETS_ARE, "")?;
    let [(input, to_input), (output, from_output), (errors, from_errors)] =
        pairs.step(|| "make a task's streams".to_owned())?;
    Ok(([input, output, errors], [to_input, from_output, from_errors].map(Rc::new).into()))
}

fn end_of(task: &Task, end: End, out_of_memory: bool) -> TaskEnd {
    let code = match end {
        End::Exited(code) => code,
        End::Killed(signal) => 128 + signal,
    };
    let why = match &task.failure {
        Some(failure) => failure.clone(),
        None => ending::describe(end, out_of_memory, &task.limits),
    };
    let code = if task.failure.is_some() { 127 } else { u8::try_from(code).unwrap_or(u8::MAX) };
    TaskEnd { code, why }
}
