//! One request to a tenant's program and the head of its response; afterwards the connection goes back to the pool. A
//! request that the program broke off without a word is sent again only where that cannot run it twice, and only
//!
//! - once, when its connection had been kept and may have been stale;
//! - with growing pauses, while the program has only just begun to listen: it may bind its port anew. What ends with the
//!   program is not tried on its next life, as it may have ended it.

use std::error::Error as _;
use std::future::Future;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{Either, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use kennel_model::SlotId;
use tokio::time::{Instant, timeout_at};

use crate::awake::Life;
use crate::body::{Paced, Progress, Step, ToProgram};
use crate::connect::{self, Asking};
use crate::fault::Fault;
use crate::limits::Limits;
use crate::log;
use crate::routes::Target;
use crate::shared::Shared;
use crate::tally::Meter;
use crate::upstream::{FromProgram, Upstream};
use crate::wake::next_pause;

/// Sends the request and waits for the response's head.
///
/// # Errors
/// The fault that the visitor is to be told.
pub(crate) async fn exchange(
    shared: &Arc<Shared>,
    target: &Arc<Target>,
    client: IpAddr,
    (head, body): (Parts, Incoming),
    meter: Meter,
) -> Result<Response<FromProgram>, Fault> {
    shared.tally.request(target.slot);
    let mut sending = Sending::new(head, body, &shared.limits, meter);
    if let Some(upstream) = shared.pool.take(target.slot) {
        let again = sending.again();
        sending = match sending.over(shared, target.slot, upstream).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure.next(again)?.0,
        };
    }
    // Boxed, as it is large and most requests need none of it.
    Box::pin(anew(shared, target, client, sending)).await
}

/// Sends it over a new connection, and again while the program is young.
async fn anew(
    shared: &Arc<Shared>,
    target: &Arc<Target>,
    client: IpAddr,
    mut sending: Sending,
) -> Result<Response<FromProgram>, Fault> {
    let mut upstream = connect::open(shared, target, sending.asking(client)).await?;
    let life = shared.awake.life(target.slot);
    let mut pause = shared.limits.poll_first;
    loop {
        let Some(life) = life.filter(|life| is_young(shared, target.slot, *life)) else {
            return sending.over(shared, target.slot, upstream).await.map_err(|failure| failure.fault);
        };
        let again = sending.again();
        let fault;
        (sending, fault) = match sending.over(shared, target.slot, upstream).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure.next(again)?,
        };
        upstream = open_again(shared, target.slot, life, &mut pause).await.ok_or(fault)?;
    }
}

/// A connection to the same life of a program as before, if it takes one while it is young. What has ended is not started
/// for a request that it may have ended of.
async fn open_again(shared: &Shared, slot: SlotId, life: Life, pause: &mut Duration) -> Option<Upstream> {
    loop {
        tokio::time::sleep(*pause).await;
        *pause = next_pause(*pause, shared.limits.ask_longest);
        if !is_young(shared, slot, life) {
            return None;
        }
        if let Ok(stream) = connect::dial(slot, shared.limits.connect).await {
            return connect::handshake(stream, &shared.limits).await.ok();
        }
    }
}

fn is_young(shared: &Shared, slot: SlotId, life: Life) -> bool {
    shared.awake.is_young(slot, life, shared.limits.settling)
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

impl Failure {
    /// What may be sent next, and the fault if it is not.
    fn next(self, again: Option<Sending>) -> Result<(Sending, Fault), Fault> {
        let next = match self.unsent {
            // Closed before a byte of the request had gone out: nobody can have acted on it.
            Some(unsent) => Some(*unsent),
            None => again.filter(|_| self.lost),
        };
        next.map(|next| (next, self.fault)).ok_or(self.fault)
    }
}

impl Sending {
    fn new(head: Parts, body: Incoming, limits: &Limits, meter: Meter) -> Self {
        let progress = (!body.is_end_stream()).then(Progress::default);
        let body = match &progress {
            Some(progress) => Either::Right(Box::pin(Paced::request(body, limits, meter, progress.clone()))),
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

    fn asking(&self, client: IpAddr) -> Asking<'_> {
        let (method, uri, fields) = (self.request.method(), self.request.uri(), self.request.headers());
        Asking { method, uri, fields, client }
    }

    async fn over(
        self,
        shared: &Arc<Shared>,
        slot: SlotId,
        mut upstream: Upstream,
    ) -> Result<Response<FromProgram>, Failure> {
        let answer = upstream.send(self.request);
        let mut error = match in_time(answer, self.progress.as_ref(), shared.limits.response_head).await {
            Some(Ok(response)) => {
                let shared = shared.clone();
                return Ok(if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    upstream.switch();
                    response.map(FromProgram::alone)
                } else if self.progress.is_some() {
                    // The rest of the request goes on even where nobody takes the answer.
                    upstream.give_back(shared, slot);
                    response.map(FromProgram::alone)
                } else {
                    response.map(|body| FromProgram::over(body, upstream, shared, slot))
                });
            }
            Some(Err(error)) => error,
            None => return Err(Failure { fault: Fault::AnsweredLate, lost: false, unsent: None }),
        };
        let progress = self.progress;
        let step = progress.as_ref().map(Progress::get).unwrap_or_default();
        let client = step.stalled || step.broken;
        let unsent = error.take_message().map(|request| Box::new(Self { request, progress }));
        let error = error.into_error();
        let lost = is_lost(&error);
        if !lost && !client && unsent.is_none() {
            log::line(format_args!("slot {slot}: no response: {error}"));
        }
        let fault = match step {
            Step { stalled: true, .. } => Fault::ClientStalled,
            Step { broken: true, .. } => Fault::BadRequest,
            Step { .. } => Fault::Broke,
        };
        Err(Failure { fault, lost, unsent })
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
