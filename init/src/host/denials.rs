//! Denied acts, from `kennel-audit` to control. One batch is on its way at a time: while control does not read, or does
//! not run, it waits here, and `kennel-audit` goes on counting until it hears that it was taken. So a flood of denials
//! costs init one message, whatever becomes of control.

use kennel_model::denial::{Batch, ToAudit};
use kennel_model::msg::ToControl;

use super::Host;
use super::link::Outgoing;

impl Host {
    /// `kennel-audit` has a batch. It sends the next one only when this one was taken; one that comes before replaces it.
    pub(super) fn on_denials(&mut self, batch: Batch) {
        self.denials = Some(batch.bounded());
        self.pass_on_denials();
    }

    /// Passes the batch on as soon as control has read everything before it.
    pub(super) fn pass_on_denials(&mut self) {
        if self.denials.is_none() || !self.is_idle("control") {
            return;
        }
        if let Some(batch) = self.denials.take() {
            self.send("control", Outgoing::Control(ToControl::Denials(batch)), vec![]);
            self.send("audit", Outgoing::Audit(ToAudit::Taken), vec![]);
        }
    }
}
