//! Accounts: the people who may ask a host for something, with what they may. Whose keys they are and what each operation
//! takes is control's business.

use serde::{Deserialize, Serialize};

use crate::{AccountName, TenantName, TokenName};

/// What somebody may do; each may do all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// To look at some tenants.
    Viewer,
    /// And to bring releases to them.
    Deployer,
    /// And to do with them whatever touches nobody else.
    Owner,
    /// Everything, with every tenant and the host.
    Operator,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Deployer, Self::Owner, Self::Operator];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Deployer => "deployer",
            Self::Owner => "owner",
            Self::Operator => "operator",
        }
    }

    /// With its article.
    pub const fn one(self) -> &'static str {
        match self {
            Self::Viewer => "a viewer",
            Self::Deployer => "a deployer",
            Self::Owner => "an owner",
            Self::Operator => "an operator",
        }
    }
}

/// An account to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// What it is called.
    pub name: AccountName,
    /// What it may do.
    pub role: Role,
    /// With which tenants; an operator's are all, and none is named.
    #[serde(default)]
    pub tenants: Vec<TenantName>,
    /// Public keys that sign in, in OpenSSH's one-line form; there may be none, for an account that has tokens only.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// What an account may do from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRights {
    /// As of [`NewAccount`].
    pub role: Role,
    /// As of [`NewAccount`].
    #[serde(default)]
    pub tenants: Vec<TenantName>,
}

/// One more key of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccountKey {
    /// The public key, in OpenSSH's one-line form.
    pub key: String,
}

/// A key of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountKey {
    /// SHA-256, as OpenSSH writes it.
    pub fingerprint: String,
    /// What stands behind the key.
    pub comment: String,
}

/// An account as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What it is called.
    pub name: AccountName,
    /// What it may do.
    pub role: Role,
    /// With which tenants, by name; none are named of an operator, whose are all.
    pub tenants: Vec<TenantName>,
    /// What signs in, by fingerprint.
    pub keys: Vec<AccountKey>,
    /// Who made it.
    pub by: String,
    /// When, in seconds since 1970-01-01 UTC.
    pub created_at_s: u64,
}

/// Who somebody is to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whoami {
    /// What stands for them wherever it says who did something: the account's name, or the key's fingerprint.
    pub by: String,
    /// The account; absent where a key of the host's user-data has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountName>,
    /// What they may do, with this token if it is one.
    pub role: Role,
    /// With which tenants; absent for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants: Option<Vec<TenantName>>,
    /// The token that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_those_before_it_may() {
        assert!(Role::ALL.is_sorted());
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
    }
}
