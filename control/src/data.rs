//! A tenant's data goes out as one archive, to whoever may run commands with it, and so does a release; another archive takes the
//! data's place. `kennel-unpack` packs and unpacks in the slot; nothing of it is looked at here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use kennel_model::api::DataReplaced;
use kennel_model::data::{MAX_SAVE_LINE_BYTES, SaveReport};
use kennel_model::msg::ControlRequest;
use kennel_model::{ReleaseId, TenantName};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::control::{Claim, Control, QUICK, REMOVAL};
use crate::deploy::files_of;
use crate::error::{Error, Result};
use crate::http::Streamed;
use crate::jobs::step;
use crate::listing::pass_on;
use crate::upload;

/// An archive on its way.
pub(crate) struct Saved {
    /// Its size, where that is known before.
    pub(crate) bytes: Option<u64>,
    /// Itself.
    pub(crate) body: Streamed,
}

impl Control {
    /// All of a tenant's data as it is at one moment. Nothing is stopped for it; nothing else is done with the tenant's releases meanwhile.
    ///
    /// # Errors
    /// [`Error::NotSaved`] says why there is no archive; [`Error::Busy`] and others.
    pub(crate) async fn save_data(self: Arc<Self>, name: &TenantName) -> Result<Saved> {
        let claim = self.claim(name, "a copy of its data")?;
        let row = self.ready(name).await?;
        self.save(ControlRequest::SaveData(row.slot), claim).await
    }

    /// All files of a release that is kept.
    ///
    /// # Errors
    /// [`Error::NoSuchRelease`], [`Error::NotSaved`], [`Error::Busy`] and others.
    pub(crate) async fn save_release(self: Arc<Self>, name: &TenantName, id: ReleaseId) -> Result<Saved> {
        let claim = self.claim(name, "a copy of its files")?;
        let row = self.ready(name).await?;
        let files = files_of(&row, id)?;
        self.save(ControlRequest::SaveRelease(row.slot, files), claim).await
    }

    async fn save(&self, request: ControlRequest, claim: Claim) -> Result<Saved> {
        let given = self.begin(request).await?;
        let [archive] =
            given.try_into().map_err(|_| Error::Internal("init sent no pipe for the archive".into()))?;
        let archive = pipe::Receiver::from_owned_fd(archive).map_err(|e| Error::Io("the archive's pipe", e))?;
        let mut archive = BufReader::new(archive);
        let bounds = &self.config.http;
        let said = timeout(bounds.unpack, read_line(&mut archive)).await;
        let said = said.map_err(|_| Error::NotSaved(format!("that took over {:?}", bounds.unpack)))?;
        let bytes = match said.map_err(|e| Error::Io("what was said of the archive", e))? {
            SaveReport::Saved { archive_bytes } => archive_bytes,
            SaveReport::Refused { reason } => return Err(Error::NotSaved(reason)),
        };
        let (sink, body) = Streamed::channel();
        let most = bytes.unwrap_or(u64::MAX);
        tokio::spawn(pass_on(archive, sink, (bounds.unpack, bounds.upload_idle), most, claim));
        Ok(Saved { bytes, body })
    }

    /// What comes takes the place of all of a tenant's data. Its program and its tasks are ended before that, and whoever visits it
    /// meanwhile waits.
    ///
    /// # Errors
    /// [`Error::DataRefused`], [`Error::UploadBroken`] and others: then the data is what it was.
    pub(crate) async fn replace_data<B>(&self, name: &TenantName, body: &mut B) -> Result<DataReplaced>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let _claim = self.claim(name, "a change of its data")?;
        let row = self.ready(name).await?;
        let pipes = self.begin(ControlRequest::RestoreData(row.slot, row.limits)).await?;
        let received = step("receive and unpack the data", upload::receive(body, pipes, &self.config.http));
        let received = received.await.map_err(|error| match error {
            Error::UploadRefused(reason) => Error::DataRefused(reason),
            other => other,
        })?;
        let patience = Duration::from_millis(row.limits.stop_grace_ms.into()) + REMOVAL + QUICK;
        let taken = self.init.act(ControlRequest::TakeData(row.slot), patience);
        step("put it in the place of what there is", taken).await?;
        // Before the first deploy there is nothing to start.
        if row.current.is_some() {
            self.start_if_always_on(&row).await?;
        }
        Ok(DataReplaced { bytes: received.bytes, entries: received.entries })
    }
}

async fn read_line(archive: &mut (impl AsyncBufRead + Unpin)) -> io::Result<SaveReport> {
    let mut line = Vec::new();
    archive.take(MAX_SAVE_LINE_BYTES as u64).read_until(b'\n', &mut line).await?;
    if line.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "kennel-unpack ended without a word"));
    }
    Ok(serde_json::from_slice(&line)?)
}
