//! What the proxy may ask: that a slot be woken.

use kennel_model::msg::{FromProxy, Refusal, RequestId, ToProxy};

use super::Host;
use super::link::Outgoing;
use super::slots::Starter;

impl Host {
    pub(super) fn on_proxy(&mut self, message: FromProxy) {
        let FromProxy::Wake { id, slot } = message;
        if let Err(refusal) = self.start_slot(slot, Starter::Proxy(id)) {
            self.answer_wake(id, Err(refusal));
        }
    }

    pub(super) fn answer_wake(&mut self, id: RequestId, result: Result<(), Refusal>) {
        self.send("proxy", Outgoing::Proxy(ToProxy::Wake { id, result }), vec![]);
    }
}
