//! One client's connection that speaks HTTP/1.1, over whatever carries it: hyper behind the `gate`, and nothing but the bare
//! connection while no request is under way (hyper's buffers and state are some 19 KiB). One timer per connection looks now
//! and then whether it is idle, or its next head late; no request sets or clears one.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::aside::Aside;
use crate::client::Client;
use crate::gate::{Answering, Gate, UnderWay, Wire};
use crate::hints::Hints;
use crate::limits::Limits;
use crate::request::answer;
use crate::seen;
use crate::shared::Shared;
use crate::stall::WriteBound;

/// Serves it until its end; during a drain, until the end of its current request.
pub(crate) async fn serve<T>(shared: &Arc<Shared>, io: T, client: &Client, drain: &mut watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let wire = Arc::new(Wire::default());
    let mut gate = Gate::new(WriteBound::new(io, &shared.limits), wire.clone(), shared.limits.linger);
    loop {
        // Boxed, so that it takes no room while there is none of it.
        let busy = Box::pin(busy(shared, gate, &wire, client, drain));
        let Some(idle) = busy.await else { return };
        gate = idle;
        shared.parked.one_more();
        let next = timeout(shared.limits.request_head, gate.next());
        let more = tokio::select! {
            more = next => more.unwrap_or(false),
            _ = drain.wait_for(|drain| *drain) => false,
        };
        if !more {
            return;
        }
    }
}

/// Serves requests; answers the connection when none has come for a while, and nothing when it has ended.
async fn busy<I>(
    shared: &Arc<Shared>,
    gate: Gate<I>,
    wire: &Arc<Wire>,
    client: &Client,
    drain: &watch::Receiver<bool>,
) -> Option<Gate<I>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &shared.limits;
    let mut builder = http1::Builder::new();
    builder.max_header_size(limits.request_head_bytes).max_buf_size(limits.request_head_bytes);
    // The connection's place is given back with the last copy of `client`: by the caller, or at the end of a tunnel.
    let service = service_fn(|mut request: Request<Incoming>| {
        if Hints::are_taken(request.version(), request.headers()) {
            request.extensions_mut().insert(wire.hints());
        }
        let (shared, client, under_way) = (shared.clone(), client.clone(), UnderWay::new(wire));
        // hyper moves it several times, and it is large.
        Box::pin(async move {
            let response = answer(shared, client, request).await?;
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
    loop {
        // How a connection ends, in order or not, is the client's affair.
        let seldom = tokio::select! {
            biased;
            ended = &mut served => {
                if let Err(e) = ended {
                    seen::unreadable(&shared.records, client.address(), &e);
                }
                return None;
            }
            seldom = &mut aside => seldom,
        };
        match seldom {
            Seldom::Drain => {
                draining = true;
                Pin::new(&mut served).graceful_shutdown();
            }
            Seldom::Tick => match waits.look(wire, limits) {
                Wait::Idle if !draining => break,
                Wait::Late => return None,
                Wait::Idle | Wait::Busy => (),
            },
        }
        aside = Aside::new(next_event(drain.clone(), step, !draining));
    }
    // Nothing is in hyper's hands: all heads that it has read are answered, and no other byte has come.
    let parts = served.into_parts().filter(|parts| parts.read_buf.is_empty())?;
    Some(parts.io.into_inner())
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
