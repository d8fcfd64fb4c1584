//! Debian and npm: resolving, verifying, fetching and unpacking packages.

pub mod archive;
pub mod fetch;
mod release;
mod signature;

pub use archive::{ArchiveError, Entry, Kind, read_deb, read_npm};
pub use fetch::{FetchError, Fetcher, Mirrors};
pub use release::ReleaseError;
pub use signature::SignatureError;
