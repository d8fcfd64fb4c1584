//! The way of one request: checked, routed, counted, passed on, and its response passed back. Each step is a file of
//! its own; this one has their order. Whatever goes wrong is a `Fault`.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::Either;
use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::http::uri::{PathAndQuery, Scheme, Uri};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version, header};
use kennel_model::routes::Protocol;
use tokio::time::Instant;

use crate::asleep::Kind;
use crate::body::{Body, Paced};
use crate::client::Client;
use crate::connect::{self, Asking};
use crate::exchange::exchange;
use crate::fairness::Turn;
use crate::fault::Fault;
use crate::h2c::Place;
use crate::headers::{self, Length, Sender};
use crate::hints::Hints;
use crate::kept::Key;
use crate::leases::Visit;
use crate::page::Accept;
use crate::routes::{Found, Target};
use crate::seen::{Phase, Recorded, Seen};
use crate::shared::Shared;
use crate::taking::Taking;
use crate::tally::Way;
use crate::upstream::{FromProgram, Upstream};
use crate::websocket::{self, Handshake};
use crate::{challenges, files, grpc, host, instead, paths, secure, sent, shown, strict, tunnel, wake};

/// Answers one request. There is always an answer.
///
/// # Errors
/// None; the type is what hyper asks for.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    client: Client,
    mut request: Request<Incoming>,
) -> Result<Response<Recorded>, Infallible> {
    // Read only where the answer is a page of ours.
    let accept = Accept::of(request.headers());
    let client = match shared.routes.in_front() {
        Some(front) => client.of_request(&front, request.headers()),
        None => client,
    };
    let mut seen = Some(Seen::new(&shared.records, client.address(), &request));
    let taker = client.taking().map(Taking::taker);
    let is_grpc = grpc::is_asked(&request);
    let handshake = Handshake::of(&mut request);
    let response = pass(&shared, client, request, &mut seen, handshake.as_ref()).await;
    let response = match handshake {
        None => response,
        Some(_) => response.and_then(websocket::answer),
    };
    let mut response = response.unwrap_or_else(|fault| {
        note(&mut seen, |seen| seen.failed(fault));
        match is_grpc {
            true => grpc::response(fault),
            false => shown::response(&shared, fault, accept.wanted(), seen.as_ref()),
        }
    });
    let status = response.status();
    note(&mut seen, |seen| seen.answered(status, response.headers_mut()));
    Ok(response.map(|body| Recorded::new(body, seen, taker)))
}

/// Notes something of a request whose record is still here: a tunnel takes it along.
fn note(seen: &mut Option<Seen>, what: impl FnOnce(&mut Seen)) {
    if let Some(seen) = seen {
        what(seen);
    }
}

async fn pass(
    shared: &Arc<Shared>,
    client: Client,
    mut request: Request<Incoming>,
    seen: &mut Option<Seen>,
    handshake: Option<&Handshake>,
) -> Result<Response<Body>, Fault> {
    if shared.refusing.load(Ordering::Relaxed) {
        return Err(Fault::Leaving);
    }
    let to_client = hyper::upgrade::on(&mut request);
    let (mut head, body) = request.into_parts();
    strict::check(&head)?;
    let host = host::authority(&head)?;
    let name = host::name(&host)?;
    if client.name().is_some_and(|shown_for| !shared.certificates.are_one(shown_for, &name)) {
        return Err(Fault::Misdirected);
    }
    if let Some(answer) = challenges::answer(shared, &name, &head) {
        // For the log: it is answered whatever is routed there.
        let _ = find(shared, (&host, &name), head.uri.path(), seen);
        return Ok(answer);
    }
    let target = match find(shared, (&host, &name), head.uri.path(), seen) {
        // It asks after the host.
        Err(Fault::UnknownHost) if Kind::of(&head) == Kind::HealthCheck => return Ok(instead::fine()),
        found => found?,
    };
    let hsts_s = if client.has_tls() { target.hsts_s } else { 0 };
    if let Some(answer) = in_place(shared, &target, &client, (&host, &name), &head)? {
        return Ok(answer);
    }
    if let Some(answer) = files::answer(shared, &target, &client, &head).await? {
        return Ok(secure::with_hsts(answer, hsts_s));
    }
    let h2c = target.protocol == Protocol::H2c;
    if h2c && handshake.is_some() {
        return Err(Fault::NoWebsocket);
    }
    let visit = shared.leases.enter(target.slot).ok_or(Fault::Overloaded)?;
    if let Some(answer) = roused(shared, (&target, &name), &client, &head, &visit, seen).await? {
        return Ok(answer);
    }
    let turn = turn(shared, &target, &client, (&head, &body), seen).await?;

    let length = Length::of(&body);
    // What speaks HTTP/2 has none by an Upgrade, which goes no further, as any other.
    let websocket = !h2c && strict::wants_websocket(&head, length);
    let is_head = head.method == Method::HEAD;
    let key = Key::of(&target, &name, &head).filter(|key| !is_head && shared.awake.runs(key.slot, key.release));
    let prefix = if target.strip { target.domain.path() } else { "" };
    let authority = h2c.then(|| host.clone());
    let (who, version) = (client.who().clone(), head.version);
    let sender = Sender { who, version, host, prefix, length, websocket, h2c };
    headers::to_program(&mut head.headers, sender);
    let counted = if length == Length::None { None } else { seen.as_mut().map(Seen::count_in) };
    let meter = shared.tally.meter(target.slot, Way::In).and(counted);
    note(seen, |seen| {
        seen.say_to_program(&mut head.headers);
        seen.enter(Phase::Upstream);
    });
    let head = for_program(head, prefix, authority)?;
    let (address, request) = (client.address(), (head, body));
    let response = match target.protocol {
        Protocol::Http1 => exchange::<Upstream>(shared, &target, address, request, meter).await,
        // Boxed, so that it takes no room where it is not spoken.
        Protocol::H2c => Box::pin(exchange::<Place>(shared, &target, address, request, meter)).await,
    };
    note(seen, |seen| seen.enter(Phase::Own));
    wake::answered(shared, target.slot).await;
    let mut response = response?;
    let to_program =
        (response.status() == StatusCode::SWITCHING_PROTOCOLS).then(|| hyper::upgrade::on(&mut response));
    let how = (is_head, h2c && length == Length::Unknown);
    match (websocket, to_program) {
        (_, None) => {
            let answer = pass_back(shared, response, how, (&target, key), (client, visit, turn));
            Ok(secure::with_hsts(answer, hsts_s))
        }
        (true, Some(_)) if handshake.is_some_and(|asked| !asked.is_accepted(response.headers())) => {
            Err(Fault::Broke)
        }
        (true, Some(to_program)) => {
            switch(shared, &target, response, (to_client, to_program), (client, visit), seen)
        }
        // Nobody asked it to switch.
        (false, Some(_)) => Err(Fault::Broke),
    }
}

/// Has a program that sleeps woken, unless who asks is answered instead of it.
async fn roused(
    shared: &Arc<Shared>,
    (target, name): (&Arc<Target>, &str),
    client: &Client,
    head: &Parts,
    visit: &Visit,
    seen: &mut Option<Seen>,
) -> Result<Option<Response<Body>>, Fault> {
    if !visit.is_leased()
        && !shared.awake.is_awake(target.slot)
        && let Some(answer) = instead::of_program(shared, (target, name), head)?
    {
        return Ok(Some(answer));
    }
    if !visit.is_leased() || (target.health.is_some() && !shared.awake.is_ready(target.slot)) {
        // Boxed, as it is large and most requests need none of it.
        in_queue(shared, target, seen, Box::pin(connect::wake(shared, target, asking(client, head)))).await?;
    }
    Ok(None)
}

/// What is answered whatever the tenant has, and who asks too often.
fn in_place(
    shared: &Shared,
    target: &Target,
    client: &Client,
    (host, name): (&HeaderValue, &str),
    head: &Parts,
) -> Result<Option<Response<Body>>, Fault> {
    if let Some(redirect) = &target.redirect {
        return sent::elsewhere(redirect, &target.domain, (client.who().scheme(), host), head).map(Some);
    }
    if !client.has_tls()
        && let Some(answer) = secure::redirect(shared, target, (host, name), head)
    {
        return Ok(Some(answer));
    }
    if let Some(answer) = in_maintenance(target, client, head) {
        return answer.map(Some);
    }
    shared.rates.enter(target.slot, client.address(), &target.traffic)?;
    Ok(None)
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

/// The head as programs expect it: path and query only, HTTP/1.1, or with the authority, HTTP/2; without what hyper keeps beside it for
/// the client.
fn for_program(mut head: Parts, prefix: &str, authority: Option<HeaderValue>) -> Result<Parts, Fault> {
    let mut path = head.uri.into_parts().path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    if !prefix.is_empty() {
        path = paths::stripped(&path, prefix).map_err(|paths::Ambiguous| Fault::AmbiguousPath)?;
    }
    let mut request = Request::new(());
    *request.method_mut() = head.method;
    *request.version_mut() = if authority.is_some() { Version::HTTP_2 } else { Version::HTTP_11 };
    *request.uri_mut() = match authority {
        None => Uri::from(path),
        Some(authority) => {
            let uri = Uri::builder().scheme(Scheme::HTTP).authority(authority.as_bytes()).path_and_query(path);
            uri.build().map_err(|_| Fault::BadRequest)?
        }
    };
    *request.headers_mut() = head.headers;
    if let Some(hints) = head.extensions.remove::<Hints>() {
        hints.hear(&mut request);
    }
    Ok(request.into_parts().0)
}

fn pass_back(
    shared: &Shared,
    response: Response<FromProgram>,
    (is_head, streams): (bool, bool),
    (target, key): (&Target, Option<Key>),
    (client, visit, turn): (Client, Visit, Turn),
) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let bodiless = is_head || head.status == StatusCode::NOT_MODIFIED;
    headers::to_client(&mut head.headers, Length::of(&body), bodiless, false);
    // How it is written depends on the client's version; hyper sees to that.
    head.version = Version::HTTP_11;
    let mut copy = key.and_then(|key| shared.kept.copy(key, &head));
    if body.is_end_stream()
        && let Some(copy) = copy.take()
    {
        copy.finish();
    }
    let meter = shared.tally.meter(visit.slot(), Way::Out);
    let throttle = shared.pace.throttle(visit.slot(), target.traffic.send_bytes_per_s);
    // What lasts is no work for the program while it lasts.
    let turn = (!lasts(&head.headers)).then_some(turn);
    let held = (client, visit, turn);
    let limits = &shared.limits;
    let stall = if streams { limits.tunnel_idle } else { limits.response_stall };
    let body = Paced::response(body, stall, (meter, throttle), held, copy);
    Response::from_parts(head, Either::Right(Box::pin(body)))
}

/// Whether it may be a stream of events (WHATWG HTML, 9.2) or of gRPC's messages, which end when somebody leaves. Where gRPC's
/// answer is one message, the program's work is done when its head comes.
fn lasts(fields: &hyper::HeaderMap) -> bool {
    const LASTING: [&[u8]; 2] = [b"text/event-stream", b"application/grpc"];
    let lasts = |kind: &HeaderValue| LASTING.iter().any(|lasting| kind.as_bytes().starts_with(lasting));
    fields.get(header::CONTENT_TYPE).is_some_and(lasts)
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

/// Passes the switch of protocols back and leaves the two connections to a tunnel.
fn switch(
    shared: &Shared,
    target: &Target,
    response: Response<FromProgram>,
    (to_client, to_program): (OnUpgrade, OnUpgrade),
    held: (Client, Visit),
    seen: &mut Option<Seen>,
) -> Result<Response<Body>, Fault> {
    if !headers::has_token(response.headers(), header::UPGRADE, "websocket") {
        return Err(Fault::Broke);
    }
    let (mut head, _) = response.into_parts();
    headers::to_client(&mut head.headers, Length::None, false, true);
    let mut seen = seen.take();
    note(&mut seen, |seen| seen.answered(head.status, &mut head.headers));
    let meter = |way| shared.tally.meter(held.1.slot(), way);
    let meters = [
        meter(Way::In).and(seen.as_mut().map(Seen::count_in)),
        meter(Way::Out).and(seen.as_mut().map(Seen::count_out)),
    ];
    let throttle = shared.pace.throttle(held.1.slot(), target.traffic.send_bytes_per_s);
    let idle = shared.limits.tunnel_idle;
    tokio::spawn(tunnel::run(to_client, to_program, idle, (meters, throttle), (held, seen)));
    Ok(Response::from_parts(head, crate::body::page(bytes::Bytes::new())))
}
