//! Getting files over HTTP into the store: several at once, each resumed where it was cut off, checked by size and
//! digest before anybody may see it. Which files, and whether their digests can be trusted, is the callers' business.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::digest::Sha256;
use crate::steps::Step;
use crate::store::{Store, StoreError};

mod client;
mod mirrors;
mod transfer;

pub use mirrors::Mirrors;

/// Downloads at the same time. More does not help on a home line and is impolite to a mirror.
const PARALLEL: usize = 6;

/// A file to have in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What people call it: `libc6 2.41-12`.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
    /// Whether `kennel.lock` names it, so that locking again may help when it is gone.
    pub locked: bool,
}

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The cache.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `--offline`, and something is not in the cache.
    #[error("offline, and not in the cache: {}", few(.0))]
    Offline(Vec<String>),
    /// The mirror no longer has a file that the lock names.
    #[error("{name} is no longer at {url}")]
    LockedFileGone {
        /// The package and version.
        name: String,
        /// Where it was.
        url: String,
    },
    /// The server says that there is no such file.
    #[error("{name} is not at {url}")]
    NotFound {
        /// What was wanted.
        name: String,
        /// Where it was expected.
        url: String,
    },
    /// The server refused in another way.
    #[error("{name}: {url} answered {status}")]
    Refused {
        /// What was wanted.
        name: String,
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// No answer, a broken connection, or a busy server, several times over.
    #[error("{name}: {url}: {cause} (tried {tries} times)")]
    Unreachable {
        /// What was wanted.
        name: String,
        /// Where.
        url: String,
        /// What happened the last time.
        cause: String,
        /// How often it was tried without getting further.
        tries: u32,
    },
    /// The file is another one than promised. It has been thrown away.
    #[error("{name}: what {url} serves is not the promised file: {what}")]
    WrongFile {
        /// What was wanted.
        name: String,
        /// Where.
        url: String,
        /// How it differs.
        what: String,
    },
}

impl FetchError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Offline(_) => Some("run once without --offline to fill the cache"),
            Self::LockedFileGone { .. } => {
                Some("Debian replaces packages at point releases and security updates; run `kennel lock`")
            }
            Self::NotFound { .. } | Self::Refused { .. } => Some(
                "check the mirrors in kennel.toml, and KENNEL_MIRROR, KENNEL_SECURITY_MIRROR, KENNEL_NPM_REGISTRY",
            ),
            Self::Unreachable { .. } => Some(
                "check the network; HTTPS_PROXY and SSL_CERT_FILE are honoured, and KENNEL_MIRROR names another mirror",
            ),
            Self::WrongFile { .. } => {
                Some("the mirror or something on the way is broken; set KENNEL_MIRROR to another")
            }
        }
    }
}

/// The first few names, and how many more there are.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len() {
        0..=SHOWN => names.join(", "),
        count => format!("{}, and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

/// What [`Fetcher::fetch_all`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Files that had to be downloaded.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Fetches into one store.
pub struct Fetcher {
    agent: ureq::Agent,
    store: Store,
    mirrors: Mirrors,
    offline: bool,
}

impl Fetcher {
    /// A fetcher with the system's proxy and certificates. When `offline`, it only says what is missing.
    pub fn new(store: Store, mirrors: Mirrors, offline: bool) -> Self {
        Self { agent: client::agent(), store, mirrors, offline }
    }

    #[cfg(test)]
    pub(crate) fn direct(store: Store, mirrors: Mirrors) -> Self {
        Self { agent: client::direct_agent(), store, mirrors, offline: false }
    }

    /// Where files end up.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where they come from.
    pub fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    /// Sees to it that the store has all of these.
    ///
    /// # Errors
    /// The first failure; the downloads that were under way end soon after.
    pub fn fetch_all(&self, wanted: &[Wanted], step: &Step) -> Result<Fetched, FetchError> {
        let mut missing: Vec<&Wanted> =
            wanted.iter().filter(|file| !self.store.holds(&file.sha256, file.size)).collect();
        if self.offline && !missing.is_empty() {
            return Err(FetchError::Offline(missing.iter().map(|file| file.name.clone()).collect()));
        }
        // The largest first, so that none is left alone at the end.
        missing.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
        missing.dedup_by_key(|file| file.sha256);
        let progress = Progress::new(step, missing.iter().map(|file| file.size).sum());
        let failure = Mutex::new(None);
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(file) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.fetch(file, &progress) {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    progress.stop.store(true, Ordering::Relaxed);
                }
                if progress.stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..PARALLEL.min(missing.len()) {
                scope.spawn(work);
            }
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(Fetched { files: missing.len(), bytes: progress.total }),
        }
    }

    /// A small document whose digest nobody knows beforehand, straight from the network.
    ///
    /// # Errors
    /// When it cannot be had or is longer than `limit`.
    pub fn read(&self, name: &str, url: &str, limit: u64, step: &Step) -> Result<Vec<u8>, FetchError> {
        if self.offline {
            return Err(FetchError::Offline(vec![name.to_owned()]));
        }
        transfer::read(&self.agent, name, url, limit, step)
    }

    fn fetch(&self, file: &Wanted, progress: &Progress<'_>) -> Result<(), FetchError> {
        transfer::download(&self.agent, &self.store, file, progress)
    }
}

/// Bytes done over all downloads of one [`Fetcher::fetch_all`].
struct Progress<'a> {
    step: &'a Step,
    done: AtomicU64,
    total: u64,
    stop: AtomicBool,
}

impl<'a> Progress<'a> {
    fn new(step: &'a Step, total: u64) -> Self {
        Self { step, done: AtomicU64::new(0), total, stop: AtomicBool::new(false) }
    }
}

/// Bytes counted for one attempt; taken back when the attempt was for nothing.
struct Counted<'a> {
    progress: &'a Progress<'a>,
    bytes: u64,
}

impl<'a> Counted<'a> {
    fn new(progress: &'a Progress<'a>) -> Self {
        Self { progress, bytes: 0 }
    }

    fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        let done = self.progress.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.progress.step.progress(done, self.progress.total);
    }

    /// They are in the store.
    fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.progress.done.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
