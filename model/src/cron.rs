//! Jobs: commands of a tenant's that run by the clock, as the API shows them.

use serde::{Deserialize, Serialize};

/// Jobs of a tenant.
pub const MAX_JOBS: usize = 16;
/// How long one may take where nobody says, in seconds.
pub const TIMEOUT_S: u32 = 600;
/// How long one may take, in seconds.
pub const MAX_TIMEOUT_S: u32 = 24 * 3600;
/// Bytes of a schedule and of a zone's name.
pub const MAX_SCHEDULE_BYTES: usize = 100;

/// A job that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    /// Minute, hour, day of the month, month, day of the week, as in crontab(5); or `@hourly` and the like.
    pub schedule: String,
    /// Whose clock that is: a name of the IANA time zone database.
    #[serde(default = "utc")]
    pub zone: String,
    /// Program and arguments, as of `exec`.
    pub command: Vec<String>,
    /// When it is ended, in seconds.
    #[serde(default = "timeout_s")]
    pub timeout_s: u32,
    /// Whether it is started while its last run is not over.
    #[serde(default)]
    pub overlap: bool,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number among its tenant's, never used again.
    pub number: u32,
    /// What was wanted.
    #[serde(flatten)]
    pub wish: NewJob,
    /// Who wanted it.
    pub by: String,
    /// Seconds since 1970-01-01 UTC.
    pub created_at_s: u64,
    /// When it is due next; absent where it never is again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at_s: Option<u64>,
    /// Its runs that are not over.
    pub running: u32,
    /// Its last run that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastRun>,
    /// Runs that were due and did not begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// When it began, in seconds since 1970-01-01 UTC.
    pub at_s: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// As a shell says it: its exit code, 128 and the signal's number, or 127 where it could not be started.
    pub code: u8,
    /// In words.
    pub why: String,
}

/// Runs that did not begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// How many since the job was made.
    pub count: u32,
    /// When the last of them was due, in seconds since 1970-01-01 UTC.
    pub at_s: u64,
    /// Why it did not begin.
    pub why: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

const fn timeout_s() -> u32 {
    TIMEOUT_S
}
