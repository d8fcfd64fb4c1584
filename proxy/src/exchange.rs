//! One request to a tenant's program and the head of its response. A connection that turns out to be stale is
//! replaced by a new one, once, and only where that cannot run the request twice; afterwards it goes back to the pool.

use std::error::Error as _;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{Either, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use kennel_model::SlotId;
use tokio::time::{Instant, timeout_at};

use crate::body::{Paced, Progress, ToProgram};
use crate::connect::{self, Asking};
use crate::fault::Fault;
use crate::log;
use crate::pool::Upstream;
use crate::routes::Target;
use crate::shared::Shared;
use crate::tally::{Meter, Way};

/// Sends the request and waits for the response's head.
///
/// # Errors
/// The fault that the visitor is to be told.
pub(crate) async fn exchange(
    shared: &Arc<Shared>,
    target: &Arc<Target>,
    asking: &Asking,
    (head, body): (Parts, Incoming),
) -> Result<Response<Incoming>, Fault> {
    shared.tally.request(target.slot);
    let meter = shared.tally.meter(target.slot, Way::In);
    let mut sending = Sending::new(head, body, shared.limits.request_stall, meter);
    if let Some(upstream) = shared.pool.take(target.slot) {
        let again = sending.again();
        match sending.over(shared, target.slot, upstream).await {
            Ok(response) => return Ok(response),
            // Closed before a byte of the request had gone out: nobody can have acted on it.
            Err(Failure { unsent: Some(unsent), .. }) => sending = *unsent,
            Err(Failure { lost: true, fault, .. }) => sending = again.ok_or(fault)?,
            Err(failure) => return Err(failure.fault),
        }
    }
    let upstream = connect::open(shared, target, asking).await?;
    sending.over(shared, target.slot, upstream).await.map_err(|failure| failure.fault)
}

/// A request on its way.
struct Sending {
    request: Request<ToProgram>,
    /// Of its body, if it has one.
    progress: Option<Progress>,
}

/// Why there is no response.
struct Failure {
    fault: Fault,
    /// Whether the connection was closed on us, as a program may do with one that was idle.
    lost: bool,
    /// The request, if nothing of it was sent.
    unsent: Option<Box<Sending>>,
}

impl Sending {
    fn new(head: Parts, body: Incoming, stall: Duration, meter: Meter) -> Self {
        let progress = (!body.is_end_stream()).then(Progress::default);
        let body = match &progress {
            Some(progress) => Either::Right(Paced::request(body, stall, meter, progress.clone())),
            None => Either::Left(Empty::new()),
        };
        Self { request: Request::from_parts(head, body), progress }
    }

    /// The same once more, if it may be sent twice and can be: idempotent and without a body.
    fn again(&self) -> Option<Self> {
        if self.progress.is_some() || !self.request.method().is_idempotent() {
            return None;
        }
        let mut request = Request::new(Either::Left(Empty::new()));
        self.request.method().clone_into(request.method_mut());
        self.request.uri().clone_into(request.uri_mut());
        self.request.headers().clone_into(request.headers_mut());
        Some(Self { request, progress: None })
    }

    async fn over(
        self,
        shared: &Arc<Shared>,
        slot: SlotId,
        mut upstream: Upstream,
    ) -> Result<Response<Incoming>, Failure> {
        let answer = upstream.try_send_request(self.request);
        let mut error = match in_time(answer, self.progress.as_ref(), shared.limits.response_head).await {
            Some(Ok(response)) => {
                if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    tokio::spawn(take_back(shared.clone(), slot, upstream));
                }
                return Ok(response);
            }
            Some(Err(error)) => error,
            None => return Err(Failure { fault: Fault::AnsweredLate, lost: false, unsent: None }),
        };
        let progress = self.progress;
        let stalled = progress.as_ref().is_some_and(|p| p.get().stalled);
        let unsent = error.take_message().map(|request| Box::new(Self { request, progress }));
        let error = error.into_error();
        let lost = is_lost(&error);
        if !lost && !stalled && unsent.is_none() {
            log::line(format_args!("slot {slot}: no response: {error}"));
        }
        let fault = if stalled { Fault::ClientStalled } else { Fault::Broke };
        Err(Failure { fault, lost, unsent })
    }
}

/// Gives the connection back once the response is through. It ends by itself when that takes too long or fails.
async fn take_back(shared: Arc<Shared>, slot: SlotId, mut upstream: Upstream) {
    if upstream.ready().await.is_ok() {
        shared.pool.put(slot, upstream);
    }
}

/// Waits for the answer, for `bound` from now or from the last piece of the request's body.
async fn in_time<T>(
    answer: impl Future<Output = T>,
    progress: Option<&Progress>,
    bound: Duration,
) -> Option<T> {
    let mut answer = pin!(answer);
    let mut since = Instant::now();
    loop {
        if let Ok(answer) = timeout_at(since + bound, &mut answer).await {
            return Some(answer);
        }
        match progress.and_then(|p| p.get().at) {
            Some(at) if at > since => since = at,
            _ => return None,
        }
    }
}

/// Whether the other side closed the connection instead of answering.
fn is_lost(error: &hyper::Error) -> bool {
    const CLOSED: [ErrorKind; 3] =
        [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
    let io = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || io.is_some_and(|e| CLOSED.contains(&e.kind()))
}
