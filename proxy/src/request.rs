//! The way of one request: checked, routed, counted, passed on, and its response passed back. Each step is a file of
//! its own; this one has their order. Whatever goes wrong is a `Fault`.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::Either;
use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::http::uri::{PathAndQuery, Scheme, Uri};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version, header};
use kennel_model::routes::Protocol;

use crate::admission::{Admission, admit};
use crate::asleep::File;
use crate::begun::{Admitted, Begun, SoFar};
use crate::body::{Body, Paced};
use crate::client::Client;
use crate::exchange::{Start, exchange};
use crate::fairness::Turn;
use crate::fault::Fault;
use crate::h2c::Place;
use crate::headers::{self, Length, Sender};
use crate::hints::Hints;
use crate::kept::Key;
use crate::leases::Visit;
use crate::page::Accept;
use crate::routes::Target;
use crate::seen::{Phase, Recorded, Seen};
use crate::shared::Shared;
use crate::taking::Taking;
use crate::tally::Way;
use crate::unlisted::unlisted;
use crate::upstream::{FromProgram, Upstream};
use crate::websocket::{self, Handshake};
use crate::{grpc, host, paths, secure, shown, strict, tunnel, wake};

/// Answers one request, of which something may have been begun. There is always an answer.
///
/// # Errors
/// None; the type is what hyper asks for.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    client: Client,
    mut request: Request<Incoming>,
    begun: Option<Box<Begun>>,
) -> Result<Response<Recorded>, Infallible> {
    // Read only where the answer is a page of ours.
    let accept = Accept::of(request.headers());
    let client = match shared.routes.in_front() {
        Some(front) => client.of_request(&front, request.headers()),
        None => client,
    };
    let (mut seen, so_far) = match begun {
        Some(begun) => (Some(begun.seen), Some(begun.so_far)),
        None => (Some(Seen::new(&shared.records, client.address(), &request)), None),
    };
    let taker = client.taking().map(Taking::taker);
    let is_grpc = grpc::is_asked(&request);
    let handshake = Handshake::of(&mut request);
    let response = pass(&shared, client, (request, so_far), &mut seen, handshake.as_ref()).await;
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
pub(crate) fn note(seen: &mut Option<Seen>, what: impl FnOnce(&mut Seen)) {
    if let Some(seen) = seen {
        what(seen);
    }
}

async fn pass(
    shared: &Arc<Shared>,
    client: Client,
    (mut request, so_far): (Request<Incoming>, Option<SoFar>),
    seen: &mut Option<Seen>,
    handshake: Option<&Handshake>,
) -> Result<Response<Body>, Fault> {
    let to_client = hyper::upgrade::on(&mut request);
    let (head, body) = request.into_parts();
    let (host, admitted, start) = match so_far {
        Some(SoFar::Failed(fault)) => return Err(fault),
        Some(SoFar::Let(admitted, start)) => (host::authority(&head)?, admitted, start),
        None => match admit(shared, &client, (&head, &body), seen, handshake).await? {
            Admission::Answered(answer) => return Ok(*answer),
            Admission::Let(host, admitted) => (host, admitted, Start::Usual),
        },
    };
    through(shared, (client, host, admitted), start, (head, body, to_client), seen, handshake).await
}

/// For how many seconds a browser is told to come with TLS only.
pub(crate) fn hsts_s(client: &Client, target: &Target) -> u32 {
    if client.has_tls() { target.hsts_s } else { 0 }
}

/// To its program, from where it is, and back.
async fn through(
    shared: &Arc<Shared>,
    (client, host, admitted): (Client, HeaderValue, Admitted),
    start: Start<Upstream>,
    (mut head, body, to_client): (Parts, Incoming, OnUpgrade),
    seen: &mut Option<Seen>,
    handshake: Option<&Handshake>,
) -> Result<Response<Body>, Fault> {
    let Admitted { target, visit, turn } = admitted;
    let hsts_s = hsts_s(&client, &target);
    let h2c = target.protocol == Protocol::H2c;
    let length = Length::of(&body);
    // What speaks HTTP/2 has none by an Upgrade, which goes no further, as any other.
    let websocket = !h2c && strict::wants_websocket(&head, length);
    let is_head = head.method == Method::HEAD;
    let key = File::asked(&head)
        .and_then(|_| Key::of(&target, &host::name(&host).ok()?, &head))
        .filter(|key| !is_head && shared.awake.runs(key.slot, key.release));
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
    let address = client.address();
    let response = match target.protocol {
        Protocol::Http1 => exchange::<Upstream>(shared, &target, address, (head, body), (meter, start)).await,
        // Boxed, so that it takes no room where it is not spoken.
        Protocol::H2c => {
            Box::pin(exchange::<Place>(shared, &target, address, (head, body), (meter, Start::Usual))).await
        }
    };
    note(seen, |seen| seen.enter(Phase::Own));
    if target.beta.is_none() {
        wake::answered(shared, target.slot).await;
    }
    let mut response = response?;
    let to_program =
        (response.status() == StatusCode::SWITCHING_PROTOCOLS).then(|| hyper::upgrade::on(&mut response));
    let how = (is_head, h2c && length == Length::Unknown);
    match (websocket, to_program) {
        (_, None) => {
            let answer = pass_back(shared, response, how, (&target, key), (client, visit, turn));
            Ok(unlisted(secure::with_hsts(answer, hsts_s), &target))
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
    (client, visit, turn): (Client, Option<Visit>, Turn),
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
    let meter = shared.tally.meter(target.slot, Way::Out);
    let throttle = shared.pace.throttle(target.slot, target.traffic.send_bytes_per_s);
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
    fields.get(header::CONTENT_TYPE).is_some_and(|kind| is_lasting(kind.as_bytes()))
}

/// The same, of its type.
pub(crate) fn is_lasting(kind: &[u8]) -> bool {
    const LASTING: [&[u8]; 2] = [b"text/event-stream", b"application/grpc"];
    LASTING.iter().any(|lasting| kind.starts_with(lasting))
}

/// Passes the switch of protocols back and leaves the two connections to a tunnel.
fn switch(
    shared: &Shared,
    target: &Target,
    response: Response<FromProgram>,
    (to_client, to_program): (OnUpgrade, OnUpgrade),
    held: (Client, Option<Visit>),
    seen: &mut Option<Seen>,
) -> Result<Response<Body>, Fault> {
    if !headers::has_token(response.headers(), header::UPGRADE, "websocket") {
        return Err(Fault::Broke);
    }
    let (mut head, _) = response.into_parts();
    headers::to_client(&mut head.headers, Length::None, false, true);
    let mut seen = seen.take();
    note(&mut seen, |seen| seen.answered(head.status, &mut head.headers));
    let meter = |way| shared.tally.meter(target.slot, way);
    let meters = [
        meter(Way::In).and(seen.as_mut().map(Seen::count_in)),
        meter(Way::Out).and(seen.as_mut().map(Seen::count_out)),
    ];
    let throttle = shared.pace.throttle(target.slot, target.traffic.send_bytes_per_s);
    let idle = shared.limits.tunnel_idle;
    tokio::spawn(tunnel::run(to_client, to_program, idle, (meters, throttle), (held, seen)));
    Ok(Response::from_parts(head, crate::body::page(bytes::Bytes::new())))
}
