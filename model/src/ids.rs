//! Validated names: a value of one of these types has been checked once, at the edge, and may then be put
//! into a path, a host name or a log line. What the names refer to is control's business.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a name was refused. The message says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?} is not valid: {rule}")]
pub struct InvalidId {
    /// What it was meant to be: "tenant name", "host name", …
    pub kind: &'static str,
    /// What was given, cut to a printable length.
    pub value: String,
    /// What is allowed, as a clause.
    pub rule: &'static str,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// # Errors
            /// [`InvalidId`], which says what is allowed.
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidId> {
                let value = value.into();
                let check: fn(&str) -> bool = $check;
                if check(&value) {
                    Ok(Self(value))
                } else {
                    let value = value.chars().take(80).collect();
                    Err(InvalidId { kind: $kind, value, rule: $rule })
                }
            }

            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                Self::new(value)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(value: &str) -> Result<Self, InvalidId> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

/// One DNS label (RFC 1123), in lower case.
fn is_label(s: &str) -> bool {
    let bytes = s.as_bytes();
    matches!(bytes.len(), 1..=63)
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

name_type!(
    /// A tenant's name: a DNS label of at most 32 characters that starts with a letter, so that it can be part of a host name.
    TenantName,
    "tenant name",
    "use 1 to 32 of a-z, 0-9 and '-', starting with a letter and not ending with '-'",
    |s| s.len() <= 32 && is_label(s) && s.as_bytes()[0].is_ascii_lowercase()
);

name_type!(
    /// A token's name, such as `prometheus`.
    TokenName,
    "token name",
    "use 1 to 32 of a-z, 0-9 and '-', starting with a letter and not ending with '-'",
    |s| s.len() <= 32 && is_label(s) && s.as_bytes()[0].is_ascii_lowercase()
);

name_type!(
    /// An account's name, such as `ada`.
    AccountName,
    "account name",
    "use 1 to 32 of a-z, 0-9 and '-', starting with a letter and not ending with '-'",
    |s| s.len() <= 32 && is_label(s) && s.as_bytes()[0].is_ascii_lowercase()
);

name_type!(
    /// The name of a process in a `Procfile`, such as `web` or `worker`.
    ProcessName,
    "process",
    "use 1 to 32 of A-Z, a-z, 0-9, '-' and '_'",
    |s| matches!(s.len(), 1..=32) && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
);

name_type!(
    /// The name of a variable of a program's environment, as POSIX has it for portable ones, small letters allowed.
    EnvName,
    "variable",
    "use 1 to 64 of A-Z, a-z, 0-9 and '_', not starting with a digit",
    |s| matches!(s.len(), 1..=64)
        && !s.as_bytes()[0].is_ascii_digit()
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
);

name_type!(
    /// The name of a runtime in the image, such as `node-24` or `python-3.13`.
    RuntimeName,
    "runtime name",
    "use 1 to 32 of a-z, 0-9, '-' and '.', starting with a letter",
    |s| matches!(s.len(), 1..=32)
        && s.as_bytes()[0].is_ascii_lowercase()
        && s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
);

name_type!(
    /// A DNS host name (RFC 1123) in lower case, without port or trailing dot, at most 253 characters.
    HostName,
    "host name",
    "use lower-case labels of a-z, 0-9 and '-' joined by dots, 253 characters at most",
    |s| s.len() <= 253 && s.split('.').all(is_label)
);

name_type!(
    /// A host's own name, which its kernel keeps in at most 64 bytes (`nodename` of uname): DNS labels joined by dots.
    NodeName,
    "host name",
    "use labels of a-z, 0-9 and '-' joined by dots, 64 characters at most",
    |s| s.len() <= 64 && s.split('.').all(is_label)
);

name_type!(
    /// A name that a TLS certificate is good for: a host name, or `*.` and one, which stands for exactly one label (RFC 6125,
    /// 6.4.3).
    CertificateName,
    "certificate name",
    "use a host name in lower case, or '*.' and one",
    |s| HostName::new(s.strip_prefix("*.").unwrap_or(s)).is_ok()
);

name_type!(
    /// A commit of git's, in full, by SHA-1 or SHA-256.
    CommitId,
    "commit",
    "use all 40 or 64 of its digits, 0-9 and a-f",
    |s| matches!(s.len(), 40 | 64) && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
);

name_type!(
    /// A ref of git's in full, such as `refs/heads/main`; of those that git allows, the printable ones.
    RefName,
    "ref",
    "use refs/ and a name without spaces, control characters and ~^:?*[\\, 255 bytes at most",
    |s| s.len() <= 255
        && s.strip_prefix("refs/").is_some_and(|rest| !rest.is_empty())
        && !s.chars().any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c))
);

/// The number of a release within its tenant, counted from 1 and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReleaseId(pub u32);

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commits_and_refs() {
        for good in ["0123456789abcdef0123456789abcdef01234567".to_owned(), "a".repeat(64)] {
            assert!(CommitId::new(good).is_ok());
        }
        for bad in [String::new(), "a".repeat(39), "a".repeat(41), "A".repeat(40), "g".repeat(40)] {
            assert!(CommitId::new(bad).is_err());
        }
        for good in ["refs/heads/main", "refs/heads/fix/ä-1", "refs/x"] {
            assert!(RefName::new(good).is_ok(), "{good}");
        }
        for bad in
            ["main", "refs/", "refs/heads/a b", "refs/heads/\u{1b}[2J", "refs/heads/a:b", "refs/heads/a\\b"]
        {
            assert!(RefName::new(bad).is_err(), "{bad}");
        }
        assert!(RefName::new(format!("refs/{}", "x".repeat(251))).is_err());
    }

    #[test]
    fn tenant_names() {
        for good in ["a", "blog", "my-blog-2", "a234567890123456789012345678901b"] {
            assert!(TenantName::new(good).is_ok(), "{good}");
        }
        for bad in
            ["", "-a", "a-", "2a", "Blog", "a.b", "a/b", "..", "a_b", "é", "a2345678901234567890123456789012x"]
        {
            assert!(TenantName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_names() {
        for good in ["localhost", "blog.localhost", "xn--bcher-kva.example", "1.example"] {
            assert!(HostName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a..b", "a.", ".a", "a:80", "A.example", "a b", "a_b.example"] {
            assert!(HostName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn node_names() {
        let longest = format!("{}.bbb", "a".repeat(60));
        for good in ["kennel", "ip-10-0-0-7.eu-west-1.compute.internal", &longest] {
            assert!(NodeName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "(none)", "a.", "Edge", "a\nb", &format!("{longest}b")] {
            assert!(NodeName::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_valid_name_is_one_safe_path_segment(s in "\\PC{0,40}") {
            if let Ok(name) = TenantName::new(s.clone()) {
                prop_assert!(!name.as_str().contains(['/', '.', '\0']));
            }
            if let Ok(name) = RuntimeName::new(s) {
                prop_assert!(name.as_str() != ".." && !name.as_str().contains('/'));
            }
        }
    }
}
