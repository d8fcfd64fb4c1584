//! What `kennel deploy` sends: a folder as a tar stream with the same bytes for the same content, or an archive as it is
//! (`source`). `plan` looks at the folder and refuses what a host would refuse anyway, before a byte is sent; `archive`
//! writes the stream, `changes` finds what of it a host does not have yet. Sending it is `client`'s work.

mod archive;
mod changes;
mod parcel;
mod plan;
mod pointers;
mod source;

use std::path::PathBuf;

use kennel_model::Limits;

use crate::exit::{Exit, Explain, FileError};

pub use archive::write_archive;
pub use changes::{Contents, Counts, Delta};
pub use parcel::Parcel;
pub use plan::Plan;
pub use pointers::pointers;
pub use source::Source;

/// Why a folder was not sent.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// No folder.
    #[error("{} is neither a folder nor a tar archive", .0.display())]
    NotAFolder(PathBuf),
    /// Nothing in it, or nothing that is not ignored.
    #[error("there is nothing to deploy in {}", .0.display())]
    Empty(PathBuf),
    /// A socket, a device, …
    #[error("{} cannot be deployed: it is {kind}", path.display())]
    Special {
        /// Which.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A link that points out of the folder.
    #[error("{} cannot be deployed: it is a link to {}, which is outside", path.display(), target.display())]
    LinkOutside {
        /// Which.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// More than a release of this tenant may hold.
    #[error("{} has {have}, and a release of this tenant may have {may}", folder.display())]
    TooMuch {
        /// Which folder.
        folder: PathBuf,
        /// What there is.
        have: String,
        /// What the limit is.
        may: String,
    },
    /// A file that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The ignore rules make no sense, or the walk failed.
    #[error("cannot look through the folder: {0}")]
    Walk(#[from] ignore::Error),
}

impl Explain for DeployError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotAFolder(_) => {
                Some("give the folder that holds the program, such as examples/node-hello".into())
            }
            Self::Special { .. } | Self::TooMuch { .. } => {
                Some("leave files out by naming them in a .kennelignore file".into())
            }
            Self::LinkOutside { .. } => {
                Some("copy the target into the folder, or name the link in a .kennelignore file".into())
            }
            Self::Empty(_) => Some("is everything named in .kennelignore or .gitignore?".into()),
            Self::File(_) | Self::Walk(_) => None,
        }
    }

    fn code(&self) -> String {
        "deploy".to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Checks a plan against a tenant's limits.
///
/// # Errors
/// [`DeployError::TooMuch`].
pub fn check_limits(plan: &Plan, limits: &Limits) -> Result<(), DeployError> {
    let too_much =
        |have: String, may: String| DeployError::TooMuch { folder: plan.folder().to_owned(), have, may };
    if plan.bytes() > limits.release_max_bytes {
        let size = |bytes| crate::args::ByteSize(bytes).to_string();
        return Err(too_much(size(plan.bytes()), size(limits.release_max_bytes)));
    }
    if plan.entries().len() as u64 > u64::from(limits.release_max_entries) {
        let count = |n: usize| format!("{n} files and folders");
        return Err(too_much(count(plan.entries().len()), count(limits.release_max_entries as usize)));
    }
    Ok(())
}
