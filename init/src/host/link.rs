//! Init's end of a service's channel: never waits. What the service does not take is queued up to a bound; a service
//! that lets the queue fill does not read its channel, and is of no use.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use kennel_model::denial::ToAudit;
use kennel_model::msg::{ToControl, ToProxy};
use kennel_model::tpm::Question;
use kennel_sys::{Channel, ChannelError};

/// Messages that a service may leave unread. Every slot can have one event and some waiters.
const MAX_QUEUED: usize = 8192;

/// A message to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// To control.
    Control(ToControl),
    /// To the proxy.
    Proxy(ToProxy),
    /// To the reader of the kernel's log.
    Audit(ToAudit),
    /// To whom the TPM was handed.
    Tpm(Question),
}

/// A channel and what waits to be sent over it.
#[derive(Debug)]
pub struct Link {
    channel: Channel,
    queue: VecDeque<(Outgoing, Vec<Rc<OwnedFd>>)>,
}

/// The service does not read, or has gone.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The queue is full.
    #[error("it left {MAX_QUEUED} messages unread")]
    Full,
    /// The channel failed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

impl Link {
    /// Takes over a channel.
    ///
    /// # Errors
    /// The system's.
    pub fn new(channel: Channel) -> Result<Self, ChannelError> {
        channel.set_nonblocking()?;
        Ok(Self { channel, queue: VecDeque::new() })
    }

    /// Sends a message, or queues it behind others.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn send(&mut self, message: Outgoing, fds: Vec<Rc<OwnedFd>>) -> Result<(), LinkError> {
        if self.queue.len() >= MAX_QUEUED {
            return Err(LinkError::Full);
        }
        self.queue.push_back((message, fds));
        self.flush()
    }

    /// Sends what the service takes now.
    ///
    /// # Errors
    /// [`LinkError::Channel`].
    pub fn flush(&mut self) -> Result<(), LinkError> {
        while let Some((message, fds)) = self.queue.front() {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(|fd| fd.as_fd()).collect();
            let sent = match message {
                Outgoing::Control(message) => self.channel.send(message, &fds),
                Outgoing::Proxy(message) => self.channel.send(message, &fds),
                Outgoing::Audit(message) => self.channel.send(message, &fds),
                Outgoing::Tpm(message) => self.channel.send(message, &fds),
            };
            match sent {
                Ok(()) => self.queue.pop_front(),
                Err(ChannelError::WouldBlock) => return Ok(()),
                Err(e) => return Err(e.into()),
            };
        }
        Ok(())
    }

    /// Whether something waits for room.
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The channel, to receive from.
    pub const fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::SlotId;

    #[test]
    fn what_is_not_read_waits_its_turn_and_does_not_block() {
        let (ours, theirs) = Channel::pair().unwrap();
        let mut link = Link::new(ours).unwrap();
        let down = |n| ToProxy::Down(SlotId::new(n).unwrap());
        let count = 4000;
        for n in 0..count {
            link.send(Outgoing::Proxy(down(n)), vec![]).unwrap();
        }
        assert!(link.is_waiting());
        for n in 0..count {
            link.flush().unwrap();
            assert_eq!(theirs.recv::<ToProxy>().unwrap().unwrap().0, down(n));
        }
        assert!(!link.is_waiting());
    }

    #[test]
    fn a_service_that_never_reads_is_found_out() {
        let (ours, _theirs) = Channel::pair().unwrap();
        let mut link = Link::new(ours).unwrap();
        let full = (0..20_000).find_map(|_| link.send(Outgoing::Proxy(ToProxy::Drain), vec![]).err());
        assert!(matches!(full, Some(LinkError::Full)));
    }
}
