//! What can go wrong while an image is built, for a person to read: the thing, the cause once, a hint where one helps.

use std::io;
use std::path::PathBuf;

use super::erofs::FormatError;
use super::fat::FatError;
use super::lint::Finding;
use super::tree::TreeError;
use super::uki::UkiError;
use crate::packages::ArchiveError;
use crate::store::StoreError;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The store of fetched packages.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A package's archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A file or folder on this computer.
    #[error("{path}: {cause}", path = path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Two packages, or a package and Kennel, disagree.
    #[error("{tree}: {cause}")]
    Tree {
        /// `host`, `runtime/node-24`, …
        tree: String,
        /// Where and how.
        cause: TreeError,
    },
    /// The lock holds no package that brings this file.
    #[error("no package of the {set} packages brings {path}")]
    NotBrought {
        /// `kernel`, `tools`, …
        set: String,
        /// What is missing.
        path: String,
    },
    /// A program of Kennel's is not where it should be, or is not what it should be.
    #[error("{0}")]
    Guest(String),
    /// A kernel module.
    #[error("kernel module {name}: {what}")]
    Module {
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// Nodes for which the policy has no label.
    #[error("{tree}: the policy's file contexts give no label to {}", paths.join(", "))]
    Unlabelled {
        /// `host`, `runtime/node-24`, …
        tree: String,
        /// The first few.
        paths: Vec<String>,
    },
    /// A tree holds what it must not.
    #[error("{tree} holds what it must not:\n{}", list(findings))]
    Lint {
        /// `host`, `runtime/node-24`, …
        tree: String,
        /// All of it.
        findings: Vec<Finding>,
    },
    /// The policy cannot be rendered.
    #[error(transparent)]
    Policy(#[from] kennel_policy::RenderError),
    /// The policy does not compile.
    #[error(transparent)]
    Compile(#[from] kennel_policy::CompileError),
    /// A claim of the policy has no row in the table of forbidden acts.
    #[error(transparent)]
    Claim(#[from] kennel_policy::isolation::Unmatched),
    /// The policy does not keep slots apart.
    #[error(transparent)]
    NotProved(#[from] kennel_policy::NotProved),
    /// The packet filter's rules.
    #[error(transparent)]
    Rules(#[from] kennel_iptables::RenderError),
    /// A tool taken from the lock.
    #[error("{tool} failed ({status}): {said}")]
    Tool {
        /// Its name.
        tool: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        said: String,
    },
    /// A file system whose files cannot be put in their places.
    #[error(transparent)]
    Arrange(#[from] FormatError),
    /// The boot program.
    #[error(transparent)]
    Uki(#[from] UkiError),
    /// The boot program's signature.
    #[error(transparent)]
    Sign(#[from] kennel_secureboot::Error),
    /// The EFI partition.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// The partition table.
    #[error("partition table: {0}")]
    Partitions(String),
    /// A part is larger than it may be.
    #[error("{part} takes {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// `the boot program`, …
        part: &'static str,
        /// Its size.
        size: u64,
        /// What it may have.
        limit: u64,
    },
    /// A worker thread panicked: a fault in the builder.
    #[error("the step {0:?} panicked")]
    Panicked(String),
}

impl BuildError {
    /// For `map_err`: an error of the operating system about this path.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { path, cause }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Sign(error) => error.hint(),
            Self::Io { cause, .. } => match cause.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("make room (a build needs about 1 GiB in the cache, 200 MiB in out/ and in TMPDIR)")
                }
                io::ErrorKind::PermissionDenied => Some("check who owns it; a build needs no root"),
                _ => None,
            },
            Self::NotBrought { .. } => Some("compare kennel.toml with the one that Kennel ships"),
            Self::Guest(_) => {
                Some("build Kennel's programs first: `make build`, or name their folder: --guest-dir")
            }
            Self::Module { .. } => {
                Some("correct kernel.early_modules, kernel.late_modules or kernel.swap_modules in kennel.toml")
            }
            Self::Tree { .. } | Self::Lint { .. } => Some("leave files out with keep and drop in kennel.toml"),
            Self::Unlabelled { .. } => Some("add a line to policy/*.contexts, or to extra.file_contexts"),
            Self::TooLarge { .. } => Some("take fewer packages, runtimes or early modules in kennel.toml"),
            _ => None,
        }
    }
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("  {finding}")).collect::<Vec<_>>().join("\n")
}
