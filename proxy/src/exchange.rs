//! One request to a tenant's program and the head of its response; afterwards the connection goes back to where it was kept. A
//! request that the program broke off without a word, or refused unseen, is sent again only where that cannot run it twice, and only
//!
//! - once, when its connection had been kept and may have been stale;
//! - with growing pauses, while the program has only just begun to listen: it may bind its port anew;
//! - once, to its next life, when init has asked it to end meanwhile. What ends with a program that nobody has asked to is not
//!   tried on its next life, as it may have ended it.

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{Either, Empty};
use hyper::body::{Body as _, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, Response, Version};
use kennel_model::SlotId;
use kennel_model::routes::Beta;
use tokio::time::{Instant, timeout_at};

use crate::awake::Life;
use crate::body::{Paced, Progress, Step, ToProgram};
use crate::carrier::{Carrier, Loss};
use crate::connect::{self, Asking, DialError};
use crate::fault::Fault;
use crate::headers::Length;
use crate::limits::Limits;
use crate::log;
use crate::routes::Target;
use crate::shared::Shared;
use crate::tally::Meter;
use crate::upstream::{FromProgram, Upstream};
use crate::wake::next_pause;

/// How far a request has come on its way to its program.
pub(crate) enum Start<C = Upstream> {
    /// Nothing was done for it.
    Usual,
    /// It was counted, and there is nothing to send it by.
    Unsent,
    /// It was counted, and sent by this, which had been kept or not, to a program that had been asked to end so many times.
    Sent(C, bool, u32),
}

/// Sends the request and waits for the response's head.
///
/// # Errors
/// The fault that the visitor is to be told.
pub(crate) async fn exchange<C: Carrier>(
    shared: &Arc<Shared>,
    target: &Arc<Target>,
    client: IpAddr,
    (head, body): (Parts, Incoming),
    (meter, start): (Meter, Start<C>),
) -> Result<Response<FromProgram>, Fault> {
    let mut sending = Sending::new(head, body, &shared.limits, meter, C::STREAMS);
    if let Some(beta) = target.beta {
        shared.tally.request(target.slot);
        return beside::<C>(shared, target, beta, sending).await;
    }
    let mut endings = shared.awake.endings(target.slot);
    let (kept, first) = match start {
        Start::Usual => {
            shared.tally.request(target.slot);
            (C::kept(shared, target.slot).await, None)
        }
        Start::Unsent => (None, None),
        Start::Sent(carrier, was_kept, then) => {
            endings = then;
            if was_kept { (Some(carrier), None) } else { (None, Some(carrier)) }
        }
    };
    if let Some(kept) = kept {
        let again = sending.again();
        sending = match sending.over(shared, target.slot, kept).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure.next(again)?.0,
        };
    }
    // Boxed, as it is large and most requests need none of it.
    Box::pin(anew::<C>(shared, target, client, (sending, first), endings)).await
}

/// Sends it to a release beside the one that serves, which is awake or has ended. Its connections are for one request each, so that
/// those of the one that serves have all the room there is.
async fn beside<C: Carrier>(
    shared: &Arc<Shared>,
    target: &Target,
    beta: Beta,
    sending: Sending,
) -> Result<Response<FromProgram>, Fault> {
    // One that has only files has answered by now, or has none.
    let port = beta.port.ok_or(Fault::NoFile)?;
    let carrier = C::alone(shared, target.slot, port).await.map_err(|e| match e {
        DialError::Refused => Fault::Died,
        e => connect::fault_of(e, target),
    })?;
    sending.over(shared, target.slot, carrier).await.map_err(|failure| failure.fault)
}

/// Sends it over a new connection, `first` if there is one, and once more if that was one to a life that was to end: it has been
/// asked to since it was asked `endings` times.
async fn anew<C: Carrier>(
    shared: &Arc<Shared>,
    target: &Arc<Target>,
    client: IpAddr,
    (sending, first): (Sending, Option<C>),
    endings: u32,
) -> Result<Response<FromProgram>, Fault> {
    let slot = target.slot;
    let asking = sending.asking(client);
    let carrier = match first {
        Some(first) => first,
        None if shared.leases.is_leased(slot) => connect::open(shared, target, asking).await?,
        // It was asked to end while this request had to wait.
        None => connect::open_woken(shared, target, asking).await?,
    };
    let (unanswered, fault) = match in_this_life(shared, slot, carrier, sending).await {
        Ok(response) => return Ok(response),
        Err(failed) => failed,
    };
    // Init says so before it asks the program: if both came in the same moment, the former is heard now.
    tokio::task::yield_now().await;
    let unanswered = unanswered.filter(|_| shared.awake.endings(slot) != endings).ok_or(fault)?;
    let next = shared.routes.successor(target);
    let carrier: C =
        connect::open_woken(shared, next.as_ref().unwrap_or(target), unanswered.asking(client)).await?;
    unanswered.over(shared, slot, carrier).await.map_err(|failure| failure.fault)
}

/// Sends it, and again while the program is young. With the fault comes what may be sent to another life, if anything may.
async fn in_this_life<C: Carrier>(
    shared: &Arc<Shared>,
    slot: SlotId,
    mut carrier: C,
    mut sending: Sending,
) -> Result<Response<FromProgram>, (Option<Sending>, Fault)> {
    let life = shared.awake.life(slot).filter(|life| is_young(shared, slot, *life));
    let mut pause = shared.limits.poll_first;
    loop {
        let again = sending.again();
        let fault;
        (sending, fault) = match sending.over(shared, slot, carrier).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure.next(again).map_err(|fault| (None, fault))?,
        };
        let Some(life) = life else { return Err((Some(sending), fault)) };
        carrier = match open_again(shared, slot, life, &mut pause).await {
            Some(carrier) => carrier,
            None => return Err((Some(sending), fault)),
        };
    }
}

/// A connection to the same life of a program as before, if it takes one while it is young. What has ended is not started
/// for a request that it may have ended of.
async fn open_again<C: Carrier>(
    shared: &Arc<Shared>,
    slot: SlotId,
    life: Life,
    pause: &mut Duration,
) -> Option<C> {
    loop {
        tokio::time::sleep(*pause).await;
        *pause = next_pause(*pause, shared.limits.ask_longest);
        if !is_young(shared, slot, life) {
            return None;
        }
        match C::connect(shared, slot).await {
            Ok(carrier) => return Some(carrier),
            Err(DialError::Foreign) => return None,
            Err(_) => (),
        }
    }
}

/// Whether this life of a program goes on, and has only just begun.
pub(crate) fn is_young(shared: &Shared, slot: SlotId, life: Life) -> bool {
    shared.awake.is_young(slot, life, shared.limits.settling)
}

/// A request on its way.
struct Sending {
    request: Request<ToProgram>,
    /// Of its body, if it has one.
    progress: Option<Progress>,
    /// How long the head of its answer may take from its last byte on.
    bound: Duration,
}

/// Why there is no response.
struct Failure {
    fault: Fault,
    /// How it came to that.
    loss: Loss,
    /// The request, if nothing of it was sent.
    unsent: Option<Box<Sending>>,
}

impl Failure {
    /// What may be sent next, and the fault if it is not.
    fn next(self, again: Option<Sending>) -> Result<(Sending, Fault), Fault> {
        let next = match self.unsent {
            // Closed before a byte of the request had gone out: nobody can have acted on it.
            Some(unsent) => Some(*unsent),
            None => again.filter(|again| again.may_follow(self.loss)),
        };
        next.map(|next| (next, self.fault)).ok_or(self.fault)
    }
}

impl Sending {
    fn new(head: Parts, body: Incoming, limits: &Limits, meter: Meter, streams: bool) -> Self {
        let progress = (!body.is_end_stream()).then(Progress::default);
        let lasts = streams && Length::of(&body) == Length::Unknown;
        let bound = if lasts { limits.tunnel_idle } else { limits.response_head };
        let body = match &progress {
            Some(progress) => {
                let paced = Paced::request(body, limits, meter, progress.clone());
                Either::Right(Box::pin(if lasts { paced.patiently(bound) } else { paced }))
            }
            None => Either::Left(Empty::new()),
        };
        Self { request: Request::from_parts(head, body), progress, bound }
    }

    /// The same once more, if it can be sent twice, as it has no body. Whether it may be depends on how the first ended.
    fn again(&self) -> Option<Self> {
        if self.progress.is_some()
            || !(self.request.version() == Version::HTTP_2 || self.request.method().is_idempotent())
        {
            return None;
        }
        let mut request = Request::new(Either::Left(Empty::new()));
        self.request.method().clone_into(request.method_mut());
        self.request.uri().clone_into(request.uri_mut());
        self.request.headers().clone_into(request.headers_mut());
        *request.version_mut() = self.request.version();
        Some(Self { request, progress: None, bound: self.bound })
    }

    /// Whether it may be sent after the same has ended so.
    fn may_follow(&self, loss: Loss) -> bool {
        match loss {
            Loss::Refused => true,
            Loss::Closed => self.request.method().is_idempotent(),
            Loss::Foreign | Loss::Broken => false,
        }
    }

    fn asking(&self, client: IpAddr) -> Asking<'_> {
        let (method, uri, fields) = (self.request.method(), self.request.uri(), self.request.headers());
        Asking { method, uri, fields, client }
    }

    async fn over<C: Carrier>(
        self,
        shared: &Arc<Shared>,
        slot: SlotId,
        mut carrier: C,
    ) -> Result<Response<FromProgram>, Failure> {
        let Self { request, progress, bound } = self;
        let answer = carrier.send(request);
        let mut error = match in_time(answer, progress.as_ref(), bound).await {
            Some(Ok(response)) => return Ok(carrier.answered(response, progress.is_some(), shared, slot)),
            Some(Err(error)) => error,
            None => return Err(Failure { fault: Fault::AnsweredLate, loss: Loss::Broken, unsent: None }),
        };
        let step = progress.as_ref().map(Progress::get).unwrap_or_default();
        let client = step.stalled || step.broken;
        let unsent = error.take_message().map(|request| Box::new(Self { request, progress, bound }));
        let error = error.into_error();
        let loss = C::loss(&error);
        if matches!(loss, Loss::Foreign | Loss::Broken) && !client && unsent.is_none() {
            log::line(format_args!("slot {slot}: no response: {error}"));
        }
        let fault = match step {
            Step { stalled: true, .. } => Fault::ClientStalled,
            Step { broken: true, .. } => Fault::BadRequest,
            Step { .. } if loss == Loss::Foreign => Fault::Protocol,
            Step { .. } => Fault::Broke,
        };
        Err(Failure { fault, loss, unsent })
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
