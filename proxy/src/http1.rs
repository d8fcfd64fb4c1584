//! One client's connection that speaks HTTP/1.1, over whatever carries it: `forward` for plain requests, hyper behind the `gate` for all others, and nothing but the bare
//! connection while no request is under way (hyper's buffers and state are some 19 KiB). It changes hands only between requests, when every one that was
//! read has its answer, and with all bytes that were not used, so that each is read by one. One timer per connection looks now
//! and then whether it is idle, or its next head late; no request sets or clears one.

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::aside::Aside;
use crate::begun::Begun;
use crate::client::Client;
use crate::forward::{self, Next};
use crate::gate::{Answering, Gate, UnderWay, Wire};
use crate::hints::Hints;
use crate::limits::Limits;
use crate::request::answer;
use crate::seen;
use crate::shared::Shared;
use crate::stall::WriteBound;

/// Where hyper has had a connection so often in a row, with few plain requests between, it stays there until it is parked.
const TURNS: u32 = 2;
/// So many plain requests save what it costs to give a connection to hyper and to take it back.
const ENOUGH: u64 = 4;

/// Serves it until its end; during a drain, until the end of its current request.
pub(crate) async fn serve<T>(shared: &Arc<Shared>, io: T, client: &Client, drain: &mut watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut io = WriteBound::new(io, &shared.limits);
    let mut rest = Vec::new();
    // How often in a row hyper has had it for one request.
    let mut turns = 0;
    loop {
        // Boxed, so that it takes no room while there is none of it.
        let plain = Box::pin(forward::serve(shared, &mut io, &mut rest, client, drain.clone()));
        let begun = match plain.await {
            (Next::Ended, _) => return,
            (Next::Idle, _) => None,
            (Next::Hypers(begun), passed) => {
                turns = if passed >= ENOUGH { 1 } else { turns + 1 };
                Some(begun)
            }
        };
        if let Some(begun) = begun {
            let wire = Arc::new(Wire::default());
            let gate = Gate::new(io, wire.clone(), shared.limits.linger).behind(std::mem::take(&mut rest));
            let busy = Box::pin(busy(shared, (gate, &wire), client, (drain, begun), turns < TURNS));
            let Some((gate, wait)) = busy.await else { return };
            (io, rest) = gate.into_parts();
            if wait == Wait::Busy {
                continue;
            }
        }
        turns = 0;
        shared.parked.one_more();
        let next = timeout(shared.limits.request_head, next(&mut io, &mut rest));
        let more = tokio::select! {
            more = next => more.unwrap_or(false),
            _ = drain.wait_for(|drain| *drain) => false,
        };
        if !more {
            return;
        }
    }
}

/// Waits for the first bytes of a next request; answers whether there are any.
async fn next<T: AsyncRead + Unpin>(io: &mut T, rest: &mut Vec<u8>) -> bool {
    let read = poll_fn(|cx| {
        let mut space = [0; 512];
        let mut buf = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut *io).poll_read(cx, &mut buf))?;
        rest.extend_from_slice(buf.filled());
        Poll::Ready(std::io::Result::Ok(!buf.filled().is_empty()))
    });
    read.await.unwrap_or(false)
}

/// Serves requests by hyper; answers the connection when none has come for a while, or, where it `comes_back`, when all have their answers, and nothing when it has
/// ended. Of the first, something may have been begun.
async fn busy<I>(
    shared: &Arc<Shared>,
    (gate, wire): (Gate<I>, &Arc<Wire>),
    client: &Client,
    (drain, begun): (&watch::Receiver<bool>, Option<Box<Begun>>),
    comes_back: bool,
) -> Option<(Gate<I>, Wait)>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &shared.limits;
    let mut builder = http1::Builder::new();
    builder.max_header_size(limits.request_head_bytes).max_buf_size(limits.request_head_bytes);
    let begun = Mutex::new(begun);
    // The connection's place is given back with the last copy of `client`: by the caller, or at the end of a tunnel.
    let service = service_fn(|mut request: Request<Incoming>| {
        if Hints::are_taken(request.version(), request.headers()) {
            request.extensions_mut().insert(wire.hints());
        }
        let begun = begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (shared, client, under_way) = (shared.clone(), client.clone(), UnderWay::new(wire));
        // hyper moves it several times, and it is large.
        Box::pin(async move {
            let response = answer(shared, client, request, begun).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                under_way.open();
            }
            Ok::<_, Infallible>(response.map(|body| Answering { body, _under_way: under_way }))
        })
    });
    let mut served = builder.serve_connection(TokioIo::new(gate), service).with_upgrades();
    let mut waits = Waits::default();
    let mut draining = false;
    let step = limits.park.min(limits.request_head / 2);
    let mut aside = Aside::new(next_event(drain.clone(), step, true));
    let wait = loop {
        let seldom = poll_fn(|cx| match Pin::new(&mut served).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Event::Ended(ended)),
            Poll::Pending if comes_back && !draining && wire.is_free() => Poll::Ready(Event::Free),
            Poll::Pending => Pin::new(&mut aside).poll(cx).map(Event::Seldom),
        });
        // How a connection ends, in order or not, is the client's affair.
        let seldom = match seldom.await {
            Event::Ended(ended) => {
                if let Err(e) = ended {
                    seen::unreadable(&shared.records, client.address(), &e);
                }
                return None;
            }
            Event::Free => break Wait::Busy,
            Event::Seldom(seldom) => seldom,
        };
        match seldom {
            Seldom::Drain => {
                draining = true;
                Pin::new(&mut served).graceful_shutdown();
            }
            Seldom::Tick => match waits.look(wire, limits) {
                Wait::Idle if !draining => break Wait::Idle,
                Wait::Late => return None,
                Wait::Idle | Wait::Busy => (),
            },
        }
        aside = Aside::new(next_event(drain.clone(), step, !draining));
    };
    // Nothing is in hyper's hands: all heads that it has read are answered, and no other byte has come.
    let parts = served.into_parts().filter(|parts| parts.read_buf.is_empty())?;
    Some((parts.io.into_inner(), wait))
}

/// What can come of a connection that hyper serves.
enum Event {
    /// It has ended so.
    Ended(hyper::Result<()>),
    /// Nothing is under way.
    Free,
    /// Anything else.
    Seldom(Seldom),
}

/// What happens to a connection beside its requests.
enum Seldom {
    Drain,
    Tick,
}

async fn next_event(mut drain: watch::Receiver<bool>, step: Duration, may_drain: bool) -> Seldom {
    tokio::select! {
        _ = drain.wait_for(|drain| *drain), if may_drain => Seldom::Drain,
        () = tokio::time::sleep(step) => Seldom::Tick,
    }
}

/// How long a connection has waited for its client.
#[derive(Debug, Default)]
struct Waits {
    /// How many requests it had then, and when that was seen.
    since: Option<(u64, Instant)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// A request is under way, or has been lately.
    Busy,
    /// Nothing is.
    Idle,
    /// The next head is too late.
    Late,
}

impl Waits {
    fn look(&mut self, wire: &Wire, limits: &Limits) -> Wait {
        let now = Instant::now();
        let since = match (self.since, wire.answered()) {
            (Some((then, since)), Some(heads)) if then == heads => since,
            (_, Some(heads)) => {
                self.since = Some((heads, now));
                return Wait::Busy;
            }
            (_, None) => {
                self.since = None;
                return Wait::Busy;
            }
        };
        match now.duration_since(since) {
            waited if waited >= limits.request_head => Wait::Late,
            _ if wire.idle().is_some() => Wait::Idle,
            _ => Wait::Busy,
        }
    }
}
