//! A connection whose other end has to take what is written to it within a bound, and which lets others have their turn
//! after so many bytes: one that can always go on would go on for megabytes. Pauses in reading are bounded (`body`, `tunnel`, hyper's timer for heads), where it is known what is waited for.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::limits::Limits;
use crate::slow::Slow;

/// Fails with `TimedOut` when a write makes no progress for too long, or too little; pauses between turns.
#[derive(Debug)]
pub(crate) struct WriteBound<T> {
    inner: T,
    bound: Duration,
    /// Made at the first write that has to wait.
    timer: Option<Pin<Box<Sleep>>>,
    armed: bool,
    turn: usize,
    /// In this turn.
    written: usize,
    slow: Slow,
    least_bytes_per_s: u32,
}

impl<T> WriteBound<T> {
    /// Wraps a connection.
    pub(crate) fn new(inner: T, limits: &Limits) -> Self {
        Self {
            inner,
            bound: limits.write_stall,
            timer: None,
            armed: false,
            turn: limits.turn_bytes,
            written: 0,
            slow: Slow::default(),
            least_bytes_per_s: limits.slowest_bytes_per_s,
        }
    }

    /// Whether the turn is over; the next one comes when all others have had theirs.
    fn ends_turn(&mut self, cx: &Context<'_>) -> bool {
        let ends = self.written >= self.turn;
        if ends {
            self.written = 0;
            cx.waker().wake_by_ref();
        }
        ends
    }

    fn watch(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = polled {
            self.armed = false;
            let written = result.as_ref().map_or(0, |written| *written);
            self.written += written;
            if self.slow.moved(written, self.bound, self.least_bytes_per_s) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            return Poll::Ready(result);
        }
        let deadline = Instant::now() + self.bound;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !self.armed {
            timer.as_mut().reset(deadline);
            self.armed = true;
            self.slow.waits(Instant::now());
        }
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WriteBound<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WriteBound<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.ends_turn(cx) {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.ends_turn(cx) {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{Future as _, poll_fn};
    use std::pin::pin;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut near = WriteBound::new(near, &Limits::default());
        near.write_all(b"1234").await.unwrap();
        let mut two = [0; 2];
        let (wrote, read) = tokio::join!(near.write_all(b"56"), far.read_exact(&mut two));
        assert!(wrote.is_ok() && read.is_ok());
        assert_eq!(near.write_all(b"7").await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_could_go_on_lets_others_have_their_turn() {
        let (near, _far) = tokio::io::duplex(1 << 20);
        let mut near = WriteBound::new(near, &Limits { turn_bytes: 10, ..Limits::default() });
        near.write_all(&[0; 10]).await.unwrap();
        let mut next = pin!(near.write_all(b"x"));
        let mut polled = async || poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx).is_pending())).await;
        assert_eq!((polled().await, polled().await), (true, false));
    }
}
