//! Arguments of the commands about hosts: `host …`.

use std::path::PathBuf;

use clap::Subcommand;
use kennel_model::HostName;

use super::PassedOn;
use crate::hosts::ApiUrl;
use crate::pin::Fingerprint;

/// Which host is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostArg {
    /// One that is known here.
    Named(HostName),
    /// One that is known by what a token says of it.
    At(ApiUrl),
}

impl std::str::FromStr for HostArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains("://") {
            return text.parse().map(Self::At).map_err(|e: crate::hosts::InvalidUrl| e.to_string());
        }
        HostName::new(text).map(Self::Named).map_err(|e| e.to_string())
    }
}

/// `kennel host …`
#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// Show how a host is doing: slots, services, memory, disk, runtimes
    #[command(after_help = "Example:\n  kennel host status --host local")]
    Status,
    /// Print what the host and its tenants do, as Prometheus reads it
    #[command(after_help = "\
Example:
  kennel host metrics --host edge1 > /var/lib/node_exporter/edge1.prom

The same page is at /v1/metrics of the host's API, for who has signed in there or shows a token (`kennel token`).")]
    Metrics,
    /// Print the certificate of a host's API, in PEM, if it is the one that is known here
    #[command(after_help = "\
Example:
  kennel host certificate --host edge1 > edge1.pem

For programs that hold to a file instead of a fingerprint. It is made out to the name `kennel`.")]
    Certificate,
    /// Ask a host's TPM what has booted there, and compare it with what was built
    Attest(Attest),
    /// Show how a host's registry is, and what it can be repaired with
    #[command(after_help = "Example:\n  kennel host doctor --host edge1")]
    Doctor,
    /// Put a snapshot in the place of a registry that cannot be used
    Repair(RepairArgs),
    /// List the hosts known here
    #[command(after_help = "Example:\n  kennel host ls")]
    Ls,
    /// Have commands speak to this host from now on, when they are told no other
    #[command(after_help = "Example:\n  kennel host use berlin")]
    Use {
        /// Its name in `kennel host ls`
        name: HostName,
    },
    /// Make a host known here by the address of its API
    Add(HostAdd),
    /// Forget a host; nothing happens to the host itself
    #[command(after_help = "Example:\n  kennel host rm berlin")]
    Rm {
        /// Its name in `kennel host ls`
        name: HostName,
    },
    /// Show what a host on EC2 has printed on its console (`kennel-ami`)
    #[command(
        disable_help_flag = true,
        disable_version_flag = true,
        after_help = "Example:\n  kennel host console edge1 --region eu-west-1"
    )]
    Console(PassedOn),
    /// Start a host on EC2 again (`kennel-ami`)
    #[command(
        disable_help_flag = true,
        disable_version_flag = true,
        after_help = "Example:\n  kennel host reboot edge1 --region eu-west-1"
    )]
    Reboot(PassedOn),
    /// Give a host on EC2 another AMI; its tenants stay (`kennel-ami`)
    #[command(
        disable_help_flag = true,
        disable_version_flag = true,
        after_help = "Example:\n  kennel host replace edge1 --region eu-west-1 --ami ami-0123456789abcdef0"
    )]
    Replace(PassedOn),
    /// Remove a host on EC2; its data volume stays (`kennel-ami`)
    #[command(
        disable_help_flag = true,
        disable_version_flag = true,
        after_help = "Example:\n  kennel host terminate edge1 --region eu-west-1"
    )]
    Terminate(PassedOn),
}

/// `kennel host repair`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel host repair --host edge1
  kennel host repair --snapshot snapshot-1795392000.sqlite

Only a host in failsafe mode takes it: one whose registry is damaged, or was written by a newer image. What changed since the
snapshot is forgotten; the registry that was there is put aside, not removed. Files of tenants and releases that the
snapshot does not know stay on the disk, and their slots are given to nobody.")]
pub struct RepairArgs {
    /// Which, as `kennel host doctor` lists them [default: the newest]
    #[arg(long, value_name = "NAME")]
    pub snapshot: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// `kennel host add`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel host add berlin https://203.0.113.7:8443
  kennel host add berlin https://203.0.113.7:8443 --fingerprint SHA256:…

The host prints its certificate's fingerprint on its console. Without --fingerprint it is shown
and asked about once, and held to from then on.")]
pub struct HostAdd {
    /// Name for it here
    pub name: HostName,
    /// Address of its API
    pub url: ApiUrl,
    /// Fingerprint of its certificate, as on its console
    #[arg(long, value_name = "SHA256:…")]
    pub fingerprint: Option<Fingerprint>,
    /// Port of the pages that it serves
    #[arg(long, value_name = "PORT", default_value_t = kennel_model::layout::HTTP_PORT)]
    pub web_port: u16,
    /// Port of the same with TLS
    #[arg(long, value_name = "PORT", default_value_t = kennel_model::layout::HTTPS_PORT)]
    pub https_port: u16,
}

/// `kennel host attest`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel host attest
  kennel host attest --host edge1 --manifest out/manifest.json --secure-boot keys
  aws ec2 get-instance-tpm-ek-pub --instance-id i-… --key-type rsa-2048 --key-format der \\
      --query KeyValue --output text > edge1.ek && kennel host attest --host edge1 --ek edge1.ek

Exit code 1 when something else has booted than the manifest says, or the answer cannot be believed.")]
pub struct Attest {
    /// The manifest of the image that should be running there, as `kennel build` left it
    #[arg(long, value_name = "FILE", default_value = "out/manifest.json")]
    pub manifest: PathBuf,
    /// Secure Boot is to be on with the keys of this folder, whatever the manifest says
    #[arg(long, value_name = "FOLDER")]
    pub secure_boot: Option<PathBuf>,
    /// The TPM's endorsement key (RSA) from whoever made the TPM: DER, base64 or PEM. Without it, the TPM that was seen
    /// first is held to
    #[arg(long, value_name = "FILE")]
    pub ek: Option<PathBuf>,
    /// The host has another TPM than before: remember the one that answers now
    #[arg(long, conflicts_with = "ek")]
    pub new_tpm: bool,
}
