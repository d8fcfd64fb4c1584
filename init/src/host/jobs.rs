//! `kennel-unpack` at work in slots: unpacking a release, listing one, removing one, and wiping a slot; what becomes of its data is
//! decided in `data.rs`. One act at a time in a slot, beside its running program; wiping comes before all others.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use kennel_model::msg::{ControlReply, Refusal, RequestId, ToProxy};
use kennel_model::task::Place;
use kennel_model::{Limits, ReleaseId, SlotId};
use rustix::pipe::{PipeFlags, pipe_with};

use super::control::failed;
use super::link::Outgoing;
use super::poller::Source;
use super::tasks::Kind;
use super::timers::Timer;
use super::{Child, Host};
use crate::child;
use crate::child::report::{News, Report};
use crate::console::uptime;
use crate::say;
use crate::slot::cgroup::{Cgroup, INSTALLS};
use crate::slot::ending::End;
use crate::slot::folders;
use crate::slot::install::{self, Act};
use crate::slot::quota;
use crate::step::Failed;

/// An upload over a slow line is slow, and so is a listing; `kennel-unpack` itself notices an upload that stalls.
const UNPACK_LIMIT: Duration = Duration::from_secs(2 * 3600);
/// Removing files is disk work only.
const REMOVE_LIMIT: Duration = Duration::from_secs(600);

/// An act of `kennel-unpack`.
#[derive(Debug)]
pub(super) struct Job {
    act: Act,
    deadline: Duration,
    report: Option<Report>,
    /// Whom to answer at its end.
    request: Option<RequestId>,
}

/// A slot that is being emptied.
#[derive(Debug)]
pub(super) struct Wipe {
    requests: Vec<RequestId>,
    /// What is still to be emptied, the next one last.
    left: Vec<Act>,
}

impl Job {
    pub(super) const fn forget_request(&mut self) {
        self.request = None;
    }
}

impl Wipe {
    pub(super) fn forget_requests(&mut self) {
        self.requests.clear();
    }
}

fn cgroup(id: SlotId) -> Cgroup {
    Cgroup::at(&format!("{INSTALLS}/{id}"))
}

impl Host {
    /// Starts unpacking a release. Control is answered at once, with its ends of the two pipes.
    pub(super) fn begin_unpack(&mut self, id: SlotId, act: Act, request: RequestId) -> Result<(), Refusal> {
        self.is_free(id)?;
        if let Act::Unpack(release, limits, _) = act {
            if Path::new(&folders::release(id, release)).symlink_metadata().is_ok() {
                return Err(Refusal::Invalid(format!("release {} of {id:?} exists already", release.0)));
            }
            quota::limit(id, &limits).map_err(failed)?;
        }
        self.start_piped(id, act, request)
    }

    /// Starts an act that reads from one pipe and reports through another.
    pub(super) fn start_piped(&mut self, id: SlotId, act: Act, request: RequestId) -> Result<(), Refusal> {
        let pipes = || Ok((pipe_with(PipeFlags::CLOEXEC)?, pipe_with(PipeFlags::CLOEXEC)?));
        let ((archive, archive_end), (report_end, report)) =
            pipes().map_err(|e: io::Error| Refusal::Failed(format!("make a pipe: {e}")))?;
        self.start_job(id, act, None, (Some(archive.as_fd()), Some(report.as_fd()))).map_err(failed)?;
        self.reply(request, Ok(ControlReply::Done), vec![Rc::new(archive_end), Rc::new(report_end)]);
        Ok(())
    }

    /// Starts an act that only tells: what a release holds, or all of the data. Control is answered at once, with its end of the pipe.
    pub(super) fn begin_telling(&mut self, id: SlotId, act: Act, request: RequestId) -> Result<(), Refusal> {
        self.is_free(id)?;
        let (told_end, told) = pipe_with(PipeFlags::CLOEXEC)
            .map_err(|e| Refusal::Failed(format!("make a pipe: {}", io::Error::from(e))))?;
        self.start_job(id, act, None, (None, Some(told.as_fd()))).map_err(failed)?;
        self.reply(request, Ok(ControlReply::Done), vec![Rc::new(told_end)]);
        Ok(())
    }

    /// Starts copying a release to where a build may write.
    pub(super) fn begin_build(
        &mut self,
        id: SlotId,
        (release, limits): (ReleaseId, Limits),
        request: RequestId,
    ) -> Result<(), Refusal> {
        self.is_free(id)?;
        if self.tasks.values().any(|task| task.slot() == id && matches!(task.kind, Kind::Build)) {
            return Err(Refusal::Busy("a build runs in it".into()));
        }
        quota::limit(id, &limits).map_err(failed)?;
        folders::make_build(id).map_err(failed)?;
        self.start_job(id, Act::BeginBuild(release), Some(request), (None, None)).map_err(failed)
    }

    /// Starts removing a release.
    pub(super) fn begin_removal(&mut self, id: SlotId, act: Act, request: RequestId) -> Result<(), Refusal> {
        self.is_free(id)?;
        if let Act::Remove(release) = act
            && self.tasks.values().any(|task| task.uses(id, release))
        {
            self.cool(|task| task.uses(id, release));
            return Err(Refusal::Busy("a task runs in that release".into()));
        }
        folders::make_build(id).map_err(failed)?;
        self.start_job(id, act, Some(request), (None, None)).map_err(failed)
    }

    /// Whether an act may begin in a slot.
    pub(super) fn is_free(&self, id: SlotId) -> Result<(), Refusal> {
        match self.slots.get(&id) {
            Some(slot) if slot.wipe.is_some() => Err(Refusal::Busy("it is being wiped".into())),
            Some(slot) if slot.job.is_some() => {
                Err(Refusal::Busy("a release is being unpacked or removed, or its data".into()))
            }
            Some(slot) if slot.exchange.is_some() => Err(Refusal::Busy("its data is being replaced".into())),
            _ => Ok(()),
        }
    }

    /// Starts emptying a slot: its program and any act in it are ended first.
    pub(super) fn begin_wipe(&mut self, id: SlotId, request: RequestId) -> Result<(), Refusal> {
        let slot = self.slots.entry(id).or_default();
        if let Some(wipe) = &mut slot.wipe {
            wipe.requests.push(request);
            return Ok(());
        }
        slot.spec = None;
        let left = vec![Act::WipeBuild, Act::WipeNewData, Act::WipeData, Act::WipeReleases];
        slot.wipe = Some(Wipe { requests: vec![request], left });
        if slot.job.is_some() {
            self.kill_job(id);
        }
        self.end_exchange(id, Err(Refusal::Busy("it is being wiped".into())));
        self.kill_tasks_of(id);
        self.stop_slot(id, None)?;
        self.continue_wipe(id);
        Ok(())
    }

    /// Goes on with a wipe as soon as nothing runs in the slot.
    pub(super) fn continue_wipe(&mut self, id: SlotId) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if slot.state.is_alive() || slot.job.is_some() || self.tasks.values().any(|task| task.slot() == id) {
            return;
        }
        let Some(wipe) = &mut slot.wipe else { return };
        // A folder that is missing is as empty as can be.
        while let Some(act) = wipe.left.pop() {
            if Path::new(&act.folder(id)).exists() {
                if let Err(e) = self.start_job(id, act, None, (None, None)) {
                    self.end_wipe(id, Err(failed(e)));
                }
                return;
            }
        }
        let removed = folders::remove(id).map(|()| ControlReply::Done).map_err(failed);
        self.end_wipe(id, removed);
    }

    fn end_wipe(&mut self, id: SlotId, result: Result<ControlReply, Refusal>) {
        self.filter.forget(id);
        if result.is_ok() && self.slots.get(&id).is_some_and(|slot| slot.place(id) != Place::first(id)) {
            self.send("proxy", Outgoing::Proxy(ToProxy::Moved(id, id.port())), vec![]);
        }
        let wipe = match &result {
            Ok(_) => self.slots.remove(&id).and_then(|slot| slot.wipe),
            Err(_) => self.slots.get_mut(&id).and_then(|slot| slot.wipe.take()),
        };
        for request in wipe.into_iter().flat_map(|w| w.requests) {
            self.reply(request, result.clone(), vec![]);
        }
    }

    /// Starts `kennel-unpack`. It gets the given standard input and output or none; its complaints go nowhere, since
    /// they may quote what somebody uploaded: what matters is in its report.
    pub(super) fn start_job(
        &mut self,
        id: SlotId,
        act: Act,
        request: Option<RequestId>,
        (input, output): (Option<BorrowedFd<'_>>, Option<BorrowedFd<'_>>),
    ) -> Result<(), Failed> {
        let group = cgroup(id);
        group.make()?;
        group.limit_install()?;
        let folder = group.open()?;
        let null = self.surroundings.null.as_fd();
        let stdio = [input.unwrap_or(null), output.unwrap_or(null), null];
        let plan = install::plan(id, act, stdio, folder.as_fd(), &self.surroundings)?;
        let started = child::start(plan)?;
        self.children.insert(started.pid, Child::Job(id));
        self.poller.add(&started.report, Source::JobReport(id))?;
        let limit = match act {
            Act::Unpack(..) | Act::List(_) | Act::SaveRelease(_) | Act::SaveData | Act::RestoreData(_) => {
                UNPACK_LIMIT
            }
            Act::Remove(_)
            | Act::WipeReleases
            | Act::WipeData
            | Act::WipeNewData
            | Act::WipeBuild
            | Act::BeginBuild(_)
            | Act::EndBuild(..) => REMOVE_LIMIT,
        };
        let deadline = uptime() + limit;
        self.timers.arm(deadline, Timer::Job(id));
        let slot = self.slots.entry(id).or_default();
        slot.job = Some(Job { act, deadline, report: Some(started.report), request });
        Ok(())
    }

    pub(super) fn handle_job_report(&mut self, id: SlotId) {
        let Some(job) = self.slots.get_mut(&id).and_then(|s| s.job.as_mut()) else { return };
        let Some(report) = &job.report else { return };
        match report.read() {
            News::None => return,
            News::Executed => {}
            News::Failed(Some(e)) => say!("FAILED in {id:?}: {}", e.explain("kennel-unpack")),
            News::Failed(None) => say!("FAILED in {id:?}: kennel-unpack ended on its way"),
        }
        self.poller.forget(report);
        job.report = None;
    }

    pub(super) fn handle_job_timer(&mut self, id: SlotId) {
        let job = self.slots.get(&id).and_then(|s| s.job.as_ref());
        if job.is_some_and(|j| j.deadline <= uptime()) {
            say!("FAILED in {id:?}: kennel-unpack took too long");
            self.kill_job(id);
        }
    }

    fn kill_job(&mut self, id: SlotId) {
        if let Err(e) = cgroup(id).kill() {
            say!("FAILED to {e}");
        }
    }

    pub(super) fn job_ended(&mut self, id: SlotId, end: End) {
        self.handle_job_report(id);
        // It is process 1 of its PID namespace, so nothing is left in the group.
        if let Err(e) = cgroup(id).remove() {
            say!("FAILED to {e}");
        }
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let Some(job) = slot.job.take() else { return };
        let wiped = slot.wipe.is_some();
        let result = match end {
            End::Exited(0) => Ok(ControlReply::Done),
            end => Err(Refusal::Failed(format!("kennel-unpack in {}: {end}", job.act.folder(id)))),
        };
        if let Some(request) = job.request {
            self.reply(request, result.clone(), vec![]);
        }
        match (job.act, result) {
            (Act::WipeReleases | Act::WipeData | Act::WipeNewData | Act::WipeBuild, Err(refusal)) if wiped => {
                self.end_wipe(id, Err(refusal));
            }
            _ if wiped => self.continue_wipe(id),
            // It has cleared away itself what it had made, unless it was killed.
            (Act::RestoreData(_), Err(refusal)) => {
                self.end_exchange(id, Err(refusal));
                if folders::remove_new_data(id).is_err() {
                    self.remove_new_data(id);
                }
            }
            (Act::WipeNewData, result) => {
                if let Err(refusal) = result {
                    say!("FAILED in {id:?}: {refusal}");
                }
                self.new_data_removed(id);
            }
            _ => self.continue_exchange(id),
        }
    }
}
