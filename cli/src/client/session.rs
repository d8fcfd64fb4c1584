//! The session on disk: a token that saves signing in for every command. Only its owner may read it, and it is worth
//! nothing at another host. And what is shown instead of it: a token that somebody has made.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kennel_model::account::Whoami;
use kennel_model::token::Secret;
use kennel_model::{HostName, api};
use serde::{Deserialize, Serialize};

use super::{Client, ClientError};
use crate::exit::FileError;
use crate::hosts::KnownHost;
use crate::paths::{Paths, write_private};
use crate::pin::Fingerprint;

/// A token about to end is as good as none.
const SPARE: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    token: String,
    ends_at_s: u64,
    fingerprint: Fingerprint,
}

impl Client {
    /// One that shows a token, to the host that it is for and no other.
    ///
    /// # Errors
    /// [`ClientError::TokenOfAnother`].
    pub fn with_token(
        name: HostName,
        host: KnownHost,
        paths: Paths,
        token: &Secret,
    ) -> Result<Self, ClientError> {
        if *host.fingerprint.bytes() != token.certificate() {
            return Err(ClientError::TokenOfAnother { host: name });
        }
        Ok(Self { secret: Some(token.expose().to_owned()), ..Self::new(name, host, paths, None) })
    }

    /// Who one is there, signed in anew.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn whoami(&mut self) -> Result<Whoami, ClientError> {
        self.token(true).await?;
        self.get("/v1/session").await
    }
}

/// The token, unless it has ended or is another host's. A file that makes no sense counts as none: signing in again
/// costs little.
pub(super) fn load(path: &Path, fingerprint: &Fingerprint) -> Option<String> {
    let saved: Saved = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let good = saved.fingerprint == *fingerprint && saved.ends_at_s > now_s() + SPARE.as_secs();
    good.then_some(saved.token)
}

/// Keeps the token for the next command.
pub(super) fn save(path: &Path, fingerprint: &Fingerprint, session: &api::Session) -> Result<(), FileError> {
    let saved = Saved {
        token: session.token.clone(),
        ends_at_s: now_s() + u64::from(session.expires_in_s),
        fingerprint: *fingerprint,
    };
    let bytes = serde_json::to_vec(&saved).map_err(|e| FileError::at("write", path)(e.into()))?;
    write_private(path, &bytes)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_until_it_ends_and_only_for_its_host() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.json");
        let (here, there) = (Fingerprint::of_certificate(b"1"), Fingerprint::of_certificate(b"2"));
        assert_eq!(load(&path, &here), None);
        save(&path, &here, &api::Session { token: "t".into(), expires_in_s: 600 }).unwrap();
        assert_eq!(load(&path, &here).as_deref(), Some("t"));
        assert_eq!(load(&path, &there), None);
        save(&path, &here, &api::Session { token: "t".into(), expires_in_s: 5 }).unwrap();
        assert_eq!(load(&path, &here), None);
    }
}
