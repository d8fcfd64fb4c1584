//! Why an upload was refused, in words for the developer who deployed it.

use std::io;

use crate::{MAX_DEPTH, MAX_EXTENSION_BYTES, MAX_NAME_BYTES, MAX_PATH_BYTES};

/// An archive that was not unpacked, or a folder that was not emptied.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// One entry is not allowed.
    #[error("{entry:?} {fault}")]
    Entry {
        /// Its path as the archive gives it, cut to a readable length.
        entry: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The stream ended before the two closing blocks.
    #[error("the upload ended early: the archive is cut off after {0} bytes")]
    Truncated(u64),
    /// Not a tar stream, or a broken one.
    #[error("the archive is damaged at byte {at}: {what}")]
    Malformed {
        /// Offset of the header or extension.
        at: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// Something follows the closing blocks.
    #[error("the archive goes on after its end mark")]
    TrailingData,
    /// Over [`crate::Bounds::entries`].
    #[error("it has more than {0} files and folders")]
    TooManyEntries(u32),
    /// Over [`crate::Bounds::bytes`].
    #[error("what is in it is larger than {0} bytes")]
    TooManyBytes(u64),
    /// Over [`crate::MAX_LINK_NAMES_BYTES`].
    #[error("it has too many symbolic links")]
    TooManyLinks,
    /// The release that was asked for is there already.
    #[error("release {0} exists already")]
    ReleaseExists(u32),
    /// What came says what has changed since an earlier release, and does not fit that one as it is.
    #[error("what was sent does not fit release {basis}: {why}")]
    Basis {
        /// The earlier release.
        basis: u32,
        /// What does not fit.
        why: String,
    },
    /// What came before the archive is not what it should be.
    #[error("what is said before the archive makes no sense: {0}")]
    Changes(String),
    /// The tenant's project quota is used up, in bytes or in files: which of them, the kernel does not say.
    #[error(
        "cannot {0}: the tenant's disk limit is reached, in bytes or in number of files; releases, data and log count \
         together; hint: remove old releases or data, or have the limit raised"
    )]
    DiskLimit(String),
    /// A tenant's data, which never was the same before and after it was read.
    #[error("its data changed while it was read, {0} times out of {0}")]
    Unsettled(u32),
    /// A system call failed; `what` names the act and the thing.
    #[error("cannot {what}: {source}")]
    Io {
        /// The act and the thing.
        what: String,
        /// The cause.
        source: io::Error,
    },
}

/// What is wrong with one entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // Each message says what its variant means.
pub enum Fault {
    #[error("has an empty name")]
    EmptyName,
    #[error("has a name that is not UTF-8")]
    NotUtf8,
    #[error("has a NUL byte in its name")]
    Nul,
    #[error("is an absolute path; paths are relative")]
    Absolute,
    #[error("has '..' in its path")]
    DotDot,
    #[error("has a path longer than {MAX_PATH_BYTES} bytes")]
    LongPath,
    #[error("has a name longer than {MAX_NAME_BYTES} bytes")]
    LongName,
    #[error("is nested deeper than {MAX_DEPTH} folders")]
    TooDeep,
    #[error("is a device; files, folders and links are taken")]
    Device,
    #[error("is a fifo; files, folders and links are taken")]
    Fifo,
    #[error("is a sparse file; write the archive without --sparse")]
    Sparse,
    #[error("is of tar type {0:?}; files, folders and links are taken")]
    Type(char),
    #[error("has the setuid or setgid bit")]
    SetId,
    #[error("occurs twice")]
    Duplicate,
    #[error("lies below a file or a symbolic link")]
    BelowNonFolder,
    #[error("has a link target that is empty, too long, not UTF-8 or holds a NUL byte")]
    BadTarget,
    #[error("is a symbolic link that leaves the release: {0:?}")]
    LinkLeaves(String),
    #[error("is a hard link to {0:?}, which is not a file that came before it")]
    HardLink(String),
    #[error("has an extension header of more than {MAX_EXTENSION_BYTES} bytes")]
    LongExtension,
    #[error("has a size in its pax header that differs from its header's")]
    SizeMismatch,
    #[error("is a link or folder with content")]
    UnexpectedContent,
}

impl UnpackError {
    pub(crate) fn entry(name: impl AsRef<[u8]>, fault: Fault) -> Self {
        let entry = String::from_utf8_lossy(name.as_ref()).chars().take(200).collect();
        Self::Entry { entry, fault }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Self {
        let what = what.into();
        move |errno| Self::system(what, errno.into())
    }

    /// A failed system call; a used-up quota in words of its own.
    pub(crate) fn system(what: String, source: io::Error) -> Self {
        match rustix::io::Errno::from_io_error(&source) {
            Some(rustix::io::Errno::DQUOT) => Self::DiskLimit(what),
            _ => Self::Io { what, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn a_full_quota_is_told_from_a_full_disk() {
        let error = |errno| UnpackError::io("write \"a\"")(errno).to_string();
        assert!(error(Errno::DQUOT).contains("disk limit is reached"), "{}", error(Errno::DQUOT));
        assert!(error(Errno::NOSPC).contains("No space left"), "{}", error(Errno::NOSPC));
    }
}
