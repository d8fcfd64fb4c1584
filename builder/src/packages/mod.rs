//! Debian and npm: resolving, verifying, fetching and unpacking packages. From [`Spec`](crate::Spec) to
//! [`Lock`](crate::Lock) and to files in the [`Store`](crate::Store); what a disk image is, is not known here.

pub mod archive;
mod error;
pub mod fetch;
mod index;
mod npm;
mod relation;
mod release;
mod resolve;
mod signature;
mod solve;

pub use archive::{ArchiveError, Entry, Kind, read_deb, read_npm};
pub use error::PackagesError;
pub use fetch::{FetchError, Fetcher, Mirrors};
pub use index::IndexError;
pub use npm::NpmError;
pub use release::ReleaseError;
pub use resolve::{Locked, fetch_locked, lock_command, resolve};
pub use signature::SignatureError;
pub use solve::SolveError;
