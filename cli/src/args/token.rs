//! Arguments of `token …`.

use clap::{Subcommand, ValueEnum};
use kennel_model::token::Scope;
use kennel_model::{AccountName, TenantName, TokenName};

use super::After;

/// `kennel token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and print its secret this once
    #[command(visible_alias = "create")]
    Add(TokenAdd),
    /// List the tokens, without their secrets: all, or one's own
    #[command(after_help = "Example:\n  kennel token ls")]
    Ls,
    /// Revoke a token: it is worth nothing from then on
    #[command(visible_alias = "revoke", after_help = "Example:\n  kennel token rm ci")]
    Rm {
        /// The token
        name: TokenName,
    },
}

/// `kennel token add`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel token add ci --account ada --scope deploy --tenant blog --expires 30d
  kennel token add prometheus --scope metrics > /etc/prometheus/edge1.token

Whoever has the secret may do with it what its scope says, from anywhere, until it expires or is revoked, and never more
than its account may at that time. Without --account it is of the account of whoever makes it. The host keeps only
the secret's hash: one that is lost is revoked and made anew. The secret also names the host's certificate, so that

  KENNEL_TOKEN=… kennel --host https://203.0.113.7:8443 deploy blog .

needs nothing else, in GitHub Actions for one.")]
pub struct TokenAdd {
    /// What it is to be called, after whom it is for
    pub name: TokenName,
    /// What it is good for
    #[arg(long, value_enum, default_value_t = ScopeChoice::Metrics)]
    pub scope: ScopeChoice,
    /// Whose it is [default: one's own]
    #[arg(long, value_name = "NAME")]
    pub account: Option<AccountName>,
    /// The only tenant that it is good for, of its account's; may be given more than once [default: all of them]
    #[arg(long = "tenant", value_name = "NAME")]
    pub tenants: Vec<TenantName>,
    /// For how long it is good, such as 30d; 366d at most [default: 90d, and of scope metrics until it is revoked]
    #[arg(long, value_name = "TIME")]
    pub expires: Option<After>,
}

/// What a token can be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeChoice {
    /// To read what Prometheus reads, GET /v1/metrics
    Metrics,
    /// What a viewer may
    Read,
    /// What a deployer may
    Deploy,
    /// What an owner may
    Manage,
}

impl From<ScopeChoice> for Scope {
    fn from(choice: ScopeChoice) -> Self {
        match choice {
            ScopeChoice::Metrics => Self::Metrics,
            ScopeChoice::Read => Self::Read,
            ScopeChoice::Deploy => Self::Deploy,
            ScopeChoice::Manage => Self::Manage,
        }
    }
}
