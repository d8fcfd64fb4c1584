//! The proof image (`kennel build --proof`): the same host, but that some of its slots lack one of their two layers or
//! both, so that a program which tries every forbidden act can show that either layer holds alone, and that its attempts
//! succeed where nothing stands in their way. Which slot lacks what is sealed into the image; nothing can be switched at
//! run time. Publishing refuses such an image.

use crate::SlotId;
use crate::slot::NoSuchSlot;

/// Which layers confine a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layers {
    /// Both: every slot of every other image.
    Both,
    /// UNIX means only: the slot's domain is permissive.
    DacOnly,
    /// SELinux only: the program runs as root with every capability, in the host's root and namespaces, without Landlock,
    /// seccomp or packet filter, but in the slot's domain.
    MacOnly,
    /// Nothing: as root, like [`Layers::MacOnly`], and its domain is permissive. Every attempt must succeed here, or it
    /// would prove nothing elsewhere.
    Neither,
}

/// The slot whose domain is permissive in a proof image.
pub const DAC_ONLY: u16 = 1;
/// The slot whose program runs as root in a proof image.
pub const MAC_ONLY: u16 = 2;
/// The slot whose program runs as root in a permissive domain in a proof image.
pub const NEITHER: u16 = 4;
/// A second slot without layers: the neighbour that the two slots in the host's namespaces reach for. It can make every
/// kind of object for them, also those that no tenant may have; what may be done to these is a question to the domain of
/// whoever reaches.
pub const BARE_NEIGHBOUR: u16 = 5;

impl Layers {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Both, Self::DacOnly, Self::MacOnly, Self::Neither];

    /// What confines this slot in a proof image.
    pub const fn of(slot: SlotId) -> Self {
        match slot.index() {
            DAC_ONLY => Self::DacOnly,
            MAC_ONLY => Self::MacOnly,
            NEITHER | BARE_NEIGHBOUR => Self::Neither,
            _ => Self::Both,
        }
    }

    /// A slot that has just these layers in a proof image: the lowest.
    ///
    /// # Errors
    /// None: the numbers are small.
    pub const fn slot(self) -> Result<SlotId, NoSuchSlot> {
        SlotId::new(match self {
            Self::Both => 0,
            Self::DacOnly => DAC_ONLY,
            Self::MacOnly => MAC_ONLY,
            Self::Neither => NEITHER,
        })
    }

    /// Whether the slot's program runs as root in the host's root and namespaces. Its folders belong to root then, too:
    /// otherwise an owner would stand between the program and its own files, and a denial of a capability in front of
    /// every denial by type.
    pub const fn as_root(self) -> bool {
        matches!(self, Self::MacOnly | Self::Neither)
    }

    /// Whether the slot's domain is permissive.
    pub const fn permissive(self) -> bool {
        matches!(self, Self::DacOnly | Self::Neither)
    }

    /// As the table of forbidden acts writes it: `both`, `dac`, `mac`; the control beside them is `neither`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::DacOnly => "dac",
            Self::MacOnly => "mac",
            Self::Neither => "neither",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_slot() {
        for layers in Layers::ALL {
            assert_eq!(Layers::of(layers.slot().unwrap()), layers);
        }
    }

    #[test]
    fn the_bare_neighbour_is_none_of_those_that_reach_for_it() {
        assert!(Layers::ALL.iter().all(|layers| layers.slot().unwrap().index() != BARE_NEIGHBOUR));
        assert!(Layers::of(SlotId::new(BARE_NEIGHBOUR).unwrap()).as_root());
    }
}
