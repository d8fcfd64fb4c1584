//! The host's packet filter: renders the rules for `iptables-restore` and `ip6tables-restore` for a pool of slots. Who
//! sends is told by the socket's user, and each slot has a chain of its own at the end of a tree of user ranges.
//! Loading the rules is init's business; they never change while the host runs.

mod render;
mod tree;

pub use render::{RenderError, Rules, render};

/// The kernel modules that the rules need, beside those that these depend on. Nothing loads a module on demand on the
/// host, so all of them must be there before the rules are loaded.
pub const MODULES: [&str; 12] = [
    "nf_tables",
    "nft_compat",
    "nf_conntrack",
    "xt_conntrack",
    "xt_owner",
    "xt_multiport",
    "xt_tcpudp",
    "xt_hl",
    "ipt_REJECT",
    "ip6t_REJECT",
    "nf_reject_ipv4",
    "nf_reject_ipv6",
];
