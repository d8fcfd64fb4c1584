//! WebSockets: once both sides have switched protocols, their bytes are passed on unread until either side closes, or
//! nothing has passed for too long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use kennel_model::access::Ended;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};

use crate::fairness::Throttle;
use crate::seen::Seen;
use crate::tally::Meter;

/// Connects the two ends as soon as both are there. `held` is what the tunnel occupies, given back at its end; then its
/// record is written.
pub(crate) async fn run(
    client: OnUpgrade,
    program: OnUpgrade,
    idle: Duration,
    counted: ([Meter; 2], Option<Throttle>),
    (held, mut seen): (impl Send, Option<Seen>),
) {
    let mut ended = Ended::Cut;
    // Either side may be gone before the switch is complete; then there is nobody to tell.
    if let Ok((client, program)) = tokio::try_join!(client, program) {
        ended = join(TokioIo::new(client), TokioIo::new(program), idle, counted).await;
    }
    drop(held);
    if let Some(seen) = &mut seen {
        seen.ends(ended);
    }
}

/// Ends with the first side to fail, after both have closed, or after one to two times `idle` without a byte.
async fn join(
    client: impl AsyncRead + AsyncWrite + Unpin,
    mut program: impl AsyncRead + AsyncWrite + Unpin,
    idle: Duration,
    ([from_client, to_client], throttle): ([Meter; 2], Option<Throttle>),
) -> Ended {
    let moved = Arc::new(AtomicBool::new(false));
    // Every byte passes the client's end, one way or the other.
    let mut client = Watched { inner: client, moved: moved.clone(), from_client, to_client, throttle };
    let quiet = async {
        loop {
            tokio::time::sleep(idle).await;
            if !moved.swap(false, Ordering::Relaxed) {
                return;
            }
        }
    };
    tokio::select! {
        copied = copy_bidirectional(&mut client, &mut program) => {
            if copied.is_ok() { Ended::Whole } else { Ended::Cut }
        }
        () = quiet => Ended::Cut,
    }
}

/// Notes when bytes pass, and how many.
struct Watched<T> {
    inner: T,
    moved: Arc<AtomicBool>,
    from_client: Meter,
    to_client: Meter,
    throttle: Option<Throttle>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.from_client.count(buf.filled().len() - before);
        if polled.is_ready() {
            self.moved.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(throttle) = &mut self.throttle {
            ready!(throttle.poll_ready(cx));
        }
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = polled {
            self.to_client.count(written);
            if let Some(throttle) = &self.throttle {
                throttle.count(written);
            }
        }
        if polled.is_ready() {
            self.moved.store(true, Ordering::Relaxed);
        }
        polled
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
    use crate::tally::{Tally, Way};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const IDLE: Duration = Duration::from_secs(600);

    fn meters() -> [Meter; 2] {
        let slot = kennel_model::SlotId::new(0).unwrap();
        [Way::In, Way::Out].map(|way| Tally::new().meter(slot, way))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it_and_a_byte_keeps_it() {
        let (client, mut browser) = tokio::io::duplex(64);
        let (program, mut server) = tokio::io::duplex(64);
        let tunnel = tokio::spawn(join(client, program, IDLE, (meters(), None)));
        for _ in 0..5 {
            tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
            server.write_all(b"ping").await.unwrap();
            let mut got = [0; 4];
            browser.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"ping");
        }
        assert_eq!(tunnel.await.unwrap(), Ended::Cut);
        assert_eq!(browser.read(&mut [0; 1]).await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_side_may_close_before_the_other() {
        let (client, mut browser) = tokio::io::duplex(64);
        let (program, mut server) = tokio::io::duplex(64);
        let tunnel = tokio::spawn(join(client, program, IDLE, (meters(), None)));
        browser.write_all(b"last").await.unwrap();
        browser.shutdown().await.unwrap();
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.unwrap();
        server.write_all(b"words").await.unwrap();
        drop(server);
        let mut back = Vec::new();
        browser.read_to_end(&mut back).await.unwrap();
        assert_eq!((&got[..], &back[..]), (&b"last"[..], &b"words"[..]));
        assert_eq!(tunnel.await.unwrap(), Ended::Whole);
    }
}
