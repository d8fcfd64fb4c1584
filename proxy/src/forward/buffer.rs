//! Bytes that were read and not used yet, in one piece of memory, which it has only while there are any (`spare`).

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll};
use std::{io, mem};

use bytes::BufMut as _;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::spare;

/// So many at most.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Used ones first.
    all: Vec<u8>,
    used: usize,
    room: usize,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        spare::give(mem::take(&mut self.all));
    }
}

impl Buffer {
    /// With these in it, and room for so many in all, or for them.
    pub(super) fn new(bytes: &[u8], room: usize) -> Self {
        let room = room.max(bytes.len());
        let mut all = Vec::new();
        if !bytes.is_empty() {
            all = spare::take(room);
            all.extend_from_slice(bytes);
        }
        Self { all, used: 0, room }
    }

    /// What there is.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.all[self.used..]
    }

    /// Whether there is nothing.
    pub(super) const fn is_empty(&self) -> bool {
        self.used == self.all.len()
    }

    /// Whether no more can be read before some of it was used.
    pub(super) const fn is_full(&self) -> bool {
        self.all.len() - self.used == self.room
    }

    /// So many were used.
    pub(super) fn used(&mut self, count: usize) {
        self.used += count;
        if self.used == self.all.len() {
            self.all.clear();
            self.used = 0;
        }
    }

    /// Forgets what there is, and has room for so many.
    pub(super) fn empty(&mut self, room: usize) {
        self.used(self.bytes().len());
        if self.room != room {
            *self = Self::new(&[], room);
        }
    }

    /// Makes room for so many.
    pub(super) fn grow(&mut self, room: usize) {
        if self.room < room {
            *self = Self::new(self.bytes(), room);
        }
    }

    /// Reads more; 0 at the end of what there is to read, or if there is no room.
    pub(super) fn poll_read(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.all.len() == self.room {
            self.all.drain(..self.used);
            self.used = 0;
        }
        if self.all.capacity() == 0 {
            self.all = spare::take(self.room);
        }
        let left = self.room - self.all.len();
        let mut room = (&mut self.all).limit(left);
        // Nothing is lost with it: what it has read is there.
        let polled = pin!(io.read_buf(&mut room)).poll(cx);
        if polled.is_pending() && self.all.is_empty() {
            spare::give(mem::take(&mut self.all));
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn what_is_used_makes_room() {
        let mut buffer = Buffer::new(b"abc", 4);
        let mut source: &[u8] = b"defgh";
        for (used, count, all) in [(0, 1, "abcd"), (2, 2, "cdef"), (4, 2, "gh")] {
            buffer.used(used);
            assert_eq!(poll_fn(|cx| buffer.poll_read(&mut source, cx)).await.unwrap(), count);
            assert_eq!(buffer.bytes(), all.as_bytes());
        }
        assert!(!buffer.is_full());
        buffer.grow(8);
        assert_eq!((buffer.bytes(), buffer.is_empty()), (&b"gh"[..], false));
        assert_eq!(poll_fn(|cx| buffer.poll_read(&mut source, cx)).await.unwrap(), 0);
        buffer.empty(4);
        assert_eq!((buffer.is_empty(), buffer.room), (true, 4));
    }
}
