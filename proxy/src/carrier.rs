//! What a request goes to a program by: a connection of HTTP/1.1 that it has to itself (`upstream`), or a place on one of HTTP/2 that it shares
//! (`h2c`). What both can do is said here, for `connect` and `exchange`, which see to when it is done.

use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::{Request, Response, StatusCode};
use kennel_model::SlotId;

use crate::body::ToProgram;
use crate::connect::{self, DialError};
use crate::h2c::Place;
use crate::plain::{Kept, Plain};
use crate::shared::Shared;
use crate::upstream::{FromProgram, Upstream};

/// How a program came not to answer, as far as it decides what may be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The program has said that it did not look at the request.
    Refused,
    /// The connection was closed, as a program may do with one that was idle.
    Closed,
    /// What came is not what was to be spoken.
    Foreign,
    /// Anything else.
    Broken,
}

/// A way for one request. Used in the task of the request.
pub(crate) trait Carrier: Sized {
    /// Whether requests without a known length may go on for long, both ways at once, as those of gRPC do.
    const STREAMS: bool;

    /// One that is kept, and good.
    async fn kept(shared: &Shared, slot: SlotId) -> Option<Self>;

    /// One by a new connection.
    ///
    /// # Errors
    /// [`DialError`].
    async fn connect(shared: &Arc<Shared>, slot: SlotId) -> Result<Self, DialError>;

    /// One by a new connection to whatever listens on that port, which nobody else is given.
    ///
    /// # Errors
    /// [`DialError`].
    async fn alone(shared: &Arc<Shared>, slot: SlotId, port: u16) -> Result<Self, DialError>;

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// hyper's, with the request where nothing of it was sent.
    async fn send(
        &mut self,
        request: Request<ToProgram>,
    ) -> Result<Response<Incoming>, TrySendError<Request<ToProgram>>>;

    /// The answer, which keeps what it comes by until its end.
    fn answered(
        self,
        response: Response<Incoming>,
        had_body: bool,
        shared: &Arc<Shared>,
        slot: SlotId,
    ) -> Response<FromProgram>;

    /// What has become of a request that was not answered.
    fn loss(error: &hyper::Error) -> Loss;
}

impl Carrier for Upstream {
    const STREAMS: bool = false;

    async fn kept(shared: &Shared, slot: SlotId) -> Option<Self> {
        match shared.pool.take(slot, shared.awake.port(slot))? {
            Kept::Hypers(upstream) => Some(upstream),
            Kept::Plain(plain) => {
                let port = plain.port();
                connect::handshake(plain.for_hyper(), port, &shared.limits).await.ok()
            }
        }
    }

    async fn connect(shared: &Arc<Shared>, slot: SlotId) -> Result<Self, DialError> {
        Self::alone(shared, slot, shared.awake.port(slot)).await
    }

    async fn alone(shared: &Arc<Shared>, _: SlotId, port: u16) -> Result<Self, DialError> {
        let stream = connect::dial(port, shared.limits.connect).await?;
        connect::handshake(Plain::new(stream, port, &shared.limits).for_hyper(), port, &shared.limits).await
    }

    async fn send(
        &mut self,
        request: Request<ToProgram>,
    ) -> Result<Response<Incoming>, TrySendError<Request<ToProgram>>> {
        Self::send(self, request).await
    }

    fn answered(
        self,
        response: Response<Incoming>,
        had_body: bool,
        shared: &Arc<Shared>,
        slot: SlotId,
    ) -> Response<FromProgram> {
        let shared = shared.clone();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            self.switch();
            response.map(FromProgram::alone)
        } else if had_body {
            // The rest of the request goes on even where nobody takes the answer.
            self.give_back(shared, slot);
            response.map(FromProgram::alone)
        } else {
            response.map(|body| FromProgram::over(body, self, shared, slot))
        }
    }

    fn loss(error: &hyper::Error) -> Loss {
        if is_closed(error) { Loss::Closed } else { Loss::Broken }
    }
}

impl Carrier for Place {
    const STREAMS: bool = true;

    async fn kept(shared: &Shared, slot: SlotId) -> Option<Self> {
        shared.h2c.take(slot, shared.awake.port(slot))
    }

    async fn connect(shared: &Arc<Shared>, slot: SlotId) -> Result<Self, DialError> {
        shared.h2c.connect(slot, shared.awake.port(slot)).await
    }

    async fn alone(shared: &Arc<Shared>, slot: SlotId, port: u16) -> Result<Self, DialError> {
        let stream = connect::dial(port, shared.limits.connect).await?;
        shared.h2c.alone(slot, (stream, port)).await
    }

    async fn send(
        &mut self,
        request: Request<ToProgram>,
    ) -> Result<Response<Incoming>, TrySendError<Request<ToProgram>>> {
        Self::send(self, request).await
    }

    fn answered(
        self,
        response: Response<Incoming>,
        _: bool,
        _: &Arc<Shared>,
        _: SlotId,
    ) -> Response<FromProgram> {
        response.map(|body| FromProgram::shared(body, self))
    }

    fn loss(error: &hyper::Error) -> Loss {
        let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
        match cause {
            // Of a stream only where its number is beyond the last that was looked at (RFC 9113, 6.8).
            Some(e) if e.is_remote() && e.is_go_away() => Loss::Refused,
            Some(e) if e.is_remote() && e.reason() == Some(h2::Reason::REFUSED_STREAM) => Loss::Refused,
            Some(e) if e.is_remote() && e.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED) => Loss::Foreign,
            Some(e) if e.is_library() && e.is_go_away() => Loss::Foreign,
            // What waited for a place on a connection that has ended.
            None if is_closed(error) || error.is_user() => Loss::Closed,
            _ => Loss::Broken,
        }
    }
}

/// Whether the other side closed the connection instead of answering.
fn is_closed(error: &hyper::Error) -> bool {
    const CLOSED: [ErrorKind; 3] =
        [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
    let io = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || io.is_some_and(|e| CLOSED.contains(&e.kind()))
}
