//! Files of a release that the proxy answers by itself, where its tenant wants that: no program is asked, woken or held awake for them. The way of a
//! request: `place` (which file) → `site` (what is known of it; else init's folder and `open`) → `choose` (which form) →
//! `conditions` → `form` (fields) → `body`. `hashed` says what may be kept for a year.

mod body;
mod choose;
mod conditions;
mod form;
mod hashed;
mod open;
mod place;
mod site;

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Either;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use kennel_model::msg::{FromProxy, Refusal, RequestId};
use tokio::sync::oneshot;

use crate::body::{Body, page};
use crate::client::Client;
use crate::fault::Fault;
use crate::gauge::Gauge;
use crate::limits::Limits;
use crate::routes::Target;
use crate::shared::Shared;
use crate::tally::Way;
use crate::{log, paths};
pub(crate) use body::FileBody;
use body::{Buffers, Held};
use choose::{CODINGS, choose};
use conditions::{Wanted, judge};
use form::{Content, Form};
use place::Place;
use site::{Budget, Entry, Known};
pub(crate) use site::{Site, Sites, Which};

/// Shown in the place of what is not there, where no program could know better.
const NOT_FOUND_PAGE: &str = "404.html";
/// How long init is waited for; it answers at once.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between init's word that another release runs by now and the route table that says so.
const TURN: Duration = Duration::from_millis(20);
/// How often that is looked for.
const TURNS: u32 = 50;

/// What all sites share.
#[derive(Debug)]
pub(crate) struct Files {
    budget: Arc<Budget>,
    buffers: Arc<Buffers>,
    places: Arc<Gauge>,
    asked: Mutex<HashMap<RequestId, oneshot::Sender<Opened>>>,
    last_id: AtomicU32,
}

type Opened = Result<OwnedFd, Refusal>;

impl Files {
    /// Nothing is open.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            budget: Budget::new(limits),
            buffers: Buffers::new(limits.static_piece_bytes),
            places: Gauge::new(limits.slot_requests),
            asked: Mutex::default(),
            last_id: AtomicU32::new(0),
        }
    }

    /// Init's answer.
    pub(crate) fn opened(&self, id: RequestId, result: Result<(), Refusal>, fds: Vec<OwnedFd>) {
        let folder = result.and_then(|()| {
            let missing = || Refusal::Failed("no descriptor came along".to_owned());
            fds.into_iter().next().ok_or_else(missing)
        });
        if let Some(asked) = self.lock().remove(&id) {
            // Who asked may have left.
            _ = asked.send(folder);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RequestId, oneshot::Sender<Opened>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, shared: &Shared, site: &Site) -> Opened {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        self.lock().insert(id, tell);
        let message = FromProxy::OpenFiles { id, slot: site.which.slot, release: site.release };
        let answer = async {
            shared.init.send(&message).await.map_err(|e| Refusal::Busy(e.to_string()))?;
            told.await.map_err(|e| Refusal::Busy(e.to_string()))?
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        self.lock().remove(&id);
        answer.unwrap_or_else(|_| Err(Refusal::Busy("init does not answer".to_owned())))
    }
}

/// A request for a file.
#[derive(Clone, Copy)]
struct Asked<'r> {
    client: &'r Client,
    head: &'r Parts,
    /// As many as its tenant may send.
    send_bytes_per_s: Option<NonZeroU64>,
}

/// The answer to a request; none when it is its program's to answer.
///
/// # Errors
/// The fault that the client is to be told.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    target: &Target,
    client: &Client,
    head: &Parts,
) -> Result<Option<Response<Body>>, Fault> {
    let Some(site) = &target.site else { return Ok(None) };
    // As its program would get it.
    let stripped = match (target.strip, head.uri.path_and_query()) {
        (true, Some(path)) => {
            Some(paths::stripped(path, target.domain.path()).map_err(|paths::Ambiguous| Fault::AmbiguousPath)?)
        }
        _ => None,
    };
    let path = stripped.as_ref().map_or(head.uri.path(), |path| path.path());
    let Some(below) = site.rule.below(path) else { return Ok(None) };
    let only = site.rule.only;
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return if only { Err(Fault::ReadOnly) } else { Ok(None) };
    }
    // A WebSocket is a program's.
    if head.headers.contains_key(UPGRADE) && !only {
        return Ok(None);
    }
    let known = match Place::of(below, site.rule.path.as_str() == "/") {
        Some(place) => look_up(shared, site, &place.file()).await?,
        None => Known::Nothing,
    };
    let asked = Asked { client, head, send_bytes_per_s: target.traffic.send_bytes_per_s };
    match known {
        Known::File(entry) => of_file(shared, site, &entry, asked).map(Some),
        Known::Folder => Ok(with_slash(head)),
        Known::Nothing if !only => Ok(None),
        Known::Nothing => match look_up(shared, site, NOT_FOUND_PAGE).await? {
            Known::File(entry) => not_found(shared, site, &entry, asked).map(Some),
            _ => Err(Fault::NoFile),
        },
    }
}

/// What there is by this name. Without a word to anybody where it is known.
async fn look_up(shared: &Arc<Shared>, site: &Arc<Site>, path: &str) -> Result<Known, Fault> {
    match site.known(path) {
        Some(known) => Ok(known),
        // Boxed, as it is large and seldom.
        None => Box::pin(find(shared, site, path)).await,
    }
}

async fn find(shared: &Arc<Shared>, site: &Arc<Site>, path: &str) -> Result<Known, Fault> {
    let _place = shared.files.places.enter(site.which.slot, 1).ok_or(Fault::Overloaded)?;
    let Some((site, folder)) = folder_of(shared, site).await? else { return Ok(Known::Nothing) };
    let budget = shared.files.budget.clone();
    let known = if Site::is_known_missing(&folder, path) {
        Known::Nothing
    } else {
        let (looks, wanted) = (site.clone(), path.to_owned());
        match tokio::task::spawn_blocking(move || looks.find(&folder, &wanted, &budget)).await {
            Ok(Ok(known)) => known,
            Ok(Err(e)) => return Err(failed(&site, path, &e)),
            Err(e) => return Err(failed(&site, path, &e)),
        }
    };
    if site.remember(path, &known, &shared.files.budget) {
        shared.routes.sites().forget_names();
    }
    Ok(known)
}

fn failed(site: &Site, path: &str, why: &dyn std::fmt::Display) -> Fault {
    log::line(format_args!("{}: the file {path:?}: {why}", site.tenant));
    Fault::Busy
}

/// The folder; none when there is no such folder in the release. During a deploy it may be the next release's, whose route is
/// on its way.
async fn folder_of(shared: &Arc<Shared>, site: &Arc<Site>) -> Result<Option<(Arc<Site>, Arc<OwnedFd>)>, Fault> {
    let mut site = site.clone();
    for _ in 0..TURNS {
        let opened = site.folder.get_or_try_init(async || match shared.files.ask(shared, &site).await {
            Ok(folder) => Ok(Some(Arc::new(folder))),
            Err(Refusal::Busy(why)) => Err(why),
            Err(refusal) => {
                log::line(format_args!("{}: no files of release {}: {refusal}", site.tenant, site.release.0));
                Ok(None)
            }
        });
        match opened.await {
            Ok(folder) => {
                let folder = folder.clone();
                return Ok(folder.map(|folder| (site, folder)));
            }
            Err(_) => tokio::time::sleep(TURN).await,
        }
        match shared.routes.sites().at(site.which) {
            Some(next) if next.tenant == site.tenant => site = next,
            _ => return Ok(None),
        }
    }
    Err(Fault::Busy)
}

fn of_file(shared: &Shared, site: &Site, entry: &Entry, asked: Asked<'_>) -> Result<Response<Body>, Fault> {
    let head = asked.head;
    let form = form_for(entry, head);
    let whole = (0, form.size);
    let (status, (from, to)) = match judge(head, form.state()) {
        Wanted::Whole => (StatusCode::OK, whole),
        Wanted::Part(from, to) => (StatusCode::PARTIAL_CONTENT, (from, to)),
        Wanted::NotModified => (StatusCode::NOT_MODIFIED, (0, 0)),
        Wanted::Failed => (StatusCode::PRECONDITION_FAILED, (0, 0)),
        Wanted::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, (0, 0)),
    };
    let mut response = Response::new(body(shared, site, form, (from, to), asked)?);
    *response.status_mut() = status;
    let fields = response.headers_mut();
    *fields = form.fields.clone();
    let range = match status {
        StatusCode::PARTIAL_CONTENT => Some(format!("bytes {from}-{}/{}", to - 1, form.size)),
        StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{}", form.size)),
        _ => None,
    };
    if let Some(range) = range.and_then(|range| HeaderValue::try_from(range).ok()) {
        fields.insert(CONTENT_RANGE, range);
    }
    match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => _ = fields.insert(CONTENT_LENGTH, (to - from).into()),
        StatusCode::NOT_MODIFIED => _ = fields.remove(CONTENT_TYPE),
        // Of what is not sent nothing is said.
        _ => {
            fields.remove(hyper::header::CONTENT_ENCODING);
            fields.remove(CONTENT_TYPE);
        }
    }
    Ok(response)
}

fn form_for<'a>(entry: &'a Entry, head: &Parts) -> &'a Form {
    let there: [bool; CODINGS.len()] = std::array::from_fn(|at| entry.coded[at].is_some());
    choose(&head.headers, there).and_then(|at| entry.coded[at].as_ref()).unwrap_or(&entry.plain)
}

/// The tenant's own page.
fn not_found(shared: &Shared, site: &Site, entry: &Entry, asked: Asked<'_>) -> Result<Response<Body>, Fault> {
    let form = form_for(entry, asked.head);
    let mut response = Response::new(body(shared, site, form, (0, form.size), asked)?);
    *response.status_mut() = StatusCode::NOT_FOUND;
    let fields = response.headers_mut();
    *fields = form.fields.clone();
    for name in [hyper::header::ETAG, hyper::header::LAST_MODIFIED, ACCEPT_RANGES] {
        fields.remove(name);
    }
    fields.insert(CONTENT_LENGTH, form.size.into());
    Ok(response)
}

/// The bytes, counted as the tenant's.
fn body(
    shared: &Shared,
    site: &Site,
    form: &Form,
    (from, to): (u64, u64),
    asked: Asked<'_>,
) -> Result<Body, Fault> {
    shared.tally.request(site.which.slot);
    let Asked { client, head, send_bytes_per_s } = asked;
    if head.method == Method::HEAD || from == to {
        return Ok(page(Bytes::new()));
    }
    let meter = shared.tally.meter(site.which.slot, Way::Out);
    let throttle = shared.pace.throttle(site.which.slot, send_bytes_per_s);
    match &form.content {
        Content::Whole(bytes) => {
            let at = |n| usize::try_from(n).unwrap_or(bytes.len()).min(bytes.len());
            let part = bytes.slice(at(from)..at(to));
            meter.count(part.len());
            // Small, so that it does not wait for others; they wait for it.
            if let Some(throttle) = throttle {
                throttle.count(part.len());
            }
            Ok(page(part))
        }
        Content::File(file) => {
            let place = shared.files.places.enter(site.which.slot, 1).ok_or(Fault::Overloaded)?;
            let held = Held { _client: client.clone(), _place: place };
            let buffers = shared.files.buffers.clone();
            let body = FileBody::new(file.clone(), (from, to), buffers, (meter, throttle), held);
            Ok(Either::Left(Either::Right(Box::pin(body))))
        }
    }
}

/// To the same address with a slash behind it, where what is in the folder is found by relative addresses.
fn with_slash(head: &Parts) -> Option<Response<Body>> {
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::from_str(&format!("{}/{query}", head.uri.path())).ok()?;
    let mut response = Response::new(page(Bytes::new()));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, location);
    Some(response)
}
