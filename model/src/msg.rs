//! The messages between init and its children. Each channel is a `SOCK_SEQPACKET` socketpair that init makes
//! when it starts the child; one packet holds one message in postcard encoding, and descriptors travel beside
//! it as `SCM_RIGHTS`. Sending and receiving is `kennel-sys`'s work; this file only says what can be said.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::net::Ipv4Addr;

use crate::{LaunchSpec, Limits, ReleaseId, SlotId, SlotState};

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
    /// Start the slot's program now; an answer `Ok` means that it was started, not that it listens.
    Start(SlotId),
    /// SIGTERM, the grace of the slot's limits, SIGKILL; answered when no process is left.
    Stop(SlotId),
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
}

/// A request's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlReply {
    /// Done. For `Unpack`: two descriptors come along.
    Done,
    /// The answer to `Status`.
    Status(HostStatus),
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
    /// Why, in words for a person; also in the tenant's log when it concerns the program.
    pub reason: String,
}

/// Init's answer to [`ControlRequest::Status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// Slots that are not stopped.
    pub slots: Vec<(SlotId, SlotState)>,
    /// Children by name, with their PID and how often they were restarted.
    pub services: Vec<ServiceStatus>,
    /// Milliseconds since the kernel started.
    pub uptime_ms: u64,
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

/// What the proxy sends to init.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromProxy {
    /// A request waits for this slot: start it unless it runs. Answered by [`ToProxy::Wake`].
    Wake {
        /// Comes back in the answer.
        id: RequestId,
        /// The slot of the route.
        slot: SlotId,
    },
}

/// What init sends to the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToProxy {
    /// The route table's sealed memfd comes along; sent first and after every change.
    Routes,
    /// The answer to [`FromProxy::Wake`]: the program was started (or ran already), or cannot be.
    Wake {
        /// From the request.
        id: RequestId,
        /// `Err` carries the reason for the log; it is not for visitors.
        result: Result<(), Refusal>,
    },
    /// The slot's program ended; who waits for it to listen need not wait longer.
    Down(SlotId),
    /// Finish what is in flight and exit; new connections are another process's.
    Drain,
}

/// What the DHCP client sends to init, once per new or changed lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Length of its prefix, 0 to 32.
    pub prefix_len: u8,
    /// Default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// Name servers, at most three.
    pub dns: Vec<Ipv4Addr>,
    /// MTU of the link when the server names one (option 26), in bytes.
    pub mtu: Option<u16>,
}

/// The one line of JSON that `kennel-unpack` writes to its report pipe before it exits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnpackReport {
    /// The release is complete, on disk, and in its place.
    Done {
        /// Bytes of its files.
        bytes: u64,
        /// Files and folders.
        entries: u32,
        /// Files at the top of the release, by name, to find out how it starts; at most 200.
        top: Vec<String>,
    },
    /// Nothing is left of it; the reason is for the developer who deployed.
    Refused {
        /// Names the entry and what is wrong with it.
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
        let message = FromControl { id: 7, request: ControlRequest::Start(SlotId::new(12).unwrap()) };
        assert_eq!(decode::<FromControl>(&encode(&message).unwrap()).unwrap(), message);
    }

    #[test]
    fn a_slot_beyond_the_pool_is_malformed() {
        let bytes = postcard::to_stdvec(&(7u32, 2u32, 60_000u16)).unwrap();
        assert!(matches!(decode::<FromControl>(&bytes), Err(BadMessage::Malformed(_))));
    }

    #[test]
    fn trailing_bytes_and_giants_are_refused() {
        let mut bytes = encode(&FromProxy::Wake { id: 1, slot: SlotId::new(1).unwrap() }).unwrap();
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
        }
    }
}
