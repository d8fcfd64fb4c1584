//! Sends blocks, many at a time. One task decides and the attempts only carry: it launches as many as the limit allows,
//! sends a second attempt beside one that is stalled, and makes attempts again whose failure passes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};

use super::PublishError;
use super::limit::{Limit, Times};
use super::plan::Block;
use crate::aws::{Fault, Kind, SHARDS, pace};

/// How often it is looked for stalled attempts.
const LOOK: Duration = Duration::from_millis(100);
/// No attempt that is younger is called stalled.
const STALL_FLOOR: Duration = Duration::from_secs(1);
/// For so long AWS may say that there is no such snapshot after it has made it (seen by others to take two minutes).
const UNSEEN: Duration = Duration::from_secs(150);
/// So many second attempts may be under way. If more are stalled, the line is, and more attempts would make it worse.
const HEDGES: usize = 4;

/// What it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    /// Blocks that arrived.
    pub blocks: u32,
    /// Attempts that were turned away because there were too many.
    pub throttled: u32,
    /// Attempts that failed otherwise.
    pub failed: u32,
    /// Second attempts beside stalled ones.
    pub hedged: u32,
}

/// An upload. `P` carries one block over one of the connection pools.
pub(super) struct Upload<P> {
    put: P,
    queue: VecDeque<Work>,
    /// To be tried again, from this time on.
    later: BTreeMap<(Instant, u32), Work>,
    flights: HashMap<u32, Flight>,
    attempts: JoinSet<Landing>,
    limit: Limit,
    times: Times,
    shard: usize,
    began: Instant,
    stats: Stats,
}

struct Work {
    block: Block,
    /// Attempts that did not carry it.
    tries: u32,
    /// Those among them of which there may be only so many.
    failures: u32,
}

/// A block that is under way, in one attempt or two.
struct Flight {
    work: Work,
    since: Instant,
    shard: usize,
    live: usize,
    handles: Vec<AbortHandle>,
}

struct Landing {
    index: u32,
    took: Duration,
    result: Result<(), PublishError>,
}

impl<P, F> Upload<P>
where
    P: Fn(usize, Block) -> F,
    F: Future<Output = Result<(), PublishError>> + Send + 'static,
{
    /// Of these blocks.
    pub(super) fn new(blocks: impl IntoIterator<Item = Block>, put: P) -> Self {
        Self::with_floor(blocks, put, STALL_FLOOR)
    }

    fn with_floor(blocks: impl IntoIterator<Item = Block>, put: P, floor: Duration) -> Self {
        Self {
            put,
            queue: blocks.into_iter().map(|block| Work { block, tries: 0, failures: 0 }).collect(),
            later: BTreeMap::new(),
            flights: HashMap::new(),
            attempts: JoinSet::new(),
            limit: Limit::default(),
            times: Times::new(floor),
            shard: 0,
            began: Instant::now(),
            stats: Stats::default(),
        }
    }

    /// Sends them all. `arrived` hears of each block once.
    ///
    /// # Errors
    /// The first failure that does not pass; what is under way is dropped.
    pub(super) async fn run(
        mut self,
        mut arrived: impl FnMut(Block) -> Result<(), PublishError>,
    ) -> Result<Stats, PublishError> {
        loop {
            self.launch();
            if self.flights.is_empty() && self.later.is_empty() {
                return Ok(self.stats);
            }
            tokio::select! {
                Some(joined) = self.attempts.join_next() => match joined {
                    Ok(landing) => if let Some(block) = self.landed(landing)? {
                        arrived(block)?;
                    },
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    // The slower of two attempts, which was called off.
                    Err(_) => {}
                },
                () = tokio::time::sleep(LOOK) => self.hedge(),
            }
        }
    }

    fn live(&self) -> usize {
        self.flights.values().map(|flight| flight.live).sum()
    }

    /// Starts as many as may be under way; those first whose time to be tried again has come.
    fn launch(&mut self) {
        let mut room = self.limit.now().saturating_sub(self.live());
        while room > 0 {
            let due = self.later.first_entry().filter(|entry| entry.key().0 <= Instant::now());
            let Some(work) = due.map(|entry| entry.remove()).or_else(|| self.queue.pop_front()) else { return };
            self.shard = (self.shard + 1) % SHARDS;
            let (index, shard) = (work.block.index, self.shard);
            let handle = self.attempt(work.block, shard);
            self.flights
                .insert(index, Flight { work, since: Instant::now(), shard, live: 1, handles: vec![handle] });
            room -= 1;
        }
    }

    fn attempt(&mut self, block: Block, shard: usize) -> AbortHandle {
        let carry = (self.put)(shard, block);
        self.attempts.spawn(async move {
            let start = Instant::now();
            let result = carry.await;
            Landing { index: block.index, took: start.elapsed(), result }
        })
    }

    /// Sends second attempts beside those that are stalled, over other connections.
    fn hedge(&mut self) {
        let Some(stalled) = self.times.stalled() else { return };
        let under_way = self.flights.values().filter(|flight| flight.live > 1).count();
        let alone =
            self.flights.values().filter(|flight| flight.live == 1 && flight.since.elapsed() >= stalled);
        let chosen: Vec<_> = alone
            .take(HEDGES.saturating_sub(under_way))
            .map(|flight| (flight.work.block, (flight.shard + 1) % SHARDS))
            .collect();
        for (block, shard) in chosen {
            let handle = self.attempt(block, shard);
            self.stats.hedged += 1;
            if let Some(flight) = self.flights.get_mut(&block.index) {
                flight.live += 1;
                flight.handles.push(handle);
            }
        }
    }

    /// An attempt has ended; says which block has arrived by it.
    fn landed(&mut self, landing: Landing) -> Result<Option<Block>, PublishError> {
        // The slower of two attempts may end in the moment in which it is called off.
        let Some(mut flight) = self.flights.remove(&landing.index) else { return Ok(None) };
        let error = match landing.result {
            Ok(()) => {
                flight.handles.iter().for_each(AbortHandle::abort);
                self.limit.arrived();
                self.times.took(landing.took);
                self.stats.blocks += 1;
                return Ok(Some(flight.work.block));
            }
            Err(error) => error,
        };
        let PublishError::Aws(fault) = &error else { return Err(error) };
        let passes = fault.passes() && self.takes(fault, &mut flight.work);
        if !passes {
            return Err(error);
        }
        flight.live -= 1;
        if flight.live > 0 {
            self.flights.insert(landing.index, flight);
        } else {
            let pause = pace::pause(flight.work.tries);
            self.later.insert((Instant::now() + pause, landing.index), flight.work);
        }
        Ok(None)
    }

    /// Learns from an attempt that failed; says whether there may be another.
    fn takes(&mut self, fault: &Fault, work: &mut Work) -> bool {
        work.tries += 1;
        if matches!(fault.kind, Kind::Throttled | Kind::Late) {
            self.limit.too_many(Instant::now());
        }
        match fault.kind {
            Kind::Throttled => self.stats.throttled += 1,
            Kind::Unseen => return self.began.elapsed() < UNSEEN,
            _ => {
                self.stats.failed += 1;
                work.failures += 1;
            }
        }
        work.failures < pace::ATTEMPTS
    }
}

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;
