//! The villain: a tenant that tries what no tenant may and says what it saw. One probe for each row of
//! `policy/isolation.toml`, by the same name. It is deployed as any other tenant; in a proof image also where one layer or
//! both are missing, so that the same probe shows that each layer holds alone, and that it would succeed without them.
//!
//! A probe runs in a process of its own (`attempt`), so that being killed is an answer like any other. What to reach for,
//! whose files, ports and PIDs, comes from outside (`place`). Whether what was seen is what the table expects is for
//! others to judge.

mod attempt;
mod neighbour;
mod netlink;
mod outcome;
mod outside;
mod place;
mod probes;
#[allow(unsafe_code)] // why here and not in `sys` stands in its head
mod raw;
mod serve;

pub use attempt::{Report, attempt, run_here};
pub use neighbour::make;
pub use outcome::{Attempt, Outcome};
pub use outside::answer as answer_outside;
pub use place::{BadPlace, Place};
pub use probes::{PROBES, Probe};
pub use serve::{Role, serve};
