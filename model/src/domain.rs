//! What is routed: a host name or a wildcard, and of it all, or what lies below a path. How requests are matched against it is the
//! proxy's business; the rules that both sides have to agree on are here.
//!
//! | written | stands for |
//! |---|---|
//! | `example.com` | that name |
//! | `*.example.com` | every name with exactly one label more, as certificates have it (RFC 6125, 6.4.3): `a.example.com`, neither `a.b.example.com` nor `example.com` |
//! | `example.com/shop` | of that name, `/shop` and what begins with `/shop/`; not `/shopping` |

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{CertificateName, HostName};

/// A place where requests arrive. Ordered and compared as it is written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain {
    text: String,
    /// Where the path begins.
    path_at: usize,
}

/// A text that is no domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDomain {
    /// Neither a host name nor a wildcard.
    #[error(
        "{0:?} is not a domain: write a host name in lower case, such as blog.example.com, or *.example.com"
    )]
    Host(String),
    /// With a scheme or a port, or what else belongs to a URL.
    #[error("{0:?} is a URL: a domain is written without scheme, port and query")]
    Url(String),
    /// A path that is not plain.
    #[error(
        "{0:?} is not a path to route by: use segments of letters, digits, '-', '.', '_' and '~', such as /shop, without a \
         slash at the end, {MAX_PATH_BYTES} characters at most"
    )]
    Path(String),
}

/// Bytes of a path.
pub const MAX_PATH_BYTES: usize = 128;
/// Segments of a path.
const MAX_SEGMENTS: usize = 16;

impl Domain {
    /// # Errors
    /// [`BadDomain`].
    pub fn new(text: impl Into<String>) -> Result<Self, BadDomain> {
        let text = text.into();
        let cut = || text.chars().take(80).collect::<String>();
        if text.contains("://") || text.contains([':', '?', '#', '@']) {
            return Err(BadDomain::Url(cut()));
        }
        let path_at = text.find('/').unwrap_or(text.len());
        let (host, path) = text.split_at(path_at);
        if CertificateName::new(host).is_err() {
            return Err(BadDomain::Host(cut()));
        }
        if !is_plain(path) {
            return Err(BadDomain::Path(path.chars().take(80).collect()));
        }
        Ok(Self { text, path_at })
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, with the star of a wildcard.
    pub fn host(&self) -> &str {
        &self.text[..self.path_at]
    }

    /// The path; empty for all paths.
    pub fn path(&self) -> &str {
        &self.text[self.path_at..]
    }

    /// Whether it stands for many names.
    pub fn is_wildcard(&self) -> bool {
        self.text.starts_with('*')
    }

    /// The host, if it is one name.
    pub fn name(&self) -> Option<HostName> {
        HostName::new(self.host()).ok()
    }

    /// Whether a request for this name and plain path is within it.
    pub fn covers(&self, name: &str, path: &str) -> bool {
        let host = match self.host().strip_prefix('*') {
            Some(rest) => behind_first_label(name) == Some(rest),
            None => self.host() == name,
        };
        host && below(self.path(), path).is_some()
    }
}

/// What is left of a path behind a prefix that ends where a segment does: empty, or from a `/` on.
pub fn below<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    path.strip_prefix(prefix).filter(|rest| prefix.is_empty() || rest.is_empty() || rest.starts_with('/'))
}

/// What follows a name's first label, dot included, if that is one that a wildcard stands for: letters in lower case, digits, `-`
/// and `_`.
pub fn behind_first_label(name: &str) -> Option<&str> {
    let (label, rest) = name.split_at(name.find('.')?);
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (!label.is_empty() && label.bytes().all(fits)).then_some(rest)
}

/// Empty, or segments that are read as they stand by everybody: no escapes, no dots alone, none empty.
fn is_plain(path: &str) -> bool {
    let Some(segments) = path.strip_prefix('/') else { return path.is_empty() };
    let is_segment = |segment: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        !matches!(segment, "" | "." | "..") && segment.bytes().all(plain)
    };
    path.len() <= MAX_PATH_BYTES
        && segments.split('/').count() <= MAX_SEGMENTS
        && segments.split('/').all(is_segment)
}

impl TryFrom<String> for Domain {
    type Error = BadDomain;
    fn try_from(text: String) -> Result<Self, BadDomain> {
        Self::new(text)
    }
}

impl FromStr for Domain {
    type Err = BadDomain;
    fn from_str(text: &str) -> Result<Self, BadDomain> {
        Self::new(text)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.text
    }
}

impl From<HostName> for Domain {
    fn from(name: HostName) -> Self {
        let text = String::from(name);
        Self { path_at: text.len(), text }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> Domain {
        text.parse().unwrap()
    }

    #[test]
    fn a_host_or_a_wildcard_and_a_plain_path() {
        let whole = domain("blog.example");
        assert_eq!((whole.host(), whole.path(), whole.is_wildcard()), ("blog.example", "", false));
        let part = domain("*.blog.example/a/b_c~1.x");
        assert_eq!((part.host(), part.path(), part.is_wildcard()), ("*.blog.example", "/a/b_c~1.x", true));
        assert_eq!((part.name(), whole.name()), (None, HostName::new("blog.example").ok()));
        for bad in ["", "*", "*.", "*.*.a", "a.*.b", "A.example", "a_b", "a b", "**.a", "/x", "x*.a"] {
            assert!(matches!(Domain::new(bad), Err(BadDomain::Host(_))), "{bad}");
        }
        for bad in ["http://a.example", "a.example:80", "a.example/x?y", "a.example/x#y", "u@a.example"] {
            assert!(matches!(Domain::new(bad), Err(BadDomain::Url(_))), "{bad}");
        }
        let long = format!("/{}", "a".repeat(MAX_PATH_BYTES));
        let deep = "/a".repeat(MAX_SEGMENTS + 1);
        for bad in [
            "/", "/a/", "//a", "/a//b", "/.", "/..", "/a/../b", "/%41", "/a;b", "/a\\b", "/\u{e9}", &long,
            &deep,
        ] {
            assert!(matches!(Domain::new(format!("a.example{bad}")), Err(BadDomain::Path(_))), "{bad}");
        }
    }

    #[test]
    fn a_wildcard_is_one_label_and_a_path_ends_with_a_segment() {
        let wild = domain("*.blog.example");
        assert!(wild.covers("a.blog.example", "/"));
        for other in [
            "blog.example",
            "a.b.blog.example",
            "ablog.example",
            ".blog.example",
            "a;b.blog.example",
            "*.blog.example",
            "localhost",
            "",
        ] {
            assert!(!wild.covers(other, "/"), "{other}");
        }
        let part = domain("a.example/shop");
        for path in ["/shop", "/shop/", "/shop/x/y"] {
            assert!(part.covers("a.example", path), "{path}");
        }
        for path in ["/", "/shopping", "/Shop", "/x/shop", "*"] {
            assert!(!part.covers("a.example", path), "{path}");
        }
        assert_eq!((below("/shop", "/shop"), below("", "/x")), (Some(""), Some("/x")));
    }

    #[test]
    fn it_travels_as_text() {
        let text = "\"*.a.example/x\"";
        let read: Domain = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert!(serde_json::from_str::<Domain>("\"a.example/\"").is_err());
    }
}
