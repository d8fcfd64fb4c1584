//! Whether a client of HTTP/2 takes what it has asked for. It may let a stream stand still by flow control, and then nothing
//! that is written shows it: what shows is that an answer's body has given a piece and is not asked for the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The streams of one connection.
#[derive(Debug, Default)]
pub(crate) struct Taking {
    /// How many looks there were.
    looks: AtomicU64,
    /// Pieces that are not taken, those that were given before the last look and those given since, by turns.
    waiting: [AtomicU32; 2],
}

/// One stream's answer.
#[derive(Debug)]
pub(crate) struct Taker {
    taking: Arc<Taking>,
    /// Looks when the piece was given that the client is to take.
    gave: Option<u64>,
}

const fn parity(looks: u64) -> usize {
    (looks % 2) as usize
}

impl Taking {
    /// For one more answer.
    pub(crate) fn taker(self: &Arc<Self>) -> Taker {
        Taker { taking: self.clone(), gave: None }
    }

    /// Ends when the client has left a piece for one to two times `bound`.
    pub(crate) async fn stands_still(&self, bound: Duration) {
        loop {
            tokio::time::sleep(bound).await;
            let looks = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
            // Those of the look before last have been left for all of the time between.
            if self.waiting[parity(looks)].load(Ordering::Relaxed) > 0 {
                return;
            }
        }
    }
}

impl Taker {
    /// A piece is on its way to the client.
    pub(crate) fn gives(&mut self) {
        let looks = self.taking.looks.load(Ordering::Relaxed);
        self.taking.waiting[parity(looks)].fetch_add(1, Ordering::Relaxed);
        self.gave = Some(looks);
    }

    /// The next piece is asked for, so the one before has been taken.
    pub(crate) fn is_asked(&mut self) {
        if let Some(looks) = self.gave.take() {
            self.taking.waiting[parity(looks)].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.is_asked();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_piece_that_is_left_ends_it_and_one_that_is_taken_does_not() {
        let taking = Arc::new(Taking::default());
        let (mut moves, mut stands) = (taking.taker(), taking.taker());
        let use_it = async {
            for _ in 0..10 {
                moves.gives();
                tokio::time::sleep(BOUND * 9 / 10).await;
                moves.is_asked();
            }
        };
        tokio::select! {
            biased;
            () = use_it => {}
            () = taking.stands_still(BOUND) => panic!("it takes what it gets"),
        }
        stands.gives();
        tokio::time::timeout(BOUND * 2, taking.stands_still(BOUND)).await.unwrap();
        drop(stands);
        assert!(tokio::time::timeout(BOUND * 4, taking.stands_still(BOUND)).await.is_err());
    }
}
