//! The policy report: which domain may reach what, in words and as data.

use serde::Serialize;

use crate::Rendered;

/// What the policy's rules add up to. Serialize it for the machine-readable form; [`Report::text`] is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Slots in the pool.
    pub slots: u16,
    /// Every domain of the host; one slot stands for all.
    pub domains: Vec<DomainReport>,
}

/// One domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DomainReport {
    /// `proxy_t`
    pub domain: String,
    /// What it may reach.
    pub access: Vec<Access>,
}

/// What a domain may do to objects of one type and class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Access {
    /// The objects' type.
    pub target: String,
    /// The objects' class.
    pub class: String,
    /// What it may do.
    pub permissions: Vec<String>,
}

/// Works the report out from the sources.
pub fn report(rendered: &Rendered) -> Report {
    Report { slots: rendered.slots, domains: Vec::new() }
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        String::new()
    }
}
