//! A deploy, from the first byte to the moment at which the next request reaches the new release. The registry's
//! commit is the point of no return: before it a cut leaves the old release serving and a leftover to remove; after
//! it the next start of control finishes what is missing.

use bytes::Bytes;
use hyper::body::Body;
use kennel_model::api::Deployed;
use kennel_model::msg::{ControlRequest, Refusal};
use kennel_model::{ReleaseId, TenantName};

use crate::control::{Claim, Control, QUICK, REMOVAL};
use crate::error::{Error, Result};
use crate::init::InitError;
use crate::registry::{TenantRow, Unpacked};
use crate::{program, say, upload};

/// Attempts at removing a leftover while init says that the slot is busy, and the pause between them.
const ATTEMPTS: u32 = 10;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

impl Control {
    /// Takes a tar stream and makes it the tenant's current release. `by` is the operator's key fingerprint.
    ///
    /// # Errors
    /// [`Error`]. Unless it is [`Error::NotActivated`], the release that served before still does and nothing of the
    /// upload is left.
    pub async fn deploy<B>(&self, name: &TenantName, body: &mut B, by: String) -> Result<Deployed>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let claim = self.claim(name, "a deploy")?;
        let row = self.ready(name).await?;
        self.runtime(&row.runtime)?;
        let wanted = name.clone();
        let id = self.registry.with(move |store| store.begin_release(&wanted)).await?;
        let finished = match self.unpack(&row, id, body, by).await {
            Ok(facts) => self.finish(name, id, facts).await,
            Err(cause) => Err(cause),
        };
        if let Err(cause) = finished {
            self.sweep(&claim, &row).await;
            return Err(cause);
        }
        self.activate(name).await.map_err(|cause| match cause {
            Error::Init(cause) => Error::NotActivated(id, cause),
            other => other,
        })?;
        self.sweep(&claim, &row).await;
        let tenant = self.tenant(name).await?;
        let release = tenant.releases.iter().find(|r| r.id == id).cloned();
        let release = release.ok_or_else(|| Error::Internal(format!("{id} of {name} is not registered")))?;
        Ok(Deployed { release, tenant })
    }

    /// Has the archive unpacked in the slot, and finds out how the release starts.
    async fn unpack<B>(&self, row: &TenantRow, id: ReleaseId, body: &mut B, by: String) -> Result<Unpacked>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let request = ControlRequest::Unpack { slot: row.slot, release: id, limits: row.limits };
        let pipes = self.init.ask(request, vec![], QUICK).await?;
        let received = upload::receive(body, pipes, &self.config.http).await?;
        let command = program::command_of(row, self.runtime(&row.runtime)?, &received.top)?;
        Ok(Unpacked { bytes: received.bytes, entries: received.entries, command, by })
    }

    /// The commit: from here on the release is acknowledged.
    async fn finish(&self, name: &TenantName, id: ReleaseId, facts: Unpacked) -> Result<()> {
        let (name, keep) = (name.clone(), self.config.keep_releases);
        self.registry.with(move |store| store.finish_release(&name, id, &facts, keep)).await
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
