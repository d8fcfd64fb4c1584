//! Arguments of the commands that make an image: `lock`, `build` and `keys`.

use std::path::PathBuf;

/// `kennel lock`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  kennel lock --spec kennel.toml")]
pub struct Lock {
    /// The image's specification; the lock file is written beside it
    #[arg(long, value_name = "FILE", default_value = "kennel.toml")]
    pub spec: PathBuf,
    /// Use only what is in the cache already
    #[arg(long)]
    pub offline: bool,
}

/// `kennel build`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  kennel build --out out
  kennel build --offline
  kennel build --secure-boot keys
  kennel build --secure-boot keys --sign-with ./sign-with-kms
  kennel build --key db.key --certificate db.pem")]
pub struct Build {
    /// The image's specification; its lock file lies beside it
    #[arg(long, value_name = "FILE", default_value = "kennel.toml")]
    pub spec: PathBuf,
    /// Folder for the image, its manifest, SBOM and policy report
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    pub out: PathBuf,
    /// Folder with kennel-init, kennel-proxy, kennel-control, kennel-unpack, kennel-dhcp, kennel-audit, kennel-imds, kennel-tpm and kennel-php [default: where `kennel` itself is]
    #[arg(long, value_name = "FOLDER")]
    pub guest_dir: Option<PathBuf>,
    /// Build the image in which some slots are deliberately open, to prove that each layer holds alone; never for tenants
    #[arg(long)]
    pub proof: bool,
    /// Sign the boot program with the key db of this folder, which `kennel keys new` made, and say in the manifest what TPMs of hosts with these keys measure
    #[arg(long, value_name = "FOLDER")]
    pub secure_boot: Option<PathBuf>,
    /// Sign the boot program with this key instead
    #[arg(long, value_name = "FILE", conflicts_with = "sign_with")]
    pub key: Option<PathBuf>,
    /// Let a program sign: it gets a SHA-256 digest (32 bytes) on standard input and answers with the bare RSA signature
    #[arg(long, value_name = "PROGRAM")]
    pub sign_with: Option<PathBuf>,
    /// The certificate of the key that signs [default: db.pem in the folder of --secure-boot]
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Use only what is in the cache already
    #[arg(long)]
    pub offline: bool,
}

/// `kennel keys …`
#[derive(Debug, clap::Subcommand)]
pub enum KeysCommand {
    /// Make the three keys of Secure Boot with their certificates, and what firmware and EC2 take of them
    #[command(after_help = "Example:\n  kennel keys new keys\n  kennel build --secure-boot keys")]
    New {
        /// The folder; made if missing, and nothing in it is overwritten
        #[arg(default_value = "keys")]
        folder: PathBuf,
    },
    /// Print what EC2's RegisterImage takes as UefiData, from the three certificates in the folder
    #[command(after_help = "Example:\n  kennel keys uefi-data keys > keys/uefi-data.b64")]
    UefiData {
        /// The folder with PK.pem, KEK.pem and db.pem
        #[arg(default_value = "keys")]
        folder: PathBuf,
    },
}
