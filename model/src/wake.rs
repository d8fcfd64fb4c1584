//! Why a program is awake, and how deep it is put to sleep by hand. What follows is init's ladder.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Who wants a program awake, in a few words that fit after "started by" and "woken by". A visitor's are a stranger's text:
/// whatever they are made from, they are printable ASCII and at most [`Cause::MAX_BYTES`] long.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Cause(String);

impl Cause {
    /// As long as a line of a terminal leaves room for.
    pub const MAX_BYTES: usize = 120;

    /// An operator, through the API.
    pub fn operator() -> Self {
        "an operator".to_owned().into()
    }

    /// The host itself, for a program that is always on.
    pub fn always_on() -> Self {
        "the host, as it is always on".to_owned().into()
    }

    /// A visitor's request. Its query may hold what is nobody's business, and is left out by whoever calls this; a long path
    /// is cut, so that the address is always there.
    pub fn request(method: &str, path: &str, client: IpAddr) -> Self {
        let from = format!(" from {client}");
        let what: String = format!("{method} {path}").chars().take(Self::MAX_BYTES - from.len()).collect();
        format!("{what}{from}").into()
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        let printable = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
        Self(text.chars().take(Self::MAX_BYTES).map(printable).collect())
    }
}

/// How deep a program is put to sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Its processes get no processor time.
    Frozen,
    /// And its memory goes to swap.
    Reclaimed,
    /// It is stopped.
    Stopped,
}

/// Puts a tenant's program to sleep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sleep {
    /// At least as deep.
    pub to: Depth,
}

impl Default for Sleep {
    fn default() -> Self {
        Self { to: Depth::Frozen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg::{decode, encode};

    #[test]
    fn a_cause_is_short_and_printable_whatever_it_is_made_from() {
        let client = "2001:db8::7".parse().unwrap();
        let cause = Cause::request("GET", "/about", client);
        assert_eq!(cause.as_str(), "GET /about from 2001:db8::7");
        let long = Cause::request("GET", &"/x".repeat(500), client);
        assert_eq!(long.as_str().len(), Cause::MAX_BYTES);
        assert!(long.as_str().ends_with(" from 2001:db8::7"));
        let forged = encode(&"GET /\u{1b}[2J\nstarted by \u{202e}nobody".to_owned()).unwrap();
        assert_eq!(decode::<Cause>(&forged).unwrap().as_str(), "GET /?[2J?started by ?nobody");
    }
}
