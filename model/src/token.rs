//! Tokens: what a program shows that cannot sign in, such as Prometheus or whatever deploys. Each is good for one kind of thing,
//! until it expires or is revoked, and never for more than its account may at that time.

use serde::{Deserialize, Serialize};

use crate::account::Role;
use crate::{AccountName, TenantName, TokenName};

/// What secrets of tokens begin with, so that whoever finds one knows what it is.
pub const SECRET_PREFIX: &str = "kennel_";
/// How long a token of an account is good for that was made without a time.
pub const LIFE_S: u64 = 90 * 86_400;
/// Longest time that one can be good for.
pub const MAX_LIFE_S: u64 = 366 * 86_400;

/// What a token is good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// To read `GET /v1/metrics`; of no account.
    #[default]
    Metrics,
    /// What a viewer may.
    Read,
    /// What a deployer may.
    Deploy,
    /// What an owner may.
    Manage,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Metrics, Self::Read, Self::Deploy, Self::Manage];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Read => "read",
            Self::Deploy => "deploy",
            Self::Manage => "manage",
        }
    }

    /// What may be done with it, as a clause.
    pub const fn may(self) -> &'static str {
        match self {
            Self::Metrics => "read GET /v1/metrics",
            Self::Read => "do what a viewer may",
            Self::Deploy => "do what a deployer may",
            Self::Manage => "do what an owner may",
        }
    }

    /// The most that it gives of its account's role; nothing where it has no account.
    pub const fn most(self) -> Option<Role> {
        match self {
            Self::Metrics => None,
            Self::Read => Some(Role::Viewer),
            Self::Deploy => Some(Role::Deployer),
            Self::Manage => Some(Role::Owner),
        }
    }
}

/// A secret, with the SHA-256 of the certificate of the host that it is for: whoever has it knows which host to show it to, and
/// that it is that host.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    certificate: [u8; 32],
}

/// What is no secret of a token's, or one of a host that did not name its certificate yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a token's secret, as `kennel token add` prints it")]
pub struct NotASecret;

impl Secret {
    /// Of this scope, from random bytes, for the host with this certificate.
    pub fn new(scope: Scope, random: &[u8; 32], certificate: [u8; 32]) -> Self {
        let (random, host) = (hex(random), hex(&certificate));
        Self { text: format!("{SECRET_PREFIX}{}_{random}_{host}", scope.as_str()), certificate }
    }

    /// As it is sent.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// SHA-256 of the certificate of the host that it is for.
    pub const fn certificate(&self) -> [u8; 32] {
        self.certificate
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl std::str::FromStr for Secret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let rest = text.strip_prefix(SECRET_PREFIX).ok_or(NotASecret)?;
        let (rest, host) = rest.rsplit_once('_').ok_or(NotASecret)?;
        let (scope, random) = rest.split_once('_').ok_or(NotASecret)?;
        let known = Scope::ALL.iter().any(|known| known.as_str() == scope);
        match (known, unhex(random), unhex(host)) {
            (true, Some(_), Some(certificate)) => Ok(Self { text: text.to_owned(), certificate }),
            _ => Err(NotASecret),
        }
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
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
    /// Whose it is; when absent, whoever's makes it. Of [`Scope::Metrics`] nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// The only tenants that it is good for; when empty, all that its account has at that time.
    #[serde(default)]
    pub tenants: Vec<TenantName>,
    /// For how long, up to [`MAX_LIFE_S`]; when absent [`LIFE_S`], and of [`Scope::Metrics`] until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_s: Option<u64>,
}

/// A token as it is known: its secret is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What it is called.
    pub name: TokenName,
    /// What it is good for.
    pub scope: Scope,
    /// Who made it: an account, or the fingerprint of a key.
    pub by: String,
    /// When, in seconds since 1970-01-01 UTC.
    pub created_at_s: u64,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// The only tenants that it is good for; absent for all that its account has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants: Option<Vec<TenantName>>,
    /// When it is worth nothing any more, in seconds since 1970-01-01 UTC; absent for one that does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_s: Option<u64>,
    /// When it was used last, to the minute, in seconds since 1970-01-01 UTC; absent for one that never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at_s: Option<u64>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_names_its_host_and_shows_itself_to_nobody() {
        let secret = Secret::new(Scope::Deploy, &[7; 32], [0xab; 32]);
        assert!(secret.expose().starts_with("kennel_deploy_0707"), "{}", secret.expose());
        let read: Secret = secret.expose().parse().unwrap();
        assert_eq!((read.certificate(), &read), ([0xab; 32], &secret));
        assert_eq!(format!("{secret:?}"), "…");
        let text = secret.expose();
        for bad in
            ["", "kennel_", &text[1..], &text[..text.len() - 1], &text.to_uppercase(), &format!("{text}\n")]
        {
            assert_eq!(bad.parse::<Secret>(), Err(NotASecret), "{bad:?}");
        }
    }
}
