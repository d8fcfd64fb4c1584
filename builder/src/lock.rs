//! `kennel.lock`: every file the image is made of, by place, size and digest, in a stable order, and a digest of what
//! `kennel.toml` asked for. How it is found out is `packages::resolve`'s business; this is the document itself.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use kennel_model::RuntimeName;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256;

/// Number of the format; another one is refused.
const FORMAT: u32 = 1;

/// The whole of `kennel.lock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Number of the format.
    pub format: u32,
    /// Digest of those parts of the spec that decide what is in the lock.
    pub spec: Sha256,
    /// Every file, ordered by name and version.
    #[serde(default, rename = "package")]
    pub packages: Vec<Package>,
}

/// One file to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name in its registry.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Debian's architecture (`amd64` or `all`); absent for npm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Which trees take it.
    pub sets: BTreeSet<PackageSet>,
    /// Which registry it is from.
    pub from: Origin,
    /// Path below the registry's mirror.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Digest of the file.
    pub sha256: Sha256,
    /// npm's own digest, as the registry writes it (`sha512-…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<String>,
}

/// Where a package's file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Debian's main archive.
    Debian,
    /// Debian's security archive.
    DebianSecurity,
    /// The npm registry.
    Npm,
}

/// A tree that packages are unpacked into. Written `host`, `kernel`, `tools` or `runtime/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PackageSet {
    /// The host's own root.
    Host,
    /// The kernel and its modules.
    Kernel,
    /// One runtime.
    Runtime(RuntimeName),
    /// Programs that the builder runs.
    Tools,
}

impl fmt::Display for PackageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Kernel => f.write_str("kernel"),
            Self::Runtime(name) => write!(f, "runtime/{name}"),
            Self::Tools => f.write_str("tools"),
        }
    }
}

impl From<PackageSet> for String {
    fn from(set: PackageSet) -> Self {
        set.to_string()
    }
}

impl TryFrom<String> for PackageSet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "host" => Ok(Self::Host),
            "kernel" => Ok(Self::Kernel),
            "tools" => Ok(Self::Tools),
            _ => text
                .strip_prefix("runtime/")
                .and_then(|name| RuntimeName::new(name).ok())
                .map(Self::Runtime)
                .ok_or_else(|| format!("{text:?} is not host, kernel, tools or runtime/<name>")),
        }
    }
}

/// Why a lock file was refused.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none.
    #[error("{path} is not there", path = .0.display())]
    Missing(PathBuf),
    /// It cannot be read or written.
    #[error("{path}: {cause}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It was edited, or written by another version.
    #[error("{path}: {cause}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The spec asks for something else than what was locked.
    #[error("{lock} does not match {spec}", lock = lock.display(), spec = spec.display())]
    Stale {
        /// The lock file.
        lock: PathBuf,
        /// The spec file.
        spec: PathBuf,
    },
}

impl LockError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { .. } => None,
            Self::Missing(_) | Self::Malformed { .. } | Self::Stale { .. } => Some("run `kennel lock`"),
        }
    }
}

impl Lock {
    /// Packages of one tree, in the lock's order.
    pub fn of<'a>(&'a self, set: &'a PackageSet) -> impl Iterator<Item = &'a Package> {
        self.packages.iter().filter(move |package| package.sets.contains(set))
    }

    /// The npm package of a runtime.
    pub fn npm_of(&self, runtime: &RuntimeName) -> Option<&Package> {
        let set = PackageSet::Runtime(runtime.clone());
        self.packages.iter().find(|package| package.from == Origin::Npm && package.sets.contains(&set))
    }

    /// Reads a lock file.
    ///
    /// # Errors
    /// When it is missing, unreadable or not a lock file of this format.
    pub fn load(path: &Path) -> Result<Self, LockError> {
        let text = std::fs::read_to_string(path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => LockError::Missing(path.to_owned()),
            _ => LockError::Io { path: path.to_owned(), cause },
        })?;
        Self::parse(&text).map_err(|cause| LockError::Malformed { path: path.to_owned(), cause })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let lock: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        match lock.format {
            FORMAT => Ok(lock),
            other => Err(format!("format {other} is not the one this kennel reads ({FORMAT})")),
        }
    }
}
