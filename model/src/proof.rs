//! The proof image (`kennel build --proof`): the same host, but that two of its slots have only one of their two layers
//! each, so that a program which tries every forbidden act can show that either layer holds alone. Which slot lacks what
//! is sealed into the image; nothing can be switched at run time. Publishing refuses such an image.

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
}

/// The slot whose domain is permissive in a proof image.
pub const DAC_ONLY: u16 = 1;
/// The slot whose program runs as root in a proof image.
pub const MAC_ONLY: u16 = 2;

impl Layers {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Both, Self::DacOnly, Self::MacOnly];

    /// What confines this slot in a proof image.
    pub const fn of(slot: SlotId) -> Self {
        match slot.index() {
            DAC_ONLY => Self::DacOnly,
            MAC_ONLY => Self::MacOnly,
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
        })
    }

    /// As the table of forbidden acts writes it: `both`, `dac`, `mac`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::DacOnly => "dac",
            Self::MacOnly => "mac",
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
}
