//! `docs/unused-rules.md`: what the scenarios did not use, by the reason for which it stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::keep::Keep;
use crate::rights::{Rights, Vector};

/// What the page is made of.
pub(crate) struct Page<'a> {
    /// All rights.
    pub allowed: &'a Rights,
    /// Those that were not asked for.
    pub unused: &'a Rights,
    /// Why they stay.
    pub keep: &'a Keep,
}

impl Page<'_> {
    /// What is to be done before there can be a page: rights without a use or reason, reasons that are not needed.
    pub(crate) fn faults(&self) -> impl Iterator<Item = String> {
        let mut bare = self.unused.clone();
        for (vector, permissions) in &mut bare.0 {
            permissions.retain(|permission| self.keep.reason(vector, permission).is_none());
        }
        bare.0.retain(|_, permissions| !permissions.is_empty());
        let bare = bare.0.into_iter().map(|(Vector { source, target, class }, permissions)| {
            let permissions: Vec<String> = permissions.into_iter().collect();
            format!("neither used nor explained: {source} {target} {class} {}", permissions.join(" "))
        });
        let idle = self.keep.idle(self.unused).map(|line| format!("every right of this line is used: {line}"));
        bare.chain(idle)
    }

    /// The page.
    pub(crate) fn text(&self) -> String {
        let (all, unused) = (self.allowed.count(), self.unused.count());
        let mut text = format!(
            "# Rules that no scenario uses\n\n`tests/coverage.sh` runs every scenario on a host that allows nothing, refuses \
             nothing and notes what was asked for, and makes this page of it. A right is one permission of one type on another; \
             the slots count as one. Of {all} rights {} were used. The other {unused} stay for the reasons below, which are \
             kept in `tests/coverage.keep`.\n",
            all - unused,
        );
        for (number, reason) in self.keep.reasons.iter().enumerate() {
            let theirs = self.unused.each().filter(|(v, p)| self.keep.reason(v, p) == Some(number));
            let _ = write!(text, "\n## {}\n\n", reason.why);
            text.push_str(&list(theirs));
        }
        text
    }
}

/// A line for each source and class with the same permissions, and the types that they are on.
fn list<'a>(rights: impl Iterator<Item = (&'a Vector, &'a str)>) -> String {
    let mut permissions: BTreeMap<&Vector, Vec<&str>> = BTreeMap::new();
    for (vector, permission) in rights {
        permissions.entry(vector).or_default().push(permission);
    }
    let mut targets: BTreeMap<(&str, &str, Vec<&str>), BTreeSet<&str>> = BTreeMap::new();
    for (vector, permissions) in permissions {
        let target = if vector.target == vector.source { "itself" } else { &vector.target };
        targets.entry((&vector.source, &vector.class, permissions)).or_default().insert(target);
    }
    let lines = targets.into_iter().map(|((source, class, permissions), targets)| {
        let targets: Vec<&str> = targets.into_iter().collect();
        format!("- {source}: {class} {{ {} }} of {}\n", permissions.join(" "), targets.join(", "))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(list: &[(&str, &str, &str)]) -> Rights {
        let mut rights = Rights::default();
        for (source, target, permission) in list {
            let vector = Vector { source: (*source).into(), target: (*target).into(), class: "file".into() };
            rights.0.entry(vector).or_default().insert((*permission).into());
        }
        rights
    }

    #[test]
    fn faults_are_rights_without_and_reasons_without() {
        let allowed = rights(&[("a_t", "b_t", "read"), ("a_t", "b_t", "write")]);
        let unused = rights(&[("a_t", "b_t", "write")]);
        let keep = Keep::parse("Why.\n    a_t b_t file read\n").unwrap();
        let page = Page { allowed: &allowed, unused: &unused, keep: &keep };
        let faults: Vec<String> = page.faults().collect();
        assert_eq!(
            faults,
            [
                "neither used nor explained: a_t b_t file write",
                "every right of this line is used: a_t b_t file read"
            ]
        );
    }

    #[test]
    fn types_with_the_same_rights_share_a_line() {
        let unused = rights(&[("a_t", "a_t", "read"), ("a_t", "b_t", "read"), ("a_t", "c_t", "write")]);
        let keep = Keep::parse("Why.\n    a_t * * *\n").unwrap();
        let text = Page { allowed: &unused, unused: &unused, keep: &keep }.text();
        assert!(text.contains("Of 3 rights 0 were used. The other 3 stay"), "{text}");
        assert!(
            text.ends_with("## Why.\n\n- a_t: file { read } of b_t, itself\n- a_t: file { write } of c_t\n"),
            "{text}"
        );
    }
}
