//! Arguments of `jobs` and `job`.

use kennel_model::TenantName;

/// `kennel jobs`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel jobs
  kennel jobs blog

A job is a change that takes a while: a deploy, a rollback, a tenant made or removed. What goes on is listed, and what has
ended since the host's control was started, 200 at the most. `kennel audit` shows all changes, also older and shorter ones.")]
pub struct Jobs {
    /// Only of this tenant
    pub name: Option<TenantName>,
    /// How many that have ended to show
    #[arg(long, short = 'n', default_value_t = 20)]
    pub lines: usize,
}

/// `kennel job`
#[derive(Debug, clap::Subcommand)]
pub enum JobCommand {
    /// Show one with its steps
    #[command(after_help = "Example:\n  kennel job show 41")]
    Show {
        /// Its number
        number: u64,
    },
    /// Follow one to its end, step by step; the exit code says how it ended
    #[command(after_help = "\
Example:
  kennel job follow 41
  kennel job follow

Whoever began it may have gone: a change goes on once the host has all that it takes.")]
    Follow {
        /// Its number [default: that of the one that began last of those under way]
        number: Option<u64>,
    },
}
