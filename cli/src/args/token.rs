//! Arguments of `token …`.

use clap::{Subcommand, ValueEnum};
use kennel_model::TokenName;
use kennel_model::token::Scope;

/// `kennel token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and print its secret this once
    #[command(after_help = "\
Example:
  kennel token create prometheus --scope metrics > /etc/prometheus/edge1.token

The secret is good for nothing but its scope, from anywhere, until `kennel token rm prometheus`. The host keeps
only its hash: one that is lost is removed and made anew.")]
    Create {
        /// What it is to be called, after whom it is for
        name: TokenName,
        /// What it is good for
        #[arg(long, value_enum, default_value_t = ScopeChoice::Metrics)]
        scope: ScopeChoice,
    },
    /// List the tokens that are good, without their secrets
    #[command(after_help = "Example:\n  kennel token ls")]
    Ls,
    /// Remove a token: it is worth nothing from then on
    #[command(after_help = "Example:\n  kennel token rm prometheus")]
    Rm {
        /// The token
        name: TokenName,
    },
}

/// What a token can be good for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ScopeChoice {
    /// To read what Prometheus reads, GET /v1/metrics
    Metrics,
}

impl From<ScopeChoice> for Scope {
    fn from(choice: ScopeChoice) -> Self {
        match choice {
            ScopeChoice::Metrics => Self::Metrics,
        }
    }
}
