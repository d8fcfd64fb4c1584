//! The message channel between init and its children: one `SOCK_SEQPACKET` packet a message, descriptors
//! beside it as `SCM_RIGHTS`. What may be said stands in `kennel_model::msg`; this file only carries it.
//! No unsafe code is needed here; it lives in `sys` because every process uses it and none owns it.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use kennel_model::msg::{self, BadMessage, MAX_MESSAGE_BYTES};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::{Serialize, de::DeserializeOwned};

/// The most descriptors that one message carries.
pub const MAX_FDS: usize = 4;

/// Why a message did not pass.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// Non-blocking, and nothing to read or no room to write.
    #[error("the channel is not ready")]
    WouldBlock,
    /// The other side has gone.
    #[error("the other side closed the channel")]
    Closed,
    /// The packet is not a message of the expected type, or had more descriptors than [`MAX_FDS`].
    #[error(transparent)]
    Bad(#[from] BadMessage),
    /// The system call failed.
    #[error("channel: {0}")]
    Io(#[source] Errno),
}

impl From<Errno> for ChannelError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN => Self::WouldBlock,
            Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN => Self::Closed,
            other => Self::Io(other),
        }
    }
}

/// One end of a channel.
#[derive(Debug)]
pub struct Channel {
    fd: OwnedFd,
}

impl Channel {
    /// A connected pair, blocking, closed on exec.
    ///
    /// # Errors
    /// The system's, when descriptors or memory are short.
    pub fn pair() -> Result<(Self, Self), ChannelError> {
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { fd: a }, Self { fd: b }))
    }

    /// Wraps an end that was inherited or received.
    pub const fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// From now on calls answer [`ChannelError::WouldBlock`] instead of waiting.
    ///
    /// # Errors
    /// The system's.
    pub fn set_nonblocking(&self) -> Result<(), ChannelError> {
        Ok(rustix::io::ioctl_fionbio(&self.fd, true)?)
    }

    /// Sends one message with its descriptors, whole or not at all.
    ///
    /// # Errors
    /// [`ChannelError`]; after `Bad` nothing was sent.
    pub fn send<T: Serialize>(&self, message: &T, fds: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        let packet = msg::encode(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && (fds.len() > MAX_FDS || !ancillary.push(SendAncillaryMessage::ScmRights(fds))) {
            return Err(BadMessage::Malformed(format!("{} descriptors", fds.len())).into());
        }
        let iov = [IoSlice::new(&packet)];
        retry(|| rustix::net::sendmsg(&self.fd, &iov, &mut ancillary, SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// Receives one message with its descriptors, which close on exec; `None` when the other side has gone.
    ///
    /// # Errors
    /// [`ChannelError`]; after `Bad` the packet is consumed, its descriptors closed.
    pub fn recv<T: DeserializeOwned>(&self) -> Result<Option<(T, Vec<OwnedFd>)>, ChannelError> {
        // One byte more than the largest message, so that a longer packet is seen as such.
        let mut packet = vec![0; MAX_MESSAGE_BYTES + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut iov = [IoSliceMut::new(&mut packet)];
        let got =
            match retry(|| rustix::net::recvmsg(&self.fd, &mut iov, &mut ancillary, RecvFlags::CMSG_CLOEXEC)) {
                Ok(got) => got,
                Err(ChannelError::Closed) => return Ok(None),
                Err(e) => return Err(e),
            };
        let fds: Vec<OwnedFd> = ancillary
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            })
            .flatten()
            .collect();
        if got.bytes == 0 {
            return Ok(None); // No message is empty, so this is the end.
        }
        if got.flags.contains(ReturnFlags::CTRUNC) {
            return Err(BadMessage::Malformed("too many descriptors".into()).into());
        }
        Ok(Some((msg::decode(&packet[..got.bytes])?, fds)))
    }

    /// Sends a packet of bytes as it is, whole or not at all, and never waits.
    ///
    /// # Errors
    /// [`ChannelError::WouldBlock`] when there is no room.
    pub fn send_packet(&self, packet: &[u8]) -> Result<(), ChannelError> {
        retry(|| rustix::net::send(&self.fd, packet, SendFlags::NOSIGNAL | SendFlags::DONTWAIT))?;
        Ok(())
    }

    /// Receives a packet of bytes and never waits; answers its length, or nothing when the other side has gone. Descriptors
    /// that come along are dropped.
    ///
    /// # Errors
    /// [`ChannelError::WouldBlock`] when there is none; [`ChannelError::Bad`] for one that is longer than `space`.
    pub fn recv_packet(&self, space: &mut [u8]) -> Result<Option<usize>, ChannelError> {
        let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
        match retry(|| rustix::net::recv(&self.fd, &mut *space, flags)) {
            Ok((_, 0)) | Err(ChannelError::Closed) => Ok(None),
            Ok((_, length)) if length > space.len() => Err(BadMessage::TooLong(length).into()),
            Ok((_, length)) => Ok(Some(length)),
            Err(e) => Err(e),
        }
    }
}

fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, ChannelError> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other.map_err(ChannelError::from),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::SlotId;
    use kennel_model::msg::{Cause, FromProxy};
    use std::io::{Read, Write};

    fn wake() -> FromProxy {
        FromProxy::Wake { id: 3, slot: SlotId::new(4).unwrap(), cause: Cause::default() }
    }

    #[test]
    fn a_message_and_its_descriptors_arrive_together() {
        let (a, b) = Channel::pair().unwrap();
        let (mut reader, writer) = std::io::pipe().unwrap();
        a.send(&wake(), &[writer.as_fd()]).unwrap();
        drop(writer);
        let (message, mut fds) = b.recv::<FromProxy>().unwrap().unwrap();
        assert_eq!((message, fds.len()), (wake(), 1));
        std::fs::File::from(fds.remove(0)).write_all(b"hi").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hi");
    }

    #[test]
    fn the_end_is_told_from_an_empty_queue() {
        let (a, b) = Channel::pair().unwrap();
        b.set_nonblocking().unwrap();
        assert!(matches!(b.recv::<FromProxy>(), Err(ChannelError::WouldBlock)));
        drop(a);
        assert!(b.recv::<FromProxy>().unwrap().is_none());
        assert!(matches!(b.send(&wake(), &[]), Err(ChannelError::Closed)));
    }

    #[test]
    fn too_many_descriptors_are_refused_before_sending() {
        let (a, _b) = Channel::pair().unwrap();
        let fd = a.as_fd();
        assert!(matches!(a.send(&wake(), &[fd; MAX_FDS + 1]), Err(ChannelError::Bad(_))));
    }

    #[test]
    fn packets_of_bytes_never_wait() {
        let (a, b) = Channel::pair().unwrap();
        let mut space = [0; 8];
        assert!(matches!(b.recv_packet(&mut space), Err(ChannelError::WouldBlock)));
        a.send_packet(b"one").unwrap();
        a.send_packet(b"far too long").unwrap();
        assert_eq!(b.recv_packet(&mut space).unwrap(), Some(3));
        assert_eq!(&space[..3], b"one");
        assert!(matches!(b.recv_packet(&mut space), Err(ChannelError::Bad(BadMessage::TooLong(12)))));
        let full = (0..100_000).find_map(|_| a.send_packet(&[7; 1000]).err());
        assert!(matches!(full, Some(ChannelError::WouldBlock)), "{full:?}");
        drop(a);
        let left =
            std::iter::repeat_with(|| b.recv_packet(&mut [0; 1000]).unwrap()).take_while(Option::is_some);
        assert!(left.count() > 10, "what was sent is still read");
    }

    #[test]
    fn garbage_is_an_error_and_the_next_message_still_arrives() {
        let (a, b) = Channel::pair().unwrap();
        rustix::net::send(&a, &[255; 9], SendFlags::empty()).unwrap();
        a.send(&wake(), &[]).unwrap();
        assert!(matches!(b.recv::<FromProxy>(), Err(ChannelError::Bad(_))));
        assert_eq!(b.recv::<FromProxy>().unwrap().unwrap().0, wake());
    }
}
