//! What tenants print, and which requests there were. A tenant's program appends to a file of its slot through a descriptor that
//! it was born with; what is in there is taken from it line by line, each with when and of which release, and kept as access
//! logs are: in control's own folder, short, read from its end, and followed.

mod append;
mod follow;
pub(crate) mod pick;
mod tail;
mod take;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kennel_model::printed::Printed;
use kennel_model::{ReleaseId, SlotId};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::error::{Error, Result};
pub use pick::Pick;

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
    /// Held while lines are written to a log, and while one is removed.
    writing: Arc<Mutex<()>>,
    /// How far what programs print has been read; held while it is.
    spots: Arc<Mutex<take::Spots>>,
}

/// What a reader must know of a log that changes under it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Marks {
    /// Times that the slot changed its tenant.
    lives: u64,
    /// Times that the log was put aside.
    rotations: u64,
}

/// How far back a log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// There are lines of the release that was asked for.
    There,
    /// There are none; the first line that is kept is of this release.
    Lacks(Option<ReleaseId>),
}

/// What a reader asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Lines to begin with.
    pub lines: usize,
    /// Whether to go on with new lines.
    pub follow: bool,
    /// Which of them.
    pub pick: Pick,
}

/// Where the bytes go; it ends when the client has gone.
type Sink = mpsc::Sender<std::io::Result<Bytes>>;

impl Logs {
    /// Nothing is read yet.
    pub fn new(config: Config) -> Self {
        Self { config: Arc::new(config), marks: Arc::default(), writing: Arc::default(), spots: Arc::default() }
    }

    /// Writes what was asked for into the sink, until the end of the log, of the tenant, or of the client.
    pub async fn stream(&self, log: Log, wish: Wish, sink: Sink) {
        if let Err(cause) = self.try_stream(log, wish, &sink).await {
            let _ = sink.send(Err(cause)).await;
        }
    }

    /// What a release has printed since its last start, as far as it is there: the last of its lines, made fit to be shown. Nothing
    /// when it cannot be read.
    pub async fn last_start(&self, slot: SlotId, release: ReleaseId, lines: usize) -> Vec<String> {
        let logs = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            logs.take(slot, true);
            tail::last_start(&logs.lines_of(slot, release), lines)
        });
        read.await.unwrap_or_default()
    }

    /// All that is kept of what a release has printed.
    pub(crate) fn lines_of(&self, slot: SlotId, release: ReleaseId) -> Vec<Printed<'static>> {
        let log = Log::Printed(slot);
        let pick = Pick { release: Some(release), ..Pick::default() };
        let read = |file: PathBuf| std::fs::read(file).unwrap_or_default();
        let all = [read(self.rotated(log)), read(self.current(log))].concat();
        let lines = all.split_inclusive(|b| *b == b'\n').filter(|line| pick.takes(line));
        lines.filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// What is kept of what a release has printed, and what is new in it, line by line.
    pub(crate) async fn all_of(&self, slot: SlotId, release: ReleaseId) -> Vec<Printed<'static>> {
        let logs = self.clone();
        let read = tokio::task::spawn_blocking(move || {
            logs.take(slot, false);
            logs.lines_of(slot, release)
        });
        read.await.unwrap_or_default()
    }

    /// Whether anything is kept of what a release has printed; if not, since when, and from which release on, anything is.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) async fn has_printed(&self, slot: SlotId, release: ReleaseId) -> Result<Reach> {
        let logs = self.clone();
        let look = move || {
            logs.take(slot, true);
            logs.reach(slot, release)
        };
        tokio::task::spawn_blocking(look).await?.map_err(|e| Error::Io("a tenant's log", e))
    }

    /// The slot's tenant is gone: so is what lies in control's folder of its lines, and whoever follows is told the end.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub async fn forget(&self, slot: SlotId) -> Result<()> {
        let (printed, access) = (Log::Printed(slot), Log::Access(Some(slot)));
        let files = [
            self.current(printed),
            self.rotated(printed),
            self.config.log_places(slot),
            self.current(access),
            self.rotated(access),
        ];
        let (writing, spots) = (Arc::clone(&self.writing), Arc::clone(&self.spots));
        let removed = tokio::task::spawn_blocking(move || {
            let mut spots = spots.lock().unwrap_or_else(PoisonError::into_inner);
            let _turn = writing.lock().unwrap_or_else(PoisonError::into_inner);
            spots.remove(&slot);
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
            Log::Printed(slot) => self.config.printed_log(slot),
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
        std::fs::create_dir_all(config.log_folder(slot)).unwrap();
        (dir, Logs::new(config), slot)
    }

    /// Appends as a program does.
    pub(crate) fn append_to(logs: &Logs, slot: SlotId, file: &str, text: &str) {
        use std::io::Write;
        let log = logs.config.log_folder(slot).join(file);
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
}
