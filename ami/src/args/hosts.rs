//! What may be typed about hosts on EC2: `launch`, `hosts`, `host …`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use kennel_model::HostName;

use super::Where;
use crate::launch::{Choice, whoami};
use crate::time;

/// `kennel launch`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel launch --name edge1 --region eu-west-1 --dry-run
  kennel launch --name edge1 --region eu-west-1 --elastic-ip --domain example.org

Standard output is exactly the host's address. Interrupted, the same command goes on.")]
pub struct Launch {
    /// Name of the host, here and at AWS
    #[arg(long, value_name = "NAME", value_parser = host_name)]
    pub name: HostName,
    /// Where.
    #[command(flatten)]
    pub place: Where,
    /// Instance type
    #[arg(long = "type", value_name = "TYPE", default_value = "t3.small")]
    pub kind: String,
    /// AMI: its id, the /path of an SSM parameter that has it, or the newest that was published from here
    #[arg(long, value_name = "AMI", default_value_t = Choice::Newest)]
    pub ami: Choice,
    /// Subnet [default: a default subnet of the region]
    #[arg(long, value_name = "SUBNET")]
    pub subnet: Option<String>,
    /// Key pair at AWS (ed25519) whose owner may sign in
    #[arg(long, value_name = "PAIR")]
    pub key: Option<String>,
    /// File with ssh-ed25519 keys that may sign in [default: this computer's own, as for `kennel run`]
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Vec<PathBuf>,
    /// Domain that will point to the host: only for what is printed at the end
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<HostName>,
    /// A spot instance: cheaper, and taken away when AWS needs it; the data volume stays
    #[arg(long)]
    pub spot: bool,
    /// An Elastic IP: the address then outlives the instance
    #[arg(long)]
    pub elastic_ip: bool,
    /// Size of the volume for tenants' data, such as 8G
    #[arg(long, value_name = "SIZE", default_value = "8G", value_parser = gib)]
    pub data_size: i32,
    /// Instance profile; hosts need none
    #[arg(long, value_name = "NAME")]
    pub instance_profile: Option<String>,
    /// From where the API may be reached [default: this computer's address, asked of checkip.amazonaws.com]
    #[arg(long, value_name = "CIDR", value_parser = whoami::network)]
    pub api_from: Option<String>,
    /// Give up after this time; the same command goes on where it stopped
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time::parse)]
    pub deadline: Duration,
    /// Only print every call that would be made and what it costs
    #[arg(long)]
    pub dry_run: bool,
}

/// `kennel host …`, of hosts on EC2
#[derive(Debug, Subcommand)]
pub enum Host {
    /// Show what a host has printed on its console
    #[command(after_help = "Example:\n  kennel-ami host console edge1 --region eu-west-1")]
    Console(Named),
    /// Start a host again
    #[command(after_help = "Example:\n  kennel-ami host reboot edge1 --region eu-west-1")]
    Reboot(Named),
    /// Give a host another AMI: a new instance with the same data volume and address
    Replace(Replace),
    /// Remove a host; its data volume and its Elastic IP stay, unless told otherwise
    Terminate(Terminate),
}

/// A host.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Its name
    #[arg(value_name = "NAME", value_parser = host_name)]
    pub name: HostName,
    /// Its region.
    #[command(flatten)]
    pub place: Where,
}

/// `kennel host replace`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel-ami host replace edge1 --region eu-west-1 --ami ami-0123456789abcdef0

Standard output is exactly the host's address. Interrupted, the same command goes on, and with
--back goes back, until the new instance has answered and the old one is gone.")]
pub struct Replace {
    /// The host.
    #[command(flatten)]
    pub target: Named,
    /// AMI: its id, the /path of an SSM parameter that has it, or the newest that was published from here
    #[arg(long, value_name = "AMI", default_value_t = Choice::Newest)]
    pub ami: Choice,
    /// Go back to the old instance
    #[arg(long, conflicts_with_all = ["ami", "dry_run"])]
    pub back: bool,
    /// Give up after this time; the same command goes on where it stopped
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time::parse)]
    pub deadline: Duration,
    /// Only print every call that would be made
    #[arg(long)]
    pub dry_run: bool,
}

/// `kennel host terminate`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  kennel-ami host terminate edge1 --region eu-west-1")]
pub struct Terminate {
    /// The host.
    #[command(flatten)]
    pub target: Named,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Remove the data volume too, with everything that tenants have on it
    #[arg(long)]
    pub with_data: bool,
    /// Give the Elastic IP back too
    #[arg(long)]
    pub with_address: bool,
}

/// Short enough to be part of names at AWS.
fn host_name(text: &str) -> Result<HostName, String> {
    let name = HostName::new(text).map_err(|error| error.to_string())?;
    if text.len() <= 63 { Ok(name) } else { Err("a host's name has at most 63 characters".to_owned()) }
}

fn gib(text: &str) -> Result<i32, String> {
    let digits = text.strip_suffix(['G', 'g']).unwrap_or(text);
    let size = digits.parse().ok().filter(|size| (1..=16384).contains(size));
    size.ok_or_else(|| "a size is a whole number of GiB from 1 to 16384, such as 8G".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_gibibytes() {
        assert_eq!([gib("8G"), gib("20"), gib("1g")], [Ok(8), Ok(20), Ok(1)]);
        for bad in ["", "G", "0G", "8T", "16385G", "-1G", "1.5G"] {
            assert!(gib(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_fit_into_names_at_aws() {
        assert!(host_name("edge1").is_ok() && host_name("edge1.example.org").is_ok());
        assert!(host_name("Edge").is_err() && host_name(&format!("{}.b", "a".repeat(62))).is_err());
    }
}
