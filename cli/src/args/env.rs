//! Arguments of `env …`.

use std::path::PathBuf;

use clap::Subcommand;
use kennel_model::{EnvName, TenantName};

/// `kennel env …`
#[derive(Debug, Subcommand)]
pub enum EnvCommand {
    /// Set variables of a tenant's program, and have it run with them
    #[command(after_help = "\
Example:
  kennel env set blog COLOUR=blue GREETING='good day'
  pass show db | kennel env set blog DATABASE_URL=-
  kennel env set blog --from-file .env

A value of `-` is read from standard input, so that it is in nobody's history and process list; a line feed at its
end is not part of it. A file has a NAME=VALUE a line, as it stands, or in single or double quotes; in double ones
\\n, \\t, \\\\, \\\" and \\$ are what they are in a shell. Nothing is expanded. Empty lines and those that begin with # are
skipped, `export ` may stand before a name.

The change is a release of its own with the same files: it is tried beside the one that serves, and takes over when
it is ready; if it is no good, everything is as before. `kennel rollback` leads back, too. 64 variables at most, 16 KiB
together. PORT and KENNEL_… are the host's.")]
    Set {
        /// The tenant
        name: TenantName,
        /// What to set
        #[arg(value_name = "NAME=VALUE", required_unless_present = "from_file")]
        variables: Vec<String>,
        /// A file of more of them; those on the command line go before
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
    },
    /// Unset variables of a tenant's program, and have it run without them
    #[command(after_help = "Example:\n  kennel env unset blog COLOUR GREETING")]
    Unset {
        /// The tenant
        name: TenantName,
        /// What to unset
        #[arg(value_name = "NAME", required = true)]
        variables: Vec<EnvName>,
    },
    /// List the variables that were set, without their values, which nobody is told
    #[command(after_help = "Example:\n  kennel env ls blog")]
    Ls {
        /// The tenant
        name: TenantName,
    },
}
