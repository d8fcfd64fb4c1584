//! A tenant's data on its way off the host: what `kennel-unpack save` says before the archive begins. What comes back to the host is a
//! plain archive, and is answered by [`crate::msg::UnpackReport`].

use serde::{Deserialize, Serialize};

/// The media type of the archive, both ways.
pub const ARCHIVE: &str = "application/x-tar";
/// Longest first line, its end included.
pub const MAX_SAVE_LINE_BYTES: usize = 4096;

/// One line of JSON. After [`SaveReport::Saved`] the archive follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaveReport {
    /// It is about to come.
    Saved {
        /// Its size, when it is known: what comes is a copy that was made before. Absent where there was no room for a copy, and
        /// the archive is made as it is sent; it has its end (two blocks of zeros) only if nothing changed meanwhile.
        archive_bytes: Option<u64>,
    },
    /// There is none.
    Refused {
        /// In words, for whoever asked.
        reason: String,
    },
}
