//! The body of an answer: pieces as they come, a few at a time, from whoever has them; or the error that ended it, so that what
//! is broken is not taken for whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Pieces that wait for a slow visitor, of at most 64 KiB each.
const WAITING: usize = 16;

/// A body.
#[derive(Debug)]
pub(crate) struct Body {
    first: Option<Bytes>,
    rest: Option<Receiver<io::Result<Bytes>>>,
    /// Where it is known, how much is still to come.
    left: Option<u64>,
}

impl Body {
    /// All that there is.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { left: Some(bytes.len() as u64), first: Some(bytes).filter(|b| !b.is_empty()), rest: None }
    }

    /// What has come, and what will.
    pub(crate) fn begun(first: Bytes) -> (Self, Sender<io::Result<Bytes>>) {
        let (sender, rest) = mpsc::channel(WAITING);
        (Self { first: Some(first).filter(|b| !b.is_empty()), rest: Some(rest), left: None }, sender)
    }

    /// So much will come.
    pub(crate) fn of_length(length: u64) -> (Self, Sender<io::Result<Bytes>>) {
        let (body, sender) = Self::begun(Bytes::new());
        (Self { left: Some(length), ..body }, sender)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let next = match (self.first.take(), &mut self.rest) {
            (Some(first), _) => Some(Ok(first)),
            (None, Some(rest)) => std::task::ready!(rest.poll_recv(context)),
            (None, None) => None,
        };
        if let (Some(Ok(piece)), Some(left)) = (&next, self.left) {
            self.left = Some(left.saturating_sub(piece.len() as u64));
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && (self.rest.is_none() || self.left == Some(0))
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}
