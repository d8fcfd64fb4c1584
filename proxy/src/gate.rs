//! What stands between a client's connection and hyper: gives hyper only bytes that `wire` has passed, one protocol at a time. A head
//! that is refused ends in a byte that hyper refuses too, so that hyper answers 400 and closes; a body that is refused is
//! an error of its reading. And knows when nothing is under way, for `http1`, which parks such connections or takes them back to `forward`.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::hints::Hints;
use crate::wire::{Scan, Verdict};

/// In no method, target, version, name or value.
const REFUSED: u8 = 0;
/// How often it is read in a row from a connection that is given up; then others have their turn.
const READS: usize = 16;

/// What the gate and the answers to its requests know of each other.
#[derive(Debug, Default)]
pub struct Wire {
    /// Heads that were let through.
    heads: AtomicU64,
    /// Answers that are complete, or given up.
    ended: AtomicU64,
    /// Some of a next request has come.
    begun: AtomicBool,
    /// A request had a body, or the connection is being ended.
    bound: AtomicBool,
    /// The last answer changed the protocol.
    open: AtomicBool,
    /// Who waits for the last answer.
    waits: Mutex<Option<Waker>>,
    /// To be sent before the next answer, and whether that has begun.
    hints: Hints,
    /// Whether there may be any.
    hinted: AtomicBool,
}

impl Wire {
    /// The number of heads so far, if each has its answer, all is sent, and nothing more has come.
    pub(crate) fn idle(&self) -> Option<u64> {
        let heads = self.answered()?;
        (!self.begun.load(Ordering::Relaxed) && !self.hints.is_busy()).then_some(heads)
    }

    /// The number of heads so far, if each has its answer.
    pub(crate) fn answered(&self) -> Option<u64> {
        let heads = self.heads.load(Ordering::Relaxed);
        (self.ended.load(Ordering::Relaxed) == heads).then_some(heads)
    }

    /// Whether hyper has answered all that came, and has nothing in its hands.
    pub(crate) fn is_free(&self) -> bool {
        !self.bound.load(Ordering::Relaxed) && self.idle().is_some_and(|heads| heads > 0)
    }

    /// Where hints for this client are put.
    pub(crate) fn hints(&self) -> Hints {
        self.hinted.store(true, Ordering::Relaxed);
        self.hints.clone()
    }

    fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        if let Some(waits) = self.waits.lock().unwrap_or_else(PoisonError::into_inner).take() {
            waits.wake();
        }
    }
}

/// One request under way, until it is dropped.
#[derive(Debug)]
pub struct UnderWay(Arc<Wire>);

impl UnderWay {
    /// To be made for each request that the gate lets through.
    pub fn new(wire: &Arc<Wire>) -> Self {
        Self(wire.clone())
    }

    /// Its answer changes the protocol.
    pub(crate) fn open(&self) {
        self.0.open.store(true, Ordering::Relaxed);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The body of an answer, under way until its end.
#[derive(Debug)]
pub struct Answering<B> {
    /// The body.
    pub body: B,
    /// Dropped with it.
    pub _under_way: UnderWay,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Answering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A client's connection, as hyper gets it.
#[derive(Debug)]
pub struct Gate<T> {
    inner: T,
    scan: Scan,
    wire: Arc<Wire>,
    /// Read, and not looked at.
    rest: Vec<u8>,
    /// What follows is no body.
    broken: bool,
    /// On their way out.
    hints: Vec<u8>,
    /// How long a client is listened to that is told nothing more.
    linger: Duration,
    /// Made when that begins.
    lingers: Option<Pin<Box<Sleep>>>,
}

impl<T> Gate<T> {
    /// A connection that has just been made.
    pub fn new(inner: T, wire: Arc<Wire>, linger: Duration) -> Self {
        let (rest, hints) = (Vec::new(), Vec::new());
        Self { inner, scan: Scan::new(), wire, rest, broken: false, hints, linger, lingers: None }
    }

    /// The same, of which this was read, and not used.
    pub(crate) fn behind(self, rest: Vec<u8>) -> Self {
        Self { rest, ..self }
    }

    /// The bare connection, and what was read of it and not used, between two requests.
    pub(crate) fn into_parts(self) -> (T, Vec<u8>) {
        (self.inner, self.rest)
    }

    /// Looks at what was read into `buf` behind `before`.
    fn look(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> Poll<io::Result<()>> {
        let new = &buf.filled()[before..];
        let verdict = self.scan.take(new);
        self.wire.heads.store(self.scan.heads(), Ordering::Relaxed);
        self.wire.begun.store(!self.scan.is_between(), Ordering::Relaxed);
        if self.scan.has_had_bodies() {
            self.wire.bound.store(true, Ordering::Relaxed);
        }
        match verdict {
            Verdict::Pass => (),
            Verdict::Stop(at) => {
                if self.scan.is_held() {
                    self.rest.splice(..0, new[at..].iter().copied());
                }
                buf.set_filled(before + at);
            }
            Verdict::BadHead(at) => {
                buf.filled_mut()[before + at] = REFUSED;
                buf.set_filled(before + at + 1);
            }
            Verdict::BadBody(at) => {
                buf.set_filled(before + at);
                // What was good comes first; the error with the next read.
                self.broken = at > 0;
                if !self.broken {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the last answer is there, and the scan was told what it says.
    fn is_released(&mut self, cx: &Context<'_>) -> bool {
        // Before the look: an answer that ends meanwhile wakes.
        *self.wire.waits.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        let open = self.wire.open.load(Ordering::Relaxed);
        if !open && self.wire.answered().is_none() {
            return false;
        }
        self.scan.release(open);
        true
    }
}

impl<T: AsyncRead + Unpin> Gate<T> {
    /// Throws away what a client still sends that has had its answer in the midst of it: left unread it would be answered with a
    /// reset, which may overtake the answer (RFC 9112, 9.6).
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.scan.is_between() || self.scan.is_held() || self.scan.is_open() {
            return Poll::Ready(());
        }
        let linger = self.linger;
        let timer = self.lingers.get_or_insert_with(|| Box::pin(tokio::time::sleep(linger)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut space = [0; 4096];
        for _ in 0..READS {
            let mut buf = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Gate<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = &mut *self;
        if gate.broken {
            gate.broken = false;
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if gate.scan.is_ended() || (gate.scan.is_held() && !gate.is_released(cx)) {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if gate.rest.is_empty() {
            ready!(Pin::new(&mut gate.inner).poll_read(cx, buf))?;
        } else {
            let part = gate.rest.len().min(buf.remaining());
            buf.put_slice(&gate.rest[..part]);
            gate.rest.drain(..part);
            if gate.rest.is_empty() {
                gate.rest = Vec::new();
            }
        }
        match gate.scan.is_open() || buf.filled().len() == before {
            true => Poll::Ready(Ok(())),
            false => gate.look(buf, before),
        }
    }
}

impl<T: AsyncWrite + Unpin> Gate<T> {
    /// Sends what goes past hyper, unless it would come amid an answer.
    fn poll_hints(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.wire.hinted.load(Ordering::Relaxed) && !self.wire.hints.is_busy() {
            self.hints.append(&mut self.wire.hints.take());
        }
        while !self.hints.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.hints))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => _ = self.hints.drain(..sent),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_hints(cx))?;
        self.wire.hints.set_busy(true);
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_hints(cx))?;
        self.wire.hints.set_busy(true);
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    /// hyper flushes when it has nothing more to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_hints(cx))?;
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.wire.hints.set_busy(false);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.bound.store(true, Ordering::Relaxed);
        if self.lingers.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
        }
        self.poll_linger(cx).map(Ok)
    }
}
