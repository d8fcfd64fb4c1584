//! Emptying the host before its machine is taken away, while the host goes on: the proxy refuses new requests, those in
//! flight end, then every program stops as at a shutdown (`ending`, whose first phase is the same). Control decides when, and
//! when the host is to serve again; a shutdown may come at any moment.

use std::time::Duration;

use kennel_model::msg::{ControlReply, Refusal, RequestId, ToProxy};

use super::Host;
use super::link::Outgoing;
use super::timers::Timer;
use crate::console::uptime;
use crate::say;

/// For requests in flight, before the programs that serve them are asked to end.
const REQUESTS_LIMIT: Duration = Duration::from_secs(8);

/// How far it is.
#[derive(Debug)]
pub(super) struct Draining {
    phase: Phase,
    /// Who is to be told when no program runs any more.
    waiting: Vec<RequestId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Requests in flight end; no longer than until then.
    Requests(Duration),
    /// Programs end.
    Programs,
    /// Nothing runs.
    Empty,
}

impl Host {
    /// Control wants the host emptied, or in service again. No answer is one that comes later.
    pub(super) fn drain(&mut self, wanted: bool, id: RequestId) -> Option<Result<ControlReply, Refusal>> {
        match (&mut self.draining, wanted) {
            (Some(Draining { phase: Phase::Empty, .. }), true) | (None, false) => Some(Ok(ControlReply::Done)),
            (Some(draining), true) => {
                draining.waiting.push(id);
                None
            }
            (None, true) => {
                say!("draining: new requests are refused, those in flight have {} s", REQUESTS_LIMIT.as_secs());
                let limit = uptime() + REQUESTS_LIMIT;
                self.draining = Some(Draining { phase: Phase::Requests(limit), waiting: vec![id] });
                self.timers.arm(limit, Timer::Drain);
                self.tell_proxy_of_drain();
                None
            }
            (Some(_), false) => {
                say!("serving again");
                let waiting = self.draining.take().map(|draining| draining.waiting).unwrap_or_default();
                for id in waiting {
                    self.reply(id, Err(Refusal::Busy("it was called off".into())), vec![]);
                }
                self.tell_proxy_of_drain();
                Some(Ok(ControlReply::Done))
            }
        }
    }

    /// Whether it refuses requests; also to a proxy that has just started.
    pub(super) fn tell_proxy_of_drain(&mut self) {
        self.send("proxy", Outgoing::Proxy(ToProxy::Refuse(self.draining.is_some())), vec![]);
    }

    /// The proxy says that no request is in flight.
    pub(super) fn on_quiet(&mut self) {
        if let Some(Draining { phase: Phase::Requests(limit), .. }) = &mut self.draining {
            *limit = Duration::ZERO;
        }
    }

    /// Goes on when a phase is done.
    pub(super) fn continue_draining(&mut self) {
        let Some(draining) = &mut self.draining else { return };
        let alive = self.slots.values().any(|s| s.state.is_alive()) || !self.tasks.is_empty();
        match draining.phase {
            Phase::Requests(limit) if uptime() >= limit => {
                draining.phase = Phase::Programs;
                self.stop_all();
            }
            Phase::Programs if !alive => {
                draining.phase = Phase::Empty;
                say!("drained: no program runs");
                for id in std::mem::take(&mut draining.waiting) {
                    self.reply(id, Ok(ControlReply::Done), vec![]);
                }
            }
            Phase::Requests(_) | Phase::Programs | Phase::Empty => {}
        }
    }

    /// Asks every program to end.
    pub(super) fn stop_all(&mut self) {
        let alive: Vec<_> = self.slots.iter().filter(|(_, s)| s.state.is_alive()).map(|(id, _)| *id).collect();
        for id in alive {
            // It answers nobody, so nothing can be wrong with it.
            let _ = self.stop_slot(id, None);
        }
        let tasks: Vec<_> = self.tasks.keys().copied().collect();
        for id in tasks {
            self.stop_task(id);
        }
    }

    /// Control has gone; the next one asks again.
    pub(super) fn forget_drain_requests(&mut self) {
        if let Some(draining) = &mut self.draining {
            draining.waiting.clear();
        }
    }
}
