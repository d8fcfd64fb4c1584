//! Arguments of the commands that make an image: `lock` and `build`.

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
#[command(after_help = "Example:\n  kennel build --out out\n  kennel build --offline")]
pub struct Build {
    /// The image's specification; its lock file lies beside it
    #[arg(long, value_name = "FILE", default_value = "kennel.toml")]
    pub spec: PathBuf,
    /// Folder for the image, its manifest, SBOM and policy report
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    pub out: PathBuf,
    /// Folder with kennel-init, kennel-proxy, kennel-control, kennel-unpack, kennel-dhcp, kennel-audit and kennel-imds [default: where `kennel` itself is]
    #[arg(long, value_name = "FOLDER")]
    pub guest_dir: Option<PathBuf>,
    /// Build the image in which some slots are deliberately open, to prove that each layer holds alone; never for tenants
    #[arg(long)]
    pub proof: bool,
    /// Use only what is in the cache already
    #[arg(long)]
    pub offline: bool,
}
