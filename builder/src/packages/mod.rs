//! Debian and npm: resolving, verifying, fetching and unpacking packages.

pub mod archive;

pub use archive::{ArchiveError, Entry, Kind, read_deb, read_npm};
