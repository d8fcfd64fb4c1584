//! Arguments of `account …`, `audit` and `login`.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use kennel_model::account::Role;
use kennel_model::{AccountName, TenantName};

use super::After;

/// `kennel account …`
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Let somebody in: make an account with a role and keys
    #[command(after_help = "\
Example:
  kennel account add ada --role deployer --tenant blog --key ~/.ssh/id_ed25519.pub
  kennel account add ben --role owner --tenant blog --tenant shop --key ben.pub
  kennel account add ci --role deployer --tenant blog

A viewer looks at tenants; a deployer brings releases and sets variables, too; an owner also starts and stops, writes
pages and reads the audit log; an operator may everything. docs/accounts.md has each operation. An account without a
key has tokens only: `kennel token add`.")]
    Add {
        /// What it is to be called
        name: AccountName,
        /// What it may do.
        #[command(flatten)]
        rights: RightsArgs,
        /// A public key that signs in (Ed25519): a .pub file, or a private key, of which only the public half is sent; may be
        /// given more than once
        #[arg(long = "key", value_name = "KEYFILE")]
        keys: Vec<PathBuf>,
    },
    /// Give an account other rights, in the place of those it has
    #[command(after_help = "Example:\n  kennel account set ada --role owner --tenant blog --tenant shop")]
    Set {
        /// The account
        name: AccountName,
        /// What it may do.
        #[command(flatten)]
        rights: RightsArgs,
    },
    /// List the accounts
    #[command(after_help = "Example:\n  kennel account ls")]
    Ls,
    /// Remove an account: who has signed in with it is signed out, its tokens are revoked
    #[command(after_help = "Example:\n  kennel account rm ada")]
    Rm {
        /// The account
        name: AccountName,
    },
    /// Let more keys of an account sign in, or fewer
    #[command(subcommand, after_help = "Example:\n  kennel account key add ada laptop.pub")]
    Key(AccountKeyCommand),
}

/// `kennel account key …`
#[derive(Debug, Subcommand)]
pub enum AccountKeyCommand {
    /// Let one more key sign in
    #[command(after_help = "Example:\n  kennel account key add ada laptop.pub")]
    Add {
        /// The account
        name: AccountName,
        /// As of `kennel account add --key`
        #[arg(value_name = "KEYFILE")]
        key: PathBuf,
    },
    /// Take a key away: who has signed in with it is signed out
    #[command(after_help = "\
Example:
  kennel account key rm ada SHA256:uF0OQ…
  kennel account key rm ada laptop.pub")]
    Rm {
        /// The account
        name: AccountName,
        /// The key's fingerprint, as `kennel account ls` shows it, or its file
        #[arg(value_name = "FINGERPRINT|KEYFILE")]
        key: String,
    },
}

/// What an account may.
#[derive(Debug, Clone, clap::Args)]
pub struct RightsArgs {
    /// What it may do
    #[arg(long, value_enum)]
    pub role: RoleArg,
    /// With which tenant; may be given more than once, and is for all roles but operator, whose tenants are all
    #[arg(long = "tenant", value_name = "NAME")]
    pub tenants: Vec<TenantName>,
}

/// What an account may do; each may all that those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// Look
    Viewer,
    /// And bring releases, roll back, set variables
    Deployer,
    /// And start, stop, write pages, announce maintenance, read the audit log
    Owner,
    /// Everything
    Operator,
}

impl From<RoleArg> for Role {
    fn from(arg: RoleArg) -> Self {
        match arg {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Deployer => Self::Deployer,
            RoleArg::Owner => Self::Owner,
            RoleArg::Operator => Self::Operator,
        }
    }
}

/// `kennel audit`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel audit
  kennel audit --tenant blog --since 7d -n 200
  kennel --json audit -n 1000

Who asked for which change, from where, and what came of it; also attempts to sign in that were refused. Operators see
all, owners what was done to their tenants. No values of variables, keys or secrets are in it. The host keeps the last
2,000 of each person.")]
pub struct Audit {
    /// Only what was done to this tenant
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<TenantName>,
    /// Only what was no longer ago than this, such as 2h or 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<After>,
    /// Entries to show
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub lines: u32,
}
