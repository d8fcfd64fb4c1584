//! The messages between init and its children. Each channel is a `SOCK_SEQPACKET` socketpair that init makes
//! when it starts the child; one packet holds one message in postcard encoding, and descriptors travel beside
//! it as `SCM_RIGHTS`. Sending and receiving is `kennel-sys`'s work; this file only says what can be said.

mod proxy;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::net::{IpAddr, SocketAddr};

use crate::clock::Clock;
use crate::counters::Counters;
use crate::egress::Egress;
use crate::found::Found;
pub use crate::lease::{LEASE_MTU, Lease, is_host};
use crate::memory::Memory;
use crate::task::{Ask, Asked, TaskEnd, TaskId, TaskIo};
pub use crate::wake::{Cause, Depth};
use crate::{LaunchSpec, Limits, NodeName, ReleaseId, SlotId, SlotState};
pub use proxy::{FromProxy, MAX_PASSED, ToProxy};

/// No message is longer; a longer packet is refused by the receiver.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// Pairs a reply with its request; chosen by the side that asks.
pub type RequestId = u32;

/// What control sends to init. Every request is answered by exactly one [`ToControl::Reply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FromControl {
    /// Comes back in the reply.
    pub id: RequestId,
    /// What is asked.
    pub request: ControlRequest,
}

/// The acts that control may ask of init: mechanism only, each about one slot or the whole host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlRequest {
    /// Make the slot's folders with owner, mode and label. Done already is done.
    Prepare(SlotId),
    /// Say what the slot runs from its next start on.
    Configure(SlotId, LaunchSpec),
    /// Start the slot's program now, or wake it; an answer `Ok` means that it runs, not that it listens.
    Start(SlotId, Cause),
    /// The same, unless it has been started before in this boot: what was stopped since then stays so.
    StartOnce(SlotId),
    /// SIGTERM, the grace of the slot's limits, SIGKILL; answered when no process is left.
    Stop(SlotId),
    /// Put the program to sleep, at least as deep as said; answered when it is. Refused while somebody needs it.
    Sleep(SlotId, Depth),
    /// Stop, forget what it runs, remove every file of the slot; answered when all is gone.
    Wipe(SlotId),
    /// Start `kennel-unpack` for a new release. The reply carries two descriptors: the write end of the archive's
    /// pipe and the read end of the report's (see [`UnpackReport`]).
    Unpack {
        /// Whose release.
        slot: SlotId,
        /// Its number; must not exist yet.
        release: ReleaseId,
        /// Bounds on what it may unpack to.
        limits: Limits,
        /// The release that it shares files with: what comes is what has changed since (see [`crate::listing`]).
        onto: Option<ReleaseId>,
    },
    /// Remove one release's files, or what an interrupted upload of it left. Answered when gone.
    RemoveRelease(SlotId, ReleaseId),
    /// The new route table ([`crate::routes::RouteTable`] as JSON) in a sealed memfd beside this message. Init keeps
    /// the descriptor and hands it to the proxy, now and after each restart of the proxy.
    PublishRoutes,
    /// States of all slots that are not stopped, and what the host uses.
    Status,
    /// Print a line on the console, such as the API's certificate fingerprint. At most 200 printable characters.
    Announce(String),
    /// Shut down cleanly, then power off.
    PowerOff,
    /// Shut down cleanly, then reboot.
    Reboot,
    /// What the slot may connect to from now on, in place of what it might before. Answered when it is in force for both
    /// families; after a failure the old list is in force again. A slot is not started before its first list of this boot.
    SetEgress(SlotId, Egress),
    /// The slot's rules with their counters, as `iptables -v -S` and `ip6tables -v -S` print them. The reply carries the
    /// read ends of two pipes, the one for IPv4 first.
    CountEgress(SlotId),
    /// What the kernel calls the host from now on.
    Name(NodeName),
    /// Ask the TPM. One question at a time.
    Tpm(crate::tpm::Question),
    /// Whom the host asks for the time from now on; at most [`crate::clock::MAX_SERVERS`].
    TimeServers(Vec<SocketAddr>),
    /// `true`: take no new requests, let those in flight end, stop every program; answered when none runs. The host goes on,
    /// and stays empty until `false`, which is answered at once.
    Drain(bool),
    /// What slots have used, from this one on; answered by a piece, which says where the next begins.
    Counters(SlotId),
    /// The certificates that the proxy shows from now on ([`crate::certificate::CertificateTable`] as JSON), as the routes in
    /// [`ControlRequest::PublishRoutes`].
    PublishCertificates,
    /// Start `kennel-acme` unless it runs. It ends by itself.
    StartAcme,
    /// Run something in the slot, once, beside its program. Answered when it was started, with control's ends of its streams, if
    /// it is to have any: what it reads, prints, and prints on its error output. How it ends comes as [`ToControl::TaskEnded`],
    /// also where it then cannot execute its program. Ends with control.
    RunTask {
        /// Whose.
        slot: SlotId,
        /// Its number.
        task: TaskId,
        /// What to run, and with which files. The limits are those of all tasks of the slot together, beside its program's.
        spec: LaunchSpec,
        /// What it reads and prints.
        io: TaskIo,
    },
    /// SIGTERM to a task, the grace of its limits, SIGKILL. Answered at once; that there is none any more is no error.
    StopTask(TaskId),
    /// Ask what is on trial whether it is ready; the proxy does, as nobody else may connect to it. Answered by
    /// [`ControlReply::Asked`].
    AskTask(TaskId, Ask),
    /// What is on trial is the slot's program from now on, and its spec, which has to be this one, what the slot runs. The task has
    /// the number of the one before then, which goes on until it has finished what it was asked, and is kept asleep for some
    /// minutes after that: until it has ended it may be promoted again, if it is still what is wanted. Refused when it does not run
    /// any more, or the slot is being stopped; nothing has changed then.
    Promote(TaskId, LaunchSpec),
    /// Show a release beside the one that serves, in the place of another that was shown: the proxy may open its files from now on, and
    /// has routes that say so. Answered by [`ControlReply::Shown`]. Ends with control, and its program also when memory gets short.
    Show {
        /// Whose.
        slot: SlotId,
        /// Which.
        spec: LaunchSpec,
        /// Its program, which is on trial with this spec, if it has one.
        task: Option<TaskId>,
    },
    /// Show this release no longer; its program is not ended by it.
    Hide(SlotId, ReleaseId),
    /// Start `kennel-unpack` to pack the slot's data. The reply carries one descriptor: the read end of the pipe that a
    /// [`crate::data::SaveReport`] and the archive come through.
    SaveData(SlotId),
    /// Start `kennel-unpack` to pack a release's files. Answered as [`ControlRequest::SaveData`] is.
    SaveRelease(SlotId, ReleaseId),
    /// Start `kennel-unpack` for what is to be the slot's data, within the limits on what the slot may hold. The reply carries two
    /// descriptors, as that of [`ControlRequest::Unpack`] does.
    RestoreData(SlotId, Limits),
    /// What was unpacked takes the place of the slot's data, once all that runs in the slot has ended. Answered when what was there
    /// before is gone.
    TakeData(SlotId),
    /// Start `kennel-unpack` to tell what a release holds. The reply carries one descriptor: the read end of the pipe that the
    /// listing comes through (see [`crate::listing`]).
    ListRelease(SlotId, ReleaseId),
    /// Start `kennel-unpack` to copy a release to where a build may write, see [`TaskIo::Build`]. Answered when it is there.
    BeginBuild(SlotId, ReleaseId, Limits),
    /// Start `kennel-unpack` to make that the release, in place of what it was made from. The reply carries one descriptor: the read end
    /// of the pipe of the [`UnpackReport`].
    EndBuild {
        /// Whose.
        slot: SlotId,
        /// Which.
        release: ReleaseId,
        /// Bounds on what it may be.
        limits: Limits,
        /// The release that it shares files with, where they are the same.
        onto: Option<ReleaseId>,
    },
}

/// What init sends to control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToControl {
    /// The answer to one request.
    Reply {
        /// From the request.
        id: RequestId,
        /// How it went.
        result: Result<ControlReply, Refusal>,
    },
    /// A slot changed its state by itself or by request.
    Slot(SlotEvent),
    /// Acts that were denied, as `kennel-audit` saw them.
    Denials(crate::denial::Batch),
    /// What the cloud says of the host; sent to every control that starts, and when it changed. Never without a cloud.
    Cloud(Box<crate::cloud::Report>),
    /// A task has ended, and nothing of it is left.
    TaskEnded(TaskId, TaskEnd),
    /// A program that was woken has answered a request.
    Woken {
        /// Whose.
        slot: SlotId,
        /// Where it was found.
        from: Rung,
        /// How long that took, from the request on that woke it, in milliseconds.
        took_ms: u32,
    },
}

/// A request's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlReply {
    /// Done. For `Unpack`, `RestoreData` and `CountEgress` two descriptors come along, for `ListRelease`, `SaveData` and `EndBuild` one.
    Done,
    /// The answer to `Status`.
    Status(Box<HostStatus>),
    /// The answer to `Tpm`.
    Tpm(crate::tpm::Answer),
    /// The answer to `Counters`.
    Counters(Box<Counters>),
    /// The answer to `AskTask`.
    Asked(Asked),
    /// The answer to `Show`: the port of its program, if it has one.
    Shown(Option<u16>),
}

/// Why init did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// The request makes no sense for the slot as it is: starting one that was never configured, …
    #[error("{0}")]
    Invalid(String),
    /// The same slot is busy with an act that excludes this one.
    #[error("the slot is busy: {0}")]
    Busy(String),
    /// A system call failed; the text names the step and the cause.
    #[error("{0}")]
    Failed(String),
}

/// A change of a slot's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotEvent {
    /// Which slot.
    pub slot: SlotId,
    /// Its state now.
    pub state: SlotState,
    /// Where on the ladder it was before.
    pub from: Rung,
    /// When, in milliseconds since the kernel started.
    pub at_ms: u64,
    /// Why, in words for a person; also in the tenant's log when it concerns the program.
    pub reason: String,
}

/// Init's answer to [`ControlRequest::Status`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// Slots that are not stopped.
    pub slots: Vec<(SlotId, SlotState)>,
    /// Children by name, with their PID and how often they were restarted.
    pub services: Vec<ServiceStatus>,
    /// Milliseconds since the kernel started.
    pub uptime_ms: u64,
    /// What the kernel calls the host.
    pub name: String,
    /// The NIC's addresses, IPv4 before IPv6.
    pub addresses: Vec<IpAddr>,
    /// Processors that programs can run on.
    pub processors: u16,
    /// Its clock.
    pub clock: Clock,
    /// It takes no requests, see [`ControlRequest::Drain`].
    pub draining: bool,
    /// Its memory.
    pub memory: Memory,
}

/// One supervised child of init.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name in the services table.
    pub name: String,
    /// PID, absent while it waits to be restarted.
    pub pid: Option<u32>,
    /// Times it was started again.
    pub restarts: u32,
}

/// Where on the ladder a slot was, to a wake for example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// Its program ran already.
    Running,
    /// It was frozen.
    Frozen,
    /// It was frozen, and memory of it in swap.
    Reclaimed,
    /// There was no process: it was started, and may not listen yet.
    Stopped,
}

/// The one line of JSON that `kennel-unpack` writes to its report pipe before it exits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "there is one of an upload, and it is not kept")]
pub enum UnpackReport {
    /// The release is complete, on disk, and in its place.
    Done {
        /// Bytes of its files.
        bytes: u64,
        /// Files and folders.
        entries: u32,
        /// What it holds that says how it is run; [`Found::validate`] has still to be asked.
        found: Found,
    },
    /// Nothing is left of it; the reason is for the developer who deployed.
    Refused {
        /// Names the entry and what is wrong with it.
        reason: String,
    },
    /// Nothing is left of it: with the release that it was to share files with, what came does not make what it said.
    Unfit {
        /// What does not fit.
        reason: String,
    },
}

/// A packet that cannot be what it claims.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// Over [`MAX_MESSAGE_BYTES`].
    #[error("message of {0} bytes is over the limit of {MAX_MESSAGE_BYTES}")]
    TooLong(usize),
    /// Not an encoding of the expected type.
    #[error("message is malformed: {0}")]
    Malformed(String),
}

/// Encodes one message for one packet.
///
/// # Errors
/// [`BadMessage::TooLong`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, BadMessage> {
    let bytes = postcard::to_stdvec(message).map_err(|e| BadMessage::Malformed(e.to_string()))?;
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(BadMessage::TooLong(bytes.len()));
    }
    Ok(bytes)
}

/// Decodes one packet; bytes left over are an error.
///
/// # Errors
/// [`BadMessage`].
pub fn decode<T: DeserializeOwned>(packet: &[u8]) -> Result<T, BadMessage> {
    if packet.len() > MAX_MESSAGE_BYTES {
        return Err(BadMessage::TooLong(packet.len()));
    }
    match postcard::take_from_bytes(packet) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(BadMessage::Malformed(format!("{} bytes left over", rest.len()))),
        Err(e) => Err(BadMessage::Malformed(e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_survives_the_trip() {
        let message =
            FromControl { id: 7, request: ControlRequest::Start(SlotId::new(12).unwrap(), Cause::operator()) };
        assert_eq!(decode::<FromControl>(&encode(&message).unwrap()).unwrap(), message);
    }

    #[test]
    fn a_slot_beyond_the_pool_is_malformed() {
        let bytes = postcard::to_stdvec(&(7u32, 2u32, 60_000u16)).unwrap();
        assert!(matches!(decode::<FromControl>(&bytes), Err(BadMessage::Malformed(_))));
    }

    #[test]
    fn trailing_bytes_and_giants_are_refused() {
        let mut bytes =
            encode(&FromProxy::Wake { id: 1, slot: SlotId::new(1).unwrap(), cause: Cause::default() }).unwrap();
        bytes.push(0);
        assert!(decode::<FromProxy>(&bytes).is_err());
        assert!(matches!(encode(&"x".repeat(MAX_MESSAGE_BYTES)), Err(BadMessage::TooLong(_))));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode::<FromControl>(&bytes);
            let _ = decode::<ToControl>(&bytes);
            let _ = decode::<FromProxy>(&bytes);
            let _ = decode::<Lease>(&bytes);
            let _ = decode::<crate::cloud::Report>(&bytes);
            let _ = decode::<crate::tpm::Answer>(&bytes);
        }
    }
}
