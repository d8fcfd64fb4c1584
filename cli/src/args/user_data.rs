//! Arguments of `kennel user-data`.

use std::path::PathBuf;

/// `kennel user-data …`
#[derive(Debug, clap::Subcommand)]
pub enum UserDataCommand {
    /// Check a file as a host checks its user-data: TOML, at most 16 KiB, nothing that is not known
    #[command(after_help = "\
Example:
  kennel user-data check user-data.toml
  kennel user-data check user-data.toml && aws ec2 run-instances --user-data file://user-data.toml …

All that it may hold:
  [host]
  name = \"edge1\"

  [operator]
  ssh_keys = [\"ssh-ed25519 AAAA… ada\"]

  [time]
  servers = [\"192.0.2.1\"]

  [proxy]
  trusted = [\"10.0.0.0/16\"]
  proxy_protocol = true")]
    Check {
        /// The file; - is standard input
        file: PathBuf,
    },
    /// Print what user-data may hold, as JSON Schema
    #[command(after_help = "Example:\n  kennel user-data schema > user-data.schema.json")]
    Schema,
}
