//! The audit log: who asked for which change, from where, and what came of it. What is written down of a request is control's
//! business, which names what it takes; values of variables, keys and secrets are never among it.

use serde::{Deserialize, Serialize};

use crate::{AccountName, TenantName, TokenName};

/// What stands for the result of something that went well.
pub const DONE: &str = "done";
/// What stands for the result of something that has begun, and whose end is not known: it goes on, or control was ended.
pub const BEGUN: &str = "begun";

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// When it came, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// Fingerprint of the key that had signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The token that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenName>,
    /// The client's address.
    pub from: String,
    /// What was asked for, as a word such as `deploy` or `set-limits`.
    pub act: String,
    /// To which tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// More about it, such as the names of variables.
    pub detail: String,
    /// [`DONE`], [`BEGUN`], or the code of what went wrong.
    pub result: String,
}

/// The last of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// The oldest first.
    pub entries: Vec<AuditEntry>,
    /// How many older ones the host has forgotten, of everybody together; of one actor it keeps so many.
    pub forgotten: u64,
    /// Attempts to get in that were refused since control was started, written down one by one or not; absent for who is no operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
}
