//! What is wrong with user-data: where, what, and what to do about it. One line each, fit for a console.

use std::fmt;

use serde::Serialize;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Counted from 1; absent when it is about the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Such as `operator.ssh_keys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// As a clause.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// At least one fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Faults(Vec<Fault>);

impl Fault {
    /// About the whole.
    pub(crate) fn of_all(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { line: None, key: None, what: what.into(), hint: hint.into() }
    }

    /// The sentence without its remedy.
    pub fn place_and_what(&self) -> String {
        let line = self.line.map(|line| format!(", line {line}")).unwrap_or_default();
        let key = self.key.as_ref().map(|key| format!(", {key}")).unwrap_or_default();
        format!("user-data{line}{key}: {}", self.what)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; hint: {}", self.place_and_what(), self.hint)
    }
}

impl Faults {
    /// `None` when there is none.
    pub(crate) fn new(mut faults: Vec<Fault>) -> Option<Self> {
        faults.sort_by_key(|fault| fault.line);
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// All of them, in the order of the lines.
    pub fn all(&self) -> &[Fault] {
        &self.0
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}
