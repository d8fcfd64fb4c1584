//! The tree that leads a packet from its sender's user to the slot's chain. Each fork is a chain with a few rules, one
//! a branch; `n` slots make a tree of depth log₁₀ n: three forks for a thousand slots, four for the largest pool.

use kennel_model::SlotId;
use serde::Serialize;

/// Branches at a fork. With four, a packet of a thousand slots would pass the fewest rules (12 on average) by five forks;
/// with ten it passes 16 by three, and going to another chain costs the kernel as much as a rule or two.
const BRANCHES: usize = 10;

/// One rule of a fork: these users go to that chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fork {
    /// The fork.
    pub(crate) chain: String,
    /// First user of the branch.
    pub(crate) first: u32,
    /// Last user of the branch.
    pub(crate) last: u32,
    /// The next fork, or the slot's chain.
    pub(crate) to: String,
    /// It is a slot's chain.
    pub(crate) is_slot: bool,
}

/// The forks above these slots, and the name of the chain at the root. A pool of one slot has a fork too: what bounds a
/// slot's new connections stands on the way to its chain.
pub(crate) fn grow(slots: &[SlotId]) -> (String, Vec<Fork>) {
    let mut forks = Vec::new();
    let root = fork(slots, &mut forks);
    (root, forks)
}

/// The chain of the fork above these slots. The rules of the forks below it come first.
fn fork(slots: &[SlotId], forks: &mut Vec<Fork>) -> String {
    let (Some(first), Some(last)) = (slots.first(), slots.last()) else { return String::new() };
    let chain = format!("slots{first}-{last}");
    let mut width = 1;
    while width * BRANCHES < slots.len() {
        width *= BRANCHES;
    }
    for slots in slots.chunks(width) {
        let (to, is_slot) = match slots {
            [slot] => (format!("slot{slot}"), true),
            more => (fork(more, forks), false),
        };
        if let (Some(first), Some(last)) = (slots.first(), slots.last()) {
            forks.push(Fork { chain: chain.clone(), first: first.uid(), last: last.uid(), to, is_slot });
        }
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(slots: u16) -> (String, Vec<Fork>) {
        grow(&SlotId::pool(slots).collect::<Vec<_>>())
    }

    #[test]
    fn one_slot_has_a_fork_of_its_own() {
        let (chain, uid) = ("slots0000-0000".to_owned(), SlotId::new(0).unwrap().uid());
        let only =
            Fork { chain: chain.clone(), first: uid, last: uid, to: "slot0000".to_owned(), is_slot: true };
        assert_eq!(grown(1), (chain, vec![only]));
    }

    #[test]
    fn each_fork_has_few_branches_that_share_its_users() {
        for slots in [1, 2, 4, 5, 17, 1000, 4096] {
            let (root, forks) = grown(slots);
            assert_eq!(root, format!("slots0000-{:04}", slots - 1));
            for fork in &forks {
                let below: Vec<_> = forks.iter().filter(|f| f.chain == fork.to).collect();
                assert!(below.len() <= BRANCHES, "{slots}: {fork:?}");
                if let (Some(first), Some(last)) = (below.first(), below.last()) {
                    assert_eq!((first.first, last.last), (fork.first, fork.last), "{slots}: {fork:?}");
                    assert!(below.windows(2).all(|w| w[0].last + 1 == w[1].first), "{slots}: {fork:?}");
                }
            }
            let leaves: Vec<_> = forks.iter().filter(|f| f.is_slot).collect();
            assert_eq!(leaves.len(), usize::from(slots));
            assert!(leaves.iter().all(|f| f.first == f.last && f.to.len() == "slot0000".len()), "{slots}");
        }
    }
}
