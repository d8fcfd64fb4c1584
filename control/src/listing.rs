//! What a release holds, told to whoever may deploy the next: `kennel-unpack` reads it in its slot, and what it says is passed on
//! without a look at it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kennel_model::listing::MAX_LISTING_BYTES;
use kennel_model::msg::ControlRequest;
use kennel_model::{ReleaseId, TenantName};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::control::{Claim, Control};
use crate::deploy::files_of;
use crate::error::{Error, Result};
use crate::http::Streamed;

/// Passed on at a time.
const BLOCK: usize = 32 << 10;

impl Control {
    /// The listing of a release that is kept, piece by piece. Nothing else is done with the tenant's releases meanwhile.
    ///
    /// # Errors
    /// [`Error::NoSuchRelease`], [`Error::Busy`] and others.
    pub(crate) async fn list_release(self: Arc<Self>, name: &TenantName, id: ReleaseId) -> Result<Streamed> {
        let claim = self.claim(name, "a look at its files")?;
        let row = self.ready(name).await?;
        let files = files_of(&row, id)?;
        let given = self.begin(ControlRequest::ListRelease(row.slot, files)).await?;
        let [listing] =
            given.try_into().map_err(|_| Error::Internal("init sent no pipe for the listing".into()))?;
        let listing = pipe::Receiver::from_owned_fd(listing).map_err(|e| Error::Io("the listing's pipe", e))?;
        let (sink, body) = Streamed::channel();
        let bounds = &self.config.http;
        let most = MAX_LISTING_BYTES as u64;
        tokio::spawn(pass_on(listing, sink, (bounds.unpack, bounds.upload_idle), most, claim));
        Ok(body)
    }
}

/// Passes on what `kennel-unpack` says until it has said all, or so much, or one of the two sides takes too long. A piece waits until
/// there is another or the end: whoever knows the length takes the last of it for the end, and acts on the tenant at once.
pub(crate) async fn pass_on(
    mut said: impl AsyncRead + Unpin,
    sink: mpsc::Sender<io::Result<Bytes>>,
    (silence, idle): (Duration, Duration),
    most: u64,
    claim: Claim,
) {
    let mut told = 0;
    let mut held: Option<Bytes> = None;
    let end = loop {
        let mut block = vec![0; BLOCK];
        let read = timeout(silence, said.read(&mut block)).await;
        let piece = match read.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(0) => break Ok(()),
            Ok(n) if told + n as u64 > most => break Err(io::Error::other("there is more than there can be")),
            Ok(n) => {
                told += n as u64;
                block.truncate(n);
                Bytes::from(block)
            }
            Err(cause) => break Err(cause),
        };
        if let Some(before) = held.replace(piece)
            && !matches!(timeout(idle, sink.send(Ok(before))).await, Ok(Ok(())))
        {
            return;
        }
    };
    drop(claim);
    for piece in held.map(Ok).into_iter().chain(end.err().map(Err)) {
        if !matches!(timeout(idle, sink.send(piece)).await, Ok(Ok(()))) {
            return;
        }
    }
}
