//! Which folder of a tenant's release the proxy answers from by itself, and below which path. The texts lie in place rather
//! than on the heap, so that [`crate::Limits`], of which this is a part, stay plain values that are copied. How files are
//! found and answered is the proxy's business.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Files that the proxy answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticFiles {
    /// Below which path: `/`, `/assets`.
    pub path: UrlPrefix,
    /// Where they are in the release: `public`, `public/assets`, or `.` for all of it.
    pub folder: FolderPath,
    /// What is not found is a 404 and never wakes the program.
    #[serde(default)]
    pub only: bool,
    /// For how long browsers may keep what has no hash in its name without asking again, in seconds; 0: they ask each time.
    #[serde(default)]
    pub max_age_s: u32,
}

impl StaticFiles {
    /// All of a release, and nothing else.
    pub fn all() -> Self {
        Self {
            path: UrlPrefix(Text::sign(b'/')),
            folder: FolderPath(Text::sign(b'.')),
            only: true,
            max_age_s: 0,
        }
    }

    /// The part of a request's path that names the file: empty for the path itself, else from the slash on. None for paths
    /// that are not below it.
    pub fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let prefix = self.path.as_str();
        if prefix == "/" {
            return path.starts_with('/').then_some(path);
        }
        path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether nothing is left for a program.
    pub fn is_whole_site(&self) -> bool {
        self.only && self.path.as_str() == "/"
    }
}

/// A path of a site's, without `/` at its end unless it is all of it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UrlPrefix(Text);

/// A folder within a release; `.` for the release itself.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FolderPath(Text);

/// A text that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStatic {
    /// Not a [`UrlPrefix`].
    #[error("{0:?} is not a path of a site: write one such as /assets, of at most 63 plain characters, or /")]
    Path(String),
    /// Not a [`FolderPath`].
    #[error(
        "{0:?} is not a folder of a release: write one such as public or dist/assets, of at most 63 plain characters, or ."
    )]
    Folder(String),
}

/// The longest of both.
pub const MAX_BYTES: usize = 63;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Text {
    bytes: [u8; MAX_BYTES],
    len: u8,
}

impl Text {
    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; MAX_BYTES];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { bytes, len: u8::try_from(text.len()).ok()? })
    }

    const fn sign(sign: u8) -> Self {
        let mut bytes = [0; MAX_BYTES];
        bytes[0] = sign;
        Self { bytes, len: 1 }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

/// Whether it is names with slashes between them, none hidden, of characters that mean the same in a path, in an address
/// and in a shell.
fn is_plain(path: &str) -> bool {
    let plain = |c: u8| c.is_ascii_alphanumeric() || b"-_.~+@".contains(&c);
    path.split('/').all(|name| !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain))
}

fn clipped(text: &str) -> String {
    text.chars().take(80).collect()
}

impl UrlPrefix {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FolderPath {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for UrlPrefix {
    type Err = InvalidStatic;

    fn from_str(text: &str) -> Result<Self, InvalidStatic> {
        let good = text == "/" || text.strip_prefix('/').is_some_and(is_plain);
        good.then(|| Text::new(text)).flatten().map(Self).ok_or_else(|| InvalidStatic::Path(clipped(text)))
    }
}

impl FromStr for FolderPath {
    type Err = InvalidStatic;

    fn from_str(text: &str) -> Result<Self, InvalidStatic> {
        let good = text == "." || is_plain(text);
        good.then(|| Text::new(text)).flatten().map(Self).ok_or_else(|| InvalidStatic::Folder(clipped(text)))
    }
}

macro_rules! as_text {
    ($($kind:ty),*) => {$(
        impl TryFrom<String> for $kind {
            type Error = InvalidStatic;

            fn try_from(text: String) -> Result<Self, InvalidStatic> {
                text.parse()
            }
        }

        impl From<$kind> for String {
            fn from(text: $kind) -> Self {
                text.as_str().to_owned()
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.as_str(), f)
            }
        }
    )*};
}
as_text!(UrlPrefix, FolderPath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_folders_are_plain_names() {
        let longest = "a".repeat(MAX_BYTES);
        for good in [".", "public", "dist/assets-2", "_site", &longest] {
            assert_eq!(good.parse::<FolderPath>().unwrap().as_str(), good);
        }
        let longer = format!("{longest}a");
        for bad in [
            "", "/", "/public", "public/", "a//b", "..", "a/..", "../a", ".git", "a/.b", "a b", "a\0b",
            "\u{e9}", &longer,
        ] {
            assert!(bad.parse::<FolderPath>().is_err(), "{bad:?}");
        }
        for good in ["/", "/assets", "/a/b.c"] {
            assert_eq!(good.parse::<UrlPrefix>().unwrap().as_str(), good);
        }
        for bad in ["", "assets", "/assets/", "//", "/a//b", "/..", "/.well-known", "/a%20b", "/a?b", "/a b"] {
            assert!(bad.parse::<UrlPrefix>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_path_is_below_by_whole_names() {
        let rule = |path: &str| StaticFiles {
            path: path.parse().unwrap(),
            folder: ".".parse().unwrap(),
            only: true,
            max_age_s: 0,
        };
        assert_eq!(rule("/").below("/a/b"), Some("/a/b"));
        assert_eq!(rule("/").below("*"), None);
        assert!(rule("/").is_whole_site() && !rule("/a").is_whole_site());
        let all = StaticFiles::all();
        assert!(all.is_whole_site() && (all.path.as_str(), all.folder.as_str()) == ("/", "."));
        for (path, rest) in
            [("/a", Some("")), ("/a/", Some("/")), ("/a/b", Some("/b")), ("/ab", None), ("/", None)]
        {
            assert_eq!(rule("/a").below(path), rest, "{path}");
        }
    }

    #[test]
    fn they_travel_as_text() {
        let json = r#"{"path":"/assets","folder":"public/assets"}"#;
        let rule: StaticFiles = serde_json::from_str(json).unwrap();
        assert_eq!((rule.only, rule.max_age_s), (false, 0));
        let packet = crate::msg::encode(&rule).unwrap();
        assert_eq!(crate::msg::decode::<StaticFiles>(&packet).unwrap(), rule);
        for bad in [
            r#"{"path":"/","folder":"../x"}"#,
            r#"{"path":"x","folder":"."}"#,
            r#"{"path":"/","folder":".","x":1}"#,
        ] {
            assert!(serde_json::from_str::<StaticFiles>(bad).is_err(), "{bad}");
        }
    }
}
