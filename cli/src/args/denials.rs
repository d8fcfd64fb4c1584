//! Arguments of `denials` and `prove`.

use kennel_model::TenantName;

/// `kennel denials`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel denials
  kennel denials blog -f

Each kind of denied act is one line with its count: what was tried, what stands there, and who
refused it. Without a tenant, those of all tenants and of the host's own programs are shown.")]
pub struct Denials {
    /// The tenant
    pub name: Option<TenantName>,
    /// Go on with what is denied from now on, until Ctrl-C; with --json, one document a line
    #[arg(long, short)]
    pub follow: bool,
    /// Kinds to show of what is known
    #[arg(long, short = 'n', default_value_t = 50)]
    pub lines: u32,
}

/// `kennel prove`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel prove
  kennel prove blog

A probing program is deployed to an empty slot as a tenant's would be. It tries every forbidden act
that can be tried without harm; a tenant that is named is the one whose files and ports it goes for.
The exit code is 1 when one of the acts succeeds.")]
pub struct Prove {
    /// The tenant whose files and ports are tried [default: any]
    pub neighbour: Option<TenantName>,
}
