//! Denied acts: what the kernel said of an act that it refused, as plain facts. `kennel-audit` takes them out of the
//! kernel's log, control keeps them and knows whose slot it was, and [`words`] makes a sentence of one. What is refused
//! is decided by the policy, the packet filter and the system call filters; nothing here decides anything.

pub mod places;
pub mod syscalls;
pub mod words;

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

use crate::SlotId;
use crate::msg::{self, MAX_MESSAGE_BYTES};

/// Different denials in one message. Each has at most [`MAX_TEXT`] bytes of anybody's choice and a handful of short names,
/// so that a full batch fits into a message.
pub const MAX_BATCH: usize = 48;
/// Longest path or name that is kept of a denial, in bytes.
pub const MAX_TEXT: usize = 200;
/// Longest class, permission or type.
pub const MAX_WORD: usize = 48;
/// Permissions kept of one denial.
pub const MAX_PERMISSIONS: usize = 8;

/// What `kennel-audit` sends to init, and init passes on to control.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// At most [`MAX_BATCH`].
    pub counted: Vec<Counted>,
    /// Records that nobody saw: the kernel's own rate limit, or a log that was overwritten before it was read.
    pub lost: u64,
}

impl Batch {
    /// The batch as it can be passed on. Its sender reads hostile bytes, so that one day its bounds may not be kept: what
    /// is over them is only counted, and costs neither init nor control more than any other batch.
    #[must_use]
    pub fn bounded(self) -> Self {
        // To say what it is, the message to control has a byte more.
        if self.counted.len() <= MAX_BATCH && msg::encode(&self).is_ok_and(|b| b.len() < MAX_MESSAGE_BYTES) {
            return self;
        }
        let lost = self.lost.saturating_add(u64::try_from(self.counted.len()).unwrap_or(u64::MAX));
        Self { counted: vec![], lost }
    }
}

/// A denial and how often it was seen since the last message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// What happened.
    pub denial: Denial,
    /// At least 1.
    pub count: u64,
}

/// One kind of denied act. Two acts that differ only in what changes each time (process numbers, source ports, inodes)
/// are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Denial {
    /// Who tried.
    pub actor: Actor,
    /// The thread's name, which it may choose itself; empty when the kernel did not say.
    pub program: String,
    /// What was tried.
    pub act: Act,
}

/// Who tried something.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actor {
    /// The program in a slot.
    Tenant(SlotId),
    /// `kennel-unpack` in a slot.
    Install(SlotId),
    /// A domain of the host's own (`proxy_t`), or a user of the host's own where only that is known (`uid 901`).
    Host(String),
}

impl Actor {
    /// The slot that the actor lives in.
    pub const fn slot(&self) -> Option<SlotId> {
        match self {
            Self::Tenant(slot) | Self::Install(slot) => Some(*slot),
            Self::Host(_) => None,
        }
    }
}

/// What was tried, by who refused it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// SELinux refused an access.
    Access(Access),
    /// The packet filter refused a packet.
    Packet(Packet),
    /// The system call filter ended the process.
    SystemCall {
        /// x86-64's number of it.
        number: u32,
        /// Made through the 32-bit or x32 interface, whose numbers are others.
        foreign: bool,
    },
    /// More kinds of acts at once than are told apart.
    Others,
}

/// An access as SELinux sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Access {
    /// The object's class: `file`, `tcp_socket`, …
    pub class: String,
    /// What was asked for, at most [`MAX_PERMISSIONS`].
    pub permissions: Vec<String>,
    /// What it was asked of.
    pub object: Object,
    /// The object's path, or its name where the kernel knows no path.
    pub name: Option<String>,
    /// The address of the other end.
    pub address: Option<IpAddr>,
    /// The port of the other end, or the one to be bound.
    pub port: Option<u16>,
    /// Refused; otherwise the domain is permissive, and it went through.
    pub enforced: bool,
}

/// What an access was about, from the object's type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Object {
    /// Something of a slot's.
    Slot(SlotId, SlotPart),
    /// Any other type, such as `proc_t`.
    Type(String),
}

/// The parts of a slot that have types of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotPart {
    /// The running program.
    Process,
    /// `kennel-unpack` at work.
    Install,
    /// Its releases.
    Code,
    /// Its data.
    Data,
    /// Its temporary files.
    Tmp,
    /// Its log.
    Log,
    /// Its ports.
    Port,
}

/// A packet that was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Packet {
    /// `tcp`, `udp`, `icmp`, … in lower case, or the protocol's number.
    pub protocol: String,
    /// Destination.
    pub to: IpAddr,
    /// Destination port, for protocols that have ports.
    pub port: Option<u16>,
}

/// What init answers to a [`Batch`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToAudit {
    /// The batch was passed on; the next may come.
    Taken,
}

/// Who refuses acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The packet filter.
    Iptables,
    /// The policy.
    Selinux,
    /// The system call filters.
    Seccomp,
}

impl Denial {
    /// Who refused this time; nobody for what is only a count of others.
    pub const fn refused_by(&self) -> Option<Layer> {
        match &self.act {
            Act::Access(access) if access.enforced => Some(Layer::Selinux),
            Act::Packet(_) => Some(Layer::Iptables),
            Act::SystemCall { .. } => Some(Layer::Seccomp),
            Act::Access(_) | Act::Others => None,
        }
    }
}

impl Object {
    /// From an SELinux type: those of slots are told apart by their number.
    pub fn of(name: &str) -> Self {
        match slot_type(name) {
            Some((slot, part)) => Self::Slot(slot, part),
            None => Self::Type(name.to_owned()),
        }
    }
}

/// The slot and the part that a type named by [`SlotId`]'s rules belongs to.
fn slot_type(name: &str) -> Option<(SlotId, SlotPart)> {
    let rest = name.strip_prefix("tenant")?;
    let (digits, part) = (rest.get(..4)?, rest.get(4..)?);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let slot = SlotId::new(digits.parse().ok()?).ok()?;
    let part = match part {
        "_t" => SlotPart::Process,
        "_install_t" => SlotPart::Install,
        "_code_t" => SlotPart::Code,
        "_data_t" => SlotPart::Data,
        "_tmp_t" => SlotPart::Tmp,
        "_log_t" => SlotPart::Log,
        "_port_t" => SlotPart::Port,
        _ => return None,
    };
    Some((slot, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::msg::{ToControl, encode};
    use crate::slot::FileKind;

    #[test]
    fn types_of_slots_are_known_by_the_names_that_slots_give_them() {
        let slot = SlotId::new(12).unwrap();
        let of = |context: String| Object::of(context.rsplit(':').next().unwrap());
        assert_eq!(of(slot.run_context(true)), Object::Slot(slot, SlotPart::Process));
        assert_eq!(of(slot.install_context()), Object::Slot(slot, SlotPart::Install));
        for (kind, part) in
            FileKind::ALL.into_iter().zip([SlotPart::Code, SlotPart::Data, SlotPart::Tmp, SlotPart::Log])
        {
            assert_eq!(of(slot.file_context(kind)), Object::Slot(slot, part));
        }
        for other in
            ["tenant9999_t", "tenant12_t", "tenant+012_t", "tenant0012_x_t", "tenant", "tenant00é_t", "proc_t"]
        {
            assert_eq!(Object::of(other), Object::Type(other.to_owned()));
        }
    }

    #[test]
    fn the_largest_batch_is_one_message() {
        let word = || "w".repeat(MAX_WORD);
        let access = Access {
            class: word(),
            permissions: vec![word(); MAX_PERMISSIONS],
            object: Object::Type(word()),
            name: Some("n".repeat(MAX_TEXT)),
            address: Some(std::net::Ipv6Addr::LOCALHOST.into()),
            port: Some(u16::MAX),
            enforced: true,
        };
        let denial = Denial { actor: Actor::Host(word()), program: word(), act: Act::Access(access) };
        let batch = Batch { counted: vec![Counted { denial, count: u64::MAX }; MAX_BATCH], lost: u64::MAX };
        assert!(encode(&batch).is_ok());
        assert_eq!(batch.clone().bounded(), batch);
    }

    #[test]
    fn a_batch_that_could_not_be_passed_on_is_only_counted() {
        let with_name = |length| {
            let act = Act::SystemCall { number: 1, foreign: false };
            let denial = Denial { actor: Actor::Host("x_t".into()), program: "p".repeat(length), act };
            Batch { counted: vec![Counted { denial, count: 1 }], lost: 2 }
        };
        // As long as a message may be, so that it arrives; within the message to control it would be too long.
        let rest = encode(&with_name(60_000)).unwrap().len() - 60_000;
        let longest = with_name(MAX_MESSAGE_BYTES - rest);
        assert_eq!(encode(&longest).unwrap().len(), MAX_MESSAGE_BYTES);
        assert!(encode(&ToControl::Denials(longest.clone())).is_err());
        assert_eq!(longest.bounded(), Batch { counted: vec![], lost: 3 });
        let kept = with_name(MAX_MESSAGE_BYTES - rest - 1);
        assert!(encode(&ToControl::Denials(kept.clone().bounded())).is_ok() && kept.clone().bounded() == kept);
    }
}
