//! Archives of data on this computer: where one comes from that is sent, and where one goes that is fetched. What is half there
//! is never under its name.

mod source;
mod target;

pub use source::DataSource;
pub use target::{Ending, Target};

use crate::exit::{Exit, Explain, FileError};

/// What is wrong with this end.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Something is there already.
    #[error("{0} is there already")]
    Exists(String),
    /// A folder where a file is to be.
    #[error("{0} is a folder, or would be one")]
    Folder(String),
    /// A folder that is not empty.
    #[error("the folder {0} is not empty")]
    NotEmpty(String),
    /// The archive broke off where it should have had its end.
    #[error("the archive has no end: the tenant's data changed while it was sent")]
    Changed,
    /// It cannot be unpacked.
    #[error("cannot unpack into {0}: {1}")]
    Unpack(String, std::io::Error),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Explain for DataError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Folder(_) => "name a file, or - for standard output".to_owned(),
            Self::Exists(_) | Self::NotEmpty(_) => "nothing is overwritten: choose another name".to_owned(),
            Self::Changed => {
                "try it again; there was no room on the host for a copy that does not change (`kennel limits NAME` shows \
                 the disk limit)"
                    .to_owned()
            }
            Self::Unpack(..) => "with a name that ends in .tar the archive stays as it is".to_owned(),
            Self::File(_) => return None,
        })
    }

    fn code(&self) -> String {
        match self {
            Self::Folder(_) | Self::Exists(_) | Self::NotEmpty(_) => "exists",
            Self::Changed => "data-changed",
            Self::Unpack(..) => "unpack",
            Self::File(_) => "file",
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Failed
    }
}
