//! Rights: who may do what on what. As the policy allows them, and as the kernel's log says that they were asked for.

use std::collections::{BTreeMap, BTreeSet};

use kennel_policy::DomainAccess;

/// How the types of any slot begin.
pub(crate) const ANY_SLOT: &str = "tenantNNNN";

/// Who, on what, of which class.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Vector {
    /// The type of who acts.
    pub source: String,
    /// The type of what is acted upon.
    pub target: String,
    /// Its class.
    pub class: String,
}

/// Permissions by vector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rights(pub(crate) BTreeMap<Vector, BTreeSet<String>>);

impl Rights {
    /// What the policy allows.
    pub(crate) fn of(policy: &[DomainAccess]) -> Self {
        let mut rights = Self::default();
        for domain in policy {
            for access in &domain.access {
                let (source, target, class) =
                    (domain.domain.clone(), access.target.clone(), access.class.clone());
                let vector = Vector { source, target, class };
                rights.0.entry(vector).or_default().extend(access.permissions.iter().cloned());
            }
        }
        rights
    }

    /// Adds what was asked for on this console.
    pub(crate) fn add_console(&mut self, console: &str) {
        for (vector, permissions) in console.lines().filter_map(asked) {
            self.0.entry(vector).or_default().extend(permissions);
        }
    }

    /// Each right by itself.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&Vector, &str)> {
        self.0.iter().flat_map(|(vector, permissions)| permissions.iter().map(move |p| (vector, p.as_str())))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// Who has any.
    pub(crate) fn sources(&self) -> BTreeSet<&str> {
        self.0.keys().map(|vector| vector.source.as_str()).collect()
    }

    /// Those that the other lacks.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let none = BTreeSet::new();
        let less = self
            .0
            .iter()
            .map(|(vector, permissions)| (vector.clone(), permissions - other.0.get(vector).unwrap_or(&none)));
        Self(less.filter(|(_, permissions)| !permissions.is_empty()).collect())
    }
}

/// What a line of the kernel's log says was asked: `avc:  denied  { read } for … scontext=… tcontext=… tclass=file`.
fn asked(line: &str) -> Option<(Vector, Vec<String>)> {
    let (_, rest) = line.split_once("avc:  denied  { ")?;
    let (permissions, rest) = rest.split_once(" }")?;
    let field = |name: &str| rest.split_whitespace().find_map(|word| word.strip_prefix(name));
    let of_type = |context: &str| context.split(':').nth(2).map(any_slot);
    let vector = Vector {
        source: of_type(field("scontext=")?)?,
        target: of_type(field("tcontext=")?)?,
        class: field("tclass=")?.to_owned(),
    };
    Some((vector, permissions.split_whitespace().map(str::to_owned).collect()))
}

/// A slot's type with its digits taken out.
fn any_slot(name: &str) -> String {
    match name.strip_prefix("tenant").and_then(|rest| rest.split_at_checked(4)) {
        Some((digits, rest)) if digits.bytes().all(|b| b.is_ascii_digit()) => format!("{ANY_SLOT}{rest}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "[    5.1] audit: type=1400 audit(1795249808.239:3): avc:  denied  { open read } for  pid=1 comm=\"x\" \
                        path=\"/a\" scontext=system_u:system_r:tenant0012_t tcontext=system_u:object_r:tenant0012_data_t \
                        tclass=file permissive=1";

    #[test]
    fn a_line_says_what_was_asked() {
        let mut rights = Rights::default();
        rights.add_console(&format!("init: ready\n{LINE}\n"));
        let asked: Vec<_> = rights.each().collect();
        let vector =
            Vector { source: "tenantNNNN_t".into(), target: "tenantNNNN_data_t".into(), class: "file".into() };
        assert_eq!(asked, [(&vector, "open"), (&vector, "read")]);
    }

    #[test]
    fn what_was_not_asked_is_left() {
        let mut used = Rights::default();
        used.add_console(LINE);
        let mut allowed = used.clone();
        let vector = used.0.keys().next().unwrap().clone();
        allowed.0.entry(vector.clone()).or_default().insert("write".into());
        assert_eq!(allowed.without(&used).each().collect::<Vec<_>>(), [(&vector, "write")]);
    }
}
