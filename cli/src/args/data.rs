//! Arguments of `data …`.

use std::path::PathBuf;

use clap::Subcommand;
use kennel_model::TenantName;

/// `kennel data …`
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Fetch all of a tenant's data, as it is at one moment
    #[command(after_help = "\
Example:
  kennel data pull blog blog-data.tar
  kennel data pull blog ./data/
  kennel data pull blog - | zstd > blog-data.tar.zst

Nothing is stopped for it. The host copies what is in /data and looks whether it has changed meanwhile; if so it
copies it again, five times at most. Sockets and pipes are left out. What the target has is never overwritten.")]
    Pull {
        /// The tenant
        name: TenantName,
        /// An archive (tar) to write; or a folder to unpack into, if it ends with / or is there, and empty; or - for standard output
        #[arg(value_name = "TO")]
        to: PathBuf,
    },
    /// Replace all of a tenant's data
    #[command(after_help = "\
Example:
  kennel data push blog blog-data.tar
  kennel data push blog ./data --yes
  zstdcat blog-data.tar.zst | kennel data push blog -

What comes is unpacked beside the data that there is, which takes room for both. When it is whole, the program and its
jobs are ended, the new takes the place of the old in one step, and the old is removed; visitors wait meanwhile. If
anything goes wrong before, the data is what it was.")]
    Push {
        /// The tenant
        name: TenantName,
        /// A folder whose content is to be in /data, an archive (tar) of one, or - for an archive on standard input
        #[arg(value_name = "FROM")]
        from: PathBuf,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}
