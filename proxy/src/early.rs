//! A connection to a program that may answer before it has read all that it is sent, and close. What is written then has nowhere to
//! go, and is no reason to give up: the answer is still to be read. Where there is none, reading says so.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Takes what the other side no longer does, and throws it away, until all that it had sent is read.
#[derive(Debug)]
pub(crate) struct Early<T> {
    inner: T,
    /// The other side takes nothing any more.
    closed: bool,
    /// Nothing more comes of it.
    ended: bool,
}

impl<T> Early<T> {
    /// Wraps a connection.
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, closed: false, ended: false }
    }

    /// What a write of so many bytes comes to.
    fn look(&mut self, polled: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Err(e)) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                self.closed = true;
                self.takes(all)
            }
            polled => polled,
        }
    }

    fn takes(&self, all: usize) -> Poll<io::Result<usize>> {
        Poll::Ready(if self.ended { Err(ErrorKind::BrokenPipe.into()) } else { Ok(all) })
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Early<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Poll::Ready(read) = &polled {
            self.ended = read.is_err() || buf.filled().len() == before;
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Early<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.closed {
            return self.takes(buf.len());
        }
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.look(polled, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = bufs.iter().map(|buf| buf.len()).sum();
        if self.closed {
            return self.takes(all);
        }
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.look(polled, all)
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
    async fn what_was_said_before_the_close_is_read_and_then_it_is_one() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Early::new(near);
        near.write_all(b"request").await.unwrap();
        far.write_all(b"no").await.unwrap();
        drop(far);
        near.write_all(b"the rest").await.unwrap();
        let mut said = [0; 2];
        near.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"no");
        near.write_all(b"more").await.unwrap();
        assert_eq!(near.read(&mut said).await.unwrap(), 0);
        assert_eq!(near.write_all(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
