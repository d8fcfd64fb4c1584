//! Connections over which many requests go to a program at a time: HTTP/2 without TLS, known beforehand (RFC 9113, 3.3), for tenants that ask for
//! it. One for each slot, and another when the program takes no more requests on those there are. Tasks of their own drive them, and close those that
//! nobody uses. A connection is used when the program has shown that it speaks HTTP/2: no request is lost to one that does not.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kennel_model::SlotId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, oneshot};
use tokio::time::timeout;

use crate::body::ToProgram;
use crate::connect::{self, DialError};
use crate::limits::Limits;
use crate::stall::WriteBound;

type Driver = Connection<TokioIo<WriteBound<First>>, ToProgram, TokioExecutor>;

/// All slots' connections.
pub(crate) struct H2c {
    shelves: Mutex<Shelves>,
    limits: Limits,
}

#[derive(Default)]
struct Shelves {
    by_slot: HashMap<SlotId, Slot>,
    /// Connections.
    total: usize,
}

#[derive(Default)]
struct Slot {
    connections: Vec<Kept>,
    /// Held by who makes one: a crowd makes one, and not as many as it is.
    making: Arc<AsyncMutex<()>>,
}

/// A connection that has been made.
struct Kept {
    sender: SendRequest<ToProgram>,
    load: Arc<Load>,
    /// Where its program listens.
    port: u16,
}

/// What a connection has to carry.
#[derive(Debug, Default)]
struct Load {
    /// Requests that are on it.
    requests: AtomicU32,
    /// How many the program takes at a time.
    most: AtomicU32,
    /// How many there have been.
    all: AtomicU32,
}

/// One request's place on a connection; given back when it is dropped.
pub(crate) struct Place {
    sender: SendRequest<ToProgram>,
    load: Arc<Load>,
}

impl Place {
    /// Sends a request and waits for the head of its answer, and for its turn if the program takes no more for now.
    ///
    /// # Errors
    /// hyper's, with the request where nothing of it was sent.
    pub(crate) async fn send(
        &mut self,
        request: Request<ToProgram>,
    ) -> Result<Response<Incoming>, TrySendError<Request<ToProgram>>> {
        self.sender.try_send_request(request).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.load.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Kept {
    fn place(&self) -> Place {
        self.load.requests.fetch_add(1, Ordering::Relaxed);
        self.load.all.fetch_add(1, Ordering::Relaxed);
        Place { sender: self.sender.clone(), load: self.load.clone() }
    }

    fn requests(&self) -> u32 {
        self.load.requests.load(Ordering::Relaxed)
    }
}

impl H2c {
    /// Without a connection.
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self { shelves: Mutex::default(), limits: limits.clone() })
    }

    /// A place on a connection that is there: one that is free or, where there are as many connections as may be, one that will be.
    pub(crate) fn take(&self, slot: SlotId, port: u16) -> Option<Place> {
        let mut shelves = self.lock();
        let Shelves { by_slot, total } = &mut *shelves;
        let there = &mut by_slot.get_mut(&slot)?.connections;
        let before = there.len();
        there.retain(|connection| connection.port == port && connection.sender.is_ready());
        *total -= before - there.len();
        let bound = self.limits.h2c_requests;
        let most = |c: &Kept| c.load.most.load(Ordering::Relaxed).min(bound);
        let free = there.iter().find(|c| c.requests() < most(c));
        let least = || there.iter().min_by_key(|c| c.requests());
        let found = free.or_else(|| if there.len() < self.limits.h2c_per_slot { None } else { least() });
        found.map(Kept::place)
    }

    /// A place on a new connection, or on one that somebody else has made meanwhile.
    ///
    /// # Errors
    /// [`DialError`].
    pub(crate) async fn connect(self: &Arc<Self>, slot: SlotId, port: u16) -> Result<Place, DialError> {
        let bound = self.limits.response_head;
        let turn = timeout(bound, self.making(slot).lock_owned()).await;
        let turn = turn.map_err(|_| DialError::TimedOut(bound))?;
        if let Some(place) = self.take(slot, port) {
            return Ok(place);
        }
        let stream = connect::dial(port, self.limits.connect).await?;
        self.make(slot, (stream, port), turn).await
    }

    /// Makes a connection of one that was found to be accepted, in a task of its own, unless one is being made.
    pub(crate) fn keep(self: &Arc<Self>, slot: SlotId, stream: (TcpStream, u16)) {
        let Ok(turn) = self.making(slot).try_lock_owned() else { return };
        let this = self.clone();
        tokio::spawn(async move { this.make(slot, stream, turn).await.map(drop) });
    }

    /// A place on a connection that nobody else has a part in.
    ///
    /// # Errors
    /// [`DialError`].
    pub(crate) async fn alone(
        self: &Arc<Self>,
        slot: SlotId,
        (stream, port): (TcpStream, u16),
    ) -> Result<Place, DialError> {
        let (sender, driver) = self.handshake(stream).await?;
        let connection = Kept { sender, load: Arc::default(), port };
        let place = connection.place();
        tokio::spawn(self.clone().drive(slot, connection.load, driver));
        Ok(place)
    }

    /// Closes the slot's connections as soon as nothing is on them.
    pub(crate) fn clear(&self, slot: SlotId) {
        let mut shelves = self.lock();
        if let Some(there) = shelves.by_slot.get_mut(&slot) {
            let gone = std::mem::take(&mut there.connections).len();
            shelves.total -= gone;
        }
    }

    /// Holds the turn until it is there.
    async fn make(
        self: &Arc<Self>,
        slot: SlotId,
        (stream, port): (TcpStream, u16),
        _turn: OwnedMutexGuard<()>,
    ) -> Result<Place, DialError> {
        let (sender, driver) = self.handshake(stream).await?;
        let connection = Kept { sender, load: Arc::default(), port };
        connection.load.learn(&driver);
        let place = connection.place();
        tokio::spawn(self.clone().drive(slot, connection.load.clone(), driver));
        let mut shelves = self.lock();
        // Over the bound it lasts for this one request.
        if shelves.total < self.limits.h2c_total {
            shelves.total += 1;
            shelves.by_slot.entry(slot).or_default().connections.push(connection);
        }
        Ok(place)
    }

    /// Waits until the program has shown that it speaks HTTP/2. One that is busy accepts long before it looks.
    async fn handshake(&self, stream: TcpStream) -> Result<(SendRequest<ToProgram>, Driver), DialError> {
        _ = stream.set_nodelay(true);
        let (tell, told) = oneshot::channel();
        let first = First { inner: stream, head: [0; FRAME_HEAD], seen: 0, tell: Some(tell) };
        let io = TokioIo::new(WriteBound::new(first, &self.limits));
        let made = builder(&self.limits).handshake(io).await.map_err(|_| DialError::Closed)?;
        let bound = self.limits.response_head;
        match timeout(bound, told).await {
            Ok(Ok(true)) => Ok(made),
            Ok(Ok(false)) => Err(DialError::Foreign),
            Ok(Err(_)) => Err(DialError::Closed),
            Err(_) => Err(DialError::TimedOut(bound)),
        }
    }

    /// Until it has ended, or nobody has used it for a while.
    async fn drive(self: Arc<Self>, slot: SlotId, load: Arc<Load>, mut driver: Driver) {
        let mut before = load.all.load(Ordering::Relaxed);
        loop {
            let ended = std::future::poll_fn(|cx| {
                let polled = Pin::new(&mut driver).poll(cx);
                load.learn(&driver);
                polled
            });
            if timeout(self.limits.upstream_idle, ended).await.is_ok() {
                return self.remove(slot, &load, |_| true);
            }
            let all = load.all.load(Ordering::Relaxed);
            let is_idle = |load: &Load| load.requests.load(Ordering::Relaxed) == 0;
            if all == before && is_idle(&load) {
                // Looked at once more where nobody can take a place. The next poll then ends.
                self.remove(slot, &load, is_idle);
            }
            before = all;
        }
    }

    fn remove(&self, slot: SlotId, load: &Arc<Load>, may: impl FnOnce(&Load) -> bool) {
        let mut shelves = self.lock();
        if !may(load) {
            return;
        }
        let Shelves { by_slot, total } = &mut *shelves;
        let Some(there) = by_slot.get_mut(&slot) else { return };
        let before = there.connections.len();
        there.connections.retain(|connection| !Arc::ptr_eq(&connection.load, load));
        *total -= before - there.connections.len();
        if there.connections.is_empty() && Arc::strong_count(&there.making) == 1 {
            by_slot.remove(&slot);
        }
    }

    fn making(&self, slot: SlotId) -> Arc<AsyncMutex<()>> {
        self.lock().by_slot.entry(slot).or_default().making.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    /// What the program has last said of how much it takes.
    fn learn(&self, driver: &Driver) {
        let most = u32::try_from(driver.current_max_send_streams()).unwrap_or(u32::MAX);
        self.most.store(most, Ordering::Relaxed);
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .initial_stream_window_size(limits.h2c_request_bytes)
        // Room for each: a client that does not take its answer keeps no other's from coming.
        .initial_connection_window_size(limits.h2c_request_bytes.saturating_mul(limits.h2c_requests))
        .max_send_buf_size(limits.http2_send_bytes)
        .max_header_list_size(u32::try_from(limits.response_head_bytes).unwrap_or(u32::MAX));
    builder
}

/// Bytes of a frame's head (RFC 9113, 4.1): length, type, flags, stream.
const FRAME_HEAD: usize = 9;
const SETTINGS: u8 = 4;
const ACK: u8 = 1;

/// Looks whether what a program sends begins as HTTP/2 does, with its settings (RFC 9113, 3.4).
#[derive(Debug)]
struct First {
    inner: TcpStream,
    head: [u8; FRAME_HEAD],
    seen: usize,
    tell: Option<oneshot::Sender<bool>>,
}

const fn begins_http2(head: [u8; FRAME_HEAD]) -> bool {
    let [_, _, _, kind, flags, stream @ ..] = head;
    kind == SETTINGS && flags & ACK == 0 && u32::from_be_bytes(stream) == 0
}

impl AsyncRead for First {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if self.tell.is_some() {
            let seen = self.seen;
            let new = buf.filled()[before..].iter().take(FRAME_HEAD - seen);
            self.seen += new.len();
            let this = &mut *self;
            this.head[seen..].iter_mut().zip(new).for_each(|(to, from)| *to = *from);
            if this.seen == FRAME_HEAD
                && let Some(tell) = this.tell.take()
            {
                _ = tell.send(begins_http2(this.head));
            }
        }
        polled
    }
}

impl AsyncWrite for First {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
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

    #[test]
    fn http2_begins_with_settings() {
        assert!(begins_http2([0, 0, 18, 4, 0, 0, 0, 0, 0]));
        assert!(!begins_http2(*b"HTTP/1.1 "), "an answer of HTTP/1.1");
        assert!(!begins_http2([0, 0, 0, 4, 1, 0, 0, 0, 0]), "an acknowledgement");
        assert!(!begins_http2([0, 0, 0, 4, 0, 0, 0, 0, 1]), "of a stream");
    }
}
