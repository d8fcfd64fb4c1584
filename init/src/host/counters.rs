//! What slots have spent, and the answer to control that asks for it. A slot's account is `slot/meter.rs`; here it is shown
//! the slot's cgroup whenever there is something to see.
//!
//! An answer is a piece: so many slots with a program, of which files are read, that the loop is held up for some
//! milliseconds at most. Control asks on, and whatever came in meanwhile has its turn between two pieces.

use std::ops::Bound;

use kennel_model::counters::{Counters, Holds, MAX_SLOTS_TOLD, SlotCounters, Traffic};
use kennel_model::msg::{Rung, ToControl};
use kennel_model::{SlotId, SlotState};

use super::Host;
use super::link::Outgoing;
use super::slots::Slot;
use crate::console::uptime;
use crate::slot::cgroup::Cgroup;
use crate::slot::meter::millis;

/// Slots whose cgroups are read for one piece: six small files each.
const MAX_SLOTS_READ: usize = 24;

impl Host {
    /// A piece of what slots have spent, from this one on.
    pub(super) fn counters(&mut self, from: SlotId) -> Counters {
        let mut piece = Counters { boot: self.boot, ..Counters::default() };
        let mut read = 0;
        for (id, slot) in self.slots.range_mut((Bound::Included(from), Bound::Unbounded)) {
            if slot.meter.is_blank() {
                continue;
            }
            if read == MAX_SLOTS_READ || piece.slots.len() == MAX_SLOTS_TOLD {
                piece.next = Some(*id);
                break;
            }
            read += usize::from(slot.has_process());
            piece.slots.push((*id, look(*id, slot)));
        }
        piece.uptime_ms = millis(uptime());
        piece
    }

    /// Looks at a slot's memory, before something changes what it is charged to.
    pub(super) fn see_memory(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(&id).filter(|slot| slot.has_process()) {
            let memory = slot.cgroup(id).memory();
            slot.meter.see(uptime(), memory);
        }
    }

    /// The last look at a program's cgroup, which is about to be removed.
    pub(super) fn see_end(&mut self, id: SlotId, cgroup: &Cgroup) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.meter.count(cgroup.counted());
        }
    }

    /// The proxy says what went through it. Slots that there are not are nobody's.
    pub(super) fn on_passed(&mut self, passed: Vec<(SlotId, Traffic)>) {
        for (id, traffic) in passed {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.meter.passed(traffic);
            }
        }
    }

    /// The proxy says that a program which was woken has answered. Once for each wake, whatever it says.
    pub(super) fn on_woken(&mut self, id: SlotId, took_ms: u32) {
        self.see_memory(id);
        self.wake_is_over(id);
        let from: Option<Rung> = self.slots.get_mut(&id).and_then(|slot| slot.meter.take_wake());
        if let Some(from) = from {
            self.send("control", Outgoing::Control(ToControl::Woken { slot: id, from, took_ms }), vec![]);
        }
    }
}

/// One slot's counters, after a look at its cgroup if it has a program.
fn look(id: SlotId, slot: &mut Slot) -> SlotCounters {
    let mut holds = Holds::default();
    if slot.has_process() {
        let cgroup = slot.cgroup(id);
        let memory = cgroup.memory();
        slot.meter.see(uptime(), memory);
        slot.meter.count(cgroup.counted());
        holds = cgroup.holds(memory);
    }
    let state: SlotState = slot.state.public();
    let since_ms = millis(slot.meter.since());
    SlotCounters { state, since_ms, holds, spent: slot.meter.spent() }
}
