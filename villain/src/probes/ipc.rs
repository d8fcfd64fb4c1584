//! Inter-process communication: what another slot's program has made for itself, or for an accomplice.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};

use nix::errno::Errno;
use rustix::fs::{Mode, OFlags, openat};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::outcome::{Attempt, done, passed, refusal};
use crate::place::{Place, SECRET, abstract_name, ipc_key};
use crate::raw::{Arg, NULL, call, open};

/// The name of every neighbour's POSIX queue, as the system call takes it.
pub(crate) const QUEUE: &std::ffi::CStr = c"kennel-neighbour";

pub(super) fn shared_memory(place: &Place) -> Attempt {
    let segment = call(libc::SYS_shmget, [Arg::Int(ipc_key(place.neighbour)), NULL, NULL])?;
    passed(call(libc::SYS_shmat, [Arg::Int(segment), NULL, NULL]), &[])
}

pub(super) fn semaphore(place: &Place) -> Attempt {
    let set = call(libc::SYS_semget, [Arg::Int(ipc_key(place.neighbour)), NULL, NULL])?;
    passed(call(libc::SYS_semctl, [Arg::Int(set), NULL, Arg::Int(libc::GETVAL.into())]), &[])
}

pub(super) fn message_queue(place: &Place) -> Attempt {
    let queue = call(libc::SYS_msgget, [Arg::Int(ipc_key(place.neighbour)), NULL])?;
    let mut message = [0; 64];
    let flags = Arg::Int(libc::IPC_NOWAIT.into());
    let arguments = [Arg::Int(queue), Arg::Out(&mut message), Arg::Int(8), NULL, flags];
    passed(call(libc::SYS_msgrcv, arguments), &[Errno::ENOMSG])
}

pub(super) fn posix_queue(_: &Place) -> Attempt {
    open(libc::SYS_mq_open, [Arg::Text(QUEUE), Arg::Int(libc::O_RDONLY.into()), NULL, NULL])?;
    done("opened")
}

fn to(place: &Place, purpose: &str) -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(abstract_name(place.neighbour, purpose))
}

pub(super) fn abstract_connect(place: &Place) -> Attempt {
    UnixStream::connect_addr(&to(place, "door")?)?;
    done("connected")
}

pub(super) fn abstract_send(place: &Place) -> Attempt {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&to(place, "post")?)?;
    socket.send(b"villain")?;
    done("sent")
}

/// The accomplice hands out its data folder.
pub(super) fn passed_descriptor(place: &Place) -> Attempt {
    let giver = UnixStream::connect_addr(&to(place, "gift")?)?;
    let mut byte = [0; 1];
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    recvmsg(&giver, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let gift = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let folder = gift.ok_or_else(|| refusal(Errno::EBADF))?;
    openat(&folder, SECRET, OFlags::RDONLY, Mode::empty())?;
    done("read through the descriptor")
}

pub(super) fn key_read(place: &Place) -> Attempt {
    const READ: i64 = 11;
    let mut room = [0; 64];
    let arguments = [Arg::Int(READ), Arg::Int(place.key.into()), Arg::Out(&mut room), Arg::Int(64)];
    passed(call(libc::SYS_keyctl, arguments), &[])
}
