//! A switch to another release that is kept: it is tried beside the one that serves, and takes over from it. Or, for a tenant
//! whose programs cannot run twice, it is started in the place of the one that serves, and watched for a while; when it does not
//! stay up, the one before serves again. What the registry has of it is undone by the next start of control
//! when this one is cut off in between.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kennel_model::api::{Release, RolledBack};
use kennel_model::msg::{Cause, ControlRequest, Refusal, Rung};
use kennel_model::seeing::Transition;
use kennel_model::{ReleaseId, SlotId, SlotState, TenantName};

use crate::control::{Claim, Control, QUICK};
use crate::error::{Error, Result};
use crate::init::InitError;
use crate::jobs::step;
use crate::registry::TenantRow;
use crate::trial::{LOG_LINES, Passed, look_after};
use crate::{program, say};

/// Time between two looks at a program that was started.
const LOOK: Duration = Duration::from_millis(50);

/// How far a switch has come.
enum Switch {
    /// A program that is known to work is the slot's now.
    Known,
    /// What was tried may take over.
    Passed(Passed),
}

impl Control {
    /// All complete releases of a tenant, the newest first.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`].
    pub async fn releases(&self, name: &TenantName) -> Result<Vec<Release>> {
        let mut releases = self.tenant(name).await?.releases;
        releases.reverse();
        Ok(releases)
    }

    /// Switches to a release that is kept: `to`, or the newest that is older than the one that serves. `by` is the
    /// operator's key fingerprint.
    ///
    /// # Errors
    /// [`Error`]; the release that served before serves still, or again.
    pub async fn rollback(&self, name: &TenantName, to: Option<ReleaseId>, by: &str) -> Result<RolledBack> {
        let claim = self.claim(name, "a rollback")?;
        let row = self.settled(name).await?;
        let from = row.current.ok_or_else(|| Error::NotDeployed(name.clone()))?;
        let to = chosen(&row, from, to)?;
        self.go_to(&claim, row, to, format!("rolled back from {from} to {to} by {by}")).await?;
        self.switched(name, from, to).await
    }

    /// The same, if `from` still serves; whether it did.
    ///
    /// # Errors
    /// [`Error`], with what serves as before.
    pub(crate) async fn rollback_from(
        &self,
        name: &TenantName,
        from: ReleaseId,
        to: ReleaseId,
        by: &str,
    ) -> Result<bool> {
        let claim = self.claim(name, "a rollback")?;
        let row = self.settled(name).await?;
        if row.current != Some(from) {
            return Ok(false);
        }
        let to = chosen(&row, from, Some(to))?;
        let told = format!("rolled back from {from} to {to} by {by}");
        self.go_to(&claim, row, to, told).await.map(|()| true)
    }

    /// Switches to a release that is kept and newer than the one that serves: `to`, the one that is shown, or the newest. What
    /// serves then is looked after for a while, as after a deploy.
    ///
    /// # Errors
    /// [`Error`]; the release that served before serves still, or again.
    pub async fn promote(
        self: &Arc<Self>,
        name: &TenantName,
        to: Option<ReleaseId>,
        by: &str,
    ) -> Result<RolledBack> {
        let claim = self.claim(name, "a promotion")?;
        let row = self.settled(name).await?;
        let from = row.current.ok_or_else(|| Error::NotDeployed(name.clone()))?;
        let newest = || row.releases.iter().map(|release| release.id).filter(|id| *id > from).max();
        let wanted = to.or_else(|| self.betas.of(row.slot).map(|(shown, _)| shown)).or_else(newest);
        let to = chosen(&row, from, Some(wanted.ok_or_else(|| Error::NothingNewer(name.clone(), from))?))?;
        let is_tried = row.limits.trial;
        self.go_to(&claim, row, to, format!("promoted {to} over {from} by {by}")).await?;
        if is_tried {
            tokio::spawn(look_after(Arc::clone(self), name.clone(), to, from));
        }
        self.switched(name, from, to).await
    }

    async fn switched(&self, name: &TenantName, from: ReleaseId, to: ReleaseId) -> Result<RolledBack> {
        let tenant = self.tenant(name).await?;
        let release = tenant.releases.iter().find(|r| r.id == to).cloned();
        let release = release.ok_or_else(|| Error::Internal(format!("{to} of {name} is not registered")))?;
        Ok(RolledBack { from, release, tenant })
    }

    async fn go_to(&self, claim: &Claim, row: TenantRow, to: ReleaseId, told: String) -> Result<()> {
        let release = row.releases.iter().find(|release| release.id == to);
        let runtime = self.runtime(release.map_or(&row.runtime, |release| &release.runtime))?;
        program::still_serves(&TenantRow { current: Some(to), ..row.clone() }, runtime, &row.limits)?;
        let wanted = row.name.clone();
        self.registry.with(move |store| store.begin_switch(&wanted, to)).await?;
        self.try_out(claim, &row, to, told).await?;
        // What has no program is shown still.
        match self.betas.forget(row.slot, Some(to)) {
            true => self.publish_routes().await,
            false => Ok(()),
        }
    }

    /// The row of a tenant that is whole, without a switch before this one that could not be undone at its time.
    /// The caller has claimed it.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`], [`Error::BeingRemoved`], or the registry's.
    pub(crate) async fn settled(&self, name: &TenantName) -> Result<TenantRow> {
        let wanted = name.clone();
        self.registry.with(move |store| store.give_up_switch(&wanted)).await?;
        self.ready(name).await
    }

    /// Runs what the registry is being switched to, and keeps it or goes back to what `before` has.
    pub(crate) async fn try_out(
        &self,
        claim: &Claim,
        before: &TenantRow,
        to: ReleaseId,
        told: String,
    ) -> Result<()> {
        let name = before.name.clone();
        let was_alive = self.init.slot(before.slot).0.is_alive();
        let tried = if before.limits.trial { self.try_current(before).await } else { Ok(None) };
        let passed = match tried {
            Ok(passed) => passed,
            Err(cause) => {
                self.stay(claim, before).await?;
                return Err(cause);
            }
        };
        let switch = format!("switch to {to}");
        let switched = match passed {
            Some(Switch::Known) => step(&switch, self.published(before)).await,
            Some(Switch::Passed(passed)) => step(&switch, self.take_over(before, passed)).await,
            None => step(&switch, self.run_current(&name)).await,
        };
        let Err(cause) = switched else {
            let note = self.note_of(before.slot, told);
            self.registry.with(move |store| store.keep_switch(&name, &note)).await?;
            self.processes.look();
            return Ok(());
        };
        let cause = match cause {
            Error::Init(InitError::Refused(Refusal::Failed(why))) => Error::DoesNotStart {
                release: to,
                serving: before.current.unwrap_or(to),
                why,
                log: self.logs.last_start(before.slot, to, LOG_LINES).await,
            },
            other => other,
        };
        let back = step("go back to what served", self.go_back(claim, before, was_alive));
        if let Err(second) = back.await {
            say!("{name}: {to} is not switched to, and what served before is not back yet: {second}");
        }
        Err(cause)
    }

    /// Takes what the registry is being switched to as it is, if it sleeps or is shown; else tries it beside what serves, if it has a program.
    async fn try_current(&self, before: &TenantRow) -> Result<Option<Switch>> {
        let spec = self.spec(&self.row(&before.name).await?).await?;
        let Some(spec) = spec.filter(|spec| !spec.argv.is_empty()) else { return Ok(None) };
        if self.take_known(before, &spec).await {
            return Ok(Some(Switch::Known));
        }
        self.try_beside(before, spec).await.map(|passed| Some(Switch::Passed(passed)))
    }

    /// Nothing is switched to; what serves was not touched.
    async fn stay(&self, claim: &Claim, before: &TenantRow) -> Result<()> {
        let name = before.name.clone();
        let given_up = self.registry.with(move |store| {
            store.give_up_switch(&name)?;
            store.settle(&name)
        });
        given_up.await?;
        self.sweep(claim, before).await;
        Ok(())
    }

    async fn run_current(&self, name: &TenantName) -> Result<()> {
        let row = self.row(name).await?;
        let spec = self.spec(&row).await?.ok_or_else(|| Error::NotDeployed(name.clone()))?;
        let has_program = !spec.argv.is_empty();
        self.init.act(ControlRequest::Configure(row.slot, spec), QUICK).await?;
        self.publish_routes().await?;
        self.stop_if_running(row.slot, &row.limits).await?;
        if !has_program {
            return Ok(());
        }
        // The end of the one before is known here by now. A program may end before the answer to its start is heard.
        let ends = self.init.ends(row.slot).count;
        self.init.act(ControlRequest::Start(row.slot, Cause::operator()), QUICK).await?;
        step("see that it stays up", self.stays_up(row.slot, ends)).await
    }

    /// Whether the program that was just started goes on for a while, so that its slot's programs have ended as often as before.
    /// Whoever asks for a page meanwhile is served by it.
    async fn stays_up(&self, slot: SlotId, ends: u64) -> Result<()> {
        let until = tokio::time::Instant::now() + self.config.trial;
        while tokio::time::Instant::now() < until {
            tokio::time::sleep(LOOK).await;
            let now = self.init.ends(slot);
            if now.count != ends {
                return Err(Error::Init(InitError::Refused(Refusal::Failed(now.why))));
            }
        }
        Ok(())
    }

    async fn go_back(&self, claim: &Claim, before: &TenantRow, was_alive: bool) -> Result<()> {
        let name = before.name.clone();
        self.registry.with(move |store| store.give_up_switch(&name)).await?;
        self.activate(&before.name).await?;
        self.sweep(claim, before).await;
        if was_alive && !before.limits.always_on {
            self.init.act(ControlRequest::Start(before.slot, Cause::operator()), QUICK).await?;
        }
        // The last that was heard of the slot may be the end of what was tried.
        self.init.forget(before.slot);
        self.init.status().await?;
        Ok(())
    }

    /// A line for the timeline that is no change of what the program does.
    fn note_of(&self, slot: SlotId, reason: String) -> Transition {
        let (state, _) = self.init.slot(slot);
        let from = match state {
            SlotState::Running | SlotState::Stopping => Rung::Running,
            SlotState::Frozen => Rung::Frozen,
            SlotState::Reclaimed => Rung::Reclaimed,
            _ => Rung::Stopped,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Transition { at_ms, state, from, took_ms: None, reason, note: true }
    }
}

/// The release that is meant.
fn chosen(row: &TenantRow, from: ReleaseId, to: Option<ReleaseId>) -> Result<ReleaseId> {
    let name = || row.name.clone();
    match to {
        Some(to) if to == from => Err(Error::AlreadyServes(name(), to)),
        Some(to) if row.releases.iter().any(|release| release.id == to) => Ok(to),
        Some(to) => Err(Error::NoSuchRelease(name(), to, row.releases.iter().map(|r| r.id).collect())),
        None => {
            let earlier = row.releases.iter().map(|release| release.id).filter(|id| *id < from).max();
            earlier.ok_or_else(|| Error::NothingEarlier(name(), from))
        }
    }
}
