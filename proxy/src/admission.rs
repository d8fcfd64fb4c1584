//! What a request has to pass before its program gets it, and what is answered in the program's place: the order of these steps. `forward::admit` asks for plain
//! requests whether none of them has anything to say.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Response, Version};
use kennel_model::routes::Protocol;
use tokio::time::Instant;

use crate::asleep::Kind;
use crate::begun::Admitted;
use crate::body::Body;
use crate::client::Client;
use crate::connect::{self, Asking};
use crate::fairness::Turn;
use crate::fault::Fault;
use crate::request::{hsts_s, note};
use crate::routes::{Found, Target};
use crate::seen::{Phase, Seen};
use crate::shared::Shared;
use crate::unlisted::unlisted;
use crate::websocket::Handshake;
use crate::{challenges, files, host, instead, secure, sent, strict};

/// What becomes of a request before its program gets it.
pub(crate) enum Admission {
    /// It has its answer.
    Answered(Box<Response<Body>>),
    /// It is let through, for this authority.
    Let(HeaderValue, Admitted),
}

impl Admission {
    fn answered(answer: Response<Body>) -> Result<Self, Fault> {
        Ok(Self::Answered(Box::new(answer)))
    }
}

/// Takes the steps.
///
/// # Errors
/// The fault that the client is to be told.
pub(crate) async fn admit(
    shared: &Arc<Shared>,
    client: &Client,
    (head, body): (&Parts, &Incoming),
    seen: &mut Option<Seen>,
    handshake: Option<&Handshake>,
) -> Result<Admission, Fault> {
    if shared.refusing.load(Ordering::Relaxed) {
        return Err(Fault::Leaving);
    }
    strict::check(head)?;
    let host = host::authority(head)?;
    let name = host::name(&host)?;
    if client.name().is_some_and(|shown_for| !shared.certificates.are_one(shown_for, &name)) {
        return Err(Fault::Misdirected);
    }
    if let Some(answer) = challenges::answer(shared, &name, head) {
        // For the log: it is answered whatever is routed there.
        let _ = find(shared, (&host, &name), head.uri.path(), seen);
        return Admission::answered(answer);
    }
    let target = match find(shared, (&host, &name), head.uri.path(), seen) {
        // It asks after the host.
        Err(Fault::UnknownHost) if Kind::of(head) == Kind::HealthCheck => {
            return Admission::answered(instead::fine());
        }
        found => found?,
    };
    if let Some(redirect) = &target.redirect {
        let answer = sent::elsewhere(redirect, &target.domain, (client.who().scheme(), &host), head)?;
        return Admission::answered(answer);
    }
    if !client.has_tls()
        && let Some(answer) = secure::redirect(shared, &target, (&host, &name), head)
    {
        return Admission::answered(answer);
    }
    if let Some(answer) = in_maintenance(&target, client, head) {
        return Admission::answered(answer?);
    }
    shared.rates.enter(target.slot, client.address(), &target.traffic)?;
    if let Some(answer) = files::answer(shared, &target, client, head).await? {
        return Admission::answered(unlisted(secure::with_hsts(answer, hsts_s(client, &target)), &target));
    }
    if target.protocol == Protocol::H2c && handshake.is_some() {
        return Err(Fault::NoWebsocket);
    }
    if target.beta.is_some() {
        let turn = turn(shared, &target, client, (head, body), seen).await?;
        return Ok(Admission::Let(host.clone(), Admitted { target, visit: None, turn }));
    }
    let visit = shared.leases.enter(target.slot).ok_or(Fault::Overloaded)?;
    if !visit.is_leased()
        && !shared.awake.is_awake(target.slot)
        && let Some(answer) = instead::of_program(shared, (&target, &name), head)?
    {
        return Admission::answered(answer);
    }
    if !visit.is_leased() || (target.health.is_some() && !shared.awake.is_ready(target.slot)) {
        // Boxed, as it is large and most requests need none of it.
        in_queue(shared, &target, seen, Box::pin(connect::wake(shared, &target, asking(client, head)))).await?;
    }
    let turn = turn(shared, &target, client, (head, body), seen).await?;
    Ok(Admission::Let(host.clone(), Admitted { target, visit: Some(visit), turn }))
}

/// What is answered while the tenant is worked on, but for who is let in.
fn in_maintenance(target: &Target, client: &Client, head: &Parts) -> Option<Result<Response<Body>, Fault>> {
    let is_out = !target.maintenance.as_ref()?.lets_in(client.address());
    // A load balancer that asks after the host is not told of one tenant.
    let answer =
        || if Kind::of(head) == Kind::HealthCheck { Ok(instead::fine()) } else { Err(Fault::Maintenance) };
    is_out.then(answer)
}

fn find(
    shared: &Shared,
    (host, name): (&HeaderValue, &str),
    path: &str,
    seen: &mut Option<Seen>,
) -> Result<Arc<Target>, Fault> {
    let fault = match shared.routes.find(name, path) {
        Found::Target(target) => {
            note(seen, |seen| seen.routed(&target, name));
            let can_answer = target.release.is_some() || target.redirect.is_some();
            return if can_answer { Ok(target) } else { Err(Fault::NotDeployed) };
        }
        Found::Ambiguous => Fault::AmbiguousPath,
        Found::Unknown => Fault::UnknownHost,
        Found::NoTable => Fault::NoRoutes,
    };
    note(seen, |seen| seen.unrouted(host));
    Err(fault)
}

/// Waits for the request's turn at the program, if it has to.
async fn turn(
    shared: &Shared,
    target: &Target,
    client: &Client,
    (head, body): (&Parts, &Incoming),
    seen: &mut Option<Seen>,
) -> Result<Turn, Fault> {
    let (slot, address) = (target.slot, client.address());
    if let Some(turn) = shared.turns.at_once(slot, address, target.traffic.requests_max) {
        return Ok(turn);
    }
    // What has come of its body would leave the connection's other requests no room (RFC 9113, 5.2), those that are to make
    // place for it among them.
    if head.version == Version::HTTP_2 && !body.is_end_stream() {
        return Ok(shared.turns.in_any_case(slot, address));
    }
    let _line = connect::line(shared, slot, asking(client, head))?;
    in_queue(shared, target, seen, Box::pin(shared.turns.wait(slot, address))).await
}

/// Waits for something, which counts as the request's time in line.
async fn in_queue<T>(
    shared: &Shared,
    target: &Target,
    seen: &mut Option<Seen>,
    what: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let came = Instant::now();
    note(seen, |seen| seen.enter(Phase::Queue));
    let result = what.await;
    shared.tally.queued(target.slot, came.elapsed());
    note(seen, |seen| seen.enter(Phase::Own));
    result
}

fn asking<'r>(client: &Client, head: &'r Parts) -> Asking<'r> {
    Asking { method: &head.method, uri: &head.uri, fields: &head.headers, client: client.address() }
}
