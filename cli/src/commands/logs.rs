//! `kennel logs`: what a tenant's program printed, made harmless to the terminal.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use kennel_model::HostName;
use tokio::time::timeout;

use super::{Context, tenant_path};
use crate::args::Logs;
use crate::client::{BrokenCause, ClientError};
use crate::exit::Failure;
use crate::ui::SafeLines;

/// Without a byte, when not following.
const STALL: Duration = Duration::from_secs(60);

pub(super) async fn logs(context: &Context, args: &Logs) -> Result<(), Failure> {
    let mut client = context.client()?;
    // Its arguments see to it that there is one.
    let Some(name) = &args.name else { return Ok(()) };
    let path = format!("{}/logs?lines={}&follow={}", tenant_path(name), args.wanted(), args.follow);
    let body = client.stream(&path).await?;
    let host = client.name().clone();
    if args.follow { follow(context, &host, body).await } else { show(context, &host, body).await }
}

async fn show(context: &Context, host: &HostName, mut body: Incoming) -> Result<(), Failure> {
    let mut safe = SafeLines::new(context.ui.colours());
    let mut lines: Vec<String> = Vec::new();
    loop {
        let late = |_| ClientError::Late { host: host.clone(), what: "its answer stalled" };
        match timeout(STALL, next(host, &mut body)).await.map_err(late)?? {
            Some(bytes) => lines.extend(safe.push(&bytes)),
            None => break,
        }
    }
    lines.extend(safe.finish());
    let document = serde_json::json!({ "lines": lines });
    Ok(context.ui.result(&document, |_| lines.join("\n"))?)
}

/// Until Ctrl-C. There is no telling how long a program stays silent.
async fn follow(context: &Context, host: &HostName, mut body: Incoming) -> Result<(), Failure> {
    let mut safe = SafeLines::new(context.ui.colours());
    loop {
        let bytes = tokio::select! {
            bytes = next(host, &mut body) => bytes?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let lines = match &bytes {
            Some(bytes) => safe.push(bytes),
            None => safe.finish().into_iter().collect(),
        };
        for line in lines {
            let shown = if context.ui.json() { serde_json::json!({ "line": line }).to_string() } else { line };
            context.ui.raw(format!("{shown}\n").as_bytes())?;
        }
        if bytes.is_none() {
            return Ok(());
        }
    }
}

async fn next(host: &HostName, body: &mut Incoming) -> Result<Option<hyper::body::Bytes>, ClientError> {
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|e| ClientError::Broken { host: host.clone(), cause: BrokenCause::from(e) })?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}
