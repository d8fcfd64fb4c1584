//! Releases that are shown beside the one that serves, before they take over: the proxy may open their files, and the program of one
//! is a trial that goes on. Where it listens is said here; who is led there, and for how long, is control's to say.
//! Nobody's visitors depend on them, so they are the first to go when memory gets short.

use std::rc::Rc;

use kennel_model::msg::{ControlReply, Refusal};
use kennel_model::task::TaskId;
use kennel_model::{LaunchSpec, ReleaseId, SlotId};

use super::Host;
use super::tasks::{Kind, Task};

/// A release that is shown.
#[derive(Debug)]
pub(super) struct Beta {
    pub(super) spec: LaunchSpec,
    /// Its program, if it has one.
    task: Option<TaskId>,
}

impl Host {
    /// Shows a release in the place of the one that was shown before, with the program that has passed its trial.
    pub(super) fn show(
        &mut self,
        id: SlotId,
        spec: LaunchSpec,
        task: Option<TaskId>,
    ) -> Result<ControlReply, Refusal> {
        spec.validate().map_err(|e| Refusal::Invalid(e.to_string()))?;
        let is_its = |task: &&Task| match &task.kind {
            Kind::Trial(tried) => task.slot() == id && task.deadline.is_none() && **tried == spec,
            _ => false,
        };
        let port = task.map(|number| {
            let program = self.tasks.get(&number).filter(is_its);
            program.map(|task| task.place.port()).ok_or_else(|| Refusal::Failed("it has ended".into()))
        });
        let port = port.transpose()?;
        let slot = self.slots.entry(id).or_default();
        if slot.wipe.is_some() {
            return Err(Refusal::Busy("it is being wiped".into()));
        }
        slot.beta = Some(Beta { spec, task });
        Ok(ControlReply::Shown(port))
    }

    /// Shows it no longer. Its program is a trial as before.
    pub(super) fn hide(&mut self, id: SlotId, release: ReleaseId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.beta.take_if(|beta| beta.spec.release == release);
        }
    }

    /// What the slot runs or shows of this release.
    pub(super) fn in_use(&self, id: SlotId, release: ReleaseId) -> Option<&LaunchSpec> {
        let slot = self.slots.get(&id)?;
        let of_program = slot.spec.as_ref().map(Rc::as_ref);
        let all = of_program.into_iter().chain(slot.beta.as_ref().map(|beta| &beta.spec));
        all.into_iter().find(|spec| spec.release == release)
    }

    /// Asks the programs of all that are shown to end.
    pub(super) fn end_betas(&mut self) {
        let programs = self.slots.values().filter_map(|slot| slot.beta.as_ref()?.task);
        for id in programs.collect::<Vec<_>>() {
            self.stop_task(id);
        }
    }
}
