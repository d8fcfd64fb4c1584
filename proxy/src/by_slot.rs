//! Something for each slot, made when it is first asked for: a host of ten tenants takes no room for thousands.

use kennel_model::SlotId;

/// By slot, up to the last that was asked for; slots are given out from the first on.
#[derive(Debug)]
pub(crate) struct BySlot<T>(Vec<T>);

impl<T> Default for BySlot<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> BySlot<T> {
    /// The slot's own.
    pub(crate) fn at(&mut self, slot: SlotId) -> &mut T {
        let index = usize::from(slot.index());
        if index >= self.0.len() {
            self.0.resize_with(index + 1, T::default);
        }
        &mut self.0[index]
    }
}
