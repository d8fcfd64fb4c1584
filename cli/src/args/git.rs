//! Arguments of `git …`, and of this program where git calls it.

use clap::{Parser, Subcommand};
use kennel_model::TenantName;

use super::Global;

/// `kennel git …`
#[derive(Debug, Subcommand)]
pub enum GitCommand {
    /// Have `git push` deploy a tenant from the repository that one is in
    Setup(GitSetup),
}

/// `kennel git setup`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel git setup blog
  git push kennel main
  git push kennel fix                        # another branch: a beta, at r12.blog.example.com

Adds the remote, with the host that commands speak to, and makes git-remote-kennel, a link to this program that git
calls, if git would find none in PATH. Without it: `git remote add kennel kennel::blog`.

The commit that is pushed is deployed as `kennel deploy` would, all of its files but what a .kennelignore file leaves
out; what is no good is refused, and git says so. `main` and `master` serve; another branch is shown as with --beta.")]
pub struct GitSetup {
    /// The tenant
    pub tenant: TenantName,
    /// What the remote is called
    #[arg(long, value_name = "NAME", default_value = "kennel")]
    pub remote: String,
}

/// What git says when it calls this program as `git-remote-kennel`.
#[derive(Debug, Parser)]
#[command(name = "git-remote-kennel", version, about = "What git calls to push to a Kennel host")]
pub struct GitHelper {
    /// Options that git does not give, and variables that a person may have set.
    #[command(flatten)]
    pub global: Global,
    /// The remote's name, or its address again
    pub remote: String,
    /// The tenant, or kennel://HOST/TENANT
    pub url: String,
}
