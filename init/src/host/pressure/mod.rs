//! The host's memory: looks at what there is of it and lets `policy` say who makes room, lets `admission` say who is woken
//! when many are to be. The kernel wakes init when processes wait for memory; as it has no event for little being left, there is a
//! look every few seconds too.

mod admission;
mod figures;
mod policy;

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::memory::Memory;

use super::Host;
use super::poller::{Poller, Source};
use super::slots::Slot;
use super::timers::Timer;
use crate::console::uptime;
use crate::say;
use crate::slot::ladder::{Event, Rungs, State};
use crate::step::{Failed, Step};
use admission::{Admission, Room};
use figures::{Figures, Processors};
use policy::{Candidate, News, Policy};

/// Between two looks while there is enough, and while there is not.
const SELDOM: Duration = Duration::from_secs(5);
const OFTEN: Duration = Duration::from_millis(100);
/// Nobody waits for so little: the wake of a program that is merely frozen.
pub(super) const LITTLE_BYTES: u64 = 1 << 20;
/// What a program that never ran is taken to need: a small one of Node.js.
const UNKNOWN_BYTES: u64 = 32 << 20;
/// In which the kernel counts how long processes wait, in microseconds (the kernel's `accounting/psi.rst`).
const WINDOW_US: u64 = 1_000_000;

/// What is remembered of the memory.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Has an event when processes wait; closing it would end that.
    _trigger: Option<File>,
    /// When the next look is due; other timers have no meaning any more.
    due: Duration,
    policy: Policy,
    admission: Admission,
    /// When time may have brought room for who stands in line; other timers have no meaning any more.
    admission_due: Duration,
    processors: Processors,
    /// How many wakes have stood in line since memory became short.
    delayed: u32,
}

impl Watch {
    /// Whether memory is short.
    pub(super) fn is_short(&self) -> bool {
        self.policy.is_short()
    }

    /// Whether there is swap on a disk.
    pub(super) fn swaps_to_disk(&self) -> bool {
        self.policy.swaps_to_disk()
    }

    /// Asks the kernel to say when processes wait. Without that there are the looks.
    pub(super) fn begin(poller: &Poller) -> Self {
        let trigger = ask_kernel().and_then(|file| {
            poller.add(&file, Source::Memory)?;
            Ok(file)
        });
        Self { _trigger: trigger.inspect_err(|e| say!("FAILED to {e}")).ok(), ..Self::default() }
    }
}

fn ask_kernel() -> Result<File, Failed> {
    let path = figures::psi_file();
    let order = format!("some {} {WINDOW_US}", policy::WAITING * WINDOW_US / 1000);
    let mut file = File::options().read(true).write(true).open(&path).step(|| format!("open {path}"))?;
    file.write_all(order.as_bytes()).step(|| format!("write {path}"))?;
    Ok(file)
}

impl Host {
    /// What is shown of the host's memory.
    pub(super) fn memory() -> Memory {
        Figures::read().memory
    }

    /// The next look may be due.
    pub(super) fn handle_memory_timer(&mut self) {
        if uptime() >= self.memory.due {
            self.look_at_memory(false);
        }
    }

    /// Looks, and lets at most one program go down a rung. `fired`: as the kernel said that processes wait.
    pub(super) fn look_at_memory(&mut self, fired: bool) {
        let now = uptime();
        let figures = Figures::read();
        let available = figures.memory.available_bytes >> 20;
        match self.memory.policy.look(figures, self.wanted(), fired, now) {
            Some(News::Short) => {
                say!("memory is short: {available} MiB available; programs that nobody needs make room");
            }
            Some(News::Enough) => {
                let delayed = std::mem::take(&mut self.memory.delayed);
                say!("memory: {available} MiB available again; {delayed} wakes waited their turn");
            }
            None => {}
        }
        self.make_room(now);
        let often = self.memory.policy.is_short() || self.memory.policy.is_strained();
        self.memory.due = now + if often { OFTEN } else { SELDOM };
        self.timers.arm(self.memory.due, Timer::Memory);
    }

    fn make_room(&mut self, now: Duration) {
        if !self.memory.policy.is_short() || self.ending.is_some() {
            return;
        }
        self.cool(|_| true);
        self.end_betas();
        let awaited = self.memory.policy.awaited(now).and_then(|id| self.slots.get(&id));
        if awaited.is_some_and(|slot| is_on_its_way_down(slot.state)) {
            return;
        }
        let candidates: Vec<_> = self.slots.iter().filter_map(|(id, slot)| candidate(*id, slot)).collect();
        let moving = self.slots.values().any(|slot| matches!(slot.state, State::Reclaiming(..)));
        if let Some((id, relief)) = self.memory.policy.choose(&candidates, moving, now) {
            self.feed(id, Event::Pressure(relief));
        }
    }

    /// A program whose memory was to go to swap has no more to give.
    pub(super) fn has_given_all(&mut self, id: SlotId) {
        self.memory.policy.spent(id, uptime());
    }

    /// A slot stands in line for its wake, which may come at once.
    pub(super) fn stand_in_line(&mut self, id: SlotId) {
        let nobody_waited = self.memory.admission.first().is_none();
        self.memory.admission.join(id);
        self.admit(false);
        if self.memory.admission.first().is_some() {
            self.memory.delayed += 1;
            if nobody_waited {
                self.memory.processors.look(uptime());
                self.await_admission();
            }
        }
    }

    /// A slot is woken that need not stand in line.
    pub(super) fn passes_the_line(&mut self, id: SlotId) {
        self.memory.admission.pass(id, uptime());
    }

    /// Whether it does.
    pub(super) fn stands_in_line(&self, id: SlotId) -> bool {
        self.memory.admission.waits(id)
    }

    /// Somebody starts or stops it without standing in line; answers whether it stood there.
    pub(super) fn leave_the_line(&mut self, id: SlotId) -> bool {
        self.memory.admission.leave(id)
    }

    /// How many are woken together with this one, itself among them; 0 when it is not being woken.
    pub(super) fn woken_together(&self, id: SlotId) -> usize {
        let (admission, now) = (&self.memory.admission, uptime());
        if admission.is_under_way(id, now) { admission.together(now) } else { 0 }
    }

    /// A program that was woken has answered, or is not going to.
    pub(super) fn wake_is_over(&mut self, id: SlotId) {
        self.memory.admission.over(id, uptime());
        self.admit(false);
    }

    /// Somebody may stand in line, and time may have brought room.
    pub(super) fn handle_admission_timer(&mut self) {
        if uptime() < self.memory.admission_due {
            return;
        }
        let idle = self.memory.processors.look(uptime());
        self.admit(idle);
        if self.memory.admission.first().is_some() {
            self.await_admission();
        }
    }

    fn await_admission(&mut self) {
        self.memory.admission_due = uptime() + OFTEN;
        self.timers.arm(self.memory.admission_due, Timer::Admission);
    }

    /// Wakes who stands in line, as far as there is room. `idle`: the processors had time left.
    fn admit(&mut self, idle: bool) {
        let mut room = None;
        while let Some(first) = self.memory.admission.first() {
            // The first goes in any case, and needs no look.
            let now = uptime();
            let room = match self.memory.admission.under_way(now) {
                0 => Room::default(),
                under_way => *room.get_or_insert_with(|| self.room(under_way, idle)),
            };
            let bytes = self.slots.get(&first).map_or(0, |slot| needs(first, slot));
            let Some(id) = self.memory.admission.admit(bytes, room, now) else { break };
            // Who waited for it may have gone.
            if let Some(slot) = self.slots.get(&id).filter(|slot| slot.is_awaited()) {
                let held = slot.is_held();
                self.feed(id, Event::Start { held });
            }
            if !self.slots.get(&id).is_some_and(|slot| slot.state.is_alive()) {
                self.memory.admission.over(id, uptime());
            }
        }
        if self.memory.admission.first().is_some() && !self.memory.policy.is_short() {
            self.look_at_memory(false);
        }
        self.share_processors();
    }

    /// For wakes beside those under way: one for each processor, as they compute more than they wait, and so that who is awake
    /// already gets half of one at least. While the processors have time left there is room for one more at each look.
    fn room(&self, under_way: usize, idle: bool) -> Room {
        let usual = usize::from(self.processors);
        let wakes = match (self.memory.policy.is_strained(), idle) {
            (true, _) => 1,
            (false, true) => usual.max(under_way + 1),
            (false, false) => usual,
        };
        let Memory { total_bytes, available_bytes, .. } = Figures::read().memory;
        Room { wakes, bytes: available_bytes.saturating_sub(policy::low(total_bytes)) }
    }

    /// What the next in line waits for, with what those before it have been promised.
    fn wanted(&self) -> u64 {
        let first = self.memory.admission.first().and_then(|id| Some((id, self.slots.get(&id)?)));
        first.map_or(0, |(id, slot)| self.memory.admission.promised(uptime()) + needs(id, slot))
    }
}

/// Memory that a slot's wake takes: half of what is in swap, as a request needs less of a program than it has; what the
/// program held before; or what a small one holds, if it has never run.
pub(super) fn needs(id: SlotId, slot: &Slot) -> u64 {
    match slot.state {
        // It is refused.
        State::Failed { not_before, .. } if uptime() < not_before => 0,
        State::Stopped | State::Failed { .. } => slot.meter.held().map_or(UNKNOWN_BYTES, |kib| kib << 10),
        state if state.is_asleep() => slot.cgroup(id).swapped_bytes() / 2,
        _ => 0,
    }
}

const fn is_on_its_way_down(state: State) -> bool {
    matches!(state, State::Freezing(..) | State::Reclaiming(..) | State::Stopping { .. })
}

/// A slot's program, if nobody holds it and it stands still. Who has memory reserved makes room for nobody.
fn candidate(slot: SlotId, of: &Slot) -> Option<Candidate> {
    let reserved = of.limits().is_some_and(|limits| limits.memory_reserved_bytes > 0);
    if of.is_held() || reserved {
        return None;
    }
    let rungs: Rungs = of.rungs();
    let (idle, awake, reclaimed) = match of.state {
        State::Running(_, Some(idle)) => (idle, true, false),
        State::Frozen(asleep) => (asleep.idle, false, false),
        State::Reclaimed(asleep) => (asleep.idle, false, true),
        _ => return None,
    };
    let freezes = !awake || rungs.freeze.is_some();
    let (gives_way, stops) = (rungs.gives_way(), rungs.stop.is_some());
    Some(Candidate { slot, idle, reclaimed, freezes, gives_way, stops })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    use kennel_model::{LaunchSpec, Limits, ReleaseId};

    use crate::slot::ladder::{Asleep, Life};

    fn asked(state: State, limits: Limits) -> Option<Candidate> {
        let spec = LaunchSpec {
            tenant: "blog".parse().unwrap(),
            runtime: "node-24".parse().unwrap(),
            release: ReleaseId(1),
            files: ReleaseId(1),
            argv: vec!["server".into()],
            env: vec![],
            limits,
            connect_ports: vec![],
        };
        let mut slot = Slot::default();
        (slot.state, slot.spec) = (state, Some(Rc::new(spec)));
        candidate(SlotId::new(3).unwrap(), &slot)
    }

    #[test]
    fn who_is_needed_or_has_memory_reserved_makes_no_room() {
        let life = Life { since: Duration::ZERO, failures: 0 };
        let idle = Duration::from_secs(9);
        let reserved = Limits { memory_reserved_bytes: 1, ..Limits::default() };
        let asleep = Asleep { life, idle, short: false };
        for state in [State::Running(life, Some(idle)), State::Frozen(asleep), State::Reclaimed(asleep)] {
            assert_eq!(asked(state, Limits::default()).map(|candidate| candidate.idle), Some(idle));
            assert_eq!(asked(state, reserved), None);
        }
        assert_eq!(asked(State::Running(life, None), Limits::default()), None);
        assert_eq!(asked(State::Stopped, Limits::default()), None);
    }
}
