//! Which rule says that a user's packet was refused: one for each slot, since each has a limit of its own, in groups, so
//! that a refused packet passes tens of rules and not a thousand.

use kennel_model::SlotId;
use serde::Serialize;

/// Before each line, so that whoever reads the log knows it. `kennel-audit` looks for it.
pub const PREFIX: &str = "kennel-refused: ";
/// Slots in a group: about the root of a thousand, which makes both steps the same length.
const GROUP: usize = 32;

/// Users next to each other, with a chain of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Group {
    chain: String,
    first: u32,
    last: u32,
    users: Vec<u32>,
}

/// All slots in groups.
pub(crate) fn groups(pool: &[SlotId]) -> Vec<Group> {
    let group = |slots: &[SlotId]| {
        let users: Vec<u32> = slots.iter().map(|slot| slot.uid()).collect();
        Some(Group {
            chain: format!("log{}", slots.first()?),
            first: *users.first()?,
            last: *users.last()?,
            users,
        })
    };
    pool.chunks(GROUP).filter_map(group).collect()
}
