//! The way of a release, or of data, to its host: one thread reads and packs while the connection sends, a bar shows how far it is, and who
//! waits in vain is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Method;
use kennel_model::job::Job;
use kennel_model::{ReleaseId, api};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Body, BodySender, Client, ClientError};
use crate::deploy::Parcel;
use crate::exit::{Exit, Explain, Failure};
use crate::ui::{Bar, Narration};

/// Without a byte taken by the host.
const STALL: Duration = Duration::from_secs(60);
/// For the host to write everything to its disk after the last byte.
const SETTLE: Duration = Duration::from_secs(300);
/// For the thread that reads the files to notice that nobody listens any more.
const WRITER: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(100);

/// A file that could not be read while it was being sent, or a person who changed their mind.
#[derive(Debug, thiserror::Error)]
pub(super) enum Aborted {
    #[error("the upload was broken off: {0}")]
    Reading(std::io::Error),
    /// With the job that was made of it, if it got as far.
    #[error("the upload was cancelled")]
    Cancelled(Option<u64>),
}

impl Explain for Aborted {
    fn hint(&self) -> Option<String> {
        Some(match self {
            // What has come whole is carried out, whoever still waits.
            Self::Cancelled(Some(job)) => {
                format!("`kennel job follow {job}` tells what becomes of what has come")
            }
            _ => "nothing has changed on the host".to_owned(),
        })
    }

    fn code(&self) -> String {
        match self {
            Self::Reading(_) => "deploy",
            Self::Cancelled(_) => "cancelled",
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Why a release did not get there.
pub(super) enum Unsent {
    /// The host does not have what this builds on as it was taken to be.
    Unfit(ReleaseId, String),
    /// Anything else.
    Failed(Failure),
}

/// Sends it to where releases are sent to.
pub(super) async fn send(
    client: &mut Client,
    path: &str,
    parcel: Parcel,
    bar: &Bar,
) -> Result<api::Deployed, Unsent> {
    let (onto, media_type) = (parcel.onto(), parcel.media_type());
    let write = move |out| parcel.write(out);
    let sent =
        send_stream(client, (Method::POST, path, media_type), write, (bar, "the host unpacks and tries it"));
    sent.await.map_err(|broken| match (broken, onto) {
        (Broken::Host(ClientError::Refused { problem, .. }), Some(onto))
            if matches!(problem.code.as_str(), "basis-differs" | "no-such-release") =>
        {
            Unsent::Unfit(onto, problem.message)
        }
        (broken, _) => Unsent::Failed(broken.into()),
    })
}

/// Whose end it was that broke off.
pub(super) enum Broken {
    /// The host's, or what is between.
    Host(ClientError),
    /// Our own.
    Own(Aborted),
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Host(cause) => cause.into(),
            Broken::Own(cause) => cause.into(),
        }
    }
}

/// Sends what is written, with these words beside the bar when the host has all of it.
pub(super) async fn send_stream<T: DeserializeOwned>(
    client: &mut Client,
    (method, path, media_type): (Method, &str, &'static str),
    write: impl FnOnce(BodySender) -> std::io::Result<BodySender> + Send + 'static,
    (bar, settling): (&Bar, &str),
) -> Result<T, Broken> {
    let sent = Arc::new(AtomicU64::new(0));
    let (sender, body) = Body::stream(Arc::clone(&sent));
    // On a thread of its own: reads the files and writes the stream.
    let writer = tokio::task::spawn_blocking(move || write(sender)?.finish());
    let (heard, mut told) = (AtomicU64::new(0), Narration::default());
    let news = |job: &Job| {
        heard.fetch_add(1, Ordering::Relaxed);
        bar.tell(job, &mut told);
    };
    let patience = headway((&sent, &heard), (bar, settling));
    match client.upload((method, path, media_type), body, news, patience).await {
        Ok(done) => Ok(done),
        // When our own end broke off, that is the cause, and not what the connection made of it.
        Err(e @ (ClientError::Broken { .. } | ClientError::Late { .. })) => {
            match timeout(WRITER, writer).await {
                Ok(Ok(Err(cause))) if cause.kind() != std::io::ErrorKind::BrokenPipe => {
                    Err(Broken::Own(Aborted::Reading(cause)))
                }
                _ => Err(Broken::Host(e)),
            }
        }
        Err(e) => Err(Broken::Host(e)),
    }
}

/// Moves the bar; returns when for too long nothing was taken by the host, nor heard from it once it has everything.
async fn headway((sent, heard): (&AtomicU64, &AtomicU64), (bar, settling): (&Bar, &str)) {
    let mut last = ((0, 0), Instant::now());
    loop {
        sleep(TICK).await;
        let now = sent.load(Ordering::Relaxed);
        let news = if bar.is_full(now) { heard.load(Ordering::Relaxed) } else { 0 };
        if (now, news) != last.0 {
            last = ((now, news), Instant::now());
            bar.set(now);
        }
        let whole = now > 0 && bar.is_full(now);
        if whole {
            bar.turn(settling);
        }
        if last.1.elapsed() > if whole { SETTLE } else { STALL } {
            return;
        }
    }
}
