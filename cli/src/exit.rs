//! How a command ends: the exit codes, and errors as people and programs see them. The modules' own typed errors
//! become a [`Failure`] here, once, at the top.

use serde::Serialize;

use kennel_known::hosts::HostsError;

pub use kennel_known::FileError;

/// Exit codes, as `kennel --help` tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something is broken or out of reach.
    Failed = 1,
    /// The host was asked and said no.
    Refused = 2,
    /// The command line makes no sense (`EX_USAGE` of sysexits.h).
    Usage = 64,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a typed error adds so that a person can act on it.
pub trait Explain: std::error::Error {
    /// What the person can do about it.
    fn hint(&self) -> Option<String> {
        None
    }

    /// A stable word for programs.
    fn code(&self) -> String {
        "failed".to_owned()
    }

    /// The exit code that it leads to.
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// A command's failure, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// A stable word for programs.
    pub code: String,
    /// Lower case, naming the thing.
    pub message: String,
    /// What the person can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How the program ends.
    #[serde(skip)]
    pub exit: Exit,
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: error.code(), message: error.to_string(), hint: error.hint(), exit: error.exit() }
    }
}

impl Failure {
    /// The command line makes no sense in a way that its definition cannot say.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: "usage".to_owned(), message: message.into(), hint: Some(hint.into()), exit: Exit::Usage }
    }
}

impl Explain for FileError {
    fn code(&self) -> String {
        "file".to_owned()
    }
}

impl Explain for kennel_known::paths::NoHome {
    fn hint(&self) -> Option<String> {
        Some("set HOME to an absolute path".to_owned())
    }
}

impl Explain for HostsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::None => {
                Some("`kennel run --detach` starts one here, `kennel host add` makes another known".into())
            }
            Self::Several(_) => Some("choose one with --host NAME or KENNEL_HOST".into()),
            Self::Unknown { known, .. } if known.is_empty() => Self::None.hint(),
            Self::Unknown { known, .. } => Some(format!("known are: {known}")),
            Self::Invalid { .. } => Some("repair the file, or remove it and add the hosts again".into()),
            Self::File(_) => None,
        }
    }

    fn code(&self) -> String {
        match self {
            Self::None | Self::Unknown { .. } | Self::Several(_) => "no-such-host".into(),
            Self::File(_) | Self::Invalid { .. } => "hosts-file".into(),
        }
    }

    fn exit(&self) -> Exit {
        Exit::Failed
    }
}
