//! Where control finds its files and what bounds its work. The host's values are fixed; tests make their own.

use std::path::PathBuf;
use std::time::Duration;

use kennel_model::SlotId;
use kennel_model::layout::{self, slot_dirs};

/// Folders and bounds of one control process.
#[derive(Debug, Clone)]
pub struct Config {
    /// Registry, certificate and rotated logs.
    pub control_dir: PathBuf,
    /// One folder per slot.
    pub slots_dir: PathBuf,
    /// The program that tries what is forbidden.
    pub villain: PathBuf,
    /// Releases kept per tenant, the current one among them.
    pub keep_releases: u32,
    /// How long a release that was switched to has to stay up before it is kept.
    pub trial: Duration,
    /// How long a release has to go on beside the one that serves, once it is ready, before it takes over.
    pub steady: Duration,
    /// For how long a release that has taken over is looked after.
    pub care: Duration,
    /// How long a release is shown that is not promoted.
    pub beta: Duration,
    /// Bounds of the HTTPS server.
    pub http: HttpBounds,
    /// Sizes and intervals of the tenants' logs.
    pub logs: LogBounds,
}

/// Bounds of the HTTPS server: whoever connects gets this much of control and no more.
#[derive(Debug, Clone)]
pub struct HttpBounds {
    /// Connections at a time; more wait in the listening socket's queue.
    pub connections: usize,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for a request's head, and for an idle connection to send its next one.
    pub head: Duration,
    /// Size of a JSON body.
    pub json_bytes: usize,
    /// Time for a JSON body.
    pub json: Duration,
    /// Longest pause within an upload.
    pub upload_idle: Duration,
    /// How long a finished upload may take to be made durable and reported.
    pub unpack: Duration,
    /// How long the rest of a refused upload is read so that the client sees the refusal.
    pub drain: Duration,
    /// How long a peer may leave sent bytes unacknowledged or its window shut.
    pub peer_silent: Duration,
}

/// Sizes and intervals of the tenants' logs.
#[derive(Debug, Clone)]
pub struct LogBounds {
    /// A log larger than this is rotated. So much, and so many lines as make a part of it, are kept of what is printed between
    /// two looks.
    pub rotate_bytes: u64,
    /// Time between two looks for what was printed.
    pub look_every: Duration,
    /// Time between two looks for new lines while following.
    pub follow_every: Duration,
}

impl Config {
    /// The values of a real host.
    pub fn host() -> Self {
        Self {
            control_dir: layout::CONTROL_DIR.into(),
            slots_dir: layout::SLOTS_DIR.into(),
            villain: layout::VILLAIN.into(),
            keep_releases: 5,
            trial: Duration::from_secs(5),
            steady: Duration::from_secs(2),
            care: Duration::from_secs(120),
            beta: Duration::from_secs(24 * 3600),
            http: HttpBounds::default(),
            logs: LogBounds::default(),
        }
    }

    /// The registry's file.
    pub fn registry_file(&self) -> PathBuf {
        self.control_dir.join("registry.sqlite")
    }

    /// Certificate and key of the API, in one file so that they cannot part.
    pub fn certificate_file(&self) -> PathBuf {
        self.control_dir.join("api.pem")
    }

    /// The key of the environments.
    pub fn env_key_file(&self) -> PathBuf {
        self.control_dir.join("env.key")
    }

    /// What the slot's programs print into.
    pub fn log_folder(&self, slot: SlotId) -> PathBuf {
        self.slots_dir.join(slot.to_string()).join(slot_dirs::LOG)
    }

    /// What the slot's tenant printed of late, as lines that say when, and of which release.
    pub fn printed_log(&self, slot: SlotId) -> PathBuf {
        self.control_dir.join(format!("log-{slot}"))
    }

    /// What it printed before that.
    pub fn rotated_log(&self, slot: SlotId) -> PathBuf {
        self.control_dir.join(format!("log-{slot}.1"))
    }

    /// How far what the slot's programs print into has been read.
    pub fn log_places(&self, slot: SlotId) -> PathBuf {
        self.control_dir.join(format!("log-{slot}.at"))
    }

    /// Requests to the slot's tenant of late; without one, those that belong to none.
    pub fn access_log(&self, slot: Option<SlotId>) -> PathBuf {
        self.control_dir.join(access_log(slot))
    }

    /// Those before them.
    pub fn rotated_access_log(&self, slot: Option<SlotId>) -> PathBuf {
        self.control_dir.join(access_log(slot) + ".1")
    }
}

fn access_log(slot: Option<SlotId>) -> String {
    slot.map_or_else(|| "access".to_owned(), |slot| format!("access-{slot}"))
}

impl Default for HttpBounds {
    fn default() -> Self {
        Self {
            connections: 128,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            json_bytes: 64 << 10,
            json: Duration::from_secs(10),
            upload_idle: Duration::from_secs(30),
            unpack: Duration::from_secs(300),
            drain: Duration::from_secs(10),
            peer_silent: Duration::from_secs(120),
        }
    }
}

impl Default for LogBounds {
    fn default() -> Self {
        Self {
            rotate_bytes: 4 << 20,
            look_every: Duration::from_secs(2),
            follow_every: Duration::from_millis(300),
        }
    }
}
