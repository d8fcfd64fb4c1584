//! The rungs below running, as `slot/ladder.rs` orders them: freezes a slot's cgroup, lets it run again, moves its memory
//! to swap. And the proxy's leases: whose program is held awake, and since when one is not.

use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::msg::{ControlReply, Depth, Refusal, RequestId};

use super::Host;
use super::poller::Source;
use super::slots::MAX_WAITING;
use crate::console::uptime;
use crate::say;
use crate::slot::cgroup::Given;
use crate::slot::ladder::Event;

/// So many slices in a row that bring nothing to swap, and there is no more to bring.
const MOST_FRUITLESS: u8 = 4;
/// The same where there is swap on a disk: what goes there leaves the memory when it has been written, and what has a copy there
/// leaves it without being counted at once (`memory.stat` is behind by some hundred pages).
const MOST_UNSEEN: u8 = 32;

/// How much is moved to swap in one call: as much as compresses within some milliseconds, in which nobody else is served.
/// That depends on the machine and on who else works there, so it is learned from call to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice {
    bytes: u64,
}

impl Slice {
    const MOST_BYTES: u64 = 1 << 20;
    /// Less is not worth a call: the kernel takes 32 pages at a time (`SWAP_CLUSTER_MAX`).
    const LEAST_BYTES: u64 = 128 << 10;
    /// A call is to take no longer than this; with the ladder's pause in between, a fifth of one processor at most.
    const LONG: Duration = Duration::from_millis(10);

    /// After a call that took so long.
    fn learn(self, took: Duration) -> Self {
        let bytes = match took {
            _ if took > Self::LONG => self.bytes / 2,
            _ if took < Self::LONG / 3 => self.bytes * 2,
            _ => self.bytes,
        };
        Self { bytes: bytes.clamp(Self::LEAST_BYTES, Self::MOST_BYTES) }
    }
}

impl Default for Slice {
    fn default() -> Self {
        Self { bytes: Self::LEAST_BYTES }
    }
}

impl Host {
    /// Orders a slot to be frozen; its events tell when it is.
    pub(super) fn freeze(&mut self, id: SlotId) {
        let Some(cgroup) = self.slots.get(&id).map(|slot| slot.cgroup(id)) else { return };
        let events = cgroup.events().and_then(|events| {
            self.poller.add(&events, Source::Freezer(id))?;
            Ok(events)
        });
        match events.and_then(|events| cgroup.freeze(true).map(|()| events)) {
            Ok(events) => {
                if let Some(slot) = self.slots.get_mut(&id) {
                    slot.freezer = Some(events);
                }
                // It may have been at once.
                self.handle_freezer(id);
            }
            // The deadline puts it right.
            Err(e) => say!("FAILED to {e}"),
        }
    }

    /// The events of a cgroup that is to freeze have changed.
    pub(super) fn handle_freezer(&mut self, id: SlotId) {
        let Some(slot) = self.slots.get(&id) else { return };
        if slot.freezer.is_some() && slot.cgroup(id).is_frozen() {
            self.forget_freezer(id);
            self.feed(id, Event::Settled);
        }
    }

    pub(super) fn forget_freezer(&mut self, id: SlotId) {
        if let Some(events) = self.slots.get_mut(&id).and_then(|slot| slot.freezer.take()) {
            self.poller.forget(events);
        }
    }

    /// Lets a slot's processes run.
    pub(super) fn thaw(&mut self, id: SlotId) {
        self.forget_freezer(id);
        let Some(slot) = self.slots.get(&id) else { return };
        if let Err(e) = slot.cgroup(id).freeze(false) {
            say!("FAILED to {e}");
        }
    }

    /// Moves the next slice of a slot's memory to swap.
    pub(super) fn reclaim(&mut self, id: SlotId) {
        let Some(cgroup) = self.slots.get(&id).map(|slot| slot.cgroup(id)) else { return };
        let began = uptime();
        let given = cgroup.reclaim(self.slice.bytes).unwrap_or_else(|e| {
            say!("FAILED to {e}");
            Given::All
        });
        self.slice = match given {
            Given::Some => self.slice.learn(uptime().saturating_sub(began)),
            // What is asked for in vain is taken from files in the end: as little as can be.
            Given::Nothing | Given::Refused | Given::All => Slice::default(),
        };
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let most = match given {
            _ if self.memory.swaps_to_disk() => MOST_UNSEEN,
            Given::Refused => 1,
            _ => MOST_FRUITLESS,
        };
        slot.fruitless = if given == Given::Some { 0 } else { slot.fruitless + 1 };
        if given == Given::All || slot.fruitless >= most {
            slot.fruitless = 0;
            self.has_given_all(id);
            self.feed(id, Event::Settled);
        }
    }

    /// An operator wants a program asleep. An error is the answer; otherwise it comes by itself.
    pub(super) fn put_to_sleep(&mut self, id: SlotId, depth: Depth, request: RequestId) -> Result<(), Refusal> {
        let slot = self.slots.entry(id).or_default();
        if slot.sleepers.len() >= MAX_WAITING {
            return Err(Refusal::Busy("too many requests wait for it".into()));
        }
        slot.sleepers.push((request, depth));
        self.feed(id, Event::Sleep(depth));
        Ok(())
    }

    /// It is asleep, this deep, or is not going to be.
    pub(super) fn answer_sleepers(&mut self, id: SlotId, result: &Result<Depth, String>) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let is_answered = |wanted: Depth| result.as_ref().map_or(true, |reached| wanted <= *reached);
        let (answered, deeper): (Vec<_>, Vec<_>) =
            std::mem::take(&mut slot.sleepers).into_iter().partition(|(_, wanted)| is_answered(*wanted));
        let next = deeper.iter().map(|(_, wanted)| *wanted).max();
        slot.sleepers = deeper;
        for (request, _) in answered {
            let answer = result.clone().map(|_| ControlReply::Done).map_err(Refusal::Busy);
            self.reply(request, answer, vec![]);
        }
        if let Some(depth) = next {
            self.feed(id, Event::Sleep(depth));
        }
    }

    /// The proxy gives a lease back. That ends nothing for a visitor who waits for the next: he holds what is started for him.
    pub(super) fn lease_ended(&mut self, id: SlotId, lease: RequestId, idle: Duration) {
        self.see_memory(id);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        if slot.lease == Some(lease) {
            slot.lease = None;
            if !slot.is_held() {
                self.feed(id, Event::Idle(uptime().saturating_sub(idle)));
            }
        }
    }

    /// The proxy has ended, and what it had in flight with it.
    pub(super) fn forget_leases(&mut self) {
        let held: Vec<_> = self.slots.iter().filter(|(_, slot)| slot.is_held()).map(|(id, _)| *id).collect();
        for id in held {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.lease = None;
            }
            self.feed(id, Event::Idle(uptime()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_as_large_as_the_machine_is_quick() {
        let (mut slice, ms) = (Slice::default(), Duration::from_millis);
        for (took, bytes) in
            [(1, 256), (1, 512), (5, 512), (3, 1024), (1, 1024), (11, 512), (300, 256), (90, 128), (90, 128)]
        {
            slice = slice.learn(ms(took));
            assert_eq!(slice.bytes, bytes << 10, "after {took} ms");
        }
    }
}
