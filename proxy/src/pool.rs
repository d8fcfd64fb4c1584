//! Idle connections to tenants' programs, kept for the next request. Bounded per slot and in all; the newest is used
//! first, so that the others can grow old and go. Each worker has its own, since a connection is driven by the runtime that made it.
//! Making connections is left to `connect`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_model::SlotId;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::Limits;
use crate::plain::{Kept, Plain};
use crate::upstream::Upstream;
use crate::workers;

/// Something that can be kept: an [`Upstream`], or a stand-in in tests.
pub(crate) trait Reusable {
    /// Whether the next request can be sent at once.
    fn is_usable(&mut self) -> bool;

    /// Where its program listens.
    fn port(&self) -> u16;
}

impl Reusable for Upstream {
    fn is_usable(&mut self) -> bool {
        Self::is_usable(self)
    }

    fn port(&self) -> u16 {
        Self::port(self)
    }
}

struct Idle<C> {
    connection: C,
    since: Instant,
}

struct Shelves<C> {
    by_slot: HashMap<SlotId, VecDeque<Idle<C>>>,
    total: usize,
}

/// The idle connections of all slots.
pub(crate) struct Pool<C = Kept<Upstream>> {
    /// Of each worker.
    shelves: Box<[Mutex<Shelves<C>>]>,
    filled: Notify,
    per_slot: usize,
    in_all: usize,
    keep: Duration,
}

impl<C: Reusable> Pool<C> {
    /// An empty pool, for so many workers.
    pub(crate) fn new(limits: &Limits, workers: usize) -> Self {
        let empty = || Mutex::new(Shelves { by_slot: HashMap::new(), total: 0 });
        Self {
            shelves: (0..workers).map(|_| empty()).collect(),
            filled: Notify::new(),
            per_slot: limits.idle_per_slot.div_ceil(workers),
            in_all: limits.idle_total / workers,
            keep: limits.upstream_idle,
        }
    }

    /// This worker's newest connection that is still good, to the program at this port: requests that were in flight when
    /// another took over have put theirs back since.
    pub(crate) fn take(&self, slot: SlotId, port: u16) -> Option<C> {
        let mut shelves = self.here();
        loop {
            let mut idle = shelves.by_slot.get_mut(&slot)?.pop_back()?;
            shelves.total -= 1;
            if idle.connection.port() == port && idle.since.elapsed() < self.keep && idle.connection.is_usable()
            {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection for this worker, unless there are enough.
    pub(crate) fn put(&self, slot: SlotId, connection: C) {
        let mut shelves = self.here();
        if shelves.total >= self.in_all {
            return;
        }
        let shelf = shelves.by_slot.entry(slot).or_default();
        shelf.push_back(Idle { connection, since: Instant::now() });
        match shelf.len() > self.per_slot {
            true => _ = shelf.pop_front(),
            false => shelves.total += 1,
        }
        self.filled.notify_one();
    }

    /// Closes all workers' idle connections to the slot.
    pub(crate) fn clear(&self, slot: SlotId) {
        for shelves in &self.shelves {
            let mut shelves = lock(shelves);
            shelves.total -= shelves.by_slot.remove(&slot).map_or(0, |shelf| shelf.len());
        }
    }

    /// Closes what has grown old. Runs for ever, and sleeps while nothing is kept.
    pub(crate) async fn sweep_forever(&self) {
        loop {
            self.filled.notified().await;
            while self.sweep() {
                tokio::time::sleep(self.keep).await;
            }
        }
    }

    /// Whether anything is left.
    fn sweep(&self) -> bool {
        let mut left = 0;
        for shelves in &self.shelves {
            let mut shelves = lock(shelves);
            let mut total = 0;
            shelves.by_slot.retain(|_, shelf| {
                shelf.retain_mut(|idle| idle.since.elapsed() < self.keep && idle.connection.is_usable());
                total += shelf.len();
                !shelf.is_empty()
            });
            shelves.total = total;
            left += total;
        }
        left > 0
    }

    fn here(&self) -> MutexGuard<'_, Shelves<C>> {
        lock(&self.shelves[workers::here()])
    }
}

impl Pool {
    /// This worker's newest connection that is still good, bare.
    pub(crate) fn take_plain(&self, slot: SlotId, port: u16) -> Option<Plain> {
        loop {
            let plain = match self.take(slot, port)? {
                Kept::Plain(plain) => Some(plain),
                Kept::Hypers(upstream) => upstream.into_plain(),
            };
            if plain.is_some() {
                return plain;
            }
        }
    }
}

fn lock<C>(shelves: &Mutex<Shelves<C>>) -> MutexGuard<'_, Shelves<C>> {
    shelves.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    const PORT: u16 = 7;

    #[derive(Clone)]
    struct Fake(u32, Rc<Cell<bool>>);

    impl Reusable for Fake {
        fn is_usable(&mut self) -> bool {
            self.1.get()
        }

        fn port(&self) -> u16 {
            PORT
        }
    }

    fn fake(n: u32) -> Fake {
        Fake(n, Rc::new(Cell::new(true)))
    }

    fn slot(n: u16) -> SlotId {
        SlotId::new(n).unwrap()
    }

    fn pool(per_slot: usize, in_all: usize) -> Pool<Fake> {
        Pool::new(&Limits { idle_per_slot: per_slot, idle_total: in_all, ..Limits::default() }, 1)
    }

    #[tokio::test(start_paused = true)]
    async fn newest_first_and_never_more_than_the_bounds() {
        let pool = pool(2, 3);
        for n in 1..=3 {
            pool.put(slot(1), fake(n));
        }
        pool.put(slot(2), fake(4));
        pool.put(slot(3), fake(5));
        assert!(pool.take(slot(3), PORT).is_none(), "over the total");
        assert_eq!(pool.take(slot(1), PORT).map(|f| f.0), Some(3));
        assert_eq!(pool.take(slot(1), PORT).map(|f| f.0), Some(2));
        assert!(pool.take(slot(1), PORT).is_none(), "the oldest went first");
        assert_eq!(pool.take(slot(2), PORT).map(|f| f.0), Some(4));
        assert_eq!(pool.here().total, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn dead_and_old_ones_are_not_given_out() {
        let pool = pool(4, 4);
        let (good, dead) = (fake(1), fake(2));
        pool.put(slot(1), good);
        pool.put(slot(1), dead.clone());
        dead.1.set(false);
        assert_eq!(pool.take(slot(1), PORT).map(|f| f.0), Some(1));
        pool.put(slot(1), fake(3));
        assert!(pool.take(slot(1), PORT + 1).is_none(), "that is another program");
        pool.put(slot(1), fake(3));
        tokio::time::advance(Limits::default().upstream_idle).await;
        assert!(pool.take(slot(1), PORT).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn clearing_and_sweeping_keep_the_total_right() {
        let pool = pool(4, 4);
        pool.put(slot(1), fake(1));
        pool.put(slot(2), fake(2));
        pool.clear(slot(1));
        assert!(pool.take(slot(1), PORT).is_none());
        assert_eq!(pool.here().total, 1);
        assert!(pool.sweep());
        tokio::time::advance(Limits::default().upstream_idle).await;
        assert!(!pool.sweep());
        assert_eq!(pool.here().total, 0);
    }
}
