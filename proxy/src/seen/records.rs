//! Counts requests and sends records to control, which is never waited for: what it does not read in time is left out and
//! counted, and so is what one slot has too much of in a second, so that a flood to one leaves others' records whole.
//!
//! Records are encoded one behind the other as they come and sent when a packet is full, or a moment after the first.
//! Counts go with them once a second and are not left out: they wait until there is room.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::access::{HostCounts, MAX_PACKET_BYTES, MAX_RECORD_BYTES, Part, SlotCounts, Took, push};
use kennel_sys::{Channel, ChannelError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::fairness::Due;
use crate::limits::Limits;
use crate::log;

/// From a record to its packet, at the latest. A proxy that is killed takes so much with it.
const SOON: Duration = Duration::from_millis(100);
/// How often counts are told, while there are some.
const COUNTS: Duration = Duration::from_secs(1);
/// A packet is sent at once when it has so many bytes.
const ENOUGH_BYTES: usize = 8 << 10;
/// No part with counts is longer.
const COUNTS_BYTES: usize = 2 << 10;

/// What control has not been told yet.
#[derive(Debug)]
pub(crate) struct Records {
    socket: Channel,
    /// Between two of a slot, in the long run.
    interval: Duration,
    /// How far a slot may be ahead of that.
    ahead: Duration,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug)]
struct State {
    packet: Vec<u8>,
    /// In the packet.
    records: u64,
    host: HostCounts,
    /// What belongs to no tenant first, then by slot, up to the last that was asked for.
    slots: Vec<Slot>,
    /// Those that have something to tell.
    changed: Vec<usize>,
    counts_told: Instant,
    /// Somebody sees to it that what is here is sent.
    seen_to: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    counts: SlotCounts,
    /// Of its next record.
    due: Due,
}

impl Records {
    /// Nothing is told yet.
    pub(crate) fn new(socket: Channel, limits: &Limits) -> Self {
        let interval = Duration::from_secs(1) / limits.slot_records_a_second.max(1);
        let state = State {
            packet: Vec::new(),
            records: 0,
            host: HostCounts::default(),
            slots: Vec::new(),
            changed: Vec::new(),
            counts_told: Instant::now(),
            seen_to: false,
        };
        Self {
            socket,
            interval,
            ahead: interval * limits.slot_records_at_once.saturating_sub(1),
            state: Mutex::new(state),
            news: Notify::new(),
        }
    }

    /// A request is over, and took so long if that is known; `write` adds its record to a packet, if there is to be one.
    pub(crate) fn add(
        &self,
        slot: Option<SlotId>,
        status: u16,
        took: Option<&Took>,
        now: Instant,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut state = self.lock();
        if let Some(took) = took {
            state.host.durations.observe(took);
        }
        let place = state.place(slot);
        let there = &mut state.slots[place];
        let is_news = there.counts.is_empty();
        there.counts.count(status);
        let flooded = there.due.pass(now, self.interval, self.ahead).is_err();
        if is_news {
            state.changed.push(place);
        }
        let full = state.packet.len() + MAX_RECORD_BYTES + COUNTS_BYTES > MAX_PACKET_BYTES;
        if flooded || full {
            let left_out = &mut state.slots[place].counts.left_out;
            *left_out = left_out.saturating_add(1);
            state.host.flooded += u64::from(flooded);
            state.host.unread += u64::from(!flooded);
        } else {
            write(&mut state.packet);
            state.records += 1;
            state.host.records += 1;
            if state.packet.len() >= ENOUGH_BYTES {
                self.send(&mut state);
            }
        }
        if !state.seen_to {
            state.seen_to = true;
            self.news.notify_one();
        }
    }

    /// Whether no request is in flight, whoever answers it: each holds this until it has its record.
    pub(crate) fn are_complete(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1
    }

    /// Sends what there is, for ever, and sleeps while there is nothing.
    pub(crate) async fn tell_forever(&self) {
        loop {
            self.news.notified().await;
            loop {
                tokio::time::sleep(SOON).await;
                if self.tell(false) {
                    break;
                }
            }
        }
    }

    /// Sends what control takes now, counts as well if it is their time or the end; answers whether that was all.
    pub(crate) fn tell(&self, end: bool) -> bool {
        let mut state = self.lock();
        if end || state.counts_told.elapsed() >= COUNTS {
            state.counts_told = Instant::now();
            while state.take_counts() {
                if !self.send(&mut state) {
                    break;
                }
            }
        }
        let sent = state.packet.is_empty() || self.send(&mut state);
        state.seen_to = !(sent && state.changed.is_empty());
        !state.seen_to
    }

    /// Whether the packet is gone.
    fn send(&self, state: &mut State) -> bool {
        match self.socket.send_packet(&state.packet) {
            Ok(()) => {}
            Err(ChannelError::WouldBlock) => return false,
            Err(e) => {
                state.host.unread += state.records;
                log::line(format_args!("records of requests are lost: {e}"));
            }
        }
        state.packet.clear();
        state.records = 0;
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn place(&mut self, slot: Option<SlotId>) -> usize {
        let place = slot.map_or(0, |slot| usize::from(slot.index()) + 1);
        if place >= self.slots.len() {
            self.slots.resize(place + 1, Slot::default());
        }
        self.slots[place].counts.slot = slot;
        place
    }

    /// Moves counts into the packet, as far as there is room; answers whether any are left.
    fn take_counts(&mut self) -> bool {
        while self.packet.len() + COUNTS_BYTES <= MAX_PACKET_BYTES {
            let part = match self.changed.pop() {
                Some(place) => {
                    let counts = &mut self.slots[place].counts;
                    let told = *counts;
                    *counts = SlotCounts { slot: told.slot, ..SlotCounts::default() };
                    Part::Slot(told)
                }
                None if self.host == HostCounts::default() => return false,
                None => Part::Host(Box::new(std::mem::take(&mut self.host))),
            };
            // Only what cannot be encoded at all is an error.
            _ = push(&part, &mut self.packet);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::access::{Ended, Id, Parts, Protocol, Record};

    fn limits(a_second: u32, at_once: u32) -> Limits {
        Limits { slot_records_a_second: a_second, slot_records_at_once: at_once, ..Limits::default() }
    }

    fn slot(n: u16) -> SlotId {
        SlotId::new(n).unwrap()
    }

    fn record(slot: SlotId, target: &str) -> Record<'_> {
        Record {
            tenant: Some((slot, "blog")),
            host: "a.example",
            client: "192.0.2.1".parse().unwrap(),
            method: "GET",
            target,
            protocol: Protocol::Http11,
            status: 200,
            bytes_in: 0,
            bytes_out: 0,
            referer: "",
            agent: "",
            id: Id::default(),
            trace: Id::default(),
            fault: "",
            ended: Ended::Whole,
            at_ms: 0,
            took: Took::default(),
        }
    }

    fn visit(records: &Records, n: u16, target: &str) {
        let write = |packet: &mut Vec<u8>| push(&Part::Record(record(slot(n), target)), packet).unwrap();
        records.add(Some(slot(n)), 200, Some(&Took::default()), Instant::now(), write);
    }

    /// What control reads: records by slot, and the counts of slots and of all.
    fn read(control: &Channel) -> (Vec<u16>, Vec<SlotCounts>, HostCounts) {
        let (mut by_slot, mut slots, mut host) = (vec![], vec![], HostCounts::default());
        let mut space = vec![0; MAX_PACKET_BYTES];
        while let Ok(Some(length)) = control.recv_packet(&mut space) {
            for part in Parts::of(&space[..length]) {
                match part.unwrap() {
                    Part::Record(record) => by_slot.push(record.tenant.unwrap().0.index()),
                    Part::Slot(counts) => slots.push(counts),
                    Part::Host(counts) => host.add(&counts),
                }
            }
        }
        (by_slot, slots, host)
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_to_one_leaves_the_others_whole() {
        let (near, control) = Channel::pair().unwrap();
        let records = Records::new(near, &limits(10, 20));
        for n in 0..500 {
            visit(&records, 1, "/flood");
            if n % 100 == 0 {
                visit(&records, 2, "/calm");
            }
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        (0..500).for_each(|_| visit(&records, 1, "/flood"));
        assert!(records.tell(true));
        let (by_slot, slots, host) = read(&control);
        let of = |n| by_slot.iter().filter(|slot| **slot == n).count();
        assert_eq!((of(1), of(2)), (30, 5), "20 at once, and 10 in the second after");
        let told = |n| slots.iter().find(|counts| counts.slot == Some(slot(n))).unwrap();
        assert_eq!((told(1).statuses[1], told(1).left_out), (1000, 970));
        assert_eq!((told(2).statuses[1], told(2).left_out), (5, 0));
        assert_eq!((host.records, host.flooded, host.unread), (35, 970, 0));
        assert_eq!(host.durations.total.counts.iter().sum::<u64>(), 1005, "each was counted");
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_reads_is_left_out_and_counted_and_costs_no_waiting() {
        let (near, control) = Channel::pair().unwrap();
        let records = Records::new(near, &limits(1_000_000, 1_000_000));
        let long = "x".repeat(1000);
        let all = 2000;
        (0..all).for_each(|_| visit(&records, 1, &long));
        assert!(!records.tell(true), "there is no room");
        assert!(records.lock().packet.len() <= MAX_PACKET_BYTES);
        let mut seen = read(&control);
        // Control reads again: what waited comes, and how many did not.
        assert!(records.tell(true));
        let rest = read(&control);
        seen.0.extend(rest.0);
        seen.2.add(&rest.2);
        let left_out: u32 = seen.1.iter().chain(&rest.1).map(|counts| counts.left_out).sum();
        assert!(seen.0.len() > 50, "{} came", seen.0.len());
        assert_eq!(seen.0.len() + left_out as usize, all);
        assert_eq!((seen.2.unread, seen.2.flooded), (u64::from(left_out), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn packets_are_bounded_whatever_there_is_to_count() {
        let (near, control) = Channel::pair().unwrap();
        let records = Records::new(near, &limits(100, 100));
        let (mut told, mut slots) = (0, 0);
        for n in 0..4096 {
            visit(&records, n, "/");
            told += read(&control).0.len();
        }
        while !records.tell(true) {
            let more = read(&control);
            (told, slots) = (told + more.0.len(), slots + more.1.len());
        }
        let rest = read(&control);
        assert_eq!((told + rest.0.len(), slots + rest.1.len()), (4096, 4096));
        assert!(records.tell(true));
        assert_eq!(read(&control).1, [], "nothing is told twice");
    }

    #[tokio::test(start_paused = true)]
    async fn records_are_sent_soon_and_counts_each_second() {
        let (near, control) = Channel::pair().unwrap();
        let records = Records::new(near, &limits(100, 100));
        tokio::select! {
            () = records.tell_forever() => unreachable!(),
            () = async {
                visit(&records, 1, "/");
                tokio::time::sleep(SOON * 2).await;
                let (by_slot, slots, _) = read(&control);
                assert_eq!((by_slot.len(), slots.len()), (1, 0));
                tokio::time::sleep(COUNTS).await;
                assert_eq!(read(&control).1.len(), 1);
                assert!(!records.lock().seen_to);
            } => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_anybody_to_read_nothing_stands_still() {
        let (near, control) = Channel::pair().unwrap();
        drop(control);
        let records = Records::new(near, &limits(100, 100));
        visit(&records, 1, "/");
        assert!(records.tell(false) || records.tell(true));
        visit(&records, 1, "/");
    }
}
