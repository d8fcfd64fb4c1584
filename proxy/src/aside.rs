//! A future that seldom has anything to say, waited for beside one that often has: it is polled only after it has rung itself, so
//! that waiting for it costs its busy neighbour next to nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// One, and its bell.
pub(crate) struct Aside<'f, T> {
    inner: Pin<Box<dyn Future<Output = T> + Send + 'f>>,
    bell: Arc<Bell>,
    waker: Waker,
}

struct Bell {
    task: Mutex<Waker>,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.task.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
    }
}

impl<'f, T> Aside<'f, T> {
    /// To be polled by one task, until it is ready.
    pub(crate) fn new(inner: impl Future<Output = T> + Send + 'f) -> Self {
        let bell = Arc::new(Bell { task: Mutex::new(Waker::noop().clone()), rung: AtomicBool::new(true) });
        let waker = Waker::from(bell.clone());
        Self { inner: Box::pin(inner), bell, waker }
    }
}

impl<T> Future for Aside<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = &mut *self;
        if !this.bell.rung.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        // Before the poll, so that no ringing is lost. It stays the task's: a task polls its futures itself.
        this.bell.task.lock().unwrap_or_else(PoisonError::into_inner).clone_from(cx.waker());
        this.bell.rung.store(false, Ordering::Release);
        this.inner.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn it_is_asked_when_it_has_rung() {
        let (tell, told) = oneshot::channel();
        let mut asked = 0;
        let mut told = Box::pin(told);
        let mut aside = Aside::new(poll_fn(|cx| {
            asked += 1;
            told.as_mut().poll(cx)
        }));
        for _ in 0..9 {
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut aside).poll(cx))).await;
            assert!(polled.is_pending());
        }
        tell.send(7).unwrap();
        assert_eq!(aside.await, Ok(7));
        assert_eq!(asked, 2);
    }
}
