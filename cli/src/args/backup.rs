//! Arguments of `backup` and `restore`.

use std::path::PathBuf;

use clap::Args;
use kennel_model::{Domain, TenantName};

/// `kennel backup …`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kennel backup blog blog-2026-11-23.tar
  kennel backup blog - | age -r age1… > blog.tar.age

One archive (tar) with what `kennel restore` makes the tenant of again: the files of the release that serves, all of /data as
it is at one moment, limits, domains, redirects, egress rules, jobs, page and variables, WITH THEIR VALUES: keep it as you
keep secrets. Nothing is stopped for it. Other releases, logs and figures are not in it.")]
pub struct BackupOf {
    /// The tenant
    pub name: TenantName,
    /// The file to write, which must not be there yet; or - for standard output
    #[arg(value_name = "FILE")]
    pub to: PathBuf,
}

/// `kennel restore …`
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kennel restore blog-2026-11-23.tar
  kennel restore blog-2026-11-23.tar --as blog-copy --domain copy.example.com

Makes the tenant, on this host or another. What is there already is never changed: `kennel tenant rm` first, or take another
name. Under another name it gets neither the domains of the original nor its jobs, as there may be both. Its domains
come last, when all the rest serves.")]
pub struct Restore {
    /// What `kennel backup` has written
    #[arg(value_name = "FILE")]
    pub from: PathBuf,
    /// Another name than it had
    #[arg(long = "as", value_name = "NAME")]
    pub name: Option<TenantName>,
    /// A domain, in the place of all those that it had (repeatable)
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Vec<Domain>,
}
