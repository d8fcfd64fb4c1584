//! How a command ends: the exit codes, and errors as people and programs see them. The modules' own typed errors
//! become a [`Failure`] here, once, at the top.

use serde::Serialize;

use kennel_known::hosts::HostsError;

pub use kennel_known::FileError;

/// Exit codes, as `kennel --help` tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done: 0.
    Done,
    /// Something is broken or out of reach: 1.
    Failed,
    /// The host was asked and said no: 2.
    Refused,
    /// The command line makes no sense: 64 (`EX_USAGE` of sysexits.h).
    Usage,
    /// What was run on the host ended with this code. There is nothing more to say.
    Program(u8),
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Refused => 2,
            Exit::Usage => 64,
            Exit::Program(code) => code,
        })
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

impl Failure {
    /// What was run on the host has ended with this code, and has said itself what there was to say.
    pub fn of_program(code: u8) -> Self {
        Self { code: "program".to_owned(), message: String::new(), hint: None, exit: Exit::Program(code) }
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
                Some("`kennel run --detach` starts one here, `kennel host add` makes another known; with KENNEL_TOKEN, --host https://ADDRESS:8443 is enough".into())
            }
            Self::Several(_) => Some("choose one with --host NAME or KENNEL_HOST, or for good with `kennel host use NAME`".into()),
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
