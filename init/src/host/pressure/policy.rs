//! When the host is short of memory, and who makes room then: pure, on the figures of each look and the programs that nobody
//! holds. Carrying it out is `pressure/mod.rs`'s work, what a rung down means is `slot/ladder.rs`'s.
//!
//! Memory is short when little is available, or when processes wait for it while the kernel looks for some for the machine
//! as a whole; and until there has been twice as much for a moment and nobody has waited. A program that fills its own
//! limit waits for its own memory, and nobody else goes down for that. What those need who stand in line to be woken is
//! counted as taken already.
//!
//! One at a time, the least recently used first:
//! 1. who may be frozen is, and its memory goes to swap;
//! 2. who does not freeze gives memory while it goes on, slice by slice;
//! 3. when swap is full, the disk too where there is one, or there is little and nobody has more to give (with a disk, only where
//!    little is available, since what is read back from it is waited for as well, and where compressed memory takes much, since of who
//!    has gone to swap that is all there is to win), programs are stopped; those that otherwise never are, last. Who does
//!    not freeze works without being asked, and who is always on is meant to run: neither is stopped, as nobody's request
//!    would bring it back in time.
//!
//! What was needed a moment ago is left alone, so that nobody is woken and put to sleep in turns.

use std::collections::BTreeMap;
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::memory::Memory;

use super::figures::Figures;
use crate::slot::ladder::Relief;

/// Memory is short when less than this part of it is available, and not more than [`LOW_MOST`].
const LOW_PART: u64 = 16;
/// Enough for many starts, however large the machine is.
const LOW_MOST: u64 = 512 << 20;
/// From this share of the time on, in thousandths, waiting for memory is taken for a want of it; it is what the kernel is
/// asked to wake init for.
pub(super) const WAITING: u64 = 100;
/// Less than this is no waiting.
const QUIET: u64 = 50;
/// Swap is full when less than this part of it is free.
const SWAP_PART: u64 = 16;
/// And compressed memory, when what it holds takes more than this part of the memory that it is to make room in.
const ZRAM_PART: u64 = 2;
/// From this part of the memory on, what compressed memory takes is worth stopping programs for where a disk has room: the kernel
/// takes to it what those who work do not use now.
const ZRAM_MUCH: u64 = 4;
/// Since its last response a program was up at least so long.
const LEFT_ALONE: Duration = Duration::from_secs(5);
/// How long the next one waits for a program that is on its way down.
const PATIENCE: Duration = Duration::from_secs(5);
/// For so long there is enough before it counts.
const CALM: Duration = Duration::from_secs(5);
/// Who had no more to give is not asked again for so long.
const SPENT: Duration = Duration::from_secs(30);

/// A program that nobody holds, and that is not on its way down or up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Whose.
    pub(super) slot: SlotId,
    /// Since when nobody has needed it, in time since the kernel's start.
    pub(super) idle: Duration,
    /// All that can go has gone to swap.
    pub(super) reclaimed: bool,
    /// It may be frozen, or is.
    pub(super) freezes: bool,
    /// It may be stopped for others.
    pub(super) gives_way: bool,
    /// It would be stopped by itself some day.
    pub(super) stops: bool,
}

/// What a look brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// There is little memory from now on.
    Short,
    /// There is enough again.
    Enough,
}

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub(super) struct Policy {
    short: bool,
    /// There is so little, whatever those in line want, that somebody is stopped for it when nobody has more to give.
    lacking: bool,
    /// Short, but there has been enough since then.
    calm: Option<Duration>,
    /// In thousandths of the time between the last two looks, all that had work waited for memory.
    full: u64,
    last: Option<(Duration, Figures)>,
    /// Who was chosen last, and until when the next one waits for it.
    chosen: Option<(SlotId, Duration)>,
    /// Who does not freeze and had no more to give, and until when.
    spent: BTreeMap<SlotId, Duration>,
}

/// Less than this is little, in a machine of so much.
pub(super) fn low(total_bytes: u64) -> u64 {
    (total_bytes / LOW_PART).min(LOW_MOST)
}

impl Policy {
    /// Takes a look in. `wanted`: by those who stand in line, in bytes. `fired`: the kernel said that processes wait.
    pub(super) fn look(&mut self, figures: Figures, wanted: u64, fired: bool, now: Duration) -> Option<News> {
        let (some, full) = self.waits(&figures, now);
        let some = if fired && some > 0 { some.max(WAITING) } else { some };
        self.full = full;
        let Memory { total_bytes: total, available_bytes: available, .. } = figures.memory;
        let low = low(total);
        // While there is half of it, what waits does not wait for want of memory: a disk is read at the time.
        let waiting = |from: u64| some >= from && available < total / 2;
        let (mark, from) = if self.short { (2 * low, QUIET) } else { (low, WAITING) };
        let waiting = waiting(from);
        // What is read back from a disk is waited for too, and would be for longer if its program had to start again.
        self.lacking = available < mark || (waiting && figures.memory.swap.disk_total_bytes == 0);
        self.last = Some((now, figures));
        self.judge(waiting || available < mark + wanted, now)
    }

    fn judge(&mut self, lacking: bool, now: Duration) -> Option<News> {
        let calm = (self.short && !lacking).then(|| self.calm.unwrap_or(now));
        let short = lacking || calm.is_some_and(|since| now < since + CALM);
        let news = (short != self.short).then_some(if short { News::Short } else { News::Enough });
        self.short = short;
        self.calm = calm.filter(|_| short);
        news
    }

    /// How much was waited since the last look, in thousandths of the time; 0 unless the kernel looked for memory for
    /// the whole machine meanwhile.
    fn waits(&self, figures: &Figures, now: Duration) -> (u64, u64) {
        let Some((then, before)) = &self.last else { return (0, 0) };
        if figures.scanned <= before.scanned {
            return (0, 0);
        }
        let ms = u64::try_from(now.saturating_sub(*then).as_millis()).unwrap_or(u64::MAX).max(1);
        let share = |now_us: u64, then_us: u64| now_us.saturating_sub(then_us) / ms;
        // At least a trace, for the kernel's word to count.
        (share(figures.some_us, before.some_us).max(1), share(figures.full_us, before.full_us))
    }

    /// Whether there was swap on a disk at the last look.
    pub(super) fn swaps_to_disk(&self) -> bool {
        self.last.as_ref().is_some_and(|(_, figures)| figures.memory.swap.disk_total_bytes > 0)
    }

    /// Whether there is little memory.
    pub(super) const fn is_short(&self) -> bool {
        self.short
    }

    /// Whether all that has work waits for memory, much of the time: what is started now makes it worse.
    pub(super) const fn is_strained(&self) -> bool {
        self.full >= WAITING
    }

    /// Who was chosen last, while the next one waits for it.
    pub(super) fn awaited(&self, now: Duration) -> Option<SlotId> {
        self.chosen.filter(|(_, until)| now < *until).map(|(slot, _)| slot)
    }

    /// A program that was asked for memory has no more to give.
    pub(super) fn spent(&mut self, slot: SlotId, now: Duration) {
        self.spent.retain(|_, until| *until > now);
        self.spent.insert(slot, now + SPENT);
    }

    /// Who makes room now, and how. The caller has seen that nobody is awaited. `moving`: somebody's memory is on its way to swap
    /// still, although nobody waits for that any more.
    pub(super) fn choose(
        &mut self,
        candidates: &[Candidate],
        moving: bool,
        now: Duration,
    ) -> Option<(SlotId, Relief)> {
        let (_, figures) = self.last.as_ref().filter(|_| self.short && self.calm.is_none())?;
        let quiet = || candidates.iter().filter(|c| c.idle + LEFT_ALONE <= now);
        let gives = |c: &&Candidate| !c.reclaimed && (c.freezes || !self.spent.contains_key(&c.slot));
        let giver = quiet().filter(gives).min_by_key(|c| (!c.freezes, c.idle));
        let chosen = match giver {
            Some(giver) if has_room(&figures.memory) => (giver.slot, Relief::Reclaim),
            // Somebody is left alone only for a moment more, or memory is there, if not as much as those in line want.
            None if has_room(&figures.memory)
                && (moving
                    || candidates.iter().any(|c| gives(&c))
                    || !self.lacking
                    || !stops_help(&figures.memory)) =>
            {
                return None;
            }
            _ => (quiet().filter(|c| c.gives_way).min_by_key(|c| (!c.stops, c.idle))?.slot, Relief::Stop),
        };
        self.chosen = Some((chosen.0, now + PATIENCE));
        Some(chosen)
    }
}

/// Whether more can go to swap, and it helps.
fn has_room(memory: &Memory) -> bool {
    let swap = &memory.swap;
    // What is there takes no memory. Compressed memory comes first all the same, and with a disk behind it is no larger than
    // what it may take (`boot/swap.rs`).
    if is_free(swap.disk_total_bytes, swap.disk_used_bytes) {
        return true;
    }
    let total = swap.total_bytes.saturating_sub(swap.disk_total_bytes);
    let used = swap.used_bytes.saturating_sub(swap.disk_used_bytes);
    is_free(total, used) && swap.zram_memory_bytes < memory.total_bytes / ZRAM_PART
}

/// Whether memory is to be won by stopping programs that are in swap.
fn stops_help(memory: &Memory) -> bool {
    let swap = &memory.swap;
    !is_free(swap.disk_total_bytes, swap.disk_used_bytes)
        || swap.zram_memory_bytes >= memory.total_bytes / ZRAM_MUCH
}

const fn is_free(total: u64, used: u64) -> bool {
    total.saturating_sub(used) > total / SWAP_PART
}

#[cfg(test)]
mod tests;
