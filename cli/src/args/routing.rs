//! Arguments of `domain …`, `redirect …`, `maintenance …` and `pages …`.

use std::path::PathBuf;

use clap::Subcommand;
use kennel_model::egress::Network;
use kennel_model::redirect::Location;
use kennel_model::{Domain, TenantName};

use super::After;

/// `kennel domain …`
#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Route a host name, a wildcard, or a path of either, to a tenant
    #[command(after_help = "\
Example:
  kennel domain add blog blog.example.com
  kennel domain add blog '*.blog.example.com'
  kennel domain add shop example.com/shop
  kennel domain add api example.com/api --strip

A wildcard stands for exactly one label, as in certificates: *.example.com is a.example.com, and neither
a.b.example.com nor example.com. A path ends where a segment does: /shop is /shop and /shop/…, not /shopping.
Exact names go before wildcards, longer paths before shorter ones. Each domain is one tenant's; what
a new one takes from others is said.

With --strip the program gets paths without the domain's, and that in X-Forwarded-Prefix.")]
    Add {
        /// The tenant
        name: TenantName,
        /// Host name or wildcard in lower case, and a path if only that is meant
        domain: Domain,
        /// Take the path off before the program sees it
        #[arg(long)]
        strip: bool,
    },
    /// List what is routed to whom
    #[command(after_help = "Example:\n  kennel domain ls\n  kennel domain ls blog")]
    Ls {
        /// Only what is routed to this tenant
        name: Option<TenantName>,
    },
    /// Route a domain no longer
    #[command(after_help = "Example:\n  kennel domain rm blog '*.blog.example.com'")]
    Rm {
        /// The tenant
        name: TenantName,
        /// The domain
        domain: Domain,
    },
}

/// `kennel redirect …`
#[derive(Debug, Subcommand)]
pub enum RedirectCommand {
    /// Send requests elsewhere, without waking any program
    #[command(after_help = "\
Example:
  kennel redirect add blog www.example.com https://example.com/ --keep-path --permanent
  kennel redirect add blog example.com/old-shop https://shop.example.com/

Status 307, or with --permanent 308: browsers keep that for ever, so try without it first. Both keep method
and body. Redirects that would go round in circles are refused. From port 80 to TLS there is one by itself
wherever there is a certificate: `kennel limits NAME --https`.")]
    Add {
        /// The tenant that it belongs to, and goes with
        name: TenantName,
        /// Host name or wildcard, and a path if only that is meant
        domain: Domain,
        /// Where to: scheme, host and path
        to: Location,
        /// Append what follows the domain, and the query
        #[arg(long)]
        keep_path: bool,
        /// Tell browsers to remember it
        #[arg(long)]
        permanent: bool,
        /// Tell browsers to ask again each time [default]
        #[arg(long, conflicts_with = "permanent")]
        temporary: bool,
    },
    /// List the redirects
    #[command(after_help = "Example:\n  kennel redirect ls\n  kennel redirect ls blog")]
    Ls {
        /// Only this tenant's
        name: Option<TenantName>,
    },
    /// Remove a redirect
    #[command(after_help = "Example:\n  kennel redirect rm blog www.example.com")]
    Rm {
        /// The tenant
        name: TenantName,
        /// What it is for
        domain: Domain,
    },
}

/// `kennel maintenance …`
#[derive(Debug, Subcommand)]
pub enum MaintenanceCommand {
    /// Tell a tenant's visitors that it is being worked on
    #[command(after_help = "\
Example:
  kennel maintenance on blog
  kennel maintenance on blog --retry-after 30m --page soon.html --allow 203.0.113.7

Visitors get 503 with Retry-After, and no program is woken. The program goes on or sleeps as before; requests in flight
are finished. Who comes from an address of --allow passes. Once more with other options changes it.")]
    On {
        /// The tenant
        name: TenantName,
        /// HTML to show, with placeholders as in `kennel pages set --help` [default: the tenant's page, or the usual one]
        #[arg(long, value_name = "FILE")]
        page: Option<PathBuf>,
        /// When visitors are told to come again, such as 90s, 10m or 2h [default: 10m]
        #[arg(long, value_name = "TIME")]
        retry_after: Option<After>,
        /// Address or network that is let through; may be given more than once
        #[arg(long, value_name = "ADDRESS")]
        allow: Vec<Network>,
    },
    /// Let visitors reach it again
    #[command(after_help = "Example:\n  kennel maintenance off blog")]
    Off {
        /// The tenant
        name: TenantName,
    },
}

/// `kennel pages …`
#[derive(Debug, Subcommand)]
pub enum PagesCommand {
    /// Show a tenant's visitors a page of your own where the proxy answers for its program
    #[command(after_help = "\
Example:
  kennel pages set blog error.html

It is shown to browsers when the program does not start, answers late, is too busy, or is worked on. Programs that ask
for JSON or plain text get that as before, and what a program answers itself is left alone. The file is HTML of
32 KiB at most; in it stand for what they say:
  {{status}}  {{title}}  {{text}}  {{code}}  {{request_id}}
Style and pictures within it (data:) are shown; scripts are not run, and nothing is fetched.")]
    Set {
        /// The tenant
        name: TenantName,
        /// The file
        file: PathBuf,
    },
    /// The same for whatever has no page of its own, such as names that no tenant has
    #[command(after_help = "Example:\n  kennel pages default error.html")]
    Default {
        /// The file
        file: PathBuf,
    },
    /// Print a tenant's page, or the one for whatever has none
    #[command(after_help = "Example:\n  kennel pages show blog\n  kennel pages show")]
    Show {
        /// The tenant
        name: Option<TenantName>,
    },
    /// Show the usual pages again
    #[command(after_help = "Example:\n  kennel pages rm blog\n  kennel pages rm")]
    Rm {
        /// The tenant; without it, the page for whatever has none
        name: Option<TenantName>,
    },
}
