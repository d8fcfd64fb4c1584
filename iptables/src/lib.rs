//! The host's packet filter: renders the rules for `iptables-restore` and `ip6tables-restore` for a pool of slots. Who
//! sends is told by the socket's user, and each slot has a chain of its own at the end of a tree of user ranges. A second
//! table gives packets the labels that SELinux judges them by.
//! Loading the rules is init's business. What is rendered for a pool is sealed into the image and loaded at boot; while the
//! host runs, only slots' chains and the host's name servers are replaced ([`Updates`]).

mod bounds;
mod log;
mod render;
mod secmark;
mod slot;
mod tree;
mod update;

pub use bounds::{BOUNDS, Bounds};
pub use log::PREFIX as LOG_PREFIX;
pub use render::{RenderError, Rules, render};
pub use update::{Change, Updates};

/// The kernel modules that the rules need, beside those that these depend on. Nothing loads a module on demand on the
/// host, so all of them must be there before the rules are loaded.
pub const MODULES: [&str; 20] = [
    "nf_tables",
    "nft_compat",
    "nf_conntrack",
    "xt_conntrack",
    "xt_owner",
    "xt_multiport",
    "xt_tcpudp",
    "xt_hl",
    "xt_mark",
    "xt_connlimit",
    // What loads the rules asks for it by this name, and then uses the other.
    "xt_limit",
    "nft_limit",
    "nf_log_syslog",
    "xt_LOG",
    "xt_SECMARK",
    "xt_CONNSECMARK",
    "ipt_REJECT",
    "ip6t_REJECT",
    "nf_reject_ipv4",
    "nf_reject_ipv6",
];
