//! Arguments of `egress`.

use clap::ValueEnum;
use kennel_model::TenantName;
use kennel_model::egress::Protocol;

/// `kennel egress`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel egress blog
  kennel egress blog allow 10.0.5.7:5432
  kennel egress blog allow '[2001:db8::/32]:443'
  kennel egress blog allow 10.0.5.7:5000-5010 udp
  kennel egress blog deny 203.0.113.0/24
  kennel egress blog rm 2
  kennel egress blog --watch

Without rules, a tenant reaches the host's name servers and TCP ports 80 and 443 of public addresses.
`allow` adds to that, `deny` takes from it; `deny` beats `allow`, whichever came first. A change is for
new connections. This host itself, link-local addresses and the cloud's metadata service can never be
allowed. Names cannot be destinations: what they stand for changes.")]
pub struct Egress {
    /// The tenant
    pub name: TenantName,
    /// What to do
    #[arg(value_enum, default_value_t = EgressAct::Ls)]
    pub act: EgressAct,
    /// For `allow` and `deny`: address or network, with port or range of ports; for `rm`: number of the rule
    pub what: Option<String>,
    /// Protocol [default: tcp, and any for a `deny` without a port]
    #[arg(value_parser = protocol)]
    pub protocol: Option<Protocol>,
    /// Show what is refused as it happens, until Ctrl-C; with --json, one document a line
    #[arg(long, short)]
    pub watch: bool,
}

/// What to do about a tenant's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EgressAct {
    /// Show the rules with their counters
    Ls,
    /// Add a rule that lets new connections out
    Allow,
    /// Add a rule that refuses new connections
    Deny,
    /// Remove a rule
    Rm,
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => Err("use tcp or udp".to_owned()),
    }
}
