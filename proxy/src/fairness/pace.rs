//! Bytes a second that a tenant may send to visitors, over all its connections. A second's worth may go at once; then each
//! piece waits until it is due, and with it the program, as nothing is read from it meanwhile.

use std::future::Future as _;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use kennel_model::SlotId;
use tokio::time::{Instant, Sleep};

use super::Due;
use crate::by_slot::BySlot;

/// What may go at once, as time at the tenant's rate.
const AHEAD: Duration = Duration::from_secs(1);

/// When each tenant's next byte is due.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<BySlot<Due>>);

/// Bytes of one tenant on one connection.
#[derive(Debug)]
pub(crate) struct Throttle {
    pace: Arc<Pace>,
    slot: SlotId,
    bytes_per_s: NonZeroU64,
    /// Made when there is something to wait for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// For one connection's bytes, if the tenant has a bound.
    pub(crate) fn throttle(
        self: &Arc<Self>,
        slot: SlotId,
        bytes_per_s: Option<NonZeroU64>,
    ) -> Option<Throttle> {
        bytes_per_s.map(|bytes_per_s| Throttle { pace: self.clone(), slot, bytes_per_s, timer: None })
    }

    fn lock(&self) -> MutexGuard<'_, BySlot<Due>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Throttle {
    /// Until the next piece may go.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
                self.timer = None;
            }
            let now = Instant::now();
            let early = self.pace.lock().at(self.slot).early(now).saturating_sub(AHEAD);
            if early.is_zero() {
                return Poll::Ready(());
            }
            self.timer = Some(Box::pin(tokio::time::sleep_until(now + early)));
        }
    }

    /// So many bytes have gone.
    pub(crate) fn count(&self, bytes: usize) {
        let nanos = u128::try_from(bytes).unwrap_or(0) * 1_000_000_000 / u128::from(self.bytes_per_s.get());
        let interval = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.pace.lock().at(self.slot).count(Instant::now(), interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    async fn send(throttle: &mut Throttle, pieces: usize) {
        for _ in 0..pieces {
            poll_fn(|cx| throttle.poll_ready(cx)).await;
            throttle.count(1000);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_connections_share_what_their_tenant_has() {
        let pace = Arc::new(Pace::default());
        let of = |n| pace.throttle(SlotId::new(n).unwrap(), NonZeroU64::new(10_000)).unwrap();
        let (mut one, mut other, mut neighbour) = (of(1), of(1), of(2));
        let begin = Instant::now();
        send(&mut neighbour, 10).await;
        assert_eq!(begin.elapsed(), Duration::ZERO, "a second's worth goes at once");
        tokio::join!(send(&mut one, 50), send(&mut other, 50));
        let took = begin.elapsed();
        assert!((Duration::from_millis(8500)..Duration::from_millis(9500)).contains(&took), "{took:?}");
        assert!(pace.throttle(SlotId::new(1).unwrap(), None).is_none());
    }
}
