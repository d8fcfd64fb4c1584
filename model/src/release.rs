//! Releases as the API shows them, and the way back to an earlier one.

use serde::{Deserialize, Serialize};

use crate::api::Tenant;
use crate::found::Origin;
use crate::{CommitId, Domain, RefName, ReleaseId, RuntimeName, TenantName};

/// One release as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its number.
    pub id: ReleaseId,
    /// Bytes of its files.
    pub bytes: u64,
    /// Files and folders.
    pub entries: u32,
    /// Seconds since 1970-01-01 UTC.
    pub created_at_s: u64,
    /// Fingerprint of the key that deployed it.
    pub by: String,
    /// What runs it; empty where there is no program, and from hosts that are older than that.
    #[serde(default)]
    pub command: Vec<String>,
    /// Where that comes from; absent for releases that are older than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The release whose files it has, where only its environment is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<ReleaseId>,
    /// Where it is shown beside the one that serves, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<Beta>,
    /// The runtime that it runs on; absent from hosts that are older than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeName>,
    /// The commit that it was made from, if whoever deployed it has said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What becomes of it; [`ReleaseState::Kept`] from hosts that are older than that.
    #[serde(default)]
    pub state: ReleaseState,
}

/// What a release was made from, in the words of whoever deployed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The commit.
    pub commit: CommitId,
    /// The ref to which it was pushed.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub name: Option<RefName>,
}

/// Where a release is shown before it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beta {
    /// Its own domain.
    pub domain: Domain,
    /// Until when, if it is not promoted, in seconds since 1970-01-01 UTC.
    pub until_s: u64,
}

/// What becomes of a release.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseState {
    /// What requests reach.
    Serving,
    /// It was switched to just now, and is left again if it does not stay up.
    Trying,
    /// It can be switched to.
    #[default]
    Kept,
}

/// Asks for an earlier release, or any other that is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Which; when absent the newest that is older than the one that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<ReleaseId>,
}

/// Asks for a newer release to serve, one that is shown for example.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    /// Which; when absent the one that is shown, or else the newest that is newer than the one that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseId>,
}

/// The answer to a rollback, or a promotion: the release runs, and is what requests reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// What served before; it is kept.
    pub from: ReleaseId,
    /// What serves now.
    pub release: Release,
    /// The tenant with it.
    pub tenant: Tenant,
}

/// Asks for a tenant's program to run on another runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// One of the image's.
    pub runtime: RuntimeName,
}

/// The answer to a move: what served runs on the other runtime, and is what requests reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The runtime before.
    pub from: RuntimeName,
    /// What serves now, with the files of what served; nothing where there was no release yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// The tenant with it.
    pub tenant: Tenant,
}

/// A runtime of the image, and who runs on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeUse {
    /// Its name.
    pub name: RuntimeName,
    /// Version of what it carries; empty for `static`.
    pub version: String,
    /// Its programs make code at run time.
    pub jit: bool,
    /// Those of whoever asks, by name.
    pub tenants: Vec<TenantName>,
}
