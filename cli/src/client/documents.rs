//! A stream of JSON documents, one a line, as they arrive.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use kennel_model::HostName;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{BrokenCause, ClientError};

/// No document is longer.
const MAX_DOCUMENT_BYTES: usize = 256 << 10;

/// The documents of one answer.
#[derive(Debug)]
pub struct Documents {
    host: HostName,
    body: Incoming,
    /// What has arrived and is no whole line yet.
    rest: Vec<u8>,
}

impl Documents {
    /// Takes over an answer's body.
    pub const fn new(host: HostName, body: Incoming) -> Self {
        Self { host, body, rest: Vec::new() }
    }

    /// The next document, within this time if one is given; nothing at the end.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn next<T: DeserializeOwned>(
        &mut self,
        patience: Option<Duration>,
    ) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|e| self.malformed(&e));
            }
            if self.rest.len() > MAX_DOCUMENT_BYTES {
                return Err(self.malformed(&"a line of the answer is too long"));
            }
            let frame = match patience {
                Some(patience) => timeout(patience, self.body.frame())
                    .await
                    .map_err(|_| ClientError::Late { host: self.host.clone(), what: "its answer stalled" })?,
                None => self.body.frame().await,
            };
            match frame {
                Some(Ok(frame)) => self.rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Some(Err(e)) => {
                    return Err(ClientError::Broken { host: self.host.clone(), cause: BrokenCause::from(e) });
                }
                None if self.rest.is_empty() => return Ok(None),
                None => return Err(self.malformed(&"the answer ends within a line")),
            }
        }
    }

    fn malformed(&self, cause: &dyn std::fmt::Display) -> ClientError {
        ClientError::Malformed { host: self.host.clone(), cause: cause.to_string() }
    }
}
