//! Requests a second: of each tenant, and of each client at each tenant. What is over is told when to come again, and
//! costs the tenant's program nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::routes::TrafficLimits;
use tokio::time::Instant;

use super::Due;
use crate::by_slot::BySlot;
use crate::clients::client;
use crate::fault::Fault;
use crate::limits::Limits;

/// When whose next request is due.
#[derive(Debug)]
pub(crate) struct Rates {
    state: Mutex<State>,
    /// How far ahead of an even rate requests may be.
    ahead: Duration,
    /// Clients that are known at once.
    most_clients: usize,
}

#[derive(Debug, Default)]
struct State {
    slots: BySlot<Due>,
    clients: HashMap<(SlotId, IpAddr), Due>,
}

impl Rates {
    /// Nobody has come yet.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { state: Mutex::default(), ahead: limits.rate_ahead, most_clients: limits.rate_clients }
    }

    /// Counts a request of this address, unless there are too many.
    ///
    /// # Errors
    /// [`Fault::TooMany`], [`Fault::Crowded`].
    pub(crate) fn enter(&self, slot: SlotId, address: IpAddr, traffic: &TrafficLimits) -> Result<(), Fault> {
        if traffic.client_requests_per_s.is_none() && traffic.requests_per_s.is_none() {
            return Ok(());
        }
        let now = Instant::now();
        let mut state = self.lock();
        // The client first: what it has too much of is not to be counted as the tenant's.
        if let Some(rate) = traffic.client_requests_per_s {
            state.make_room(now, self.most_clients);
            let due = state.clients.entry((slot, client(address))).or_default();
            due.pass(now, interval(rate), self.ahead).map_err(|_| Fault::TooMany)?;
        }
        if let Some(rate) = traffic.requests_per_s {
            let due = state.slots.at(slot);
            due.pass(now, interval(rate), self.ahead).map_err(|_| Fault::Crowded)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forgets those who might as well be new; and all, should that not be enough: better a client with too many requests
    /// than memory without end.
    fn make_room(&mut self, now: Instant, most: usize) {
        if self.clients.len() < most {
            return;
        }
        self.clients.retain(|_, due| !due.early(now).is_zero());
        if self.clients.len() >= most {
            self.clients.clear();
        }
    }
}

fn interval(rate: NonZeroU32) -> Duration {
    Duration::from_secs(1) / rate.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(n: u16) -> SlotId {
        SlotId::new(n).unwrap()
    }

    fn rates() -> Rates {
        Rates::new(&Limits { rate_ahead: Duration::from_secs(1), rate_clients: 4, ..Limits::default() })
    }

    fn enter_all(
        rates: &Rates,
        slot: SlotId,
        address: &str,
        traffic: &TrafficLimits,
    ) -> (usize, Option<Fault>) {
        for n in 0..1000 {
            if let Err(fault) = rates.enter(slot, address.parse().unwrap(), traffic) {
                return (n, Some(fault));
            }
        }
        (1000, None)
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_bound_is_not_counted() {
        assert_eq!(enter_all(&rates(), slot(1), "192.0.2.1", &TrafficLimits::default()), (1000, None));
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_s_flood_is_nobody_else_s() {
        let rates = rates();
        let traffic = TrafficLimits {
            client_requests_per_s: NonZeroU32::new(10),
            requests_per_s: NonZeroU32::new(20),
            ..TrafficLimits::default()
        };
        assert_eq!(enter_all(&rates, slot(1), "192.0.2.1", &traffic), (11, Some(Fault::TooMany)));
        assert_eq!(
            enter_all(&rates, slot(1), "192.0.2.2", &traffic),
            (10, Some(Fault::Crowded)),
            "the tenant's rest"
        );
        assert_eq!(enter_all(&rates, slot(2), "192.0.2.1", &traffic), (11, Some(Fault::TooMany)));
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(enter_all(&rates, slot(1), "192.0.2.1", &traffic), (1, Some(Fault::TooMany)));
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_clients_are_known_and_no_more() {
        let rates = rates();
        let traffic = TrafficLimits { client_requests_per_s: NonZeroU32::new(10), ..TrafficLimits::default() };
        for n in 0..100 {
            rates.enter(slot(1), IpAddr::from([192, 0, 2, n]), &traffic).unwrap();
        }
        assert!(rates.lock().clients.len() <= 4);
        tokio::time::advance(Duration::from_secs(9)).await;
        _ = rates.enter(slot(1), IpAddr::from([198, 51, 100, 1]), &traffic);
        assert!(rates.lock().clients.len() <= 4);
    }
}
