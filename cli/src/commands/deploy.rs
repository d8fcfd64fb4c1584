//! `kennel deploy`: sends a folder as a tenant's new release. The old one serves until the host says that the new one
//! is complete, so that giving up at any time changes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kennel_model::api;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::{Context, tenant_path};
use crate::args::{ByteSize, Deploy};
use crate::client::{Body, Client, ClientError};
use crate::deploy::Source;
use crate::exit::{Exit, Explain, Failure};
use crate::ui::Bar;

/// Without a byte taken by the host.
const STALL: Duration = Duration::from_secs(60);
/// For the host to write everything to its disk after the last byte.
const SETTLE: Duration = Duration::from_secs(300);
/// For the thread that reads the files to notice that nobody listens any more.
const WRITER: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(100);

/// What `--json` prints.
#[derive(Serialize)]
struct Done<'a> {
    #[serde(flatten)]
    deployed: &'a api::Deployed,
    urls: Vec<String>,
}

/// A file that could not be read while it was being sent, or a person who changed their mind.
#[derive(Debug, thiserror::Error)]
enum Aborted {
    #[error("the upload was broken off: {0}")]
    Reading(std::io::Error),
    #[error("the upload was cancelled")]
    Cancelled,
}

impl Explain for Aborted {
    fn hint(&self) -> Option<String> {
        Some("nothing has changed on the host: the release before still serves".to_owned())
    }

    fn code(&self) -> String {
        match self {
            Self::Reading(_) => "deploy",
            Self::Cancelled => "cancelled",
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

pub(super) async fn deploy(context: &Context, args: &Deploy) -> Result<(), Failure> {
    let mut client = context.client()?;
    let source = Arc::new(Source::of(&args.source)?);
    // Tells early whether the tenant is there, what it may hold, and that the session is good.
    let tenant: api::Tenant = client.get(&tenant_path(&args.name)).await?;
    source.check(&tenant.limits)?;
    let label = format!("deploying {}, to {}", source.words(), args.name);
    let bar = context.ui.bar(&label, source.bytes());
    let deployed = tokio::select! {
        deployed = send(&mut client, &tenant, source, &bar) => deployed?,
        _ = tokio::signal::ctrl_c() => return Err(Aborted::Cancelled.into()),
    };
    drop(bar);
    let named = deployed.tenant.domains.iter().filter(|domain| !domain.is_wildcard());
    let urls = named.map(|domain| client.host().page_url(domain)).collect();
    Ok(context.ui.result(&Done { deployed: &deployed, urls }, words)?)
}

async fn send(
    client: &mut Client,
    tenant: &api::Tenant,
    source: Arc<Source>,
    bar: &Bar,
) -> Result<api::Deployed, Failure> {
    let sent = Arc::new(AtomicU64::new(0));
    let (sender, body) = Body::stream(Arc::clone(&sent));
    // On a thread of its own: reads the files and writes the stream.
    let writer = tokio::task::spawn_blocking(move || source.write(sender)?.finish());
    let path = format!("{}/releases", tenant_path(&tenant.name));
    let uploaded = client.upload(&path, body, headway(&sent, bar)).await;
    match uploaded {
        Ok(deployed) => Ok(deployed),
        // When our own end broke off, that is the cause, and not what the connection made of it.
        Err(e @ (ClientError::Broken { .. } | ClientError::Late { .. })) => match timeout(WRITER, writer).await
        {
            Ok(Ok(Err(cause))) if cause.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Aborted::Reading(cause).into())
            }
            _ => Err(e.into()),
        },
        Err(e) => Err(e.into()),
    }
}

/// Moves the bar; returns when the upload has made no headway for too long.
async fn headway(sent: &AtomicU64, bar: &Bar) {
    let mut last = (0, Instant::now());
    loop {
        sleep(TICK).await;
        let now = sent.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
            bar.set(now);
        }
        let whole = now > 0 && bar.is_full(now);
        if whole {
            bar.say("the host unpacks and checks it");
        }
        if last.1.elapsed() > if whole { SETTLE } else { STALL } {
            return;
        }
    }
}

fn words(done: &Done<'_>) -> String {
    let api::Deployed { release, tenant } = done.deployed;
    let mut text = format!("release {} of {} serves: {}\n", release.id, tenant.name, ByteSize(release.bytes));
    for url in &done.urls {
        text.push_str(&format!("  {url}\n"));
    }
    for domain in tenant.domains.iter().filter(|domain| domain.is_wildcard()) {
        text.push_str(&format!("  {domain}\n"));
    }
    if tenant.domains.is_empty() {
        text.push_str("  it has no domain yet, so nobody can reach it\n");
    }
    text
}
