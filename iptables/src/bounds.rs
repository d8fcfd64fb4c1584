//! How much of the kernel's table of connections one slot may take: what the templates are given for it. How large the
//! table is, and how long an ended connection stays in it, init says (`init/src/boot/kernel.rs`).

use serde::Serialize;

/// One slot's bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// New connections a second. More than a program makes that opens one for each request it serves.
    pub new: u32,
    /// New connections at once, after a quiet time.
    pub burst: u32,
    /// Connections open at a time. Each new one is compared with them, so more would cost more.
    pub open: u32,
}

/// Every slot's.
pub const BOUNDS: Bounds = Bounds { new: 200, burst: 1000, open: 1024 };

impl Bounds {
    /// What a slot can have in the table at most, when an ended connection stays in it for `linger` seconds.
    pub const fn entries(self, linger: u32) -> u32 {
        self.open + self.burst + self.new * linger
    }
}
