//! A request's body: nothing, some bytes, or a stream that is written from another thread.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// Chunks that wait between the thread that writes and the connection that sends.
const BODY_CHUNKS: usize = 4;
const CHUNK_BYTES: usize = 64 << 10;

/// A request's body.
#[derive(Debug)]
pub struct Body(Inner);

#[derive(Debug)]
enum Inner {
    Whole(Option<Bytes>),
    Stream { chunks: mpsc::Receiver<Piece>, sent: Arc<AtomicU64> },
}

#[derive(Debug)]
enum Piece {
    Chunk(Bytes),
    /// Without it the stream broke off.
    End,
    Failed(io::Error),
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Self(Inner::Whole(None))
    }

    /// These bytes.
    pub const fn whole(bytes: Bytes) -> Self {
        Self(Inner::Whole(Some(bytes)))
    }

    /// What is written to the sender; `sent` grows as the connection takes it.
    pub fn stream(sent: Arc<AtomicU64>) -> (BodySender, Self) {
        let (sender, chunks) = mpsc::channel(BODY_CHUNKS);
        let writer = BodySender { sender, buffer: Vec::with_capacity(CHUNK_BYTES) };
        (writer, Self(Inner::Stream { chunks, sent }))
    }

    /// Whether there is nothing to send.
    pub const fn is_empty(&self) -> bool {
        matches!(self.0, Inner::Whole(None))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.0 {
            Inner::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Inner::Stream { chunks, sent } => chunks.poll_recv(cx).map(|piece| match piece {
                Some(Piece::Chunk(bytes)) => {
                    sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    Some(Ok(Frame::data(bytes)))
                }
                Some(Piece::End) => None,
                Some(Piece::Failed(cause)) => Some(Err(cause)),
                None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Inner::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Inner::Stream { .. } => SizeHint::default(),
        }
    }
}

/// The end of a streamed body that a thread writes to. Dropped before [`BodySender::finish`], the body breaks off in
/// a way that the receiver cannot take for its end.
#[derive(Debug)]
pub struct BodySender {
    sender: mpsc::Sender<Piece>,
    buffer: Vec<u8>,
}

impl BodySender {
    /// The body is complete.
    ///
    /// # Errors
    /// When nobody reads it any more.
    pub fn finish(mut self) -> io::Result<()> {
        self.pass_on()?;
        self.send(Piece::End)
    }

    /// The body breaks off, so that the receiver cannot take it for whole.
    pub fn fail(self, cause: io::Error) {
        // When nobody reads it any more, it has broken off already.
        let _ = self.send(Piece::Failed(cause));
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        self.sender.blocking_send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn pass_on(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES));
        self.send(Piece::Chunk(chunk.into()))
    }
}

impl io::Write for BodySender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK_BYTES - self.buffer.len();
        let taken = bytes.len().min(room);
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == CHUNK_BYTES {
            self.pass_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::io::Write;

    async fn sent_by(write: impl FnOnce(BodySender) + Send + 'static) -> Result<Vec<u8>, io::Error> {
        let (sender, body) = Body::stream(Arc::default());
        let thread = tokio::task::spawn_blocking(move || write(sender));
        let collected = body.collect().await.map(|all| all.to_bytes().to_vec());
        thread.await.unwrap();
        collected
    }

    #[tokio::test]
    async fn what_is_written_is_sent() {
        let bytes = vec![7; 3 * CHUNK_BYTES + 5];
        let copy = bytes.clone();
        let sent = sent_by(move |mut sender| {
            sender.write_all(&copy).unwrap();
            sender.finish().unwrap();
        });
        assert_eq!(sent.await.unwrap(), bytes);
    }

    #[tokio::test]
    async fn a_writer_that_goes_away_does_not_look_like_the_end() {
        let dropped = sent_by(|mut sender| sender.write_all(b"half").unwrap());
        assert_eq!(dropped.await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let failed = sent_by(|sender| sender.fail(io::ErrorKind::NotFound.into()));
        assert_eq!(failed.await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_ends_the_writing() {
        let (mut sender, body) = Body::stream(Arc::default());
        drop(body);
        let written = tokio::task::spawn_blocking(move || sender.write_all(&vec![0; 2 * CHUNK_BYTES]));
        assert_eq!(written.await.unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
