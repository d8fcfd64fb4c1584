//! What the proxy may say: that a slot be woken; that no request is in flight.

use kennel_model::msg::{FromProxy, Refusal, RequestId, ToProxy};

use super::Host;
use super::link::Outgoing;
use super::slots::Starter;

impl Host {
    pub(super) fn on_proxy(&mut self, message: FromProxy) {
        match message {
            FromProxy::Wake { id, slot } => {
                if let Err(refusal) = self.start_slot(slot, Starter::Proxy(id)) {
                    self.answer_wake(id, Err(refusal));
                }
            }
            FromProxy::Quiet => self.on_quiet(),
        }
    }

    pub(super) fn answer_wake(&mut self, id: RequestId, result: Result<(), Refusal>) {
        self.send("proxy", Outgoing::Proxy(ToProxy::Wake { id, result }), vec![]);
    }
}
