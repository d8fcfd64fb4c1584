//! Requests of one tenant that its program has at a time. More wait in line, so that a crowd reaches a small program as a
//! queue and not as a heap of memory. One client has half of the places at most: the others' requests go before its next.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_model::SlotId;
use tokio::sync::oneshot;

use crate::by_slot::BySlot;
use crate::clients::client;
use crate::fault::Fault;
use crate::limits::Limits;

/// All tenants' places and lines.
#[derive(Debug)]
pub(crate) struct Turns {
    slots: Mutex<BySlot<Slot>>,
    longest: Duration,
}

#[derive(Debug, Default)]
struct Slot {
    /// How many requests may be with the program; the last that was said.
    places: usize,
    /// Whose are there. A client is there as often as it has requests.
    busy: Vec<IpAddr>,
    line: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    client: IpAddr,
    called: oneshot::Sender<Turn>,
}

/// A place at the program; given to the next when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    slot: SlotId,
    client: IpAddr,
}

impl Turns {
    /// All places are free.
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self { slots: Mutex::default(), longest: limits.turn_wait })
    }

    /// A place if there is one that this client may have.
    pub(crate) fn at_once(self: &Arc<Self>, slot: SlotId, address: IpAddr, places: u32) -> Option<Turn> {
        let client = client(address);
        let mut slots = self.lock();
        let there = slots.at(slot);
        there.places = usize::try_from(places).unwrap_or(usize::MAX);
        // Who has come before goes before, but for those who have had their share.
        (there.is_open_to(client) && !there.line.iter().any(|w| there.is_open_to(w.client)))
            .then(|| self.give(there, slot, client))
    }

    /// A place for one that cannot wait, free or not; who comes after it waits the longer.
    pub(crate) fn in_any_case(self: &Arc<Self>, slot: SlotId, address: IpAddr) -> Turn {
        self.give(self.lock().at(slot), slot, client(address))
    }

    /// Waits in line for a place. How many may wait is seen to by who calls this.
    ///
    /// # Errors
    /// [`Fault::Crowded`] when there is none in time.
    pub(crate) async fn wait(self: &Arc<Self>, slot: SlotId, address: IpAddr) -> Result<Turn, Fault> {
        let (called, turn) = oneshot::channel();
        {
            let mut slots = self.lock();
            let there = slots.at(slot);
            // Who has left stands in nobody's way, but would stay for as long as no place comes free.
            there.line.retain(|waiting| !waiting.called.is_closed());
            there.line.push_back(Waiting { client: client(address), called });
        }
        // A place may have come free since the last look.
        self.call(slot);
        match tokio::time::timeout(self.longest, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(Fault::Crowded),
        }
    }

    /// Calls those who wait, as far as there are places for them.
    fn call(self: &Arc<Self>, slot: SlotId) {
        loop {
            let (called, turn) = {
                let mut slots = self.lock();
                let there = slots.at(slot);
                let next = there.line.iter().position(|w| there.is_open_to(w.client));
                let Some(waiting) = next.and_then(|n| there.line.remove(n)) else { return };
                (waiting.called, self.give(there, slot, waiting.client))
            };
            // Where it has left, the place comes back by the drop.
            if let Err(turn) = called.send(turn) {
                drop(turn);
            }
        }
    }

    fn give(self: &Arc<Self>, there: &mut Slot, slot: SlotId, client: IpAddr) -> Turn {
        there.busy.push(client);
        Turn { turns: self.clone(), slot, client }
    }

    fn lock(&self) -> MutexGuard<'_, BySlot<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn is_open_to(&self, client: IpAddr) -> bool {
        let share = self.places.div_ceil(2);
        self.busy.len() < self.places
            && (self.busy.len() < share || self.busy.iter().filter(|busy| **busy == client).count() < share)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let waits = {
            let mut slots = self.turns.lock();
            let there = slots.at(self.slot);
            if let Some(at) = there.busy.iter().position(|busy| *busy == self.client) {
                there.busy.swap_remove(at);
            }
            !there.line.is_empty()
        };
        if waits {
            self.turns.call(self.slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const C: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 3));

    fn slot(n: u16) -> SlotId {
        SlotId::new(n).unwrap()
    }

    fn turns() -> Arc<Turns> {
        Turns::new(&Limits::default())
    }

    #[tokio::test(start_paused = true)]
    async fn places_go_to_who_waited_longest_and_come_back() {
        let turns = turns();
        let first = (turns.at_once(slot(1), A, 2).unwrap(), turns.at_once(slot(1), B, 2).unwrap());
        assert!(turns.at_once(slot(1), C, 2).is_none());
        assert!(turns.at_once(slot(2), C, 2).is_some(), "another tenant's are its own");
        let (mut b, mut c) = (Box::pin(turns.wait(slot(1), B)), Box::pin(turns.wait(slot(1), C)));
        assert!((&mut b).now_or_never().is_none() && (&mut c).now_or_never().is_none());
        drop(first.0);
        // The other place is B's already, which is its share.
        assert!((&mut b).now_or_never().is_none());
        let third = (&mut c).now_or_never().unwrap().unwrap();
        drop(first.1);
        let fourth = (&mut b).now_or_never().unwrap().unwrap();
        drop((third, fourth));
        assert!(turns.at_once(slot(1), A, 1).is_some());
        assert!(turns.lock().at(slot(1)).busy.is_empty() && turns.lock().at(slot(1)).line.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_leaves_half_of_the_places_to_others() {
        let turns = turns();
        let held: Vec<_> = (0..4).map_while(|_| turns.at_once(slot(1), A, 4)).collect();
        assert_eq!(held.len(), 2);
        let mut more = Box::pin(turns.wait(slot(1), A));
        assert!((&mut more).now_or_never().is_none());
        assert!(turns.at_once(slot(1), B, 4).is_some(), "though somebody is in line");
        drop(held);
        assert!((&mut more).now_or_never().unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_is_told_and_who_leaves_keeps_nobody_waiting() {
        let turns = turns();
        let only = turns.at_once(slot(1), A, 1).unwrap();
        assert_eq!(turns.wait(slot(1), B).await.err(), Some(Fault::Crowded));
        let mut leaves = Box::pin(turns.wait(slot(1), B));
        assert!((&mut leaves).now_or_never().is_none());
        let mut stays = Box::pin(turns.wait(slot(1), C));
        assert!((&mut stays).now_or_never().is_none());
        drop(leaves);
        drop(only);
        assert!((&mut stays).now_or_never().unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_wait_counts_against_who_can() {
        let turns = turns();
        let _one = turns.at_once(slot(1), A, 2).unwrap();
        let more = [turns.in_any_case(slot(1), A), turns.in_any_case(slot(1), A)];
        assert!(turns.at_once(slot(1), B, 2).is_none());
        drop(more);
        assert!(turns.at_once(slot(1), B, 2).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn more_places_are_more_places_at_once() {
        let turns = turns();
        let _one = turns.at_once(slot(1), A, 1).unwrap();
        assert!(turns.at_once(slot(1), B, 1).is_none());
        assert!(turns.at_once(slot(1), B, 3).is_some());
    }
}
