//! Arguments of `cert …`.

use std::path::PathBuf;

use clap::Subcommand;
use kennel_model::{CertificateName, HostName};

/// `kennel cert …`
#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Serve the names of a certificate with TLS, from now on
    #[command(after_help = "\
Example:
  kennel cert add fullchain.pem privkey.pem

The names are the certificate's own; one with the same first name takes the place of the one before, as when
it is renewed. Connections go on with what they were shown. Who comes without TLS is then sent to the same
address with it, unless `kennel limits blog --https optional` says otherwise.")]
    Add {
        /// The certificate in PEM, and after it those that lead to its authority's root
        #[arg(value_name = "CHAIN")]
        chain: PathBuf,
        /// Its private key in PEM, not encrypted
        #[arg(value_name = "KEY")]
        key: PathBuf,
    },
    /// List the certificates, without their keys
    #[command(after_help = "Example:\n  kennel cert ls")]
    Ls,
    /// Order a domain's certificate now, without waiting for the next attempt
    #[command(after_help = "Example:\n  kennel cert retry blog.example.com")]
    Retry {
        /// The domain, a tenant's
        name: HostName,
    },
    /// Remove a certificate and its key; its names are served without TLS only, from then on
    #[command(after_help = "Example:\n  kennel cert rm blog.example.com\n  kennel cert rm '*.example.com'")]
    Rm {
        /// The certificate, by its first name
        name: CertificateName,
    },
}
