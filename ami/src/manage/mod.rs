//! Looks after what was published: copies, shares, checks and removes AMIs of ours. AMIs that this program did not make are
//! left alone, whatever the credentials allow.

mod copy;
mod gc;
mod verify;

pub use copy::copy;
pub use gc::{Leftover, leftovers, remove};
pub use verify::{Verdict, verify};

use crate::aws::{Ami, Aws, Fault};
use crate::exit::{Exit, Explain};
use crate::image::ImageError;
use crate::publish::PublishError;

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// A call to AWS.
    #[error(transparent)]
    Aws(#[from] Fault),
    /// The image to compare with.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A copy that is not ready.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// There is no such AMI.
    #[error("there is no {ami} in {region}")]
    Missing {
        /// The AMI.
        ami: String,
        /// Where it was looked for.
        region: String,
    },
    /// It is somebody else's, or made with something else.
    #[error("{0} was not made by kennel")]
    NotOurs(String),
    /// Its root volume has no snapshot that could be read.
    #[error("{0} has no snapshot for its root volume")]
    NoSnapshot(String),
    /// It is not the image.
    #[error("{ami} is not this image: {} blocks differ, the first is {}", .blocks.len(), .blocks.first().unwrap_or(&0))]
    Differs {
        /// The AMI.
        ami: String,
        /// The blocks.
        blocks: Vec<u32>,
    },
}

impl Explain for ManageError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Aws(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Publish(error) => error.hint(),
            Self::Missing { region, .. } => {
                Some(format!("`kennel ami ls --region {region}` lists what is there"))
            }
            Self::NotOurs(_) => Some("only AMIs that `kennel ami publish` made are touched".to_owned()),
            Self::NoSnapshot(_) => None,
            Self::Differs { .. } => {
                Some("do not launch it; is the file the version that was published?".to_owned())
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Aws(error) => error.code(),
            Self::Image(error) => error.code(),
            Self::Publish(error) => error.code(),
            Self::Missing { .. } => "no-such-ami",
            Self::NotOurs(_) => "not-ours",
            Self::NoSnapshot(_) => "no-snapshot",
            Self::Differs { .. } => "differs",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Aws(error) => error.exit(),
            Self::Image(error) => error.exit(),
            Self::Publish(error) => error.exit(),
            _ => Exit::Refused,
        }
    }
}

/// An AMI of ours.
///
/// # Errors
/// [`ManageError::Missing`], [`ManageError::NotOurs`], [`ManageError::Aws`].
pub async fn ours(aws: &Aws, id: &str) -> Result<Ami, ManageError> {
    let missing = || ManageError::Missing { ami: id.to_owned(), region: aws.region().to_owned() };
    let ami = aws.image(id).await?.ok_or_else(missing)?;
    if ami.is_ours() { Ok(ami) } else { Err(ManageError::NotOurs(ami.id)) }
}
