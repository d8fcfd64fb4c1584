//! Debian's dependency fields: `a (>= 1) | b:any, c`. Parsed from the text of a binary package's paragraph, where
//! build profiles and architecture lists do not occur.

use std::cmp::Ordering;
use std::fmt;

use debversion::Version;

/// One name, perhaps with a bound on its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation<'a> {
    /// Package name, without `:any`.
    pub name: &'a str,
    /// Operator and version.
    pub bound: Option<(Operator, &'a str)>,
}

/// How versions compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    AtMost,
    /// `=`
    Exactly,
    /// `>=`
    AtLeast,
    /// `>>`
    Later,
}

impl Operator {
    const ALL: [(&'static str, Self); 5] = [
        ("<<", Self::Earlier),
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        (">>", Self::Later),
        ("=", Self::Exactly),
    ];

    /// Whether `version <operator> bound` holds.
    fn holds(self, version: &Version, bound: &Version) -> bool {
        let order = version.cmp(bound);
        match self {
            Self::Earlier => order == Ordering::Less,
            Self::AtMost => order != Ordering::Greater,
            Self::Exactly => order == Ordering::Equal,
            Self::AtLeast => order != Ordering::Less,
            Self::Later => order == Ordering::Greater,
        }
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match &self.bound {
            None => Ok(()),
            Some((operator, version)) => {
                let shown =
                    Operator::ALL.iter().find(|(_, known)| known == operator).map_or("?", |(text, _)| text);
                write!(f, " ({shown} {version})")
            }
        }
    }
}

impl Relation<'_> {
    /// Whether this version is within the bound. `None` is a version that nobody stated: it satisfies only a
    /// relation without bound (Debian Policy 7.5).
    pub(super) fn accepts(&self, version: Option<&str>) -> bool {
        let Some((operator, bound)) = self.bound else { return true };
        let parse = |text: &str| text.parse::<Version>().ok();
        match (version.and_then(parse), parse(bound)) {
            (Some(version), Some(bound)) => operator.holds(&version, &bound),
            _ => false,
        }
    }
}

/// The groups of a field; within a group, one alternative suffices. `None` when the text is malformed.
pub(super) fn parse(field: &str) -> Option<Vec<Vec<Relation<'_>>>> {
    let groups = field.split(',').map(str::trim).filter(|group| !group.is_empty());
    groups.map(|group| group.split('|').map(relation).collect()).collect()
}

fn relation(text: &str) -> Option<Relation<'_>> {
    let (name, rest) = match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.trim_end().strip_suffix(')')?)),
        None => (text, None),
    };
    let name = name.trim().split(':').next()?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    let bound = rest.map(|rest| {
        let rest = rest.trim();
        let (symbol, operator) = Operator::ALL.iter().find(|(symbol, _)| rest.starts_with(symbol))?;
        Some((*operator, rest[symbol.len()..].trim()))
    });
    match bound {
        Some(None) => None,
        bound => Some(Relation { name, bound: bound.flatten() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_groups_of_alternatives() {
        let groups =
            parse("libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0, python3:any,\n x (= 1:2~rc1-3+b1)")
                .unwrap();
        let shown: Vec<Vec<String>> =
            groups.iter().map(|group| group.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(
            shown,
            [
                vec!["libc6 (>= 2.34)"],
                vec!["debconf (>= 0.5)", "debconf-2.0"],
                vec!["python3"],
                vec!["x (= 1:2~rc1-3+b1)"]
            ]
        );
        assert_eq!(parse(""), Some(vec![]));
        for malformed in ["a (>= 1", "a (1)", "(>= 1)", "a b", "a | | b"] {
            assert_eq!(parse(malformed), None, "{malformed}");
        }
    }

    #[test]
    fn versions_compare_as_debian_says() {
        let accepts = |relation, version| parse(relation).unwrap()[0][0].accepts(version);
        for (relation, version) in [
            ("a", None),
            ("a", Some("1")),
            ("a (>= 2.34)", Some("2.41-12+deb13u1")),
            ("a (<< 1.0)", Some("1.0~rc1")),
            ("a (>> 9)", Some("1:1")),
            ("a (= 1-1)", Some("1-1")),
            ("a (<= 1-1)", Some("1-1")),
        ] {
            assert!(accepts(relation, version), "{relation} {version:?}");
        }
        for (relation, version) in [
            ("a (>= 1)", None),
            ("a (<< 1)", Some("1")),
            ("a (= 1-1)", Some("1-1+b1")),
            ("a (>> 1)", Some("1")),
        ] {
            assert!(!accepts(relation, version), "{relation} {version:?}");
        }
    }
}
