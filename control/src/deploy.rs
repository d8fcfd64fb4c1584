//! A deploy, from the first byte to the moment at which the next request reaches the new release. The registry's
//! commit is the point of no return: before it a cut leaves the old release serving and a leftover to remove; after
//! it the next start of control finishes what is missing.

use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Body;
use kennel_model::api::Deployed;
use kennel_model::command;
use kennel_model::msg::{ControlRequest, Refusal};
use kennel_model::{ReleaseId, TenantName};

use crate::control::{Claim, Control, QUICK, REMOVAL};
use crate::error::{Error, Result};
use crate::init::InitError;
use crate::program::{Chosen, Home};
use crate::registry::{ReleaseRow, TenantRow, Unpacked};
use crate::trial::{Passed, look_after};
use crate::upload::Received;
use crate::{say, upload};

/// Attempts at removing a leftover while init says that the slot is busy, and the pause between them.
const ATTEMPTS: u32 = 10;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);
/// For init to see that a listing, which has come whole, has ended.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(20);

/// What a deploy is asked for with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// What runs the release; empty for what is found in it.
    pub command: Vec<String>,
    /// What comes is what has changed since this release.
    pub onto: Option<ReleaseId>,
}

impl Control {
    /// Takes a tar stream, or what has changed since another release, and makes it the tenant's current release. `by` is the
    /// operator's key fingerprint.
    ///
    /// # Errors
    /// [`Error`]. Unless it is [`Error::NotActivated`], the release that served before still does and nothing of the
    /// upload is left.
    pub async fn deploy<B>(
        self: &Arc<Self>,
        name: &TenantName,
        body: &mut B,
        wish: &Wish,
        by: String,
    ) -> Result<Deployed>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        command::check(&wish.command).map_err(|invalid| Error::BadRequest(invalid.to_string()))?;
        let claim = self.claim(name, "a deploy")?;
        let row = self.ready(name).await?;
        self.runtime(&row.runtime)?;
        let onto = wish.onto.map(|onto| files_of(&row, onto)).transpose()?;
        let wanted = name.clone();
        let id = self.registry.with(move |store| store.begin_release(&wanted)).await?;
        let finished = match self.unpack(&row, (id, onto), body, &wish.command).await {
            Ok((received, chosen)) => {
                let Chosen { command, origin, notes } = chosen;
                let facts = Unpacked { bytes: received.bytes, entries: received.entries, command, origin, by };
                self.introduce(&row, id, facts).await.map(|passed| (passed, notes))
            }
            Err(cause) => Err(cause),
        };
        let (passed, notes) = match finished {
            Ok(finished) => finished,
            Err(cause) => {
                self.sweep(&claim, &row).await;
                return Err(cause);
            }
        };
        let ready_ms = passed.as_ref().map(Passed::ready_ms);
        let serves = match passed {
            Some(passed) => self.take_over(&row, passed).await,
            None => self.activate(name).await,
        };
        serves.map_err(|cause| match cause {
            Error::Init(cause) => Error::NotActivated(id, cause),
            other => other,
        })?;
        self.sweep(&claim, &row).await;
        if let (Some(before), Some(_)) = (row.current, ready_ms) {
            tokio::spawn(look_after(Arc::clone(self), name.clone(), id, before));
        }
        let tenant = self.tenant(name).await?;
        let release = tenant.releases.iter().find(|r| r.id == id).cloned();
        let release = release.ok_or_else(|| Error::Internal(format!("{id} of {name} is not registered")))?;
        Ok(Deployed { release, tenant, notes, ready_ms })
    }

    /// Has the archive unpacked in the slot, and finds out how the release starts.
    async fn unpack<B>(
        &self,
        row: &TenantRow,
        (id, onto): (ReleaseId, Option<ReleaseId>),
        body: &mut B,
        asked: &[String],
    ) -> Result<(Received, Chosen)>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let request = ControlRequest::Unpack { slot: row.slot, release: id, limits: row.limits, onto };
        let mut pipes = self.init.ask(request.clone(), vec![], QUICK).await;
        for _ in 1..ATTEMPTS {
            // What was listed just now may not have ended yet, as init sees it; this deploy has the slot's claim.
            let Err(InitError::Refused(Refusal::Busy(_))) = pipes else { break };
            tokio::time::sleep(MOMENT).await;
            pipes = self.init.ask(request.clone(), vec![], QUICK).await;
        }
        let pipes = pipes?;
        let received = upload::receive(body, pipes, &self.config.http).await?;
        let home = Home { row, runtime: self.runtime(&row.runtime)?, runtimes: &self.facts.runtimes };
        let chosen = home.choose(asked, &received.found)?;
        Ok((received, chosen))
    }

    /// Tries the release, if that is wanted of it and it has a program. Then the commit: from here on it is acknowledged.
    async fn introduce(&self, row: &TenantRow, id: ReleaseId, facts: Unpacked) -> Result<Option<Passed>> {
        let passed = match row.limits.trial {
            true => self.try_new(row, id, &facts).await?,
            false => None,
        };
        let (name, keep) = (row.name.clone(), self.config.keep_releases);
        let kept = self.registry.with(move |store| store.finish_release(&name, id, &facts, keep)).await;
        match (kept, passed) {
            (Err(cause), Some(passed)) => {
                self.dismiss(row, passed).await;
                Err(cause)
            }
            (kept, passed) => kept.map(|()| passed),
        }
    }

    async fn try_new(&self, row: &TenantRow, id: ReleaseId, facts: &Unpacked) -> Result<Option<Passed>> {
        let mut with_it = row.clone();
        with_it.current = Some(id);
        with_it.releases.push(ReleaseRow {
            id,
            files: id,
            bytes: facts.bytes,
            entries: facts.entries,
            command: facts.command.clone(),
            origin: Some(facts.origin),
            by: facts.by.clone(),
            created_at_s: 0,
        });
        match self.spec(&with_it).await? {
            Some(spec) if !spec.argv.is_empty() => self.try_beside(row, spec).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Makes init, and through it the proxy, use the current release; what runs an older one is stopped.
    pub(crate) async fn activate(&self, name: &TenantName) -> Result<()> {
        let row = self.row(name).await?;
        let Some(spec) = self.spec(&row).await? else { return Ok(()) };
        self.init.act(ControlRequest::Configure(row.slot, spec), QUICK).await?;
        self.publish_routes().await?;
        // Init's messages come in order: a start before `Configure` is known here by now, one after it is the new one.
        self.stop_if_running(row.slot, &row.limits).await?;
        let name = name.clone();
        self.registry.with(move |store| store.settle(&name)).await?;
        self.start_if_always_on(&row).await
    }

    /// Removes what interrupted, refused and old releases left. What cannot be removed stays registered as a leftover
    /// for the next deploy or start.
    pub(crate) async fn sweep(&self, _claim: &Claim, row: &TenantRow) {
        if let Err(cause) = self.try_sweep(row).await {
            say!("{}: an old or broken release is not removed yet: {cause}", row.name);
        }
    }

    async fn try_sweep(&self, row: &TenantRow) -> Result<()> {
        let name = row.name.clone();
        for id in self.registry.with(move |store| store.leftovers(&name)).await? {
            self.remove_release(row, id).await?;
            let name = row.name.clone();
            self.registry.with(move |store| store.forget_release(&name, id)).await?;
        }
        Ok(())
    }

    /// A `kennel-unpack` whose upload was just cut off may still be at work; init is busy until it has ended.
    async fn remove_release(&self, row: &TenantRow, id: ReleaseId) -> Result<()> {
        for _ in 1..ATTEMPTS {
            match self.init.act(ControlRequest::RemoveRelease(row.slot, id), REMOVAL).await {
                Err(InitError::Refused(Refusal::Busy(_))) => tokio::time::sleep(PAUSE).await,
                other => return Ok(other?),
            }
        }
        Ok(self.init.act(ControlRequest::RemoveRelease(row.slot, id), REMOVAL).await?)
    }
}

/// The release whose files a kept one has.
pub(crate) fn files_of(row: &TenantRow, id: ReleaseId) -> Result<ReleaseId> {
    let found = row.releases.iter().find(|release| release.id == id).map(|release| release.files);
    found.ok_or_else(|| Error::NoSuchRelease(row.name.clone(), id, row.releases.iter().map(|r| r.id).collect()))
}
