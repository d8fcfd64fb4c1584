//! A program's connection on which a request was sent and some of what followed read, given to hyper from the request on: hyper says its own, which goes nowhere,
//! and reads what was read before, then the rest. So answers that are not plain have hyper's reading and no other.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Ends a request without a body.
const END: &[u8] = b"\r\n\r\n";

/// The connection, until hyper has caught up and then on.
#[derive(Debug)]
pub(crate) struct Replay<T> {
    inner: T,
    /// How much of the end of a head hyper has said; none when it has said all of it.
    said: Option<usize>,
    /// Read before.
    read: Bytes,
    /// What came behind that.
    failed: Option<io::Error>,
    /// Who waits to read.
    waits: Option<Waker>,
}

impl<T> Replay<T> {
    /// On which a request without a body was sent, and this read.
    pub(crate) const fn new(inner: T, read: Bytes, failed: Option<io::Error>) -> Self {
        Self { inner, said: Some(0), read, failed, waits: None }
    }

    /// On which nothing was sent.
    pub(crate) const fn fresh(inner: T) -> Self {
        Self { inner, said: None, read: Bytes::new(), failed: None, waits: None }
    }

    /// The bare connection, if hyper has caught up.
    pub(crate) fn into_inner(self) -> Option<T> {
        (self.said.is_none() && self.read.is_empty() && self.failed.is_none()).then_some(self.inner)
    }

    /// hyper says this; how much of it belongs to the request that was sent.
    fn hear(&mut self, bytes: &[u8]) -> usize {
        let Some(mut said) = self.said else { return 0 };
        for (at, byte) in bytes.iter().enumerate() {
            said = match *byte {
                b if b == END[said] => said + 1,
                b'\r' => 1,
                _ => 0,
            };
            if said == END.len() {
                self.said = None;
                if let Some(waits) = self.waits.take() {
                    waits.wake();
                }
                return at + 1;
            }
        }
        self.said = Some(said);
        bytes.len()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Replay<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.said.is_some() {
            self.waits = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if !self.read.is_empty() {
            let part = self.read.len().min(buf.remaining());
            buf.put_slice(&self.read.split_to(part));
            return Poll::Ready(Ok(()));
        }
        match self.failed.take() {
            Some(e) => Poll::Ready(Err(e)),
            None => Pin::new(&mut self.inner).poll_read(cx, buf),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Replay<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.hear(buf) {
            0 => Pin::new(&mut self.inner).poll_write(cx, buf),
            heard => Poll::Ready(Ok(heard)),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.said.is_none() {
            return Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        Poll::Ready(Ok(self.hear(first)))
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn the_request_goes_nowhere_and_what_was_read_comes_again() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Replay::new(near, Bytes::from_static(b"HTTP/1.1"), None);
        let mut read = [0; 8];
        let reads = tokio::time::timeout(std::time::Duration::ZERO, near.read_exact(&mut read)).await;
        assert!(reads.is_err(), "nothing was asked");
        for piece in ["GET / HTTP/1.1\r\n", "a: b\r", "\n\r", "\nnext"] {
            near.write_all(piece.as_bytes()).await.unwrap();
        }
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"HTTP/1.1");
        far.write_all(b" 200 OK\r").await.unwrap();
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b" 200 OK\r");
        far.read_exact(&mut read[..4]).await.unwrap();
        assert_eq!(&read[..4], b"next");
    }

    #[tokio::test]
    async fn an_error_comes_behind_what_came_before_it() {
        let (near, _far) = tokio::io::duplex(64);
        let failed = Some(io::ErrorKind::ConnectionReset.into());
        let mut near = Replay::new(near, Bytes::from_static(b"HTTP"), failed);
        near.write_all(END).await.unwrap();
        let mut read = [0; 4];
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(near.read(&mut read).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
