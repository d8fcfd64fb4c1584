//! What every act of control needs, in one place: the registry, the way to init, the logs, and who is busy.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_model::doctor::Failsafe;
use kennel_model::layout::{ImageFacts, RuntimeFacts};
use kennel_model::msg::ControlRequest;
use kennel_model::routes::Front;
use kennel_model::{Limits, RuntimeName, SlotId, TenantName};

use crate::access::Access;
use crate::config::Config;
use crate::denials::News;
use crate::error::{Error, Result};
use crate::init::Init;
use crate::jobs::step;
use crate::logs::Logs;
use crate::registry::{Registry, TenantPhase, TenantRow, now_s};

/// How long init may take for what it does at once.
pub const QUICK: Duration = Duration::from_secs(15);
/// How long init may take to remove files.
pub const REMOVAL: Duration = Duration::from_secs(600);

/// Shared by all that control does.
pub struct Control {
    /// Folders and bounds.
    pub config: Config,
    /// What the image says of itself.
    pub facts: ImageFacts,
    /// Tenants and releases.
    pub registry: Registry,
    /// The way to init.
    pub init: Init,
    /// What tenants print.
    pub logs: Logs,
    /// Requests as the proxy saw them.
    pub(crate) access: Access,
    /// What was denied just now.
    pub(crate) denials: News,
    /// What slots had spent when it was asked last.
    pub(crate) counted: crate::counters::Last,
    /// What programs did that is not written yet.
    pub(crate) timeline: crate::timeline::Timeline,
    /// Who may ask, between two requests.
    pub(crate) people: crate::people::People,
    /// Opens environments.
    pub(crate) env_key: Arc<crate::secrets::Key>,
    /// Changes that are under way.
    pub(crate) jobs: crate::jobs::Jobs,
    /// What runs by the clock.
    pub(crate) cron: crate::cron::Cron,
    /// What runs beside programs.
    pub(crate) processes: crate::processes::Processes,
    /// What has been taken over from.
    pub(crate) warm: crate::trial::Warm,
    /// What is shown before it serves.
    pub(crate) betas: crate::beta::Betas,
    /// The turn to build.
    pub(crate) builds: tokio::sync::Semaphore,
    /// What has taken over.
    pub(crate) cared: crate::trial::Cared,
    /// How long wakes took.
    pub(crate) wakes: crate::metrics::Wakes,
    /// What tenants use.
    pub(crate) account: crate::usage::Account,
    /// Certificates that are ordered.
    pub(crate) orders: crate::acme::Orders,
    /// When the TPM was asked last; held while it is asked.
    pub(crate) tpm_asked: tokio::sync::Mutex<Option<tokio::time::Instant>>,
    /// Orders the route tables: a table is composed and published before the next is composed.
    pub(crate) publishing: tokio::sync::Mutex<()>,
    pub(crate) tables: AtomicU32,
    /// What visitors come through.
    front: Mutex<Front>,
    /// Held while a reservation is checked and written.
    pub(crate) reserving: tokio::sync::Mutex<()>,
    /// Why the registry cannot be used, when it cannot.
    pub(crate) failsafe: Option<Failsafe>,
    /// Whether no control was there before this one since the host's boot; said by the start.
    pub(crate) is_first: AtomicBool,
    /// Another control is to begin in the place of this one.
    pub(crate) over: tokio::sync::Notify,
    starts: u32,
    busy: Arc<Mutex<HashMap<TenantName, &'static str>>>,
}

/// The right to act on one tenant; given back when dropped.
pub struct Claim {
    name: TenantName,
    busy: Arc<Mutex<HashMap<TenantName, &'static str>>>,
}

impl Control {
    /// # Errors
    /// The registry's.
    pub(crate) async fn new(
        config: Config,
        facts: ImageFacts,
        (registry, failsafe): (Registry, Option<Failsafe>),
        init: Init,
        orders: crate::acme::Orders,
    ) -> Result<Self> {
        let starts = match failsafe {
            None => registry.with(|store| store.count_start()).await?,
            // It cannot be counted: the clock is further on than any count.
            Some(_) => u32::try_from(now_s()).unwrap_or(u32::MAX),
        };
        let logs = Logs::new(config.clone());
        let env_key = Arc::new(crate::secrets::Key::load_or_make(&config.env_key_file())?);
        Ok(Self {
            config,
            facts,
            registry,
            init,
            logs,
            access: Access::default(),
            denials: News::default(),
            counted: crate::counters::Last::default(),
            timeline: crate::timeline::Timeline::default(),
            people: crate::people::People::default(),
            env_key,
            jobs: crate::jobs::Jobs::default(),
            cron: crate::cron::Cron::default(),
            processes: crate::processes::Processes::default(),
            warm: crate::trial::Warm::default(),
            betas: crate::beta::Betas::default(),
            builds: tokio::sync::Semaphore::new(1),
            cared: crate::trial::Cared::default(),
            wakes: crate::metrics::Wakes::default(),
            account: crate::usage::Account::default(),
            orders,
            tpm_asked: tokio::sync::Mutex::default(),
            publishing: tokio::sync::Mutex::default(),
            tables: AtomicU32::new(0),
            front: Mutex::default(),
            reserving: tokio::sync::Mutex::default(),
            failsafe,
            is_first: AtomicBool::new(false),
            over: tokio::sync::Notify::new(),
            starts,
            busy: Arc::default(),
        })
    }

    /// One act at a time per tenant: whoever comes second is told so instead of waiting.
    ///
    /// # Errors
    /// [`Error::Busy`] names the act that is under way.
    pub fn claim(&self, name: &TenantName, act: &'static str) -> Result<Claim> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = busy.get(name) {
            return Err(Error::Busy(name.clone(), other));
        }
        busy.insert(name.clone(), act);
        Ok(Claim { name: name.clone(), busy: Arc::clone(&self.busy) })
    }

    /// The row of a tenant that is there.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`]; [`Error::BeingRemoved`] for one that is not whole.
    pub async fn ready(&self, name: &TenantName) -> Result<TenantRow> {
        let row = self.row(name).await?;
        if row.phase == TenantPhase::Ready { Ok(row) } else { Err(Error::BeingRemoved(row.name)) }
    }

    /// The row of a tenant, whatever its phase.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`].
    pub async fn row(&self, name: &TenantName) -> Result<TenantRow> {
        let wanted = name.clone();
        let row = self.registry.with(move |store| store.tenant(&wanted)).await?;
        row.ok_or_else(|| Error::NoSuchTenant(name.to_string()))
    }

    /// What the image says of a runtime.
    ///
    /// # Errors
    /// [`Error::NoSuchRuntime`] lists those there are.
    pub fn runtime(&self, name: &RuntimeName) -> Result<&RuntimeFacts> {
        let known = || self.facts.runtimes.iter().map(|r| r.name.clone()).collect();
        let found = self.facts.runtimes.iter().find(|r| r.name == *name);
        found.ok_or_else(|| Error::NoSuchRuntime(name.clone(), known()))
    }

    /// Stops the slot's program when there is one; afterwards no process of it is left.
    pub(crate) async fn stop_if_running(&self, slot: SlotId, limits: &Limits) -> Result<()> {
        if !self.init.slot(slot).0.is_alive() {
            return Ok(());
        }
        let deadline = Duration::from_millis(limits.stop_grace_ms.into()) + QUICK;
        Ok(step("stop its program", self.init.act(ControlRequest::Stop(slot), deadline)).await?)
    }

    /// What visitors come through.
    pub(crate) fn front(&self) -> Front {
        self.front.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Visitors come through this from now on.
    ///
    /// # Errors
    /// As of a route table that cannot be published; the next that can has it.
    pub(crate) async fn stand_behind(&self, front: Front) -> Result<()> {
        let before = std::mem::replace(&mut *self.front.lock().unwrap_or_else(PoisonError::into_inner), front);
        if before == self.front() { Ok(()) } else { self.publish_routes().await }
    }

    /// A number for the next route table, larger than any before, those of earlier starts included.
    pub(crate) fn next_generation(&self) -> u64 {
        (u64::from(self.starts) << 32) | u64::from(self.tables.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}
