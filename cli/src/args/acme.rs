//! Arguments of `acme …`.

use std::path::PathBuf;

use clap::Subcommand;
use kennel_model::acme::{LETS_ENCRYPT, LETS_ENCRYPT_STAGING};

/// `kennel acme …`
#[derive(Debug, Subcommand)]
pub enum AcmeCommand {
    /// Have every tenant's domains get their certificates by themselves, from now on
    #[command(after_help = "\
Examples:
  kennel acme on --email ops@example.com --staging --agree-to-terms
  kennel acme on --email ops@example.com --agree-to-terms
  kennel acme on --directory https://ca.internal/acme/acme/directory --ca-root root.pem

A domain gets one when it is a tenant's, when its address is this host's, and when you have brought none for it.
Try --staging first: that authority's limits are wide, and no browser trusts what it issues. Without it, and
without --directory, the authority is Let's Encrypt; what staging has issued is then replaced.")]
    On {
        /// Whom the authority writes to when something is amiss
        #[arg(long, value_name = "ADDRESS")]
        email: Option<String>,
        /// The authority's directory
        #[arg(long, value_name = "URL", default_value = LETS_ENCRYPT, hide_default_value = true)]
        directory: String,
        /// Let's Encrypt's double for trying things out
        #[arg(long, conflicts_with = "directory")]
        staging: bool,
        /// Trust the authority by these roots, in PEM, and no others
        #[arg(long, value_name = "FILE")]
        ca_root: Option<PathBuf>,
        /// You have read the authority's terms and agree to them
        #[arg(long)]
        agree_to_terms: bool,
    },
    /// Say how every domain stands
    #[command(after_help = "Example:\n  kennel acme status")]
    Status,
    /// Order nothing any more; certificates are shown until they expire
    #[command(after_help = "Example:\n  kennel acme off")]
    Off,
}

impl AcmeCommand {
    /// The directory of `--staging`.
    pub const fn staging() -> &'static str {
        LETS_ENCRYPT_STAGING
    }
}
