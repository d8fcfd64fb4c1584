//! Slots: the sealed places that tenants live in. Everything a slot owns (UID, SELinux types, cgroup, ports,
//! folders) follows from its number by the arithmetic here and nowhere else, so that the policy compiled at
//! build time and the host at run time cannot disagree. Who lives in a slot is control's business.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::layout;

/// UID and GID of slot 0; slot N has both at `FIRST_UID + N`.
pub const FIRST_UID: u32 = 100_000;
/// First loopback TCP port of slot 0.
pub const FIRST_PORT: u16 = 20_000;
/// Loopback TCP ports per slot.
pub const PORTS_PER_SLOT: u16 = 8;
/// The largest pool an image may carry: 4 digits, and 20000 + 8 × 4096 stays below the ephemeral ports.
pub const MAX_SLOTS: u16 = 4096;
/// Slots in an image whose spec does not say.
pub const DEFAULT_SLOTS: u16 = 1000;

/// The number of a slot, `0..MAX_SLOTS`. Shown with four digits, as in the SELinux types and the folders.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct SlotId(u16);

/// A slot number beyond [`MAX_SLOTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("slot {0} does not exist: the largest pool has {MAX_SLOTS} slots")]
pub struct NoSuchSlot(pub u16);

impl SlotId {
    /// # Errors
    /// [`NoSuchSlot`] when `n` is [`MAX_SLOTS`] or more.
    pub const fn new(n: u16) -> Result<Self, NoSuchSlot> {
        if n < MAX_SLOTS { Ok(Self(n)) } else { Err(NoSuchSlot(n)) }
    }

    /// The slots of a pool of `count`, in order.
    pub fn pool(count: u16) -> impl Iterator<Item = Self> {
        (0..count.min(MAX_SLOTS)).map(Self)
    }

    /// The plain number.
    pub const fn index(self) -> u16 {
        self.0
    }

    /// The UID, and the GID of the same number, that everything in the slot runs as.
    pub const fn uid(self) -> u32 {
        FIRST_UID + self.0 as u32
    }

    /// The first of the slot's [`PORTS_PER_SLOT`] loopback ports: the one handed to the program as `PORT`.
    pub const fn port(self) -> u16 {
        FIRST_PORT + PORTS_PER_SLOT * self.0
    }

    /// The last of the slot's ports.
    pub const fn last_port(self) -> u16 {
        self.port() + PORTS_PER_SLOT - 1
    }

    /// Whether this is one of them.
    pub const fn has_port(self, port: u16) -> bool {
        self.port() <= port && port <= self.last_port()
    }

    /// SELinux domain of the running tenant, as a context. Its role says whether the program may make code at run time
    /// (`jit_r`, a constraint on `execmem`), so that one domain for each slot serves every runtime.
    pub fn run_context(self, jit: bool) -> String {
        let role = if jit { "jit_r" } else { "system_r" };
        format!("system_u:{role}:tenant{self}_t")
    }

    /// SELinux domain of `kennel-unpack` at work in this slot, as a context.
    pub fn install_context(self) -> String {
        format!("system_u:system_r:tenant{self}_install_t")
    }

    /// Context of the slot's files of one kind.
    pub fn file_context(self, kind: FileKind) -> String {
        format!("system_u:object_r:tenant{self}_{}_t", kind.suffix())
    }

    /// The slot's folder on the data volume, as the host sees it.
    pub fn dir(self) -> String {
        format!("{}/{self}", layout::SLOTS_DIR)
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

impl fmt::Debug for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {self}")
    }
}

impl TryFrom<u16> for SlotId {
    type Error = NoSuchSlot;
    fn try_from(n: u16) -> Result<Self, NoSuchSlot> {
        Self::new(n)
    }
}

impl From<SlotId> for u16 {
    fn from(slot: SlotId) -> Self {
        slot.0
    }
}

/// The kinds of file a slot owns, each with an SELinux type of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Releases: written by `kennel-unpack`, read and executed by the tenant.
    Code,
    /// The tenant's persistent data.
    Data,
    /// The tenant's `/tmp`, gone when it stops.
    Tmp,
    /// What the tenant prints: appended through an inherited descriptor, read by control.
    Log,
}

impl FileKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Code, Self::Data, Self::Tmp, Self::Log];

    /// The part of the type's name that tells the kind.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Data => "data",
            Self::Tmp => "tmp",
            Self::Log => "log",
        }
    }
}

/// Where a slot is on the ladder between stopped and running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotState {
    /// No process; costs nothing.
    Stopped,
    /// The program was started; whether it listens yet, the proxy finds out.
    Running,
    /// Nobody needs it: its processes get no processor time.
    Frozen,
    /// Frozen, and most of its memory is in swap.
    Reclaimed,
    /// SIGTERM was sent; SIGKILL follows after the grace.
    Stopping,
    /// It failed too often in a row; the next attempt has to wait.
    Failed,
}

impl SlotState {
    /// Whether there is a process.
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Frozen | Self::Reclaimed | Self::Stopping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_follows_from_the_number() {
        let slot = SlotId::new(7).unwrap();
        assert_eq!(slot.uid(), 100_007);
        assert_eq!((slot.port(), slot.last_port()), (20_056, 20_063));
        assert_eq!(slot.run_context(false), "system_u:system_r:tenant0007_t");
        assert_eq!(slot.run_context(true), "system_u:jit_r:tenant0007_t");
        assert_eq!(slot.install_context(), "system_u:system_r:tenant0007_install_t");
        assert_eq!(slot.file_context(FileKind::Code), "system_u:object_r:tenant0007_code_t");
        assert_eq!(slot.dir(), "/data/slots/0007");
    }

    #[test]
    fn the_largest_pool_fits_below_the_ephemeral_ports() {
        let last = SlotId::new(MAX_SLOTS - 1).unwrap();
        assert!(u32::from(last.last_port()) < 60_000);
        assert_eq!(SlotId::new(MAX_SLOTS), Err(NoSuchSlot(MAX_SLOTS)));
        assert_eq!(SlotId::pool(u16::MAX).count(), usize::from(MAX_SLOTS));
    }
}
