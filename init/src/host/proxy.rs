//! What the proxy may say: that a slot is to be woken and held awake, that it need not be any more, that no request is in
//! flight, what went through, of which release it wants the files, how a program on trial answers, and that it has taken a table that it was sent.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use kennel_model::SlotId;
use kennel_model::msg::{ControlReply, FromProxy, Refusal, RequestId, Rung, ToProxy};
use kennel_model::task::Place;

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
            FromProxy::Taken => self.table_taken(),
            FromProxy::Asked(id, asked) => self.on_asked(id, asked),
            FromProxy::Left(port) => self.requests_have_left(port),
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

    /// Sends the proxy the route table; `waits` is answered when that is in force.
    pub(super) fn send_routes(&mut self, waits: Option<RequestId>) {
        self.send_table(ToProxy::Routes, self.routes.clone(), waits);
    }

    /// The same of the certificates.
    pub(super) fn send_certificates(&mut self, waits: Option<RequestId>) {
        self.send_table(ToProxy::Certificates, self.certificates.clone(), waits);
    }

    fn send_table(&mut self, message: ToProxy, table: Option<Rc<OwnedFd>>, waits: Option<RequestId>) {
        let Some(table) = table else { return };
        self.tables_sent.push_back(waits);
        match self.is_linked("proxy") {
            true => self.send("proxy", Outgoing::Proxy(message), vec![table]),
            // The next one gets it before anything else.
            false => self.forget_tables_sent(),
        }
    }

    /// The proxy has taken the oldest table that it was sent.
    pub(super) fn table_taken(&mut self) {
        if let Some(Some(request)) = self.tables_sent.pop_front() {
            self.reply(request, Ok(ControlReply::Done), vec![]);
        }
    }

    /// There is no proxy that could take them: who waits for that is answered.
    pub(super) fn forget_tables_sent(&mut self) {
        for request in std::mem::take(&mut self.tables_sent).into_iter().flatten() {
            self.reply(request, Ok(ControlReply::Done), vec![]);
        }
    }

    /// Tells a proxy that has just started where programs are, as far as it is not where they are at first, and what is awake.
    pub(super) fn tell_proxy_of_awake(&mut self) {
        let places: Vec<_> = self.slots.iter().map(|(id, slot)| (*id, slot.place(*id))).collect();
        for (id, place) in places.into_iter().filter(|(id, place)| *place != Place::first(*id)) {
            self.send("proxy", Outgoing::Proxy(ToProxy::Moved(id, place.port())), vec![]);
        }
        let awake: Vec<_> = self.slots.iter().filter_map(|(id, slot)| Some((*id, slot.awake()?))).collect();
        for (id, release) in awake {
            self.send("proxy", Outgoing::Proxy(ToProxy::Awake(id, Some(release))), vec![]);
        }
    }
}
