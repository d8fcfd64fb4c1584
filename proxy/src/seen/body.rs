//! An answer's body on its way to the client, which takes the request's record with it: that is written when it has ended.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use kennel_model::access::Ended;

use super::Seen;
use crate::body::Body;
use crate::taking::Taker;

/// A body, and what is known of its request; nothing when that is written elsewhere.
pub(crate) struct Recorded {
    inner: Body,
    seen: Option<Seen>,
    /// Over HTTP/2.
    taker: Option<Taker>,
}

impl Recorded {
    /// Writes the record at the body's end.
    pub(crate) const fn new(inner: Body, seen: Option<Seen>, taker: Option<Taker>) -> Self {
        Self { inner, seen, taker }
    }

    fn end(&mut self, ended: Ended) {
        if let Some(seen) = &mut self.seen {
            seen.ends(ended);
            self.seen = None;
        }
    }
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(taker) = &mut self.taker {
            taker.is_asked();
        }
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(taker) = &mut self.taker {
                    taker.gives();
                }
                if let Some(seen) = &mut self.seen {
                    seen.passed(frame.data_ref().map_or(0, Bytes::len));
                }
            }
            Poll::Ready(None) => self.end(Ended::Whole),
            Poll::Ready(Some(Err(_))) => self.end(Ended::Cut),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Recorded {
    /// A body that has come to its end is not asked for more, and one that nobody wants is not asked at all.
    fn drop(&mut self) {
        let whole = self.inner.is_end_stream() || self.seen.as_ref().is_some_and(Seen::is_bodiless);
        self.end(if whole { Ended::Whole } else { Ended::Cut });
    }
}
