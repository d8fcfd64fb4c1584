//! What the proxy may say: that a slot is to be woken and held awake, that it need not be any more, that no request is in
//! flight, what went through, and of which release it wants the files.

use kennel_model::SlotId;
use kennel_model::msg::{FromProxy, Refusal, RequestId, Rung, ToProxy};

use super::link::Outgoing;
use super::waiting::{Starter, Who};
use super::{Host, millis};

impl Host {
    pub(super) fn on_proxy(&mut self, message: FromProxy) {
        match message {
            FromProxy::Wake { id, slot, cause } => {
                if let Err(refusal) = self.start_slot(slot, Starter { who: Who::Proxy(id), cause }) {
                    self.answer_wake(slot, id, Err(refusal));
                }
            }
            FromProxy::Idle { slot, lease, idle_ms } => self.lease_ended(slot, lease, millis(idle_ms)),
            FromProxy::Quiet => self.on_quiet(),
            FromProxy::Passed(passed) => self.on_passed(passed),
            FromProxy::GiveUp { slot, id } => self.give_up(slot, id),
            FromProxy::Woken { slot, took_ms } => self.on_woken(slot, took_ms),
            FromProxy::OpenFiles { id, slot, release } => self.hand_over_files(id, slot, release),
        }
    }

    pub(super) fn answer_wake(&mut self, slot: SlotId, id: RequestId, result: Result<Rung, Refusal>) {
        self.send("proxy", Outgoing::Proxy(ToProxy::Wake { id, slot, result }), vec![]);
    }

    /// Tells a proxy that has just started what is awake.
    pub(super) fn tell_proxy_of_awake(&mut self) {
        let awake: Vec<_> = self.slots.iter().filter_map(|(id, slot)| Some((*id, slot.awake()?))).collect();
        for (id, release) in awake {
            self.send("proxy", Outgoing::Proxy(ToProxy::Awake(id, Some(release))), vec![]);
        }
    }
}
