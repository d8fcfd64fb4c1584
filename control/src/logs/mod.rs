//! What tenants print, and which requests there were. A tenant's program appends to its slot's log through a descriptor that
//! it was born with; access logs are written here. Both are kept short, read from their end, and followed. The lines
//! themselves are nobody's business.

mod append;
mod follow;
mod rotate;
mod tail;

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kennel_model::SlotId;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::error::{Error, Result};

/// Bytes read at a time.
const BLOCK: usize = 32 << 10;

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Log {
    /// What the slot's program prints.
    Printed(SlotId),
    /// Requests to the slot's tenant; without one, those that belong to none.
    Access(Option<SlotId>),
}

/// All logs; clones share what is known of their rotation.
#[derive(Clone)]
pub struct Logs {
    config: Arc<Config>,
    marks: Arc<Mutex<HashMap<Log, Marks>>>,
    /// Held while lines are written to an access log, and while one is removed.
    writing: Arc<Mutex<()>>,
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
        Self { config: Arc::new(config), marks: Arc::default(), writing: Arc::default() }
    }

    /// Writes what was asked for into the sink, until the end of the log, of the tenant, or of the client.
    pub async fn stream(&self, log: Log, wish: Wish, sink: Sink) {
        if let Err(cause) = self.try_stream(log, wish, &sink).await {
            let _ = sink.send(Err(cause)).await;
        }
    }

    /// What the slot's program has printed since its last start, as far as it is there: the last of its lines, made fit to be
    /// shown. Nothing when it cannot be read.
    pub async fn last_start(&self, slot: SlotId, lines: usize) -> Vec<String> {
        let file = self.current(Log::Printed(slot));
        let read = tokio::task::spawn_blocking(move || tail::last_start(&File::open(file)?, lines));
        read.await.map_err(std::io::Error::other).and_then(|read| read).unwrap_or_default()
    }

    /// The slot's tenant is gone: so is what lies in control's folder of its lines, and whoever follows is told the end.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub async fn forget(&self, slot: SlotId) -> Result<()> {
        let (printed, access) = (Log::Printed(slot), Log::Access(Some(slot)));
        let files = [self.rotated(printed), self.current(access), self.rotated(access)];
        let writing = Arc::clone(&self.writing);
        let removed = tokio::task::spawn_blocking(move || {
            let _turn = writing.lock().unwrap_or_else(PoisonError::into_inner);
            files.map(std::fs::remove_file)
        });
        let removed = removed.await?;
        for log in [printed, access] {
            let lives = self.mark(log).lives + 1;
            self.marks().insert(log, Marks { lives, ..Marks::default() });
        }
        let failed = removed.into_iter().filter_map(std::result::Result::err);
        match failed.into_iter().find(|e| e.kind() != std::io::ErrorKind::NotFound) {
            Some(e) => Err(Error::Io("a tenant's log", e)),
            None => Ok(()),
        }
    }

    fn current(&self, log: Log) -> PathBuf {
        match log {
            Log::Printed(slot) => self.config.current_log(slot),
            Log::Access(slot) => self.config.access_log(slot),
        }
    }

    fn rotated(&self, log: Log) -> PathBuf {
        match log {
            Log::Printed(slot) => self.config.rotated_log(slot),
            Log::Access(slot) => self.config.rotated_access_log(slot),
        }
    }

    fn mark(&self, log: Log) -> Marks {
        self.marks().get(&log).copied().unwrap_or_default()
    }

    fn marks(&self) -> std::sync::MutexGuard<'_, HashMap<Log, Marks>> {
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
        let log = logs.current(Log::Printed(slot));
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}
