//! The error of a file that could not be read or written.

use std::path::{Path, PathBuf};

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {}: {cause}", path.display())]
pub struct FileError {
    /// What was tried: "read", "write", "make the folder", …
    pub act: &'static str,
    /// Which file.
    pub path: PathBuf,
    /// What the system said.
    pub cause: std::io::Error,
}

impl FileError {
    /// For `map_err`: names the act and the file.
    pub fn at(act: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |cause| Self { act, path: path.to_owned(), cause }
    }
}
