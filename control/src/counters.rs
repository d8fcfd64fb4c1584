//! What slots have spent, as init tells it; for people it is asked at most twice a second, however many look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kennel_model::counters::SlotCounters;
use kennel_model::seeing::{Top, TopTenant};
use kennel_model::{SlotId, SlotState};
use tokio::time::Instant;

use crate::control::Control;
use crate::error::Result;
use crate::registry::Seen;

/// For so long what was asked for is as good as new to a person.
pub(crate) const FRESH: Duration = Duration::from_millis(500);

/// All slots at a moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Which start of the host.
    pub(crate) boot: u64,
    /// When, in milliseconds since then.
    pub(crate) uptime_ms: u64,
    /// Those that ran something.
    pub(crate) slots: BTreeMap<SlotId, SlotCounters>,
}

/// What was asked for last. Held while it is asked, so that one asks for all who wait.
pub(crate) type Last = tokio::sync::Mutex<Option<(Instant, Arc<Snapshot>)>>;

impl Control {
    /// All slots' counters, no older than that.
    ///
    /// # Errors
    /// Init's.
    pub(crate) async fn spent(&self, age: Duration) -> Result<Arc<Snapshot>> {
        let mut last = self.counted.lock().await;
        if let Some((at, snapshot)) = &*last
            && at.elapsed() < age
        {
            return Ok(Arc::clone(snapshot));
        }
        let counters = self.init.counters().await?;
        let snapshot = Arc::new(Snapshot {
            boot: counters.boot,
            uptime_ms: counters.uptime_ms,
            slots: counters.slots.into_iter().collect(),
        });
        *last = Some((Instant::now(), Arc::clone(&snapshot)));
        Ok(snapshot)
    }

    /// A slot was wiped: what is known of its last tenant is not the next one's.
    pub(crate) async fn forget_spent(&self) {
        *self.counted.lock().await = None;
    }

    /// What each tenant does and uses now.
    ///
    /// # Errors
    /// Init's or the registry's.
    pub(crate) async fn top(&self) -> Result<Top> {
        let snapshot = self.spent(FRESH).await?;
        let host = self.host().await?;
        let seen = self.registry.with(|store| store.seen()).await?;
        Ok(Top {
            boot: format!("{:016x}", snapshot.boot),
            uptime_ms: snapshot.uptime_ms,
            memory_total_bytes: host.memory_total_bytes,
            memory_available_bytes: host.memory_available_bytes,
            tenants: seen
                .into_iter()
                .filter(|seen| seen.ready)
                .map(|seen| self.top_tenant(&snapshot, seen))
                .collect(),
        })
    }

    fn top_tenant(&self, snapshot: &Snapshot, seen: Seen) -> TopTenant {
        let counters = snapshot.slots.get(&seen.slot);
        let state = counters.map_or(SlotState::Stopped, |c| c.state);
        // What is known of another state by now says nothing of this one.
        let reason =
            Some(self.init.slot(seen.slot)).filter(|(known, _)| *known == state).and_then(|(_, why)| why);
        TopTenant {
            tenant: seen.tenant,
            state,
            for_ms: counters.map(|c| snapshot.uptime_ms.saturating_sub(c.since_ms)),
            reason,
            last_wake: seen.last_wake,
            holds: counters.map(|c| c.holds).unwrap_or_default(),
            spent: counters.map(|c| c.spent).unwrap_or_default(),
            denials: seen.denials,
        }
    }
}
