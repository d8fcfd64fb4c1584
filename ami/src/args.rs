//! The command line as one definition. What the commands do is elsewhere; this file only says what a person may type.

pub mod hosts;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::iam::Role;
use crate::time;

const AFTER_HELP: &str = "\
Example:
  kennel ami publish out/kennel-0.1.0-x86_64.raw --region eu-west-1 --dry-run
  kennel ami publish out/kennel-0.1.0-x86_64.raw --region eu-west-1
  kennel ami ls --region eu-west-1
  kennel launch --name edge1 --region eu-west-1

Credentials, profiles and endpoints come from the environment and ~/.aws, as for the aws command.

Exit codes:
  0   done
  1   failed: something is broken or out of reach; going on with the same command may help
  2   refused: AWS denied a call, the image must not be published, or the AMI is not one of ours
  64  bad usage";

/// Publishes images to EC2, looks after what was published, and launches hosts from it.
#[derive(Debug, Parser)]
#[command(name = "kennel-ami", version, after_help = AFTER_HELP, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// Print one JSON document on standard output, and errors as JSON on standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an AMI of an image; prints its id, one line for each region
    #[command(
        after_help = "Example:\n  kennel-ami publish out/kennel-0.1.0-x86_64.raw --region eu-west-1 --copy-to us-east-1"
    )]
    Publish(Publish),
    /// List the AMIs that were published from here
    #[command(after_help = "Example:\n  kennel-ami ls --region eu-west-1")]
    Ls(Where),
    /// Show an AMI, its snapshot and who may launch it
    #[command(after_help = "Example:\n  kennel-ami show ami-0123456789abcdef0 --region eu-west-1")]
    Show(Target),
    /// Read an AMI's snapshot back and compare it with an image, block by block
    #[command(
        after_help = "Example:\n  kennel-ami verify ami-0123456789abcdef0 --image out/kennel-0.1.0-x86_64.raw --region eu-west-1"
    )]
    Verify(Verify),
    /// Copy an AMI to other regions; prints the ids of the copies
    #[command(
        after_help = "Example:\n  kennel-ami copy ami-0123456789abcdef0 --region eu-west-1 --to us-east-1"
    )]
    Copy(Copy),
    /// Let accounts, or everyone, launch an AMI; or no longer
    #[command(
        after_help = "Example:\n  kennel-ami share ami-0123456789abcdef0 --region eu-west-1 --with 123456789012"
    )]
    Share(Share),
    /// Mark an AMI as not to be used any more from a date on; whoever uses it still can
    #[command(
        after_help = "Example:\n  kennel-ami deprecate ami-0123456789abcdef0 --region eu-west-1 --in 30d"
    )]
    Deprecate(Deprecate),
    /// Forbid new launches of an AMI; also takes back every share
    #[command(after_help = "Example:\n  kennel-ami disable ami-0123456789abcdef0 --region eu-west-1")]
    Disable(Target),
    /// Remove an AMI and its snapshot
    #[command(after_help = "Example:\n  kennel-ami rm ami-0123456789abcdef0 --region eu-west-1")]
    Rm(Target),
    /// Remove snapshots of ours that belong to no AMI: what interrupted runs left behind
    #[command(after_help = "Example:\n  kennel-ami gc --region eu-west-1 --older-than 2h --dry-run")]
    Gc(Gc),
    /// Launch a host from an AMI; prints its address
    Launch(hosts::Launch),
    /// List the hosts that were launched in a region
    #[command(after_help = "Example:\n  kennel-ami hosts --region eu-west-1")]
    Hosts(Where),
    /// See what a host prints, reboot it, replace it, remove it
    #[command(subcommand, after_help = "Example:\n  kennel-ami host console edge1 --region eu-west-1")]
    Host(hosts::Host),
    /// Print the IAM policy that allows exactly the calls made by parts of this program
    #[command(after_help = "Example:\n  kennel-ami policy publish share > publish-policy.json")]
    Policy {
        /// Which parts
        #[arg(required = true, value_name = "PART")]
        roles: Vec<Role>,
    },
}

/// Where to look.
#[derive(Debug, Clone, clap::Args)]
pub struct Where {
    /// AWS region
    #[arg(long, env = "AWS_REGION", value_name = "REGION")]
    pub region: String,
}

/// One AMI.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The AMI
    #[arg(value_name = "AMI", value_parser = ami_id)]
    pub ami: String,
    /// Its region.
    #[command(flatten)]
    pub place: Where,
}

/// `kennel ami publish`
#[derive(Debug, clap::Args)]
pub struct Publish {
    /// The disk image that `kennel build` made; its manifest.json lies beside it
    pub image: PathBuf,
    /// Where.
    #[command(flatten)]
    pub place: Where,
    /// Copy the AMI to these regions too
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    pub copy_to: Vec<String>,
    /// Let these accounts launch it
    #[arg(long, value_name = "ACCOUNT", value_delimiter = ',', value_parser = account_id)]
    pub share: Vec<String>,
    /// Let everyone launch it
    #[arg(long, conflicts_with = "encrypt")]
    pub public: bool,
    /// Encrypt the snapshot with this KMS key (its ARN)
    #[arg(long, value_name = "KEY")]
    pub encrypt: Option<String>,
    /// Secure Boot keys that instances start with (`uefi-data.b64` of `kennel keys new`); the image must be signed
    /// [default: those that the image was built for, as its manifest says]
    #[arg(long, value_name = "FILE")]
    pub uefi_data: Option<PathBuf>,
    /// Write the AMI's id to this SSM parameter, in each region
    #[arg(long, value_name = "PATH", value_parser = parameter_path)]
    pub ssm: Option<String>,
    /// Send only what changed since the last published version, where its block digests are known here
    #[arg(long, value_name = "WHICH", default_value = "auto")]
    pub parent: Parent,
    /// Size of the volume for tenants' data, in GiB
    #[arg(long, value_name = "GIB", default_value_t = 8, value_parser = clap::value_parser!(i32).range(1..=16384))]
    pub data_size: i32,
    /// Give up after this time; the same command goes on where it stopped
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = time::parse)]
    pub deadline: Duration,
    /// Only print every call that would be made and what it costs
    #[arg(long)]
    pub dry_run: bool,
}

/// What an upload builds on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Parent {
    /// The newest published version whose block digests are known here
    Auto,
    /// Nothing: every block is sent
    None,
}

/// `kennel ami verify`
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The AMI.
    #[command(flatten)]
    pub target: Target,
    /// The image that it should be
    #[arg(long, value_name = "FILE")]
    pub image: PathBuf,
}

/// `kennel ami copy`
#[derive(Debug, clap::Args)]
pub struct Copy {
    /// The AMI.
    #[command(flatten)]
    pub target: Target,
    /// Regions to copy it to
    #[arg(long, value_name = "REGION", value_delimiter = ',', required = true)]
    pub to: Vec<String>,
}

/// `kennel ami share`
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("who").required(true).multiple(true).args(["with", "public"]))]
pub struct Share {
    /// The AMI.
    #[command(flatten)]
    pub target: Target,
    /// Accounts
    #[arg(long, value_name = "ACCOUNT", value_delimiter = ',', value_parser = account_id)]
    pub with: Vec<String>,
    /// Everyone
    #[arg(long)]
    pub public: bool,
    /// Take the permission back
    #[arg(long)]
    pub remove: bool,
}

/// `kennel ami deprecate`
#[derive(Debug, clap::Args)]
pub struct Deprecate {
    /// The AMI.
    #[command(flatten)]
    pub target: Target,
    /// From when on: a time from now, such as 30d (AWS wants at least a minute)
    #[arg(long = "in", value_name = "TIME", default_value = "2m", value_parser = time::parse)]
    pub after: Duration,
}

/// `kennel ami gc`
#[derive(Debug, clap::Args)]
pub struct Gc {
    /// Where.
    #[command(flatten)]
    pub place: Where,
    /// Leave alone what is younger: another computer may be uploading it
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = time::parse)]
    pub older_than: Duration,
    /// Only show what would be removed
    #[arg(long)]
    pub dry_run: bool,
}

fn ami_id(text: &str) -> Result<String, String> {
    let id = text.strip_prefix("ami-").unwrap_or_default();
    let good = (8..=17).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if good { Ok(text.to_owned()) } else { Err("an AMI is written ami- and 8 to 17 hexadecimal digits".into()) }
}

fn account_id(text: &str) -> Result<String, String> {
    let good = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if good { Ok(text.to_owned()) } else { Err("an AWS account has 12 digits".into()) }
}

fn parameter_path(text: &str) -> Result<String, String> {
    let good = text.starts_with('/')
        && text.len() > 1
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
    if good { Ok(text.to_owned()) } else { Err("a parameter is written /like/this".into()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_no_id_is_bad_usage() {
        assert!(ami_id("ami-0123456789abcdef0").is_ok());
        for bad in ["", "ami-", "snap-0123456789abcdef0", "ami-0123456789abcdefg", "ami-012345678901234567"] {
            assert!(ami_id(bad).is_err(), "{bad}");
        }
        assert!(account_id("123456789012").is_ok());
        assert!(account_id("12345678901").is_err() && account_id("12345678901x").is_err());
        assert!(parameter_path("/kennel/latest").is_ok());
        assert!(parameter_path("kennel").is_err() && parameter_path("/").is_err());
    }
}
