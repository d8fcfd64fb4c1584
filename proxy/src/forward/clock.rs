//! One timer for all that a connection waits for. It is set for the earliest, and no request sets or clears it: one that goes off too early is set again.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// One connection's.
#[derive(Debug, Default)]
pub(super) struct Clock {
    timer: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// Whether the deadline is over; wakes when it is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= deadline || Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn each_deadline_is_kept() {
        let mut clock = Clock::default();
        let began = Instant::now();
        let after = |ms| began + Duration::from_millis(ms);
        let mut polled = async |ms| poll_fn(|cx| Poll::Ready(clock.poll(cx, after(ms)).is_ready())).await;
        assert!(!polled(1000).await && !polled(50).await && !polled(2000).await);
        for ms in [30, 100, 5000, 5001] {
            poll_fn(|cx| clock.poll(cx, after(ms))).await;
            assert_eq!(Instant::now(), after(ms));
        }
        // What is over is over at once.
        poll_fn(|cx| clock.poll(cx, after(70))).await;
        assert_eq!(Instant::now(), after(5001));
    }
}
