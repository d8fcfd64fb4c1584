//! `kennel data`: all of a tenant's data, here or there.

use std::path::Path;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Incoming;
use kennel_model::TenantName;
use kennel_model::api::DataReplaced;
use kennel_model::data::ARCHIVE;
use tokio::time::timeout;

use super::upload::{Aborted, send_stream};
use super::{Context, tenant_path};
use crate::args::{ByteSize, DataCommand};
use crate::client::{BrokenCause, Client, ClientError};
use crate::data::{DataError, DataSource, Target};
use crate::exit::{Exit, Failure};
use crate::ui::Bar;

/// Without a byte of the archive.
const STALL: Duration = Duration::from_secs(60);

pub(super) async fn data(context: &Context, command: DataCommand) -> Result<(), Failure> {
    match command {
        DataCommand::Pull { name, to } => pull(context, &name, &to).await,
        DataCommand::Push { name, from, yes } => push(context, &name, &from, yes).await,
    }
}

async fn pull(context: &Context, name: &TenantName, to: &Path) -> Result<(), Failure> {
    let out = to == Path::new("-");
    if out && context.ui.json() {
        return Err(Failure::usage("the archive and --json cannot both be on standard output", "name a file"));
    }
    let mut target = Target::of(to)?;
    let mut client = context.client()?;
    let waiting = context.ui.spinner(&format!("copying the data of {name}"));
    let (bytes, body) = client.save(&format!("{}/data/save", tenant_path(name))).await?;
    drop(waiting);
    let bar = context.ui.bar(&format!("fetching the data of {name}"), bytes.unwrap_or_default());
    receive(&client, body, &bar, |piece| target.take(piece)).await?;
    let bytes = target.finish()?;
    drop(bar);
    if out {
        context.ui.note(&format!("the data of {name} is fetched: {}", ByteSize(bytes)));
        return Ok(());
    }
    let document = serde_json::json!({ "tenant": name, "to": to, "archive_bytes": bytes });
    Ok(context
        .ui
        .result(&document, |_| format!("the data of {name} is in {}: {}", to.display(), ByteSize(bytes)))?)
}

/// Passes an archive on as it comes.
pub(super) async fn receive(
    client: &Client,
    mut body: Incoming,
    bar: &Bar,
    mut take: impl FnMut(&[u8]) -> Result<(), DataError>,
) -> Result<(), Failure> {
    let mut come = 0;
    loop {
        let frame = timeout(STALL, body.frame())
            .await
            .map_err(|_| ClientError::Late { host: client.name().clone(), what: "the archive stalled" })?;
        let Some(frame) = frame else { return Ok(()) };
        let frame = frame
            .map_err(|e| ClientError::Broken { host: client.name().clone(), cause: BrokenCause::from(e) })?;
        if let Some(piece) = frame.data_ref() {
            take(piece)?;
            come += piece.len() as u64;
            bar.set(come);
        }
    }
}

async fn push(context: &Context, name: &TenantName, from: &Path, yes: bool) -> Result<(), Failure> {
    let (source, bytes) = DataSource::of(from)?;
    let question = format!("Replace all data of {name} by what is in {}?", from.display());
    // A script knows what it asked for; a person is asked once more.
    if !yes && context.ui.confirm(&question)? == Some(false) {
        return Err(Failure {
            code: "cancelled".to_owned(),
            message: format!("the data of {name} was not replaced"),
            hint: None,
            exit: Exit::Failed,
        });
    }
    let mut client = context.client()?;
    let bar = context.ui.bar(&format!("sending data, to {name}"), bytes);
    let path = format!("{}/data", tenant_path(name));
    let write = move |out| source.write(out);
    let sending =
        send_stream(&mut client, (Method::PUT, &path, ARCHIVE), write, (&bar, "the host puts it in place"));
    let replaced: DataReplaced = tokio::select! {
        replaced = sending => replaced?,
        _ = tokio::signal::ctrl_c() => return Err(Aborted::Cancelled(client.job()).into()),
    };
    drop(bar);
    Ok(context.ui.result(&replaced, |replaced| {
        let DataReplaced { bytes, entries } = replaced;
        format!("the data of {name} is replaced: {} in {entries} files and folders", ByteSize(*bytes))
    })?)
}
