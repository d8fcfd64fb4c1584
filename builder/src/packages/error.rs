//! Everything that can go wrong between a spec and a full store, with one way to ask for the hint.

use super::{FetchError, IndexError, NpmError, ReleaseError, SignatureError, SolveError};
use crate::lock::LockError;
use crate::spec::SpecError;
use crate::store::StoreError;

/// Why locking or fetching failed.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// `kennel.toml`.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// `kennel.lock`.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The cache.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A download.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// An index that nobody trusted signed.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// An index that is of no use.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// A package list that is malformed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Dependencies that cannot be satisfied.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// The npm registry.
    #[error(transparent)]
    Npm(#[from] NpmError),
}

impl PackagesError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let fixed = match self {
            Self::Spec(error) => return error.hint(),
            Self::Solve(error) => return Some(error.hint()),
            Self::Lock(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Fetch(error) => error.hint(),
            Self::Signature(error) => Some(error.hint()),
            Self::Release(error) => Some(error.hint()),
            Self::Index(_) => Some("try another mirror"),
            Self::Npm(error) => error.hint(),
        };
        fixed.map(str::to_owned)
    }
}
