//! Tokens: what a program that cannot sign in shows instead, such as Prometheus. Each is good for one thing, until an operator
//! removes it.

use serde::{Deserialize, Serialize};

use crate::TokenName;

/// What secrets of tokens begin with, so that whoever finds one knows what it is.
pub const SECRET_PREFIX: &str = "kennel_";

/// What a token is good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// To read `GET /v1/metrics`.
    #[default]
    Metrics,
}

impl Scope {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
        }
    }

    /// What may be done with it, as a clause.
    pub const fn may(self) -> &'static str {
        match self {
            Self::Metrics => "read GET /v1/metrics",
        }
    }
}

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is called.
    pub name: TokenName,
    /// What it is good for.
    #[serde(default)]
    pub scope: Scope,
}

/// A token as it is known: its secret is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is called.
    pub name: TokenName,
    /// What it is good for.
    pub scope: Scope,
    /// Fingerprint of the key whose owner made it.
    pub by: String,
    /// When, in seconds since 1970-01-01 UTC.
    pub created_at_s: u64,
}

/// A token that has just been made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMade {
    /// What is kept of it.
    #[serde(flatten)]
    pub token: Token,
    /// What is to be shown as `Authorization: Bearer …`. Told this once.
    pub secret: String,
}
