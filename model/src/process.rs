//! Processes: what runs for a tenant beside the program that answers its visitors, as the `Procfile` of a release names it, and how
//! often each runs. They are tasks ([`crate::task`]) that are begun again when they end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ProcessName, ReleaseId};

/// Lines of a `Procfile` beside `web` that are kept.
pub const MAX_PROCESSES: usize = 8;
/// Processes of a tenant that may run at a time: of the slot's eight places one is the program's, one that of a release on trial, one
/// that of the release before, and one is left for `exec`, jobs and builds.
pub const MAX_SCALED: u16 = 4;
/// The process that visitors meet.
pub const WEB: &str = "web";
/// What runs once in a release, before it is tried.
pub const RELEASE: &str = "release";

/// How often processes are to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Those that change, by name; 0 ends all of one.
    pub processes: BTreeMap<ProcessName, u16>,
}

/// A process of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// As the `Procfile` has it; `web` is the program.
    pub name: ProcessName,
    /// What is run; absent where the release that serves has no such line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// How many are to run.
    pub wanted: u16,
    /// How many do.
    pub running: u16,
    /// Its last end that nobody wanted, since control began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<ProcessEnd>,
}

/// An end of a process, after which it is begun again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessEnd {
    /// When, in seconds since 1970-01-01 UTC.
    pub at_s: u64,
    /// In which release.
    pub release: ReleaseId,
    /// In words.
    pub why: String,
}
