//! Unpacks one release of one slot from an untrusted tar stream, removes what was unpacked, and packs and unpacks its data. Runs as the
//! slot's user in the slot's install domain and assumes nothing else about its surroundings: every path is
//! walked from an open folder without following links, and everything that the stream can make grow is bounded.
//! Who may upload, and what becomes of the report, is control's business; starting this program is init's.

mod archive;
mod build;
mod changes;
mod error;
mod found;
mod listing;
mod name;
mod pax;
mod release;
mod remove;
mod restore;
mod save;
mod stall;
mod tree;
mod walk;

pub use archive::{Archive, Entry, Kind};
pub use build::{begin_build, end_build, remove};
pub use error::{Fault, UnpackError};
pub use listing::list_release;
pub use name::EntryName;
pub use release::{Unpacked, unpack_changes, unpack_release};
pub use remove::{empty_folder, remove_release};
pub use restore::restore_data;
pub use save::{save_data, save_release};
pub use stall::StallGuard;

/// What one release may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files, folders and links together.
    pub entries: u32,
}

/// Longest path of an entry inside the release, in bytes. With the slot's own prefix it stays below `PATH_MAX`.
pub const MAX_PATH_BYTES: usize = 3072;
/// Longest name of one file or folder, in bytes: the file system's own limit.
pub const MAX_NAME_BYTES: usize = 255;
/// Deepest nesting of folders in a release.
pub const MAX_DEPTH: usize = 64;
/// Longest extension header (pax records, GNU long names), in bytes.
pub const MAX_EXTENSION_BYTES: u64 = 64 << 10;
/// Extension headers before one entry.
pub const MAX_EXTENSIONS_PER_ENTRY: u32 = 8;
/// Zero padding that may follow the two closing blocks: tar writers fill up their last record.
pub const MAX_PADDING_BYTES: u64 = 1 << 20;
/// Bytes of the names of all symbolic links together; they are kept until the end to be resolved.
pub const MAX_LINK_NAMES_BYTES: usize = 8 << 20;
