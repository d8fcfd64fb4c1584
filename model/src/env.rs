//! The environment that an operator gives a tenant's program. Values are secrets: nothing here shows one by accident.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::api::{Release, Tenant};
use crate::{EnvName, ReleaseId};

/// Variables of one tenant. Their bytes together are bounded by [`crate::launch::MAX_ENV_BYTES`].
pub const MAX_VARIABLES: usize = 64;
/// Bytes of one value.
pub const MAX_VALUE_BYTES: usize = 8 << 10;

/// The value of a variable. It is written by [`Serialize`] and [`EnvValue::expose`] only.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EnvValue(String);

/// Why a value was refused; it is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValue {
    /// Over [`MAX_VALUE_BYTES`].
    #[error("a value is longer than {MAX_VALUE_BYTES} bytes")]
    TooLong,
    /// A character that would be six in a message, or end the value early.
    #[error("a value holds a control character other than a line feed, a carriage return or a tab")]
    Control,
}

impl EnvValue {
    /// # Errors
    /// [`InvalidValue`].
    pub fn new(value: impl Into<String>) -> Result<Self, InvalidValue> {
        let value = value.into();
        if value.len() > MAX_VALUE_BYTES {
            return Err(InvalidValue::TooLong);
        }
        if value.chars().any(|c| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(InvalidValue::Control);
        }
        Ok(Self(value))
    }

    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EnvValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de> Deserialize<'de> for EnvValue {
    /// The words for what is no value are these: those of the format would quote it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = String::deserialize(deserializer).map_err(|_| de::Error::custom("a value is a text"))?;
        Self::new(value).map_err(de::Error::custom)
    }
}

impl EnvName {
    /// Whether Kennel sets it, and says by it who the program is: a tenant's own would not reach the program.
    pub fn is_reserved(&self) -> bool {
        self.as_str() == "PORT" || self.as_str().starts_with("KENNEL_")
    }
}

/// A variable as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVariable {
    /// Its name.
    pub name: EnvName,
    /// The release that was the first to have this value; absent for one that was set before there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<ReleaseId>,
}

/// Asks for other variables; those that are not named stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeEnv {
    /// To be set.
    pub set: BTreeMap<EnvName, EnvValue>,
    /// To be unset.
    pub unset: Vec<EnvName>,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvChanged {
    /// All variables there are now, by name.
    pub variables: Vec<EnvVariable>,
    /// The release that has them; absent when nothing has changed, or there is no release yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// The tenant with it.
    pub tenant: Tenant,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bounded_and_texts() {
        for good in ["", "ü\n-----BEGIN-----\r\n\t", &"x".repeat(MAX_VALUE_BYTES)] {
            assert_eq!(EnvValue::new(good).unwrap().expose(), good);
        }
        for bad in ["a\0b", "\u{1b}[2J", "\u{7f}"] {
            assert_eq!(EnvValue::new(bad), Err(InvalidValue::Control));
        }
        assert_eq!(EnvValue::new("x".repeat(MAX_VALUE_BYTES + 1)), Err(InvalidValue::TooLong));
    }

    #[test]
    fn no_words_about_a_value_quote_it() {
        let wish: ChangeEnv = serde_json::from_str(r#"{"set":{"KEY":"hunter2"}}"#).unwrap();
        assert!(!format!("{wish:?}").contains("hunter2"));
        assert_eq!(serde_json::to_string(&wish).unwrap(), r#"{"set":{"KEY":"hunter2"},"unset":[]}"#);
        for text in [
            r#"{"set":{"KEY":31337}}"#,
            "{\"set\":{\"KEY\":\"hunter2\\u0000\"}}",
            r#"{"set":{"KEY":["hunter2"]}}"#,
        ] {
            let error = serde_json::from_str::<ChangeEnv>(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains("31337"), "{error}");
        }
    }

    #[test]
    fn names_are_posix_and_some_are_kennels() {
        for good in ["A", "_x9", "DATABASE_URL", "LD_PRELOAD", "NODE_OPTIONS"] {
            assert!(!EnvName::new(good).unwrap().is_reserved(), "{good}");
        }
        for bad in ["", "9A", "A-B", "A B", "Ä", "A=B", &"A".repeat(65)] {
            assert!(EnvName::new(bad).is_err(), "{bad}");
        }
        for reserved in ["PORT", "KENNEL_TENANT", "KENNEL_"] {
            assert!(EnvName::new(reserved).unwrap().is_reserved(), "{reserved}");
        }
    }
}
