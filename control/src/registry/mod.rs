//! The registry: which tenant lives in which slot, with which domains and releases. One SQLite file on the data
//! volume; what a call here has answered is on disk. What the rows mean for the host is decided elsewhere.

mod accounts;
mod acme;
mod audit;
mod certificates;
mod copies;
mod cron;
mod denials;
mod domains;
mod egress;
mod env;
mod pages;
mod processes;
mod releases;
mod schema;
mod snapshots;
mod switches;
mod tenants;
mod timeline;
mod tokens;
mod usage;
mod whose;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use kennel_model::api::Source;
use kennel_model::doctor::Snapshot;
use kennel_model::egress::Egress;
use kennel_model::found::Origin;
use kennel_model::{HostName, Limits, ReleaseId, RuntimeName, SlotId, TenantName};
use rusqlite::Connection;

use crate::error::{Error, Result};
pub use acme::{AccountRow, AcmeRow, Fared};
pub use audit::Theirs;
pub use certificates::CertificateRow;
pub use cron::JobId;
pub use denials::DenialRow;
pub use domains::DomainRow;
pub use pages::{MaintenanceRow, Pages};
pub use processes::{ProcessRow, WantedRow};
pub use releases::Unpacked;
pub use schema::OpenError;
pub use timeline::Seen;
pub use tokens::{Shown, TokenRow};
use whose::Whose;

/// Copies that are whole, the newest first, and the names of registries that were put aside.
///
/// # Errors
/// The disk's.
pub(crate) fn snapshots(folder: &Path) -> Result<(Vec<Snapshot>, Vec<String>)> {
    let mut aside = snapshots::names(folder)?;
    aside.retain(|name| snapshots::is_aside(name));
    aside.sort();
    Ok((snapshots::all(folder)?, aside))
}

/// Keeps what [`Store::copy_into`] has copied; see [`snapshots::keep`].
///
/// # Errors
/// The disk's, or what is wrong with the copy.
pub(crate) fn keep_snapshot(folder: &Path) -> Result<Snapshot> {
    snapshots::keep(folder)
}

/// Puts a copy in the place of a registry that nobody has open; see [`snapshots::restore`].
///
/// # Errors
/// [`Error::NoSuchSnapshot`], or the disk's.
pub(crate) fn restore(file: &Path, name: &str) -> Result<(Snapshot, Option<String>)> {
    snapshots::restore(file, name)
}

/// A handle to the registry; clones share it.
#[derive(Clone)]
pub struct Registry {
    store: Arc<Mutex<Store>>,
}

/// The open database. Its methods block: call them within [`Registry::with`].
pub struct Store {
    db: Connection,
}

impl Store {
    /// Moves everything from the write-ahead log into the database's one file.
    ///
    /// # Errors
    /// The database's.
    pub fn checkpoint(&mut self) -> Result<()> {
        Ok(self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }
}

/// How far a tenant's row has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantPhase {
    /// The slot is taken, its folders are not made for sure.
    Adding,
    /// A tenant.
    Ready,
    /// Its files are going; the slot is free only when the row is gone.
    Removing,
}

/// One tenant as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    /// Unique.
    pub name: TenantName,
    /// Unique.
    pub slot: SlotId,
    /// What its current release runs on, and its next one will; one of the image's when it was chosen.
    pub runtime: RuntimeName,
    /// The operator's choice; empty for the runtime's default.
    pub command: Vec<String>,
    /// Of its slot.
    pub limits: Limits,
    /// How far the row has come.
    pub phase: TenantPhase,
    /// The release that serves.
    pub current: Option<ReleaseId>,
    /// What served before, while `current` is on trial.
    pub previous: Option<ReleaseId>,
    /// Whether init is known to have switched to `current`.
    pub settled: bool,
    /// Seconds since 1970-01-01 UTC.
    pub created_at_s: u64,
    /// What is routed to it, redirects among it, in the order in which they were given.
    pub domains: Vec<DomainRow>,
    /// What visitors are told while it is worked on.
    pub maintenance: Option<MaintenanceRow>,
    /// What is shown in the place of the proxy's pages, among all pages.
    pub page: Option<i64>,
    /// Complete ones, oldest first.
    pub releases: Vec<ReleaseRow>,
    /// What it may connect to.
    pub egress: Egress,
    /// The numbers of its rules, in their order.
    pub rule_numbers: Vec<u8>,
}

/// One complete release as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// Its number.
    pub id: ReleaseId,
    /// Whose files it has: its own, unless only its environment or its runtime is.
    pub files: ReleaseId,
    /// Bytes of its files.
    pub bytes: u64,
    /// Files and folders.
    pub entries: u32,
    /// What runs it.
    pub command: Vec<String>,
    /// Where that comes from, if it was kept.
    pub origin: Option<Origin>,
    /// What it runs on.
    pub runtime: RuntimeName,
    /// The commit that it was made from, if one was said.
    pub source: Option<Source>,
    /// Who deployed it: an account, or the fingerprint of a key.
    pub by: String,
    /// Seconds since 1970-01-01 UTC.
    pub created_at_s: u64,
}

impl TenantRow {
    /// The release that serves.
    pub fn current_release(&self) -> Option<&ReleaseRow> {
        self.releases.iter().find(|r| Some(r.id) == self.current)
    }

    /// The names of its domains, redirects among them, as often as they have paths; what a wildcard stands for is not known.
    pub fn host_names(&self) -> impl Iterator<Item = HostName> {
        self.domains.iter().filter_map(|row| row.domain.name())
    }
}

impl Registry {
    /// Opens or makes the database and brings it up to date.
    ///
    /// # Errors
    /// [`OpenError`]; a database of a newer program is left as it is.
    pub fn open(file: &Path) -> std::result::Result<Self, OpenError> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let db = schema::open(file, |db| snapshots::take(db, folder).map(drop))?;
        // SQLite makes the file durable, but not its name.
        File::open(folder).and_then(|dir| dir.sync_all())?;
        Ok(Self { store: Arc::new(Mutex::new(Store { db })) })
    }

    /// What stands in for a registry that cannot be used: the newest copy that is whole, or nothing; in it nothing can be changed.
    ///
    /// # Errors
    /// Memory's.
    pub fn stand_in(folder: &Path) -> std::result::Result<(Self, Option<String>), OpenError> {
        let (db, snapshot) = snapshots::stand_in(folder)?;
        Ok((Self { store: Arc::new(Mutex::new(Store { db })) }, snapshot))
    }

    /// Runs `act` on a thread where waiting for the disk holds up nobody. Once begun it is carried out, even when the
    /// caller goes away.
    ///
    /// # Errors
    /// The act's, or [`Error::Internal`] when it panicked.
    pub async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Store) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = Arc::clone(&self.store);
        // A panic rolled its transaction back, so the store behind a poisoned lock is sound.
        tokio::task::spawn_blocking(move || act(&mut store.lock().unwrap_or_else(PoisonError::into_inner)))
            .await?
    }
}

impl Store {
    /// Counts the starts of control, this one among them.
    ///
    /// # Errors
    /// The database's.
    pub fn count_start(&mut self) -> Result<u32> {
        Ok(self.db.query_row("UPDATE host SET starts = starts + 1 RETURNING starts", [], |row| row.get(0))?)
    }
}

/// Seconds since 1970-01-01 UTC; 0 for a clock before that.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// A column's text as a checked value.
fn checked<T, E: std::fmt::Display>(what: &str, value: std::result::Result<T, E>) -> Result<T> {
    value.map_err(|e| Error::Damaged(format!("{what}: {e}")))
}

/// A value as a column's JSON.
fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Internal(e.to_string()))
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use kennel_model::api::NewTenant;

    /// A store in memory.
    pub(crate) fn store() -> Store {
        Store { db: schema::prepare(Connection::open_in_memory().unwrap()).unwrap() }
    }

    impl Store {
        /// Where no slot is occupied but by whom it knows.
        pub(crate) fn reserve(&mut self, wish: &NewTenant, pool: u16) -> Result<SlotId> {
            self.reserve_unless(wish, pool, |_| false)
        }
    }

    /// A store with one tenant.
    pub(crate) fn with_tenant() -> (Store, TenantName) {
        let (mut store, wish) = (store(), wish("a", "a.test"));
        store.reserve(&wish, 9).unwrap();
        store.confirm(&wish.name).unwrap();
        (store, wish.name)
    }

    /// A request for a tenant with one domain.
    pub(crate) fn wish(name: &str, domain: &str) -> NewTenant {
        NewTenant {
            name: name.parse().unwrap(),
            runtime: "node-24".parse().unwrap(),
            domains: vec![domain.parse().unwrap()],
            command: vec![],
            limits: Limits::default(),
        }
    }
}
