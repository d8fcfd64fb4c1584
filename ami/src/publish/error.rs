//! Why an image was not published.

use std::path::PathBuf;

use crate::aws::Fault;
use crate::exit::{Exit, Explain};
use crate::image::ImageError;
use crate::state::StateError;

/// Why an image was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A call to AWS.
    #[error(transparent)]
    Aws(#[from] Fault),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// What is remembered here.
    #[error(transparent)]
    State(#[from] StateError),
    /// AWS gave a snapshot up.
    #[error("AWS could not finish snapshot {0}")]
    SnapshotFailed(String),
    /// AWS gave an AMI up.
    #[error("{ami} is {state}: {reason}")]
    ImageFailed {
        /// The AMI.
        ami: String,
        /// Its state.
        state: String,
        /// Why.
        reason: String,
    },
    /// AWS was not done in time.
    #[error("{0} was not ready before the deadline")]
    NotReady(String),
    /// There is an AMI of this name that is not of this image.
    #[error("there is an AMI named {0} already, and it is not this image")]
    NameTaken(String),
    /// The Secure Boot keys cannot be used.
    #[error("{}: {why}", path.display())]
    UefiData {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Instances with Secure Boot keys would not start the image.
    #[error("the image is not signed, and instances with Secure Boot keys would not start it")]
    Unsigned,
    /// The image is published with other Secure Boot keys, or with none, or ours has none.
    #[error("{0} is this image, but it was registered with other Secure Boot keys")]
    OtherKeys(String),
    /// The image is published but may not be launched.
    #[error("{0} is this image, but it was disabled")]
    Disabled(String),
}

impl Explain for PublishError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Aws(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::SnapshotFailed(_) => Some(
                "run the same command again: it begins anew; `kennel ami gc` removes the snapshot".to_owned(),
            ),
            Self::ImageFailed { ami, .. } => Some(format!("`kennel ami rm {ami}`, then publish again")),
            Self::NotReady(_) => Some("the same command goes on where this one stopped".to_owned()),
            Self::NameTaken(_) => Some("remove or rename that AMI in the console".to_owned()),
            Self::UefiData { .. } => Some("`kennel keys uefi-data KEYS` prints it".to_owned()),
            Self::Unsigned => Some("build it with `kennel build --secure-boot KEYS`".to_owned()),
            Self::OtherKeys(ami) => Some(format!(
                "repeat --uefi-data as it was the first time, or `kennel ami rm {ami}` and publish again"
            )),
            Self::Disabled(ami) => {
                Some(format!("`kennel ami rm {ami}` and publish again, or enable it in the console"))
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Aws(error) => error.code(),
            Self::Image(error) => error.code(),
            Self::State(error) => error.code(),
            Self::NotReady(_) => "deadline",
            Self::SnapshotFailed(_) | Self::ImageFailed { .. } => "aws",
            Self::UefiData { .. } | Self::Unsigned => "secure-boot",
            Self::NameTaken(_) | Self::OtherKeys(_) | Self::Disabled(_) => "conflict",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Aws(error) => error.exit(),
            Self::Image(error) => error.exit(),
            Self::NameTaken(_) | Self::OtherKeys(_) | Self::Unsigned | Self::Disabled(_) => Exit::Refused,
            _ => Exit::Failed,
        }
    }
}
