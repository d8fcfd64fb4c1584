//! Accounting: looks at what tenants have used each minute and keeps it by the hour. What is charged to which hour is
//! `book`'s; what the figures mean stands in `docs/accounting.md`.

mod book;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kennel_model::seeing::{Month, Usage};
use kennel_model::{SlotId, TenantName};

pub(crate) use book::{Amounts, Book, Entry, Look};

use crate::control::Control;
use crate::counters::FRESH;
use crate::error::{Error, Result};
use crate::say;

/// Time between two looks. What is used between the last and a power cut is lost.
const EVERY: Duration = Duration::from_secs(60);

/// So long after an hour's end a look is still about it: the one that is taken at the full hour.
const GRACE_S: u64 = 5;

/// The book, once it was read from the registry; held while it is written.
pub(crate) type Account = tokio::sync::Mutex<Option<Book>>;

impl Control {
    /// Looks for ever.
    pub(crate) async fn keep_usage(self: Arc<Self>) {
        let mut tidied = None;
        loop {
            if let Err(cause) = self.look_at_usage(Duration::ZERO).await {
                say!("what tenants use was not kept: {cause}");
            }
            let hour = now_s() / 3600;
            if tidied != Some(hour) {
                tidied = Some(hour);
                if let Err(cause) = self.registry.with(move |store| store.tidy_usage(hour)).await {
                    say!("old accounts were not folded: {cause}");
                }
            }
            // Wakes with the hour, so that what is spent in it is charged to it.
            let to_the_hour = Duration::from_secs(3600 - now_s() % 3600);
            tokio::time::sleep(EVERY.min(to_the_hour)).await;
        }
    }

    /// Looks at all tenants' counters, no older than that, and writes what they have used.
    ///
    /// # Errors
    /// Init's or the registry's; what could not be written is with the next time.
    pub(crate) async fn look_at_usage(&self, age: Duration) -> Result<()> {
        let mut account = self.account.lock().await;
        let book = match &mut *account {
            Some(book) => book,
            none => none.insert(Book::new(self.registry.with(|store| store.looks()).await?)),
        };
        // Who lives where, first: a tenant that is new since then is not charged what its slot's last one spent.
        let homes = self.registry.with(|store| store.homes()).await?;
        let snapshot = self.spent(age).await?;
        let slots_dir = self.config.slots_dir.clone();
        let looked = move || homes.into_iter().map(|home| (disk_kib(&slots_dir, home.1), home)).collect();
        let looked: Vec<(u64, (TenantName, SlotId))> = tokio::task::spawn_blocking(looked).await?;
        let hour = now_s().saturating_sub(GRACE_S) / 3600;
        for (disk_kib, (tenant, slot)) in looked {
            let spent = snapshot.slots.get(&slot).map(|counters| counters.spent).unwrap_or_default();
            let look = Look { boot: snapshot.boot, uptime_ms: snapshot.uptime_ms, spent, disk_kib };
            book.look(&tenant, look, hour);
        }
        let due = Arc::new(book.due(hour));
        if !due.is_empty() {
            let entries = Arc::clone(&due);
            self.registry.with(move |store| store.keep_usage(&entries)).await?;
            book.written(&due);
        }
        Ok(())
    }

    /// A tenant is about to be removed: what it has used until now is kept.
    pub(crate) async fn close_account(&self, name: &TenantName) {
        if let Err(cause) = self.look_at_usage(Duration::ZERO).await {
            say!("{name}: what it used in the end was not kept: {cause}");
        }
    }

    /// The tenant is gone: one that gets its name is another.
    pub(crate) async fn forget_account(&self, name: &TenantName) {
        if let Some(book) = &mut *self.account.lock().await {
            book.forget(name);
        }
    }

    /// What was used in a month: by each tenant in all, be it nothing, or by one in each hour.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`] for one that neither is there nor has used anything; init's or the registry's.
    pub(crate) async fn usage(&self, of: Option<TenantName>, month: Option<Month>) -> Result<Vec<Usage>> {
        self.look_at_usage(FRESH).await?;
        let now_s = now_s();
        let month = month.unwrap_or_else(|| Month::at(now_s));
        let Some(name) = of else {
            return self.registry.with(move |store| store.usage_sums(month.hours(), now_s / 3600)).await;
        };
        let wanted = name.clone();
        let rows = self.registry.with(move |store| store.usage_of(&wanted, month.hours())).await?;
        let wanted = name.clone();
        match rows.is_empty() && !self.registry.with(move |store| store.is_known(&wanted)).await? {
            true => Err(Error::NoSuchTenant(name.to_string())),
            false => Ok(rows),
        }
    }
}

/// What a slot has on the data volume, in KiB: the file system tells it of a folder whose project has a limit. Nothing where
/// the limit is larger than the volume, as it tells of the whole volume then.
fn disk_kib(slots_dir: &std::path::Path, slot: SlotId) -> u64 {
    let of = |path: &std::path::Path| rustix::fs::statvfs(path).ok();
    match (of(&slots_dir.join(slot.to_string())), of(slots_dir)) {
        (Some(own), Some(volume)) if own.f_blocks < volume.f_blocks => {
            own.f_blocks.saturating_sub(own.f_bfree).saturating_mul(own.f_frsize) >> 10
        }
        _ => 0,
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
