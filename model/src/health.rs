//! The path that says whether a program is ready. It lies in place rather than on the heap, so that [`crate::Limits`], of
//! which it is a part, stay plain values that are copied.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A path that a program is asked for, such as `/healthz`; it may have a query.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HealthPath {
    bytes: [u8; Self::MAX_BYTES],
    len: u8,
}

/// A path that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a path to ask for: write one such as /healthz, of at most 63 printable characters")]
pub struct InvalidHealthPath(String);

impl HealthPath {
    /// The longest.
    pub const MAX_BYTES: usize = 63;

    /// The path, as it is asked for.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or("/")
    }
}

impl FromStr for HealthPath {
    type Err = InvalidHealthPath;

    fn from_str(text: &str) -> Result<Self, InvalidHealthPath> {
        let good = text.starts_with('/')
            && text.len() <= Self::MAX_BYTES
            && text.bytes().all(|b| b.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&b));
        if !good {
            return Err(InvalidHealthPath(text.chars().take(80).collect()));
        }
        let mut bytes = [0; Self::MAX_BYTES];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { bytes, len: u8::try_from(text.len()).unwrap_or_default() })
    }
}

impl TryFrom<String> for HealthPath {
    type Error = InvalidHealthPath;

    fn try_from(text: String) -> Result<Self, InvalidHealthPath> {
        text.parse()
    }
}

impl From<HealthPath> for String {
    fn from(path: HealthPath) -> Self {
        path.as_str().to_owned()
    }
}

impl fmt::Display for HealthPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HealthPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_stand_in_a_request_line() {
        let longest = format!("/{}", "a".repeat(HealthPath::MAX_BYTES - 1));
        for good in ["/", "/healthz", "/up?deep=1", "/a%20b", &longest] {
            assert_eq!(good.parse::<HealthPath>().unwrap().as_str(), good);
        }
        for bad in ["", "healthz", "/a b", "/a#b", "/\r\nx: y", "/\u{e9}", "/{id}", &format!("{longest}a")] {
            assert!(bad.parse::<HealthPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn it_travels_as_text() {
        let path: HealthPath = "/healthz".parse().unwrap();
        assert_eq!(serde_json::to_string(&path).unwrap(), "\"/healthz\"");
        assert!(serde_json::from_str::<HealthPath>("\"x\"").is_err());
    }
}
