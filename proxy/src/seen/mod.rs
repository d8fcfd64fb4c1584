//! What is told of each request when it is over: one record, and counts that have every request. What becomes of the
//! records is control's business.
//!
//! A [`Seen`] goes with its request from the head on, notes where the time goes, is handed to the answer's body or to the
//! tunnel, and writes its record when that ends, however it ends. `ids` numbers it, `text` makes what strangers say
//! harmless, `records` bounds and sends.

mod body;
mod ids;
mod records;
mod text;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{HOST, HeaderName, HeaderValue, REFERER, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, Request, StatusCode, Version};
use kennel_model::access::{CLIENT_LEFT, Ended, Part, Protocol, Record, Took, bounds, push};
use tokio::time::Instant;

use crate::fault::Fault;
use crate::routes::Target;

pub(crate) use body::Recorded;
pub(crate) use ids::{Ids, REQUEST_ID};
pub(crate) use records::Records;
use text::text;

/// Says where the time went, to whoever looks at the answer (W3C Server Timing).
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Where a request's time goes at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The proxy is at it.
    Own,
    /// Its program is to be woken.
    Queue,
    /// Its program is at it.
    Upstream,
    /// The answer's head is out.
    Answered,
}

/// One request, until it is over.
#[derive(Debug)]
pub(crate) struct Seen {
    records: Arc<Records>,
    client: IpAddr,
    method: Method,
    target: Option<PathAndQuery>,
    version: Version,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    agent: Option<HeaderValue>,
    ids: Ids,
    route: Option<Arc<Target>>,
    began: Instant,
    phase: Phase,
    since: Instant,
    own: Duration,
    queue: Option<Duration>,
    upstream: Option<Duration>,
    bytes_in: Option<Arc<AtomicU64>>,
    bytes_out: u64,
    /// Of a tunnel.
    passed: Option<Arc<AtomicU64>>,
    status: u16,
    fault: Option<Fault>,
    ended: Ended,
}

/// What a request's head says that is told of it.
#[derive(Debug)]
pub(crate) struct Said {
    /// As it came.
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: Option<PathAndQuery>,
    /// Of HTTP.
    pub(crate) version: Version,
    /// `Host`.
    pub(crate) host: Option<HeaderValue>,
    /// `Referer`.
    pub(crate) referer: Option<HeaderValue>,
    /// `User-Agent`.
    pub(crate) agent: Option<HeaderValue>,
    /// Its numbers.
    pub(crate) ids: Ids,
}

impl Seen {
    /// A request whose head has come.
    pub(crate) fn new<B>(records: &Arc<Records>, client: IpAddr, request: &Request<B>) -> Self {
        let fields = request.headers();
        let said = Said {
            method: request.method().clone(),
            target: request.uri().path_and_query().cloned(),
            version: request.version(),
            host: fields.get(HOST).cloned(),
            referer: fields.get(REFERER).cloned(),
            agent: fields.get(USER_AGENT).cloned(),
            ids: Ids::of(fields),
        };
        Self::of(records, client, said)
    }

    /// The same, where the head was read here.
    pub(crate) fn of(records: &Arc<Records>, client: IpAddr, said: Said) -> Self {
        let now = Instant::now();
        let Said { method, target, version, host, referer, agent, ids } = said;
        Self {
            records: records.clone(),
            client,
            method,
            target,
            version,
            host,
            referer,
            agent,
            ids,
            route: None,
            began: now,
            phase: Phase::Own,
            since: now,
            own: Duration::ZERO,
            queue: None,
            upstream: None,
            bytes_in: None,
            bytes_out: 0,
            passed: None,
            status: CLIENT_LEFT,
            fault: None,
            ended: Ended::Cut,
        }
    }

    /// The site that it is for.
    pub(crate) fn routed(&mut self, target: &Arc<Target>, name: &str) {
        self.route = Some(target.clone());
        if target.domain.is_wildcard() {
            self.host = HeaderValue::from_str(name).ok();
        }
    }

    /// The site that it is for, if that is known.
    pub(crate) fn route(&self) -> Option<&Arc<Target>> {
        self.route.as_ref()
    }

    /// Its number, in digits.
    pub(crate) fn number(&self) -> String {
        self.ids.request.to_string()
    }

    /// What it is for, which is no site here.
    pub(crate) fn unrouted(&mut self, host: &HeaderValue) {
        self.host = Some(host.clone());
    }

    /// From now on its time goes elsewhere.
    pub(crate) fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        self.spend(now - self.since);
        (self.phase, self.since) = (phase, now);
    }

    fn spend(&mut self, time: Duration) {
        match self.phase {
            Phase::Own => self.own += time,
            Phase::Queue => *self.queue.get_or_insert_default() += time,
            Phase::Upstream => *self.upstream.get_or_insert_default() += time,
            Phase::Answered => {}
        }
    }

    /// Its numbers, in the fields that the program gets.
    pub(crate) fn say_to_program(&self, fields: &mut HeaderMap) {
        self.ids.to_program(fields);
    }

    /// Counts its body.
    pub(crate) fn count_in(&mut self) -> Arc<AtomicU64> {
        self.bytes_in.get_or_insert_default().clone()
    }

    /// Counts what goes to the client, of a tunnel.
    pub(crate) fn count_out(&mut self) -> Arc<AtomicU64> {
        self.passed.get_or_insert_default().clone()
    }

    /// So much of the answer's body goes to the client.
    pub(crate) const fn passed(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// The proxy answers in the program's place.
    pub(crate) const fn failed(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// The answer's head is ready but for what is said here.
    pub(crate) fn answered(&mut self, status: StatusCode, fields: &mut HeaderMap) {
        self.answers(status);
        self.ids.to_client(fields);
        if let Some(timing) = self.told_timing().and_then(|timing| HeaderValue::try_from(timing).ok()) {
            // A program may have said more about its own part.
            fields.append(SERVER_TIMING, timing);
        }
    }

    /// The answer's head is ready, and who calls this says in it what is to be said.
    pub(crate) fn answers(&mut self, status: StatusCode) {
        self.enter(Phase::Answered);
        self.status = status.as_u16();
    }

    /// Where the time went, if its owner wants that told.
    pub(crate) fn told_timing(&self) -> Option<String> {
        self.route.as_ref().is_some_and(|route| route.server_timing).then(|| self.timing())
    }

    /// Its numbers.
    pub(crate) const fn ids(&self) -> &Ids {
        &self.ids
    }

    fn timing(&self) -> String {
        let mut timing = String::with_capacity(64);
        for (name, time) in [("queue", self.queue), ("upstream", self.upstream), ("own", Some(self.own))] {
            if let Some(time) = time {
                let before = if timing.is_empty() { "" } else { ", " };
                // Writing to a string does not fail.
                _ = write!(timing, "{before}{name};dur={:.3}", time.as_secs_f64() * 1000.0);
            }
        }
        timing
    }

    /// Whether its answer has no body whatever its fields say.
    pub(crate) fn is_bodiless(&self) -> bool {
        self.method == Method::HEAD && self.status != CLIENT_LEFT
    }

    /// How it ends; it is over when this is dropped.
    pub(crate) const fn ends(&mut self, ended: Ended) {
        self.ended = ended;
    }

    fn took(&mut self, now: Instant) -> Took {
        self.spend(now - self.since);
        Took {
            total_us: us(now - self.began),
            queue_us: self.queue.map(us),
            upstream_us: self.upstream.map(us),
            own_us: us(self.own),
        }
    }

    fn write(&self, took: Took, packet: &mut Vec<u8>) {
        let read = |count: &Option<Arc<AtomicU64>>| count.as_ref().map_or(0, |n| n.load(Ordering::Relaxed));
        let route = self.route.as_ref();
        let host = match route {
            Some(route) if !route.domain.is_wildcard() => text(route.domain.host().as_bytes(), bounds::HOST),
            _ => field(self.host.as_ref(), bounds::HOST),
        };
        let record = Record {
            tenant: route.map(|route| (route.slot, route.tenant.as_str())),
            host: &host,
            client: self.client,
            method: &text(self.method.as_str().as_bytes(), bounds::METHOD),
            target: &text(self.target.as_ref().map_or(b"", |t| t.as_str().as_bytes()), bounds::TARGET),
            protocol: protocol(self.version),
            status: self.status,
            bytes_in: read(&self.bytes_in),
            bytes_out: self.bytes_out + read(&self.passed),
            referer: &field(self.referer.as_ref(), bounds::REFERER),
            agent: &field(self.agent.as_ref(), bounds::AGENT),
            id: self.ids.request,
            trace: self.ids.trace,
            fault: self.fault.map_or("", |fault| fault.notice().code),
            ended: self.ended,
            at_ms: now_ms().saturating_sub(took.total_us / 1000),
            took,
        };
        // Only what cannot be encoded at all is an error.
        _ = push(&Part::Record(record), packet);
    }
}

/// A connection has ended with this: if what came was no request, hyper has said so to the client, and it is recorded here.
pub(crate) fn unreadable(records: &Records, client: IpAddr, error: &hyper::Error) {
    let status = match error {
        e if e.is_parse_too_large() && e.to_string().contains("URI") => 414,
        e if e.is_parse_too_large() => 431,
        e if e.is_parse() => 400,
        // It left, or was too slow.
        _ => return,
    };
    let ids = Ids::of(&HeaderMap::new());
    let record = Record {
        tenant: None,
        host: "",
        client,
        method: "",
        target: "",
        protocol: Protocol::Http11,
        status,
        bytes_in: 0,
        bytes_out: 0,
        referer: "",
        agent: "",
        id: ids.request,
        trace: ids.trace,
        fault: Fault::BadRequest.notice().code,
        ended: Ended::Whole,
        at_ms: now_ms(),
        took: Took::default(),
    };
    records.add(None, status, None, Instant::now(), |packet| _ = push(&Part::Record(record), packet));
}

impl Drop for Seen {
    fn drop(&mut self) {
        let now = Instant::now();
        let took = self.took(now);
        let slot = self.route.as_ref().map(|route| route.slot);
        self.records.add(slot, self.status, Some(&took), now, |packet| self.write(took, packet));
    }
}

fn field(value: Option<&HeaderValue>, bound: usize) -> Cow<'_, str> {
    text(value.map_or(b"", |value| value.as_bytes()), bound)
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// By the clock on the wall, which may be put right meanwhile.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

const fn protocol(version: Version) -> Protocol {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => Protocol::Http10,
        Version::HTTP_2 => Protocol::Http2,
        Version::HTTP_3 => Protocol::Http3,
        _ => Protocol::Http11,
    }
}
