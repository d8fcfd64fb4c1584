//! Answers about jobs: which there are, how one goes on, and the live answer to a change whose client would rather see it happen.
//! Such a client says so in `Accept`, and is told of the job by events until the last one has what it would have been answered.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::header::ACCEPT;
use hyper::http::request::Parts;
use kennel_model::job::{ANSWER, Answered, EVENTS, JOB, Job, JobState};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::answers::{Answer, header, last_segment, number_of};
use super::body::{Streamed, json, problem, stream};
use super::paths::Endpoint;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::people::Who;
use crate::people::rights::sees;

/// Without news it is told again after so long, which finds out who has gone, and keeps who listens from giving up.
const QUIET: Duration = Duration::from_secs(15);

type Sink = mpsc::Sender<io::Result<Bytes>>;
/// Where a job is announced.
pub(super) type Announce = oneshot::Sender<News>;
/// News of one job.
type News = watch::Receiver<Job>;

/// Answers about those there are.
pub(super) fn of(control: &Control, endpoint: Endpoint, who: &Who, path: &str) -> Result<Answer> {
    let found = |path: &str| {
        let number = number_of(last_segment(path))?;
        let news = control.jobs.follow(number).filter(|news| is_theirs(who, &news.borrow()));
        news.ok_or(Error::UnknownJob(number))
    };
    match endpoint {
        Endpoint::Job => Ok(json(StatusCode::OK, &*found(path)?.borrow())),
        Endpoint::JobEvents => {
            let news = found(path.trim_end_matches("/events"))?;
            let (sink, body) = Streamed::channel();
            tokio::spawn(async move { tell(news, &sink).await });
            Ok(stream(StatusCode::OK, EVENTS, body.boxed_unsync()))
        }
        _ => {
            let mut jobs = control.jobs.list();
            jobs.retain(|job| is_theirs(who, job));
            Ok(json(StatusCode::OK, &jobs))
        }
    }
}

/// What concerns no tenant is the host's.
fn is_theirs(who: &Who, job: &Job) -> bool {
    job.tenant.as_ref().map_or(who.tenants.is_none(), |tenant| sees(who, tenant.as_str()))
}

/// Where a job is to be announced, if its client wants to see it; the other end is where the server waits for that.
pub(super) fn live(head: &Parts) -> Option<(Announce, oneshot::Receiver<News>)> {
    let accepts = header(&head.headers, ACCEPT)?;
    let mut types = accepts.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
    types.any(|media_type| media_type.eq_ignore_ascii_case(EVENTS)).then(oneshot::channel)
}

/// The answer as it comes: events, once there is a job; as it is, if it was refused before.
pub(super) async fn as_it_comes(begun: oneshot::Receiver<News>, answering: JoinHandle<Answer>) -> Answer {
    match begun.await {
        Ok(news) => {
            let (sink, body) = Streamed::channel();
            tokio::spawn(tell_to_its_answer(news, answering, sink));
            stream(StatusCode::OK, EVENTS, body.boxed_unsync())
        }
        Err(_) => whole(answering).await,
    }
}

/// The answer of a task that carries a change out.
pub(super) async fn whole(answering: JoinHandle<Answer>) -> Answer {
    answering.await.unwrap_or_else(|cause| problem(&cause.into()))
}

async fn tell_to_its_answer(news: News, answering: JoinHandle<Answer>, sink: Sink) {
    if !tell(news, &sink).await {
        return;
    }
    let (head, body) = whole(answering).await.into_parts();
    let Ok(body) = body.collect().await else { return };
    let body = serde_json::from_slice::<Value>(&body.to_bytes()).ok();
    let _ = sink.send(Ok(event(ANSWER, &Answered { status: head.status.as_u16(), body }))).await;
}

/// Tells how it goes on until it has ended; whether somebody listened all the while.
async fn tell(mut news: News, sink: &Sink) -> bool {
    loop {
        let job = news.borrow_and_update().clone();
        if sink.send(Ok(event(JOB, &job))).await.is_err() {
            return false;
        }
        if job.state != JobState::Running {
            return true;
        }
        // Whether it is news or not.
        let _ = timeout(QUIET, news.changed()).await;
    }
}

/// JSON has no line breaks of its own, so it is one line of data.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}
