//! Arguments of `exec`.

use kennel_model::TenantName;

/// `kennel exec`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel exec blog -- node scripts/migrate.js
  kennel exec blog -- node -p 'process.versions'
  cat dump.json | kennel exec blog -- node scripts/import.js

The command runs beside the tenant's program, which it neither wakes nor disturbs, with the files of the release that
serves, its variables and /data, as the tenant and within its limits. There is no shell in between, and none on the host:
a name without a slash is looked for in the runtime, any other in the release. Ctrl-C asks it to end; a second one leaves
at once, which ends it too. Its exit code is this command's.")]
pub struct Exec {
    /// The tenant
    pub name: TenantName,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}
