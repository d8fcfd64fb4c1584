//! What tenants print. A tenant's program appends to its slot's log through a descriptor that it was born with; here
//! the log is kept short, read from its end, and followed. The lines themselves are nobody's business.

mod follow;
mod rotate;
mod tail;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kennel_model::SlotId;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::error::{Error, Result};

/// Bytes read at a time.
const BLOCK: usize = 32 << 10;

/// The logs of all slots; clones share what is known of their rotation.
#[derive(Clone)]
pub struct Logs {
    config: Arc<Config>,
    marks: Arc<Mutex<HashMap<SlotId, Marks>>>,
}

/// What a reader must know of a log that changes under it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Marks {
    /// Times that the slot changed its tenant.
    lives: u64,
    /// Times that the log was cut.
    rotations: u64,
    /// Where in the uncut log the rotated part began.
    rotated_from: u64,
}

/// What a reader asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Lines to begin with.
    pub lines: usize,
    /// Whether to go on with new lines.
    pub follow: bool,
}

/// Where the bytes go; it ends when the client has gone.
type Sink = mpsc::Sender<std::io::Result<Bytes>>;

impl Logs {
    /// Nothing is read yet.
    pub fn new(config: Config) -> Self {
        Self { config: Arc::new(config), marks: Arc::default() }
    }

    /// Writes what was asked for into the sink, until the end of the log, of the tenant, or of the client.
    pub async fn stream(&self, slot: SlotId, wish: Wish, sink: Sink) {
        if let Err(cause) = self.try_stream(slot, wish, &sink).await {
            let _ = sink.send(Err(cause)).await;
        }
    }

    /// The slot's tenant is gone: so are its rotated lines, and whoever follows is told the end.
    ///
    /// # Errors
    /// When the rotated log cannot be removed.
    pub async fn forget(&self, slot: SlotId) -> Result<()> {
        let file = self.rotated(slot);
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_file(file)).await?;
        let lives = self.mark(slot).lives + 1;
        self.marks().insert(slot, Marks { lives, ..Marks::default() });
        match removed {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::Io("a rotated log", e)),
            _ => Ok(()),
        }
    }

    fn current(&self, slot: SlotId) -> PathBuf {
        self.config.current_log(slot)
    }

    fn rotated(&self, slot: SlotId) -> PathBuf {
        self.config.rotated_log(slot)
    }

    fn mark(&self, slot: SlotId) -> Marks {
        self.marks().get(&slot).copied().unwrap_or_default()
    }

    fn marks(&self) -> std::sync::MutexGuard<'_, HashMap<SlotId, Marks>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod testing {
    use super::*;

    /// Logs in a temporary folder, with slot 1's log folder made.
    pub(crate) fn logs() -> (tempfile::TempDir, Logs, SlotId) {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::host();
        config.control_dir = dir.path().join("control");
        config.slots_dir = dir.path().join("slots");
        config.logs.rotate_bytes = 1000;
        config.logs.follow_every = std::time::Duration::from_millis(1);
        let slot = SlotId::new(1).unwrap();
        std::fs::create_dir_all(&config.control_dir).unwrap();
        std::fs::create_dir_all(config.current_log(slot).parent().unwrap()).unwrap();
        (dir, Logs::new(config), slot)
    }

    /// Appends as a tenant does.
    pub(crate) fn append(logs: &Logs, slot: SlotId, text: &str) {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(logs.current(slot)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}
