//! How a command ends: the exit codes, and errors as people and programs see them. The modules' own typed errors become a
//! [`Failure`] here, once, at the top.

use serde::Serialize;

use crate::aws::{Fault, Kind};
use crate::image::ImageError;

/// Exit codes, as the help tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something is broken or out of reach.
    Failed = 1,
    /// AWS, or this program, said no.
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
    fn code(&self) -> &'static str {
        "failed"
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
    pub code: &'static str,
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

impl Explain for Fault {
    fn hint(&self) -> Option<String> {
        match &self.kind {
            Kind::Denied(action) => Some(format!(
                "the IAM action {action} is missing; `kennel ami policy --help` tells how to print a policy that has it"
            )),
            Kind::Credentials => Some(
                "sign in (`aws sso login`), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; \
                 a wrong clock here makes AWS say this too"
                    .to_owned(),
            ),
            Kind::Throttled | Kind::Server | Kind::Network | Kind::Late => Some("try again later".to_owned()),
            Kind::Unseen => Some("somebody may have removed it; the same command begins anew".to_owned()),
            Kind::OutOfTime => Some("the same command goes on where this one stopped".to_owned()),
            Kind::Refused => refusal(self.code.as_deref()?).map(str::to_owned),
        }
    }

    fn code(&self) -> &'static str {
        match self.kind {
            Kind::Denied(_) => "access-denied",
            Kind::Credentials => "credentials",
            Kind::Throttled => "throttled",
            Kind::OutOfTime | Kind::Late => "deadline",
            Kind::Server | Kind::Network => "out-of-reach",
            Kind::Refused | Kind::Unseen => "aws",
        }
    }

    fn exit(&self) -> Exit {
        match self.kind {
            Kind::Denied(_) | Kind::Refused | Kind::Unseen => Exit::Refused,
            _ => Exit::Failed,
        }
    }
}

/// What a person can do about a refusal, by AWS's word for it.
fn refusal(code: &str) -> Option<&'static str> {
    match code {
        "OperationNotPermitted" => Some(
            "if the AMI is to be public: this account may have blocked that for the whole region \
             (`aws ec2 get-image-block-public-access-state`)",
        ),
        "ConcurrentSnapshotLimitExceeded"
        | "PendingSnapshotLimitExceeded"
        | "ServiceQuotaExceededException" => {
            Some("wait until other snapshots are complete, or ask AWS for a higher quota")
        }
        "InsufficientInstanceCapacity" | "Unsupported" => {
            Some("take another --type, or a --subnet in another availability zone")
        }
        "InstanceLimitExceeded" | "MaxSpotInstanceCountExceeded" | "VcpuLimitExceeded" => {
            Some("terminate instances that nobody needs, or ask AWS for a higher quota")
        }
        "AddressLimitExceeded" => Some("release Elastic IPs that nobody needs, or ask AWS for a higher quota"),
        "InvalidKeyPair.NotFound" => Some("`aws ec2 describe-key-pairs` lists the key pairs of this region"),
        "InvalidSubnetID.NotFound" => Some("`aws ec2 describe-subnets` lists the subnets of this region"),
        "ParameterNotFound" => Some("publish with --ssm, or name an AMI"),
        "DependencyViolation" => Some("something else uses it still; the same command tries again"),
        "ParameterLimitExceeded" => Some("remove parameters that nobody reads"),
        _ => None,
    }
}

impl Explain for ImageError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Proof(_) => Some("publish the ordinary image: `make image` builds it into out/".to_owned()),
            Self::Unproved(_) => Some("take `unproved` out of kennel.toml and build it again".to_owned()),
            Self::Changed { .. } | Self::Manifest { .. } => {
                Some("build the image again: `make image`".to_owned())
            }
            Self::Moving { .. } => Some("wait until nothing writes to it, then try again".to_owned()),
            Self::Io { .. } | Self::Empty(_) => None,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Proof(_) | Self::Unproved(_) => "not-for-tenants",
            _ => "image",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Proof(_) | Self::Unproved(_) | Self::Changed { .. } => Exit::Refused,
            _ => Exit::Failed,
        }
    }
}
