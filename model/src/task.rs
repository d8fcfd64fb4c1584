//! Tasks: programs that run in a slot beside its own one, once, in its domain and with its files. Here is what is said of them
//! between init and control, and between control and whoever waits for one at a terminal: [`Frame`]s, both ways in the bodies
//! of one HTTP exchange.

use serde::{Deserialize, Serialize};

use crate::routes::Protocol;
use crate::slot::PORTS_PER_SLOT;
use crate::{HealthPath, SlotId};

/// Tasks in a slot at a time: each has one of the slot's ports, and its program has one.
pub const MAX_TASKS: u16 = PORTS_PER_SLOT - 1;

/// A task's number, given by control; never used again while that control runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(pub u32);

/// A place for a program in a slot: the one that serves the tenant, one on trial, or a task. Which of them the one that serves
/// has changes from deploy to deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Whose.
    pub slot: SlotId,
    number: u16,
}

impl Place {
    /// All places of a slot, from the first on.
    pub fn all(slot: SlotId) -> impl Iterator<Item = Self> {
        (0..PORTS_PER_SLOT).map(move |number| Self { slot, number })
    }

    /// Where the program is that serves, as long as none has taken over from another.
    pub const fn first(slot: SlotId) -> Self {
        Self { slot, number: 0 }
    }

    /// Which of its slot's.
    pub const fn number(self) -> u16 {
        self.number
    }

    /// A number for it that no place of another slot has.
    pub const fn index(self) -> u16 {
        self.slot.index() * PORTS_PER_SLOT + self.number
    }

    /// The place of this number; none where there is no such slot.
    pub fn of_index(index: u16) -> Option<Self> {
        let slot = SlotId::new(index / PORTS_PER_SLOT).ok()?;
        Some(Self { slot, number: index % PORTS_PER_SLOT })
    }

    /// What it may listen on, as its `PORT`.
    pub const fn port(self) -> u16 {
        self.slot.port() + self.number
    }

    /// The cgroup of a task there, relative to the cgroup root. It is within that of all tasks of the slot, which has the limits.
    pub fn task_cgroup(self) -> String {
        format!("{}/{}", Self::cgroup_of_all(self.slot), self.number)
    }

    /// The cgroup of a program there that serves, or is to.
    pub fn program_cgroup(self) -> String {
        match self.number {
            0 => format!("tenants/{}", self.slot),
            number => format!("tenants/{}.{number}", self.slot),
        }
    }

    /// The cgroup of all tasks of a slot.
    pub fn cgroup_of_all(slot: SlotId) -> String {
        format!("tasks/{slot}")
    }
}

/// What a task reads and prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskIo {
    /// Through three sockets of its own, of which control gets the other ends: standard input, output and error output.
    Streams,
    /// It reads nothing, and prints into the tenant's log.
    Log,
    /// The same, of what fetches the packages of a release that is not complete yet: its `/app` is [`crate::layout::slot_dirs::BUILD_APP`],
    /// which it may write to, and it has limits of its own. See [`ControlRequest::BeginBuild`](crate::msg::ControlRequest::BeginBuild).
    Build,
    /// The same as [`TaskIo::Log`], of a release that is tried beside the one that serves: it may take that one's place, see
    /// [`ControlRequest::Promote`](crate::msg::ControlRequest::Promote), and has the limits of a program meanwhile.
    Trial,
}

/// What a program on trial is asked whether it is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Whose pages it is to answer: the `Host` it is asked with.
    pub host: String,
    /// What for; without it, it is ready when its port accepts.
    pub path: Option<HealthPath>,
    /// What is spoken to it.
    pub protocol: Protocol,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// Nobody listens on its port.
    Refused,
    /// Its port accepts, and nothing was to be asked.
    Accepted,
    /// It answered with this status.
    Status(u16),
    /// Its port accepts, but there was no answer in time, or none that could be understood.
    Silent,
}

impl Asked {
    /// Whether a program that answers so is ready: what it says of its path, it says by itself, unless that is an error of its own.
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::Accepted | Self::Status(1..500))
    }
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEnd {
    /// As a shell says it: its exit code, 128 and the signal's number, or 127 where it could not be started.
    pub code: u8,
    /// In words, for a person.
    pub why: String,
}

/// The first [`Frame`] of who wants something run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Program and arguments. A name without a slash is looked for in the runtime.
    pub command: Vec<String>,
}

/// The media type of a body of frames.
pub const FRAMES: &str = "application/vnd.kennel.frames";
/// No frame carries more.
pub const MAX_FRAME_BYTES: usize = 64 << 10;
/// Of a frame before what it carries: its kind, and how much, the highest byte first.
const HEAD_BYTES: usize = 5;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// To the host: a [`Run`] as JSON.
    Run,
    /// To the host: bytes for its standard input.
    Input,
    /// To the host: there are no more.
    InputEnd,
    /// To the host: the task is to end (SIGTERM, and SIGKILL after the tenant's grace).
    Stop,
    /// From the host: what it printed.
    Output,
    /// From the host: what it printed on its error output.
    ErrorOutput,
    /// From the host, the last one: a [`TaskEnd`] as JSON.
    End,
}

impl FrameKind {
    const ALL: [Self; 7] =
        [Self::Run, Self::Input, Self::InputEnd, Self::Stop, Self::Output, Self::ErrorOutput, Self::End];

    const fn code(self) -> u8 {
        match self {
            Self::Run => b'r',
            Self::Input => b'i',
            Self::InputEnd => b'z',
            Self::Stop => b's',
            Self::Output => b'o',
            Self::ErrorOutput => b'e',
            Self::End => b'x',
        }
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it carries.
    pub kind: FrameKind,
    /// That; at most [`MAX_FRAME_BYTES`].
    pub bytes: Vec<u8>,
}

/// Bytes that are no frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// There is no such kind.
    #[error("there is no frame of kind {0:#04x}")]
    Kind(u8),
    /// Over [`MAX_FRAME_BYTES`].
    #[error("a frame of {0} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooLong(usize),
}

impl Frame {
    /// As bytes. What is longer than a frame may be becomes several.
    pub fn encode(kind: FrameKind, bytes: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(HEAD_BYTES + bytes.len());
        let mut rest = bytes;
        loop {
            let (piece, after) = rest.split_at(rest.len().min(MAX_FRAME_BYTES));
            encoded.push(kind.code());
            // No piece is longer than 64 KiB.
            encoded.extend_from_slice(&u32::try_from(piece.len()).unwrap_or(0).to_be_bytes());
            encoded.extend_from_slice(piece);
            if after.is_empty() {
                return encoded;
            }
            rest = after;
        }
    }
}

/// Frames out of bytes that come in pieces of any size.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// More bytes. What has been taken out is forgotten, so that no more is kept than one frame and one piece.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, if it is whole.
    ///
    /// # Errors
    /// [`BadFrame`]; nothing that follows makes sense.
    pub fn take(&mut self) -> Result<Option<Frame>, BadFrame> {
        let Some((&[kind, a, b, c, d], rest)) = self.bytes.split_first_chunk() else { return Ok(None) };
        let kind = FrameKind::ALL.into_iter().find(|k| k.code() == kind).ok_or(BadFrame::Kind(kind))?;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > MAX_FRAME_BYTES {
            return Err(BadFrame::TooLong(length));
        }
        let Some(bytes) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
        self.bytes.drain(..HEAD_BYTES + length);
        Ok(Some(Frame { kind, bytes }))
    }

    /// Whether a frame has begun that is not whole.
    pub fn is_within(&self) -> bool {
        !self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_have_ports_and_numbers_of_their_own() {
        let slot = SlotId::new(4095).unwrap();
        let places: Vec<_> = Place::all(slot).collect();
        assert_eq!((places.len(), places[0]), (8, Place::first(slot)));
        assert_eq!((places[0].port(), places[7].port()), (slot.port(), slot.last_port()));
        assert_eq!(
            (places[3].task_cgroup(), places[3].program_cgroup()),
            ("tasks/4095/3".into(), "tenants/4095.3".into())
        );
        assert_eq!(places[0].program_cgroup(), "tenants/4095");
        for place in places {
            assert_eq!(Place::of_index(place.index()), Some(place));
        }
        assert_eq!(Place::of_index(u16::MAX).map(|p| p.slot.index()), None);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let next = |bytes: &[u8]| {
            let mut frames = Frames::default();
            frames.push(bytes);
            frames.take()
        };
        assert_eq!(next(b"o\0\0\0"), Ok(None));
        assert_eq!(next(b"?\0\0\0\0"), Err(BadFrame::Kind(b'?')));
        assert_eq!(next(b"o\0\x01\0\x01"), Err(BadFrame::TooLong(65537)));
    }

    proptest! {
        #[test]
        fn frames_survive_any_pieces(
            sent in proptest::collection::vec((0usize..7, proptest::collection::vec(any::<u8>(), 0..300)), 0..8),
            piece in 1usize..40,
        ) {
            let sent: Vec<_> = sent.into_iter().map(|(k, bytes)| Frame { kind: FrameKind::ALL[k], bytes }).collect();
            let bytes: Vec<u8> = sent.iter().flat_map(|f| Frame::encode(f.kind, &f.bytes)).collect();
            let (mut frames, mut got) = (Frames::default(), vec![]);
            for piece in bytes.chunks(piece) {
                frames.push(piece);
                while let Some(frame) = frames.take().unwrap() {
                    got.push(frame);
                }
            }
            prop_assert_eq!(got, sent);
            prop_assert!(!frames.is_within());
        }

        #[test]
        fn long_ones_are_several(extra in 0usize..10) {
            let bytes = vec![7; MAX_FRAME_BYTES + extra];
            let mut frames = Frames::default();
            frames.push(&Frame::encode(FrameKind::Output, &bytes));
            let mut got = vec![];
            while let Some(frame) = frames.take().unwrap() {
                got.extend(frame.bytes);
            }
            prop_assert_eq!(got, bytes);
        }
    }
}
