//! What init and the proxy say to each other: who is to be woken and who is awake, where programs listen, and that tables and folders
//! have been handed over.

use serde::{Deserialize, Serialize};

use super::{Refusal, RequestId, Rung};
use crate::counters::Traffic;
use crate::task::{Ask, Asked};
use crate::wake::Cause;
use crate::{ReleaseId, SlotId};

/// What the proxy sends to init.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromProxy {
    /// A request waits for this slot: start it or wake it up unless it runs. Answered by [`ToProxy::Wake`].
    Wake {
        /// Comes back in the answer, and is the lease's number from then on.
        id: RequestId,
        /// The slot of the route.
        slot: SlotId,
        /// The request.
        cause: Cause,
    },
    /// What came by the oldest [`ToProxy::Routes`] or [`ToProxy::Certificates`] that this was not said of is in force, or refused.
    Taken,
    /// After [`ToProxy::Refuse`]: no request is in flight any more.
    Quiet,
    /// The lease is given back: nobody has needed the program for a while, and who does next asks first.
    Idle {
        /// The slot.
        slot: SlotId,
        /// The lease. Another one than the last that was granted has no meaning any more.
        lease: RequestId,
        /// How long ago the last response ended, in milliseconds.
        idle_ms: u32,
    },
    /// What went through for slots since this was last said of them. At most [`MAX_PASSED`].
    Passed(Vec<(SlotId, Traffic)>),
    /// A program that was woken has answered a request.
    Woken {
        /// Whose.
        slot: SlotId,
        /// How long that took from the request on that woke it, in milliseconds.
        took_ms: u32,
    },
    /// Nobody waits any more for this [`FromProxy::Wake`], which has not been answered. If it is all the same, the lease is one.
    GiveUp {
        /// Whose.
        slot: SlotId,
        /// The wake.
        id: RequestId,
    },
    /// The folder of files that the proxy answers by itself is to be opened. Answered by [`ToProxy::Files`].
    OpenFiles {
        /// Comes back in the answer.
        id: RequestId,
        /// Whose.
        slot: SlotId,
        /// Of which release; no other than the slot runs is opened.
        release: ReleaseId,
    },
    /// The answer to [`ToProxy::Ask`].
    Asked(RequestId, Asked),
    /// After [`ToProxy::Moved`]: nothing is in flight any more that the program at this port, the one before, was given.
    Left(u16),
}

/// Slots in one [`FromProxy::Passed`]; so many fit into a message whatever went through.
pub const MAX_PASSED: usize = 1024;

/// What init sends to the proxy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToProxy {
    /// The route table's sealed memfd comes along; sent first and after every change. Answered by [`FromProxy::Taken`].
    Routes,
    /// The answer to [`FromProxy::Wake`]. `Ok` is a lease: the program is awake, and stays so until the lease is given back
    /// by [`FromProxy::Idle`] or the program has ended.
    Wake {
        /// From the request.
        id: RequestId,
        /// From the request.
        slot: SlotId,
        /// Where it was found; `Err` carries the reason for the log, which is not for visitors.
        result: Result<Rung, Refusal>,
    },
    /// The slot's program is asked to end, and the lease has ended: who comes from now on waits for its next life, and so does who
    /// is broken off without a word, where that cannot run anything twice.
    Ending(SlotId),
    /// The slot's program ended, and the lease with it; who waits for it to listen need not wait longer.
    Down(SlotId),
    /// The slot's program is awake, and of which release it is, or asleep; also without a lease. Said of all that are awake to
    /// a proxy that starts, and of each from then on.
    Awake(SlotId, Option<ReleaseId>),
    /// Whether new requests are refused from now on, as the machine is about to be taken away. What is in flight goes on;
    /// [`FromProxy::Quiet`] says that it has ended.
    Refuse(bool),
    /// The slot's program listens on this port from now on, which is the slot's first until another is said; the one before, if there
    /// is one, is about to be asked to end. Who comes from now on is the new one's, and so is who is broken off without a word,
    /// where that cannot run anything twice.
    Moved(SlotId, u16),
    /// Ask the program at this port of the slot whether it is ready. Answered by [`FromProxy::Asked`].
    Ask {
        /// Comes back in the answer.
        id: RequestId,
        /// Whose.
        slot: SlotId,
        /// Where.
        port: u16,
        /// What.
        ask: Ask,
    },
    /// Finish what is in flight and exit; new connections are another process's.
    Drain,
    /// The sealed memfd of the certificates comes along; as [`ToProxy::Routes`].
    Certificates,
    /// The answer to [`FromProxy::OpenFiles`]. With `Ok` the folder comes along, opened with `O_PATH`: what is below it is opened
    /// by the proxy.
    Files {
        /// From the request.
        id: RequestId,
        /// [`Refusal::Busy`] when the slot runs another release, or none, by now; any other is for good.
        result: Result<(), Refusal>,
    },
}
