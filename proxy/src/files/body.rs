//! A file, or a part of one, on its way to a client: read piece by piece as the client takes it. What the kernel has in memory
//! is read at once; what it would have to wait for is read by a thread, so that nobody else waits. Of a client that does not take
//! what it was given the connection knows (`stall`).

use std::fs::File;
use std::io::{self, ErrorKind, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::fairness::Throttle;
use crate::gauge::Place;
use crate::tally::Meter;

/// Room that has been used is used again, as it need not be cleared: so many pieces are kept while others are on their way.
const KEPT: usize = 64;
/// And so many while none is.
const KEPT_IDLE: usize = 4;

/// Room for pieces.
#[derive(Debug)]
pub(crate) struct Buffers {
    free: Mutex<Free>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Free {
    kept: Vec<Box<[u8]>>,
    /// Pieces on their way.
    out: usize,
}

impl Buffers {
    /// Of so many bytes each.
    pub(super) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self { free: Mutex::default(), bytes })
    }

    fn take(self: &Arc<Self>) -> Piece {
        let mut free = self.lock();
        free.out += 1;
        let kept = free.kept.pop();
        drop(free);
        let buffer = kept.unwrap_or_else(|| vec![0; self.bytes].into_boxed_slice());
        Piece { buffer, len: 0, home: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has been read at a time; its room is given back with it.
#[derive(Debug)]
struct Piece {
    buffer: Box<[u8]>,
    len: usize,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut free = self.home.lock();
        free.out = free.out.saturating_sub(1);
        if free.kept.len() < KEPT {
            free.kept.push(std::mem::take(&mut self.buffer));
        }
        if free.out == 0 {
            free.kept.truncate(KEPT_IDLE);
            free.kept.shrink_to_fit();
        }
    }
}

/// What holds on as long as the body does.
#[derive(Debug)]
pub(crate) struct Held {
    /// The client's request.
    pub(super) _client: Client,
    /// Its place among those of the slot.
    pub(super) _place: Place,
}

/// The body.
#[derive(Debug)]
pub(crate) struct FileBody {
    file: Arc<File>,
    at: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Piece>>>,
    buffers: Arc<Buffers>,
    meter: Meter,
    throttle: Option<Throttle>,
    _held: Held,
}

impl FileBody {
    /// From here to there, the latter not included.
    pub(super) fn new(
        file: Arc<File>,
        (at, end): (u64, u64),
        buffers: Arc<Buffers>,
        (meter, throttle): (Meter, Option<Throttle>),
        held: Held,
    ) -> Self {
        Self { file, at, end, reading: None, buffers, meter, throttle, _held: held }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Piece>> {
        if self.reading.is_none() {
            let mut piece = self.buffers.take();
            let wanted = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(piece.buffer.len());
            match at_hand(&self.file, &mut piece.buffer[..wanted], self.at) {
                Ok(len) => {
                    piece.len = len;
                    return Poll::Ready(Ok(piece));
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(e) => return Poll::Ready(Err(e)),
            }
            let (file, at) = (self.file.clone(), self.at);
            self.reading = Some(tokio::task::spawn_blocking(move || {
                piece.len = file.read_at(&mut piece.buffer[..wanted], at)?;
                Ok(piece)
            }));
        }
        let Some(reading) = &mut self.reading else { return Poll::Pending };
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(read.unwrap_or_else(|e| Err(io::Error::other(e))))
    }
}

/// What can be had without waiting, which need not be all.
fn at_hand(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    match preadv2(file, &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT) {
        Ok(len) => Ok(len),
        // Of file systems that cannot say.
        Err(Errno::OPNOTSUPP | Errno::AGAIN | Errno::INTR) => Err(ErrorKind::WouldBlock.into()),
        Err(errno) => Err(errno.into()),
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.at >= self.end {
            return Poll::Ready(None);
        }
        if let Some(throttle) = &mut self.throttle {
            ready!(throttle.poll_ready(cx));
        }
        let piece = match ready!(self.poll_piece(cx)) {
            Ok(piece) if piece.len > 0 => piece,
            Ok(_) => {
                self.end = self.at;
                return Poll::Ready(Some(Err(ErrorKind::UnexpectedEof.into())));
            }
            Err(e) => {
                self.end = self.at;
                return Poll::Ready(Some(Err(e)));
            }
        };
        self.at += piece.len as u64;
        self.meter.count(piece.len);
        if let Some(throttle) = &self.throttle {
            throttle.count(piece.len);
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_used_again_and_given_back() {
        let buffers = Buffers::new(16);
        let pieces: Vec<_> = (0..KEPT + 9).map(|_| buffers.take()).collect();
        assert_eq!(buffers.lock().out, KEPT + 9);
        let mut pieces = pieces.into_iter();
        let last = pieces.next();
        drop(pieces);
        assert_eq!(buffers.lock().kept.len(), KEPT);
        drop(buffers.take());
        assert_eq!(buffers.lock().kept.len(), KEPT);
        assert_eq!(buffers.lock().out, 1);
        drop(last);
        assert_eq!(buffers.lock().kept.len(), KEPT_IDLE);
    }
}
