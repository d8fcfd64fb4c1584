//! Why a host was not launched, replaced or removed.

use std::time::Duration;

use kennel_known::hosts::HostsError;
use kennel_known::pin::Fingerprint;

use crate::aws::Fault;
use crate::exit::{Exit, Explain};
use crate::state::StateError;
use crate::time;

/// Why a host was not launched, replaced or removed.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// A call to AWS.
    #[error(transparent)]
    Aws(#[from] Fault),
    /// What is remembered here.
    #[error(transparent)]
    State(#[from] StateError),
    /// The book of hosts.
    #[error("the book of hosts: {0}")]
    Book(String),
    /// Something typed that cannot be used: what, and what to do.
    #[error("{what}")]
    Unusable {
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// What is there is not what was asked for: what, and what to do.
    #[error("{what}")]
    Conflict {
        /// What is there.
        what: String,
        /// What to do.
        hint: String,
    },
    /// There is no such host.
    #[error("there is no host {host} in {region}")]
    Missing {
        /// Its name.
        host: String,
        /// Where it was looked for.
        region: String,
    },
    /// An instance that will not run.
    #[error("{instance} is {state}: {reason}")]
    Gone {
        /// The instance.
        instance: String,
        /// Its state.
        state: String,
        /// Why.
        reason: String,
    },
    /// Something took too long.
    #[error("{what}, though {} were waited", time::show(*waited))]
    Late {
        /// What did not happen.
        what: String,
        /// For how long was waited.
        waited: Duration,
        /// What to do.
        hint: String,
    },
    /// The host came up, but not well.
    #[error("{host} does not come up: {cause}")]
    Boot {
        /// Its name.
        host: String,
        /// What its console says.
        cause: String,
        /// What to do.
        hint: String,
    },
    /// Another error, in the midst of something of which the person has to know more.
    #[error("{cause}")]
    Amidst {
        /// What went wrong.
        cause: Box<LaunchError>,
        /// What is left behind, or what can be done besides.
        more: String,
    },
    /// Somebody else answers.
    #[error("whoever answers at {url} shows the certificate {shown}, but {expected} is expected")]
    Stranger {
        /// Where.
        url: String,
        /// What was shown.
        shown: Fingerprint,
        /// What the console said, or what is known here.
        expected: Fingerprint,
    },
}

impl LaunchError {
    /// The same, with more for the person to know.
    pub(super) fn amidst(self, more: String) -> Self {
        Self::Amidst { cause: Box::new(self), more }
    }
}

impl From<HostsError> for LaunchError {
    fn from(error: HostsError) -> Self {
        Self::Book(error.to_string())
    }
}

impl Explain for LaunchError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Aws(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::Book(_) => Some("`kennel host ls` shows the book".to_owned()),
            Self::Unusable { hint, .. }
            | Self::Conflict { hint, .. }
            | Self::Late { hint, .. }
            | Self::Boot { hint, .. } => Some(hint.clone()),
            Self::Missing { host, region } => Some(format!(
                "`kennel hosts --region {region}` lists what is there; `kennel launch --name {host} --region {region}` \
                 makes it, with the data volume that may be left of it"
            )),
            Self::Amidst { cause, more } => {
                Some(cause.hint().map_or_else(|| more.clone(), |hint| format!("{hint}; {more}")))
            }
            Self::Gone { .. } => Some("the same command begins anew".to_owned()),
            Self::Stranger { .. } => {
                Some("do not speak to it; `kennel host console` shows what the host itself says".to_owned())
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Aws(error) => error.code(),
            Self::State(error) => error.code(),
            Self::Book(_) => "hosts-file",
            Self::Unusable { .. } => "usage",
            Self::Conflict { .. } => "conflict",
            Self::Missing { .. } => "no-such-host",
            Self::Gone { .. } => "instance-gone",
            Self::Late { .. } => "deadline",
            Self::Boot { .. } => "boot",
            Self::Amidst { cause, .. } => cause.code(),
            Self::Stranger { .. } => "wrong-certificate",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Aws(error) => error.exit(),
            Self::Amidst { cause, .. } => cause.exit(),
            Self::Unusable { .. } => Exit::Usage,
            Self::Conflict { .. } | Self::Missing { .. } | Self::Stranger { .. } => Exit::Refused,
            _ => Exit::Failed,
        }
    }
}
