//! What other parts' errors are here.

use kennel_model::egress::{BadDestination, InvalidEgress};
use kennel_model::launch::InvalidLaunch;

use super::Error;

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Self {
        // Nothing is read-only but what stands in for a registry that is broken.
        match cause.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ReadOnly) => Self::Failsafe,
            _ => Self::Registry(cause),
        }
    }
}

impl From<InvalidLaunch> for Error {
    fn from(cause: InvalidLaunch) -> Self {
        Self::InvalidTenant(cause.to_string())
    }
}

impl From<BadDestination> for Error {
    fn from(cause: BadDestination) -> Self {
        Self::InvalidRule(cause.to_string(), Some(cause.hint()))
    }
}

impl From<InvalidEgress> for Error {
    fn from(cause: InvalidEgress) -> Self {
        Self::InvalidRule(cause.to_string(), cause.hint())
    }
}

impl From<tokio::task::JoinError> for Error {
    fn from(cause: tokio::task::JoinError) -> Self {
        Self::Internal(cause.to_string())
    }
}
