//! Other data takes the place of a slot's. (That its data goes out is an act like others: `jobs.rs`.) What comes is unpacked into
//! a folder beside the one that is `/data` inside; when it is whole, and nothing runs in the slot, the two change places in one
//! step, so that no program, and no power cut, ever finds half of the one and half of the other.

use std::path::Path;

use kennel_model::msg::{ControlReply, Refusal, RequestId};
use kennel_model::{Limits, SlotId};

use super::Host;
use super::control::failed;
use crate::say;
use crate::slot::install::Act;
use crate::slot::{folders, quota};

/// New data that is about to take the place of what there is.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Who is answered when what was there before is gone.
    request: Option<RequestId>,
    /// The folders have changed places, and what was there before is being removed.
    done: bool,
}

impl Exchange {
    pub(super) const fn forget_request(&mut self) {
        self.request = None;
    }
}

impl Host {
    /// Starts unpacking what is to be a slot's data. Control is answered at once, with its ends of the two pipes.
    pub(super) fn begin_restore(
        &mut self,
        id: SlotId,
        limits: Limits,
        request: RequestId,
    ) -> Result<(), Refusal> {
        self.is_free(id)?;
        quota::limit(id, &limits).map_err(failed)?;
        folders::make_new_data(id).map_err(failed)?;
        self.start_piped(id, Act::RestoreData(limits), request)
    }

    /// Has what was unpacked take the place of a slot's data as soon as nothing runs there: what does is ended.
    pub(super) fn take_data(&mut self, id: SlotId, request: RequestId) -> Result<(), Refusal> {
        if !Path::new(&folders::new_data(id)).exists() {
            return Err(Refusal::Invalid(format!("there is no new data for {id:?}")));
        }
        let slot = self.slots.entry(id).or_default();
        if slot.wipe.is_some() || slot.exchange.is_some() {
            return Err(Refusal::Busy("it is being wiped, or its data replaced".into()));
        }
        slot.exchange = Some(Exchange { request: Some(request), done: false });
        self.kill_tasks_of(id);
        self.continue_exchange(id);
        Ok(())
    }

    /// Goes on with an exchange when something of the slot has ended: `kennel-unpack` and tasks come first, then its program.
    pub(super) fn continue_exchange(&mut self, id: SlotId) {
        let Some(slot) = self.slots.get(&id).filter(|slot| slot.is_to_exchange()) else { return };
        if slot.job.is_some() || self.tasks.values().any(|task| task.slot() == id) {
            return;
        }
        if slot.state.is_alive() {
            if let Err(cause) = self.stop_slot(id, None) {
                self.end_exchange(id, Err(cause));
            }
            return;
        }
        self.exchange(id);
    }

    /// The slot's program has ended, and nobody has been told yet: whoever waits for its next life finds the new data.
    pub(super) fn exchange_at_end(&mut self, id: SlotId) {
        let is_wanted = self.slots.get(&id).is_some_and(|slot| slot.is_to_exchange() && slot.job.is_none());
        if is_wanted && !self.tasks.values().any(|task| task.slot() == id) {
            self.exchange(id);
        }
    }

    fn exchange(&mut self, id: SlotId) {
        if let Err(cause) = folders::exchange_data(id) {
            return self.end_exchange(id, Err(failed(cause)));
        }
        if let Some(exchange) = self.slots.get_mut(&id).and_then(|slot| slot.exchange.as_mut()) {
            exchange.done = true;
        }
        self.remove_new_data(id);
    }

    /// Starts removing what lies beside the data: what was there before, or came and is not wanted.
    pub(super) fn remove_new_data(&mut self, id: SlotId) {
        if let Err(cause) = self.start_job(id, Act::WipeNewData, None, (None, None)) {
            say!("FAILED to {cause}");
            self.new_data_removed(id);
        }
    }

    /// Nothing of it is left but the folder, if all went well. Otherwise it goes with the next data that comes, or at the next boot.
    pub(super) fn new_data_removed(&mut self, id: SlotId) {
        if let Err(cause) = folders::remove_new_data(id) {
            say!("FAILED to {cause}");
        }
        self.end_exchange(id, Ok(ControlReply::Done));
    }

    /// Answers whoever waits for an exchange.
    pub(super) fn end_exchange(&mut self, id: SlotId, result: Result<ControlReply, Refusal>) {
        let exchange = self.slots.get_mut(&id).and_then(|slot| slot.exchange.take());
        if let Some(request) = exchange.and_then(|exchange| exchange.request) {
            self.reply(request, result, vec![]);
        }
    }

    /// What a cut has left beside a slot's data goes, when the slot is heard of for the first time since the boot.
    pub(super) fn sweep_new_data(&mut self, id: SlotId) {
        if self.is_free(id).is_ok() && Path::new(&folders::new_data(id)).exists() {
            self.remove_new_data(id);
        }
    }
}

impl super::slots::Slot {
    /// New data waits for the end of all that runs in it.
    pub(super) fn is_to_exchange(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| !exchange.done)
    }
}
