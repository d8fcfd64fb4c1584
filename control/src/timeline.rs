//! What tenants' programs did and when: changes as init tells them, with the time of day, kept in the registry. They are
//! written together every few seconds, so that a program that flaps costs no more than one that does not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kennel_model::seeing::Transition;
use kennel_model::{SlotId, TenantName};
use kennel_sys::clock::since_boot;
use tokio::sync::mpsc;

use crate::control::Control;
use crate::error::Result;
use crate::init::Change;
use crate::say;

/// Changes that wait to be written; when more come than that, the oldest are lost.
const PENDING: usize = 8192;
/// How long they wait.
const EVERY: Duration = Duration::from_secs(2);

/// A change and its time.
#[derive(Debug, Clone)]
pub struct Noted {
    /// When, in milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// What.
    pub change: Change,
}

impl Noted {
    /// Whose.
    pub const fn slot(&self) -> SlotId {
        match &self.change {
            Change::Moved(event) => event.slot,
            Change::Woken { slot, .. } => *slot,
        }
    }
}

/// Changes that are not written yet.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pending: Mutex<VecDeque<Noted>>,
    /// Held while writing, so that all is written in its order.
    writing: tokio::sync::Mutex<()>,
}

impl Timeline {
    fn note(&self, noted: Noted) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.len() >= PENDING {
            pending.pop_front();
        }
        pending.push_back(noted);
    }

    /// The slot's tenant is being removed.
    pub(crate) fn forget(&self, slot: SlotId) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).retain(|noted| noted.slot() != slot);
    }

    fn take(&self) -> Vec<Noted> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Control {
    /// Takes note of what init tells, for ever.
    pub(crate) async fn keep_timeline(self: Arc<Self>, mut changes: mpsc::Receiver<Change>) {
        let mut next = None;
        loop {
            let change = match next {
                None => changes.recv().await,
                Some(at) => tokio::select! {
                    change = changes.recv() => change,
                    () = tokio::time::sleep_until(at) => {
                        next = None;
                        if let Err(cause) = self.write_timeline().await {
                            say!("what programs did was not kept: {cause}");
                        }
                        continue;
                    }
                },
            };
            let Some(change) = change else { return };
            if let Change::Woken { from, took_ms, .. } = change {
                self.wakes.observe(from, took_ms);
            }
            self.timeline.note(Noted { at_ms: time_of(&change), change });
            next = next.or_else(|| Some(tokio::time::Instant::now() + EVERY));
        }
    }

    /// The last changes of a tenant, the oldest of them first.
    ///
    /// # Errors
    /// No such tenant, or the registry's.
    pub(crate) async fn transitions(&self, name: &TenantName, limit: usize) -> Result<Vec<Transition>> {
        self.row(name).await?;
        self.write_timeline().await?;
        let name = name.clone();
        self.registry.with(move |store| store.timeline(&name, limit)).await
    }

    async fn write_timeline(&self) -> Result<()> {
        let _order = self.timeline.writing.lock().await;
        let noted = self.timeline.take();
        if noted.is_empty() {
            return Ok(());
        }
        self.registry.with(move |store| store.keep_changes(&noted)).await
    }
}

/// The time of day of a change, from how long ago it was: init knows the clock that nobody can set only.
fn time_of(change: &Change) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ago = match change {
        Change::Moved(event) => since_boot().saturating_sub(Duration::from_millis(event.at_ms)),
        Change::Woken { .. } => Duration::ZERO,
    };
    u64::try_from(now.saturating_sub(ago).as_millis()).unwrap_or(u64::MAX)
}
