//! What control does when it starts: tell init what every slot runs, publish certificates and routes, and take up what a power cut
//! or a kill has interrupted. Slow work goes on in the background, with its tenants claimed beforehand.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kennel_model::msg::{ControlRequest, HostStatus};
use kennel_model::{SlotId, TenantName};
use tokio::task::JoinSet;

use crate::control::{Claim, Control};
use crate::error::Result;
use crate::registry::{TenantPhase, TenantRow};
use crate::say;
use crate::tenants::launch;

/// How long init may take to configure all tenants: some milliseconds each on a slow machine.
const CONFIGURING: Duration = Duration::from_secs(130);
/// How long a program that is always on may wait for its turn, on a host whose visitors all come at once after its boot.
const ALWAYS_ON_START: Duration = Duration::from_secs(600);

/// What is left to do for one tenant.
enum Unfinished {
    /// A making or removal that was cut off.
    Removal,
    /// A deploy that was cut off before or after its commit.
    Deploy,
}

impl Control {
    /// Brings init and the registry together. After it the API may be served.
    ///
    /// # Errors
    /// When init or the registry does not answer at all; a single tenant's trouble is only said.
    pub async fn start_up(self: &Arc<Self>) -> Result<()> {
        let status = self.init.status().await?;
        if self.failsafe.is_some() {
            return self.start_up_failsafe(&status).await;
        }
        let known = self.registry.with(|store| {
            let undone = store.give_up_switches()?;
            Ok((undone, store.tenants()?, store.all_leftovers()?))
        });
        let (undone, rows, cut_off) = known.await?;
        undone.iter().for_each(|name| say!("{name}: a switch to another release was cut off and is undone"));
        let unbound = self.load_all_egress(&rows).await;
        self.configure_all(&rows, &unbound).await?;
        let mut unfinished = Vec::new();
        for row in &rows {
            unfinished.extend(self.unfinished(row, &cut_off)?);
        }
        self.publish_certificates().await?;
        self.publish_routes().await?;
        let ready = rows.iter().filter(|row| row.phase == TenantPhase::Ready).count();
        say!("tenants: {ready}, unfinished acts: {}", unfinished.len());
        let strays = self.strays(&rows);
        tokio::spawn(Arc::clone(self).finish_all(unfinished, strays));
        tokio::spawn(Arc::clone(self).start_always_on(ControlRequest::StartOnce));
        Ok(())
    }

    /// What runs goes on. On a host that has just booted that is nothing, and what was known last is run; else init and the proxy
    /// know more than the copy that stands in.
    async fn start_up_failsafe(&self, status: &HostStatus) -> Result<()> {
        if status.services.iter().any(|service| service.name == "control" && service.restarts > 0) {
            return Ok(());
        }
        self.is_first.store(true, Ordering::Relaxed);
        let rows = self.registry.with(|store| store.tenants()).await?;
        let unbound = self.load_all_egress(&rows).await;
        self.configure_all(&rows, &unbound).await?;
        self.publish_certificates().await?;
        self.publish_routes().await
    }

    /// Starts the programs that are always on, those with the most visitors of late first. Init has each stand in line with
    /// those that visitors wait for; one at a time, so that these are never behind more than one of them. A deploy under way
    /// starts its own.
    pub(crate) async fn start_always_on(self: Arc<Self>, start: fn(SlotId) -> ControlRequest) {
        let (mut rows, requests) =
            match self.registry.with(|store| Ok((store.tenants()?, store.requests_lately()?))).await {
                Ok(known) => known,
                Err(cause) => return say!("programs that are always on are not started: {cause}"),
            };
        rows.sort_by_key(|row| Reverse(requests.get(&row.name).copied().unwrap_or(0)));
        let deployed =
            |row: &&TenantRow| row.phase == TenantPhase::Ready && row.settled && row.current.is_some();
        for row in rows.iter().filter(|row| row.limits.always_on).filter(deployed) {
            if let Err(cause) = self.init.act(start(row.slot), ALWAYS_ON_START).await {
                say!("{}: not started although it is always on: {cause}", row.name);
            }
        }
    }

    /// Configures all tenants, together: with many of them, waiting for each answer before the next question would be most of
    /// a boot. One whose egress list is not in force has nothing to run until it is.
    async fn configure_all(&self, rows: &[TenantRow], unbound: &HashSet<SlotId>) -> Result<()> {
        let mut envs = self.all_envs().await?;
        let mut acts = JoinSet::new();
        for row in rows.iter().filter(|row| row.phase == TenantPhase::Ready) {
            let (name, slot) = (row.name.clone(), row.slot);
            let env = match envs.remove(&name).transpose() {
                Ok(env) => env.unwrap_or_default(),
                Err(cause) => {
                    say!("{name}: not configured: {cause}");
                    continue;
                }
            };
            if slot.index() >= self.facts.slots {
                say!("{name}: slot {slot} is beyond this image's {} slots; it cannot run", self.facts.slots);
            } else if let Some(spec) = launch(row, env).filter(|_| !unbound.contains(&slot)) {
                let init = self.init.clone();
                acts.spawn(async move {
                    (name, init.act(ControlRequest::Configure(slot, spec), CONFIGURING).await)
                });
            }
        }
        for (name, configured) in acts.join_all().await {
            if let Err(cause) = configured {
                say!("{name}: not configured: {cause}");
            }
        }
        Ok(())
    }

    /// What is left to do for a tenant, if anything.
    fn unfinished(
        &self,
        row: &TenantRow,
        cut_off: &HashSet<TenantName>,
    ) -> Result<Option<(Claim, TenantName, Unfinished)>> {
        let name = row.name.clone();
        if row.phase != TenantPhase::Ready {
            let claim = self.claim(&name, "its interrupted removal")?;
            return Ok(Some((claim, name, Unfinished::Removal)));
        }
        if row.settled && !cut_off.contains(&name) {
            return Ok(None);
        }
        let claim = self.claim(&name, "its interrupted deploy")?;
        Ok(Some((claim, name, Unfinished::Deploy)))
    }

    /// Slots that run something although no tenant lives there.
    fn strays(&self, rows: &[TenantRow]) -> Vec<SlotId> {
        let homes: HashSet<_> = rows.iter().map(|row| row.slot).collect();
        self.init.running().into_iter().filter(|slot| !homes.contains(slot)).collect()
    }

    async fn finish_all(
        self: Arc<Self>,
        unfinished: Vec<(Claim, TenantName, Unfinished)>,
        strays: Vec<SlotId>,
    ) {
        for slot in strays {
            say!("slot {slot} runs without a tenant; it is stopped");
            if let Err(cause) = self.stop_if_running(slot, &kennel_model::Limits::default()).await {
                say!("slot {slot}: not stopped: {cause}");
            }
        }
        for (claim, name, what) in unfinished {
            match what {
                Unfinished::Removal => self.resume_removal(claim, name).await,
                Unfinished::Deploy => self.resume_deploy(&claim, &name).await,
            }
        }
    }

    async fn resume_deploy(&self, claim: &Claim, name: &TenantName) {
        let row = match self.row(name).await {
            Ok(row) => row,
            Err(cause) => return say!("{name}: {cause}"),
        };
        if !row.settled {
            match self.activate(name).await {
                Ok(()) => say!("{name}: its interrupted deploy is done"),
                Err(cause) => say!("{name}: its interrupted deploy is not done: {cause}"),
            }
        }
        self.sweep(claim, &row).await;
    }
}
