//! Memory: what there is of it.

mod figures;

use kennel_model::memory::Memory;

use super::Host;

impl Host {
    /// What is shown of the host's memory.
    pub(super) fn memory() -> Memory {
        figures::read_memory()
    }
}
