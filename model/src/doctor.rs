//! What is wrong with a host's registry, and what can be done about it, as the API shows it.

use serde::{Deserialize, Serialize};

/// How the registry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doctor {
    /// Why the host is in failsafe mode; absent where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failsafe: Option<Failsafe>,
    /// Copies that can be gone back to, the newest first.
    pub snapshots: Vec<Snapshot>,
    /// Registries that were put aside, by the names of their files.
    pub aside: Vec<String>,
    /// Bytes of the registry itself.
    pub registry_bytes: u64,
    /// Room on the data volume, in bytes.
    pub data_available_bytes: u64,
}

/// The registry cannot be used: nothing is changed, and what was known last is what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failsafe {
    /// What is wrong with it.
    pub why: String,
    /// The copy that stands in for it; without one the host knows no tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
}

/// A copy of the registry that was looked at and is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its file's name.
    pub name: String,
    /// When it was taken, in seconds since 1970-01-01 UTC.
    pub taken_at_s: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// The version of its schema.
    pub version: u32,
    /// Tenants in it.
    pub tenants: u32,
}

/// Asks for a snapshot in the registry's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repair {
    /// Which, by its file's name.
    pub snapshot: String,
}

/// What a repair has done; control then starts again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    /// What stands in the registry's place.
    pub snapshot: Snapshot,
    /// Where the former one is, by the name of its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aside: Option<String>,
}
