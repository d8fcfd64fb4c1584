//! What can go wrong between the command and a host, and what the person can do about each.

use hyper::StatusCode;
use kennel_model::{HostName, api};

use crate::exit::{Exit, Explain, FileError};
use crate::hosts::ApiUrl;
use crate::keys::KeyError;
use crate::pin::Fingerprint;

/// Why a host did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody there.
    #[error("host {host} does not answer at {url}: {cause}")]
    Unreachable {
        /// Its name here.
        host: HostName,
        /// Its address.
        url: ApiUrl,
        /// What the system said.
        cause: String,
    },
    /// Somebody else, or the same host with a new data volume.
    #[error("host {host} shows the certificate {shown}, but {expected} is expected")]
    WrongCertificate {
        /// Its name here.
        host: HostName,
        /// What it showed.
        shown: Fingerprint,
        /// What is pinned.
        expected: Fingerprint,
    },
    /// The connection broke.
    #[error("the connection to host {host} broke: {cause}")]
    Broken {
        /// Its name here.
        host: HostName,
        /// What the library said.
        cause: BrokenCause,
    },
    /// A deadline passed.
    #[error("gave up on host {host}: {what}")]
    Late {
        /// Its name here.
        host: HostName,
        /// What was waited for.
        what: &'static str,
    },
    /// An answer that is not what the API promises.
    #[error("host {host} answered with something that makes no sense: {cause}")]
    Malformed {
        /// Its name here.
        host: HostName,
        /// Where it stops making sense.
        cause: String,
    },
    /// It would be shown to somebody else.
    #[error("KENNEL_TOKEN is for another host than {host}")]
    TokenOfAnother {
        /// Its name here.
        host: HostName,
    },
    /// None of the keys is known there.
    #[error("host {host} does not admit any of these keys: {tried}")]
    NotAdmitted {
        /// Its name here.
        host: HostName,
        /// The keys.
        tried: String,
    },
    /// The host was asked and said no.
    #[error("{}", problem.message)]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// Its words.
        problem: api::Problem,
    },
    /// Signing failed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The session could not be kept.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An error of the HTTP library with its causes in one line.
#[derive(Debug)]
pub struct BrokenCause(hyper::Error);

impl From<hyper::Error> for BrokenCause {
    fn from(error: hyper::Error) -> Self {
        Self(error)
    }
}

impl std::fmt::Display for BrokenCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = std::error::Error::source(&self.0);
        while let Some(e) = cause {
            write!(f, ": {e}")?;
            cause = e.source();
        }
        Ok(())
    }
}

impl Explain for ClientError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { host, .. } => Some(match host.as_str() {
                "local" => "is it running? `kennel run --detach` starts it".into(),
                name => format!(
                    "is it running? `kennel run --detach --name {name}` starts one on this computer; --host chooses another"
                ),
            }),
            Self::WrongCertificate { host, .. } => Some(format!(
                "compare with the fingerprint on its console; if the host was made anew: kennel host rm {host}, then kennel host add"
            )),
            Self::Late { .. } | Self::Broken { .. } => {
                Some("`kennel host status` shows how it is doing; try again".into())
            }
            Self::NotAdmitted { .. } => Some(
                "name another key with --identity, or have an operator let this one in: kennel account add"
                    .into(),
            ),
            Self::TokenOfAnother { .. } => Some(
                "it names the certificate of its host, which is not this one's: choose that one with --host"
                    .into(),
            ),
            Self::Refused { problem, .. } => problem.hint.clone(),
            Self::Malformed { .. } => Some("do `kennel --version` and the image's version differ?".into()),
            Self::Key(e) => e.hint(),
            Self::File(e) => e.hint(),
        }
    }

    fn code(&self) -> String {
        match self {
            Self::Unreachable { .. } => "unreachable".into(),
            Self::WrongCertificate { .. } => "wrong-certificate".into(),
            Self::Broken { .. } => "connection".into(),
            Self::Late { .. } => "timeout".into(),
            Self::Malformed { .. } => "malformed-answer".into(),
            Self::NotAdmitted { .. } => "not-admitted".into(),
            Self::TokenOfAnother { .. } => "wrong-host".into(),
            Self::Refused { problem, .. } => problem.code.clone(),
            Self::Key(e) => e.code(),
            Self::File(e) => e.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotAdmitted { .. } => Exit::Refused,
            Self::Refused { status, .. } if status.is_client_error() => Exit::Refused,
            _ => Exit::Failed,
        }
    }
}
