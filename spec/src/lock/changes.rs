//! What a new lock changes against the one before, for a person to read.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Lock;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// A package that was not there.
    Added {
        /// Its name.
        name: String,
        /// Its versions.
        version: String,
    },
    /// A package that is no longer there.
    Removed {
        /// Its name.
        name: String,
        /// Its versions.
        version: String,
    },
    /// The same package in another version.
    Moved {
        /// Its name.
        name: String,
        /// Version before.
        from: String,
        /// Version now.
        to: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { name, version } => write!(f, "+ {name} {version}"),
            Self::Removed { name, version } => write!(f, "- {name} {version}"),
            Self::Moved { name, from, to } => write!(f, "~ {name} {from} -> {to}"),
        }
    }
}

/// Differences by name, in order. Without an earlier lock, everything is new.
pub fn changes(before: Option<&Lock>, after: &Lock) -> Vec<Change> {
    let mut versions: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for package in before.into_iter().flat_map(|lock| &lock.packages) {
        versions.entry(&package.name).or_default().0.push(&package.version);
    }
    for package in &after.packages {
        versions.entry(&package.name).or_default().1.push(&package.version);
    }
    let change = |(name, (from, to)): (&str, (Vec<&str>, Vec<&str>))| {
        let (name, from, to) = (name.to_owned(), from.join(", "), to.join(", "));
        match (from.is_empty(), to.is_empty()) {
            _ if from == to => None,
            (true, _) => Some(Change::Added { name, version: to }),
            (_, true) => Some(Change::Removed { name, version: from }),
            _ => Some(Change::Moved { name, from, to }),
        }
    };
    versions.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::package;
    use super::*;
    use crate::digest::Sha256;
    use crate::lock::{FORMAT, PackageSet};

    fn lock(packages: &[(&str, &str)]) -> Lock {
        let packages =
            packages.iter().map(|(name, version)| package(name, version, &[PackageSet::Host])).collect();
        Lock { format: FORMAT, spec: Sha256::of(b""), packages }
    }

    #[test]
    fn added_removed_and_moved_are_told_apart() {
        let before = lock(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let after = lock(&[("a", "1"), ("b", "2"), ("d", "1")]);
        let shown: Vec<_> = changes(Some(&before), &after).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["~ b 1 -> 2", "- c 1", "+ d 1"]);
        assert_eq!(changes(Some(&after), &after), []);
        assert_eq!(changes(None, &after).len(), 3);
    }
}
