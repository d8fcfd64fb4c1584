//! The host's packet filter: renders the rules for `iptables-restore` and `ip6tables-restore` for a pool of slots.
//! Loading them is init's business; they never change while the host runs.

mod render;

pub use render::{RenderError, Rules, render};
