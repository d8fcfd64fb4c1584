//! Who waits for a slot to run: visitors, by the proxy, and control. They are kept here until the ladder's table says that it
//! runs, or does not; standing in line for it is `pressure`'s.

use std::mem;

use kennel_model::SlotId;
use kennel_model::msg::{Cause, ControlReply, Refusal, RequestId, Rung};

use super::Host;
use super::data::Exchange;
use super::jobs::{Job, Wipe};
use super::pressure::{LITTLE_BYTES, needs};
use super::slots::MAX_WAITING;
use crate::slot::ladder::Event;

/// Who waits for a slot to run, and why.
#[derive(Debug)]
pub(super) struct Starter {
    pub(super) who: Who,
    pub(super) cause: Cause,
}

/// Who is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// By a start request.
    Control(RequestId),
    /// By a wake.
    Proxy(RequestId),
}

impl Starter {
    pub(super) fn is_visitor(&self) -> bool {
        matches!(self.who, Who::Proxy(_))
    }

    /// An operator's word is carried out at once.
    fn waits_its_turn(&self) -> bool {
        self.is_visitor() || self.cause == Cause::always_on()
    }
}

impl Host {
    /// Somebody wants a slot to run. An error is the answer; otherwise it comes by itself.
    pub(super) fn start_slot(&mut self, id: SlotId, starter: Starter) -> Result<(), Refusal> {
        if self.ending.is_some() {
            return Err(Refusal::Busy("the host is shutting down".into()));
        }
        if self.draining.is_some() {
            return Err(Refusal::Busy("the cloud is about to take this machine away".into()));
        }
        let slot = match self.slots.get_mut(&id) {
            Some(slot) if slot.wipe.is_some() => return Err(Refusal::Busy("it is being wiped".into())),
            Some(slot) if slot.spec.is_some() && self.filter.is_sent(id) => slot,
            Some(slot) if slot.spec.is_some() => {
                return Err(Refusal::Invalid(format!("{id:?}: its egress rules are not in force yet")));
            }
            _ => return Err(Refusal::Invalid(format!("{id:?} has nothing to run"))),
        };
        if slot.starters.len() >= MAX_WAITING {
            return Err(Refusal::Busy("too many requests wait for it".into()));
        }
        let waits = starter.waits_its_turn();
        let in_turn = waits && needs(id, slot) >= LITTLE_BYTES;
        let thaws = waits && slot.state.is_asleep();
        slot.starters.push(starter);
        if in_turn {
            self.stand_in_line(id);
            return Ok(());
        }
        let held = slot.is_held();
        self.leave_the_line(id);
        if thaws {
            self.passes_the_line(id);
        }
        self.feed(id, Event::Start { held });
        Ok(())
    }

    /// The proxy has nobody any more who waits for this wake. Once it is under way it goes on, and has a lease.
    pub(super) fn give_up(&mut self, id: SlotId, wake: RequestId) {
        let stands = self.stands_in_line(id);
        let Some(slot) = self.slots.get_mut(&id).filter(|_| stands) else { return };
        slot.starters.retain(|starter| starter.who != Who::Proxy(wake));
        if !slot.is_awaited() {
            self.leave_the_line(id);
        }
    }

    /// Nobody is left to answer for one of the services: numbers of requests begin anew with its next process.
    pub(super) fn forget_waiters(&mut self, service: &str) {
        match service {
            "control" => {
                self.filter.forget_requests();
                self.forget_drain_requests();
                self.end_tasks();
                self.asks.clear();
                self.tables_sent.iter_mut().for_each(|waits| *waits = None);
            }
            "proxy" => {
                self.forget_leases();
                self.forget_tables_sent();
                self.forget_asks();
                self.end_relieved(|_, warm| !warm);
            }
            _ => {}
        }
        for slot in self.slots.values_mut() {
            match service {
                "proxy" => slot.starters.retain(|starter| !starter.is_visitor()),
                "control" => {
                    slot.starters.retain(Starter::is_visitor);
                    slot.stoppers.clear();
                    slot.sleepers.clear();
                    slot.wipe.iter_mut().for_each(Wipe::forget_requests);
                    slot.job.iter_mut().for_each(Job::forget_request);
                    slot.exchange.iter_mut().for_each(Exchange::forget_request);
                }
                _ => {}
            }
        }
    }

    pub(super) fn answer_starters(&mut self, id: SlotId, result: &Result<Rung, String>) {
        let starters = self.slots.get_mut(&id).map(|s| mem::take(&mut s.starters));
        for starter in starters.into_iter().flatten() {
            let result = result.clone().map_err(Refusal::Failed);
            match starter.who {
                Who::Control(request) => self.reply(request, result.map(|_| ControlReply::Done), vec![]),
                Who::Proxy(request) => {
                    if let (Ok(_), Some(slot)) = (&result, self.slots.get_mut(&id)) {
                        slot.lease = Some(request);
                    }
                    self.answer_wake(id, request, result);
                }
            }
        }
    }
}
