//! What init has in hand for its services, by what their table calls it.

use std::os::fd::{AsFd, BorrowedFd};

use kennel_model::services::Handed;

use super::Host;
use crate::step::Failed;

impl Host {
    /// The descriptors that a service finds for one entry of its table; `channel` is its own.
    ///
    /// # Errors
    /// There is no such thing on this host.
    pub(super) fn handed<'a>(
        &'a self,
        what: Handed,
        channel: BorrowedFd<'a>,
    ) -> Result<Vec<BorrowedFd<'a>>, Failed> {
        let one = match what {
            Handed::Channel => channel,
            Handed::UserData => self.user_data.as_fd(),
            Handed::KernelLog => match &self.kernel_log {
                Some(fd) => fd.as_fd(),
                None => return Err(Failed::new("hand over the kernel's log", "nobody opened it")),
            },
            Handed::Tpm => return Err(Failed::new("hand over the TPM", "nobody opened it")),
            Handed::RecordsIn => self.records.0.as_fd(),
            Handed::RecordsOut => self.records.1.as_fd(),
            Handed::AcmeAsk => self.acme.0.as_fd(),
            Handed::AcmeAnswer => self.acme.1.as_fd(),
            Handed::Listener(port) | Handed::Listeners(port) => {
                return match self.listeners.get(&port) {
                    Some(sockets) => Ok(sockets.iter().map(AsFd::as_fd).collect()),
                    None => Err(Failed::new(format!("hand over port {port}"), "nobody listens on it")),
                };
            }
        };
        Ok(vec![one])
    }
}
