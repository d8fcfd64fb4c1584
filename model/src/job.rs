//! Jobs: changes that take a while, as the host carries them out, step by step. A job's number is that of its entry in the audit log.
//! They are told as JSON, live in server-sent events (the WHATWG's HTML standard, "Server-sent events").

use serde::{Deserialize, Serialize};

use crate::TenantName;
use crate::api::Problem;

/// The media type of events.
pub const EVENTS: &str = "text/event-stream";
/// The event whose data is a [`Job`] as it is from now on.
pub const JOB: &str = "job";
/// The event whose data is an [`Answered`]; the last, for whoever asked for the change itself.
pub const ANSWER: &str = "answer";

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Greater than that of each job before it.
    pub number: u64,
    /// What was asked for, as a word such as `deploy`.
    pub act: String,
    /// To which tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// Who asked: an account's name, or a key's fingerprint.
    pub by: String,
    /// When it began, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// How it stands.
    pub state: JobState,
    /// How long it took, in milliseconds; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// What there has been to do so far, in the order in which it was begun.
    pub steps: Vec<JobStep>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// How a job, or a step of one, stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// It goes on.
    Running,
    /// It went well.
    Done,
    /// It did not.
    Failed,
}

/// A part of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobStep {
    /// What is done, in words.
    pub name: String,
    /// How many steps it is a part of: 0 for a part of the job itself, and for others one more than the step before them that
    /// they are a part of.
    pub depth: u32,
    /// How it stands.
    pub state: JobState,
    /// When it began, in milliseconds since the job did.
    pub after_ms: u64,
    /// How long it took, in milliseconds; absent while it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// What the request of a job is answered with, whose body is any JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answered<T> {
    /// The status that the answer would have had.
    pub status: u16,
    /// Its body; absent when it has none.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub body: Option<T>,
}

impl JobState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}
