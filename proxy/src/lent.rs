//! A program's connection that hyper has until it is wanted back: between two requests, when hyper has nothing in its hands, it can be had as bare as it was lent.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What hyper gets of it.
#[derive(Debug)]
pub(crate) struct Lent<T>(Owner<T>);

/// What stays with who lends it.
#[derive(Debug)]
pub(crate) struct Owner<T>(Arc<Mutex<Option<T>>>);

impl<T> Owner<T> {
    /// Lends a connection.
    pub(crate) fn lend(inner: T) -> (Self, Lent<T>) {
        let shared = Arc::new(Mutex::new(Some(inner)));
        (Self(shared.clone()), Lent(Self(shared)))
    }

    /// Takes it back; who had it finds it closed.
    pub(crate) fn take_back(self) -> Option<T> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Unpin> Lent<T> {
    fn with<R>(&self, what: impl FnOnce(Pin<&mut T>) -> Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        match &mut *self.0.lock() {
            Some(inner) => what(Pin::new(inner)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Lent<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|inner| inner.poll_read(cx, buf))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Lent<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|inner| inner.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|inner| inner.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.0.lock().as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|inner| inner.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|inner| inner.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_is_taken_back_is_nobody_elses() {
        let (near, mut far) = tokio::io::duplex(64);
        let (owner, mut lent) = Owner::lend(near);
        lent.write_all(b"one").await.unwrap();
        let mut back = owner.take_back().unwrap();
        assert_eq!(lent.write_all(b"two").await.unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert_eq!(lent.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::NotConnected);
        drop(lent);
        back.write_all(b"two").await.unwrap();
        drop(back);
        let mut all = String::new();
        far.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "onetwo");
    }
}
