//! Making, removing, starting and stopping tenants. Each act can be cut off at any point: the registry's phase tells
//! the next start of control what is left to do, and every step may be done twice.

use std::time::Duration;

use kennel_model::api::{Beta, NewTenant, Release, ReleaseState, Tenant};
use kennel_model::egress::Egress;
use kennel_model::env::EnvValue;
use kennel_model::msg::{Cause, ControlRequest, Depth, Refusal};
use kennel_model::routing::MAX_DOMAINS;
use kennel_model::{LaunchSpec, Limits, ReleaseId, SlotId, TenantName};

use crate::control::{Claim, Control, QUICK, REMOVAL};
use crate::error::{Error, Result};
use crate::init::InitError;
use crate::jobs::step;
use crate::registry::{ReleaseRow, TenantPhase, TenantRow};
use crate::{program, say};

impl Control {
    /// Makes a tenant: reserved on disk, then its folders, then confirmed on disk, then routed. A reservation that a
    /// power cut left is removed at the next start.
    ///
    /// # Errors
    /// [`Error`]; nothing is left of a tenant that was not made.
    pub async fn add(&self, wish: NewTenant) -> Result<Tenant> {
        self.check(&wish)?;
        let name = wish.name.clone();
        let claim = self.claim(&name, "its making")?;
        let pool = self.facts.slots;
        let turn = self.reserve(&name, &wish.limits).await?;
        // A registry that was gone back to may not know of somebody whose files are there: nobody else gets them.
        let slots = self.config.slots_dir.clone();
        let is_occupied = move |slot: SlotId| slots.join(slot.to_string()).exists();
        let slot = self.registry.with(move |store| store.reserve_unless(&wish, pool, is_occupied)).await?;
        drop(turn);
        self.jobs.forget(&name);
        if let Err(cause) = step(&format!("prepare slot {slot}"), self.prepare(slot)).await {
            if let Err(second) = self.remove_claimed(&claim, &name).await {
                say!("{name}: not made, and its removal is not done: {second}");
            }
            return Err(cause);
        }
        let confirmed = name.clone();
        self.registry.with(move |store| store.confirm(&confirmed)).await?;
        self.publish_routes().await?;
        self.tenant(&name).await
    }

    /// Folders, and the default in place of the egress list that the slot's last tenant may have had.
    async fn prepare(&self, slot: SlotId) -> Result<()> {
        self.init.act(ControlRequest::Prepare(slot), QUICK).await?;
        self.load_egress(slot, &Egress::default()).await
    }

    /// Removes a tenant with everything that it has; done when nothing is left. Takes up a removal that was cut off.
    ///
    /// # Errors
    /// [`Error`]; the tenant then stays being removed, and its slot taken.
    pub async fn remove(&self, name: &TenantName) -> Result<()> {
        let claim = self.claim(name, "its removal")?;
        self.row(name).await?;
        self.remove_claimed(&claim, name).await
    }

    /// The removal proper, in the order in which a cut does no harm: on disk, out of the routes, off the host, forgotten.
    pub(crate) async fn remove_claimed(&self, _claim: &Claim, name: &TenantName) -> Result<()> {
        let going = name.clone();
        self.registry.with(move |store| store.begin_removal(&going)).await?;
        let row = self.row(name).await?;
        self.publish_routes().await?;
        self.stop_if_running(row.slot, &row.limits).await?;
        self.close_account(name).await;
        step("remove its files", self.init.act(ControlRequest::Wipe(row.slot), REMOVAL)).await?;
        self.logs.forget(row.slot).await?;
        self.access.requests.forget(name);
        self.init.forget(row.slot);
        self.warm.forget(row.slot);
        self.betas.forget(row.slot, None);
        self.processes.forget(name);
        self.timeline.forget(row.slot);
        self.forget_spent().await;
        let gone = name.clone();
        self.registry.with(move |store| store.forget(&gone)).await?;
        self.forget_account(name).await;
        Ok(())
    }

    /// Gives a tenant other limits. Those of disk and of time are in force at once, the others from its next start on.
    ///
    /// # Errors
    /// [`Error::InvalidTenant`] names the limit that cannot be.
    pub async fn set_limits(&self, name: &TenantName, limits: Limits) -> Result<Tenant> {
        limits.validate()?;
        let _claim = self.claim(name, "a change of its limits")?;
        let mut row = self.ready(name).await?;
        program::still_serves(&row, self.runtime(&row.runtime)?, &limits)?;
        let wanted = name.clone();
        let turn = self.reserve(name, &limits).await?;
        self.registry.with(move |store| store.set_limits(&wanted, &limits)).await?;
        drop(turn);
        row.limits = limits;
        if let Some(spec) = self.spec(&row).await? {
            self.init.act(ControlRequest::Configure(row.slot, spec), QUICK).await?;
            self.start_if_always_on(&row).await?;
        }
        self.publish_routes().await?;
        self.tenant(name).await
    }

    /// A program that is always on is not waited for by anybody: whoever configured it starts it.
    pub(crate) async fn start_if_always_on(&self, row: &TenantRow) -> Result<()> {
        let has_program = row.current_release().is_none_or(|release| !release.command.is_empty());
        if !row.limits.always_on || !has_program {
            return Ok(());
        }
        Ok(self.init.act(ControlRequest::Start(row.slot, Cause::always_on()), QUICK).await?)
    }

    /// Starts the program now, or wakes it. It is configured anew first, which mends what an interrupted deploy left.
    ///
    /// # Errors
    /// [`Error::NotDeployed`] and others.
    pub async fn start(&self, name: &TenantName, by: Cause) -> Result<Tenant> {
        let _claim = self.claim(name, "a start")?;
        let row = self.ready(name).await?;
        let spec = self.spec(&row).await?.ok_or_else(|| Error::NotDeployed(row.name.clone()))?;
        self.init.act(ControlRequest::Configure(row.slot, spec), QUICK).await?;
        step("start its program", self.init.act(ControlRequest::Start(row.slot, by), QUICK)).await?;
        self.tenant(name).await
    }

    /// Puts the program to sleep without waiting for the time, unless somebody needs it. Much memory takes its time to swap;
    /// the answer shows how far it is.
    ///
    /// # Errors
    /// [`Error::Needed`] and others.
    pub async fn sleep(&self, name: &TenantName, depth: Depth) -> Result<Tenant> {
        let _claim = self.claim(name, "a way to sleep")?;
        let row = self.ready(name).await?;
        let grace = Duration::from_millis(row.limits.stop_grace_ms.into());
        match self.init.act(ControlRequest::Sleep(row.slot, depth), grace + QUICK).await {
            Ok(()) => self.tenant(name).await,
            Err(InitError::Deadline(_)) if depth == Depth::Reclaimed => self.tenant(name).await,
            Err(InitError::Refused(Refusal::Busy(why))) => Err(Error::Needed(row.name, why)),
            Err(cause) => Err(cause.into()),
        }
    }

    /// Stops the program; the next request starts it again.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn stop(&self, name: &TenantName) -> Result<Tenant> {
        let _claim = self.claim(name, "a stop")?;
        let row = self.ready(name).await?;
        self.stop_if_running(row.slot, &row.limits).await?;
        self.tenant(name).await
    }

    /// One tenant as the API shows it.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`].
    pub async fn tenant(&self, name: &TenantName) -> Result<Tenant> {
        Ok(self.show(self.row(name).await?))
    }

    /// All tenants as the API shows them, by name.
    ///
    /// # Errors
    /// The registry's.
    pub async fn tenants(&self) -> Result<Vec<Tenant>> {
        let rows = self.registry.with(|store| store.tenants()).await?;
        Ok(rows.into_iter().map(|row| self.show(row)).collect())
    }

    /// What types cannot check, before anything is written.
    fn check(&self, wish: &NewTenant) -> Result<()> {
        let runtime = self.runtime(&wish.runtime)?;
        if wish.domains.len() > MAX_DOMAINS {
            return Err(Error::InvalidTenant(format!("{} domains; {MAX_DOMAINS} at most", wish.domains.len())));
        }
        if let Some(twice) = wish.domains.iter().enumerate().find(|(i, d)| wish.domains[..*i].contains(d)) {
            return Err(Error::InvalidTenant(format!("the domain {} is named twice", twice.1)));
        }
        let argv = if wish.command.is_empty() { vec![runtime.name.to_string()] } else { wish.command.clone() };
        let spec = LaunchSpec {
            tenant: wish.name.clone(),
            runtime: wish.runtime.clone(),
            release: ReleaseId(1),
            files: ReleaseId(1),
            argv,
            env: vec![],
            limits: wish.limits,
            connect_ports: vec![],
        };
        Ok(spec.validate()?)
    }

    fn show(&self, row: TenantRow) -> Tenant {
        let (state, reason) = self.init.slot(row.slot);
        let reason = match row.phase {
            TenantPhase::Ready => reason,
            TenantPhase::Adding => Some("it is being made".to_owned()),
            TenantPhase::Removing => Some("it is being removed".to_owned()),
        };
        let runtime = self.runtime(row.current_release().map_or(&row.runtime, |release| &release.runtime)).ok();
        let default = || runtime.map(|r| r.default_command.clone()).unwrap_or_default();
        let command = match row.current_release() {
            Some(release) => release.command.clone(),
            None if row.command.is_empty() => default(),
            None => row.command.clone(),
        };
        let beta = self.betas.of(row.slot);
        Tenant {
            uid: row.slot.uid(),
            context: row.slot.run_context(runtime.is_some_and(|r| r.jit)),
            port: row.slot.port(),
            slot: row.slot,
            name: row.name,
            runtime: row.runtime,
            domains: row.domains.into_iter().filter(|d| d.redirect.is_none()).map(|d| d.domain).collect(),
            maintenance: row.maintenance.map(|m| m.told),
            command,
            limits: row.limits,
            state,
            reason,
            current: row.current,
            releases: row
                .releases
                .into_iter()
                .map(|r| shown(r, (row.current, row.previous), beta.as_ref()))
                .collect(),
            created_at_s: row.created_at_s,
        }
    }

    /// A removal (or a making) that was cut off, taken up again.
    pub(crate) async fn resume_removal(&self, claim: Claim, name: TenantName) {
        match self.remove_claimed(&claim, &name).await {
            Ok(()) => say!("{name}: its interrupted removal is done"),
            Err(cause) => say!("{name}: its removal is not done: {cause}; try `kennel tenant rm {name}`"),
        }
    }
}

/// What init is to run for the tenant, in this environment; nothing before the first deploy.
pub(crate) fn launch(row: &TenantRow, env: Vec<(String, EnvValue)>) -> Option<LaunchSpec> {
    let release = row.current_release()?;
    Some(LaunchSpec {
        tenant: row.name.clone(),
        runtime: release.runtime.clone(),
        release: release.id,
        files: release.files,
        argv: release.command.clone(),
        env,
        limits: Limits { static_files: program::static_files(row), ..row.limits },
        connect_ports: row.egress.connect_ports(),
    })
}

/// A release as the API shows it, by what is current and what was before a switch that is on trial.
fn shown(
    row: ReleaseRow,
    (current, previous): (Option<ReleaseId>, Option<ReleaseId>),
    beta: Option<&(ReleaseId, Beta)>,
) -> Release {
    let state = match (current == Some(row.id), previous) {
        (true, None) => ReleaseState::Serving,
        (true, Some(_)) => ReleaseState::Trying,
        (false, _) => ReleaseState::Kept,
    };
    let ReleaseRow { id, files, bytes, entries, command, origin, runtime, source, by, created_at_s } = row;
    let (files, runtime) = ((files != id).then_some(files), Some(runtime));
    let beta = beta.filter(|(shown, _)| *shown == id).map(|(_, beta)| beta.clone());
    Release { files, id, bytes, entries, created_at_s, by, command, origin, runtime, source, state, beta }
}
