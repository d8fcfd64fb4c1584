//! A deploy, from the first byte to the moment at which the next request reaches the new release. The registry's
//! commit is the point of no return: before it a cut leaves the old release serving and a leftover to remove; after
//! it the next start of control finishes what is missing.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Body;
use kennel_model::api::{Deployed, Source};
use kennel_model::command;
use kennel_model::layout::RuntimeFacts;
use kennel_model::msg::{ControlRequest, Refusal};
use kennel_model::{Domain, LaunchSpec, ProcessName, ReleaseId, RuntimeName, TenantName};
use tokio::time::timeout;

use crate::control::{Claim, Control, QUICK, REMOVAL};
use crate::error::{Error, Result};
use crate::init::InitError;
use crate::jobs::step;
use crate::program::{Beside, Chosen, Home};
use crate::registry::{ReleaseRow, Store, TenantRow, Unpacked};
use crate::trial::{LOG_LINES, Passed, look_after};
use crate::upload::Received;
use crate::{build, say, upload};

/// Attempts at removing a leftover while init says that the slot is busy, and the pause between them.
const ATTEMPTS: u32 = 10;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);
/// Then what a release runs before it is tried is ended.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(15 * 60);
/// For init to see that an act, of which all has come, has ended; and how often.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(20);
const MOMENTS: u32 = 50;

/// What a deploy is asked for with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// What runs the release; empty for what is found in it.
    pub command: Vec<String>,
    /// What comes is what has changed since this release.
    pub onto: Option<ReleaseId>,
    /// What it is to run on; the tenant's when absent.
    pub runtime: Option<RuntimeName>,
    /// It is only shown.
    pub beta: Option<At>,
    /// It is as it is to be: nothing is fetched for it.
    pub prebuilt: bool,
    /// The commit that it is made from.
    pub source: Option<Source>,
}

/// Where a release is shown beside the one that serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// Below the tenant's own domain.
    Own,
    /// There.
    Domain(Domain),
}

/// A release that is acknowledged, and not in use yet.
struct Made {
    /// Where it is to be shown, if it is not to serve.
    shown_at: Option<Domain>,
    /// What init is to run, if it was to be tried.
    spec: Option<LaunchSpec>,
    /// It was.
    passed: Option<Passed>,
}

impl Control {
    /// Takes a tar stream, or what has changed since another release, and makes it the tenant's current release, or only shows it. `by` is the
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
        let runtime = self.runtime(wish.runtime.as_ref().unwrap_or(&row.runtime))?;
        let onto = wish.onto.map(|onto| files_of(&row, onto)).transpose()?;
        let wanted = name.clone();
        let id = self.registry.with(move |store| store.begin_release(&wanted)).await?;
        let (made, notes) = match self.make((&row, runtime), (id, onto), body, wish, by).await {
            Ok(made) => made,
            Err(cause) => {
                self.sweep(&claim, &row).await;
                return Err(cause);
            }
        };
        let ready_ms = made.passed.as_ref().map(Passed::ready_ms);
        let serves = made.shown_at.is_none();
        let used = self.put_to_use(&row, made);
        step(if serves { "switch to it" } else { "show it" }, used).await.map_err(|cause| match cause {
            Error::Init(cause) => Error::NotActivated(id, cause),
            other => other,
        })?;
        self.sweep(&claim, &row).await;
        if let (true, Some(before), Some(_)) = (serves, row.current, ready_ms) {
            tokio::spawn(look_after(Arc::clone(self), name.clone(), id, before));
        }
        let tenant = self.tenant(name).await?;
        let release = tenant.releases.iter().find(|r| r.id == id).cloned();
        let release = release.ok_or_else(|| Error::Internal(format!("{id} of {name} is not registered")))?;
        Ok(Deployed { release, tenant, notes, ready_ms })
    }

    /// A release out of what comes, on disk and acknowledged, and what is to be said of it.
    async fn make<B>(
        &self,
        (row, runtime): (&TenantRow, &RuntimeFacts),
        (id, onto): (ReleaseId, Option<ReleaseId>),
        body: &mut B,
        wish: &Wish,
        by: String,
    ) -> Result<(Made, Vec<String>)>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let shown_at = match &wish.beta {
            Some(at) => Some(self.beta_domain(row, id, at).await?),
            None => None,
        };
        let unpacked = self.unpack(row, (id, onto), body);
        let mut received = step(&format!("receive and unpack release {id}"), unpacked).await?;
        if let Some(build) = build::wanted(runtime, &received.found).filter(|_| !wish.prebuilt) {
            received = self.build((row, runtime, build), id, &received, &by).await?;
        }
        let home = Home { row, runtime, runtimes: &self.facts.runtimes };
        let Chosen { command, origin, mut notes } = home.choose(&wish.command, &received.found)?;
        let beside = home.processes(id, &received.found)?;
        notes.extend(beside.notes.iter().cloned());
        let (bytes, entries, runtime) = (received.bytes, received.entries, runtime.name.clone());
        let source = wish.source.clone();
        let facts = Unpacked { bytes, entries, command, origin, runtime, source, by };
        notes.extend(self.before_trial(row, id, &facts, beside).await?);
        Ok((self.introduce(row, id, facts, shown_at).await?, notes))
    }

    /// Runs in a release what it says is to be run before it is tried, and keeps what else it says. Answers what of that nobody wants yet.
    async fn before_trial(
        &self,
        row: &TenantRow,
        id: ReleaseId,
        facts: &Unpacked,
        beside: Beside,
    ) -> Result<Vec<String>> {
        if let Some(command) = beside.once {
            let name = format!("run {}", command.join(" "));
            step(&name, self.run_before(&with(row, id, facts), id, command)).await?;
        }
        let (name, kept) = (row.name.clone(), beside.kept);
        let keep = move |store: &mut Store| {
            store.add_processes(&name, id, &kept)?;
            let scale = store.scale(&name)?;
            let unwanted = kept.into_iter().map(|(process, _)| process);
            Ok(unwanted.filter(|process| !scale.contains_key(process)).collect::<Vec<_>>())
        };
        let unwanted = self.registry.with(keep).await?;
        let how = |process: &ProcessName| {
            format!("{process} in Procfile is not run yet: `kennel scale {} {process}=1` does", row.name)
        };
        Ok(unwanted.iter().map(how).collect())
    }

    /// A release's own word on what is to be done before it is tried: a change of its tables, for one.
    async fn run_before(&self, with_it: &TenantRow, release: ReleaseId, command: Vec<String>) -> Result<()> {
        let mut started = self.run_in((with_it, release), command).await?;
        let why = match timeout(LONGEST, &mut started.end).await {
            Ok(Ok(end)) if end.code == 0 => return Ok(()),
            Ok(Ok(end)) => end.why,
            Ok(Err(_)) => return Err(InitError::Gone.into()),
            Err(_) => {
                self.end(with_it, started).await;
                format!("it took more than {} minutes", LONGEST.as_secs() / 60)
            }
        };
        let log = self.logs.last_start(with_it.slot, release, LOG_LINES).await;
        Err(Error::ReleaseCommand { release, why, log })
    }

    /// Has it serve, or shows it.
    async fn put_to_use(self: &Arc<Self>, row: &TenantRow, made: Made) -> Result<()> {
        match made {
            Made { shown_at: Some(domain), spec: Some(spec), passed } => {
                self.show_beta(row, spec, (passed, domain)).await
            }
            Made { passed: Some(passed), .. } => self.take_over(row, passed).await,
            Made { .. } => self.activate(&row.name).await,
        }
    }

    /// Has the archive unpacked in the slot.
    async fn unpack<B>(
        &self,
        row: &TenantRow,
        (id, onto): (ReleaseId, Option<ReleaseId>),
        body: &mut B,
    ) -> Result<Received>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let request = ControlRequest::Unpack { slot: row.slot, release: id, limits: row.limits, onto };
        let pipes = self.begin(request).await?;
        upload::receive(body, pipes, &self.config.http).await
    }

    /// Has `kennel-unpack` begin an act in a slot whose claim is held. The act before has said its last word, and may not have ended
    /// yet as init sees it.
    pub(crate) async fn begin(&self, request: ControlRequest) -> Result<Vec<OwnedFd>> {
        self.begin_within(request, QUICK).await
    }

    /// The same for one that is answered at its end, so long.
    pub(crate) async fn begin_within(
        &self,
        request: ControlRequest,
        time: std::time::Duration,
    ) -> Result<Vec<OwnedFd>> {
        for _ in 1..MOMENTS {
            match self.init.ask(request.clone(), vec![], time).await {
                Err(InitError::Refused(Refusal::Busy(_))) => tokio::time::sleep(MOMENT).await,
                other => return Ok(other?),
            }
        }
        Ok(self.init.ask(request, vec![], time).await?)
    }

    /// Tries the release, if that is wanted of it and it has a program. Then the commit: from here on it is acknowledged.
    async fn introduce(
        &self,
        row: &TenantRow,
        id: ReleaseId,
        facts: Unpacked,
        shown_at: Option<Domain>,
    ) -> Result<Made> {
        let spec = if row.limits.trial { self.spec(&with(row, id, &facts)).await? } else { None };
        let passed = match spec.clone().filter(|spec| !spec.argv.is_empty()) {
            Some(spec) => Some(self.try_beside(row, spec).await?),
            None => None,
        };
        let (name, how) = (row.name.clone(), (shown_at.is_none(), self.config.keep_releases));
        let kept = self.registry.with(move |store| store.finish_release(&name, id, &facts, how)).await;
        match (kept, passed) {
            (Err(cause), Some(passed)) => {
                self.dismiss(row, passed).await;
                Err(cause)
            }
            (kept, passed) => kept.map(|()| Made { shown_at, spec, passed }),
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
            step(&format!("remove the files of {id}"), self.remove_release(row, id)).await?;
            let name = row.name.clone();
            self.registry.with(move |store| store.forget_release(&name, id)).await?;
        }
        Ok(())
    }

    /// A `kennel-unpack` whose upload was just cut off may still be at work; init is busy until it has ended.
    async fn remove_release(&self, row: &TenantRow, id: ReleaseId) -> Result<()> {
        if self.betas.forget(row.slot, Some(id)) {
            self.publish_routes().await?;
        }
        for _ in 1..ATTEMPTS {
            match self.init.act(ControlRequest::RemoveRelease(row.slot, id), REMOVAL).await {
                Err(InitError::Refused(Refusal::Busy(_))) => tokio::time::sleep(PAUSE).await,
                other => return Ok(other?),
            }
        }
        Ok(self.init.act(ControlRequest::RemoveRelease(row.slot, id), REMOVAL).await?)
    }
}

/// The tenant as it is with a release that is not registered yet.
pub(crate) fn with(row: &TenantRow, id: ReleaseId, facts: &Unpacked) -> TenantRow {
    let mut with_it = row.clone();
    with_it.current = Some(id);
    with_it.releases.push(ReleaseRow {
        id,
        files: id,
        bytes: facts.bytes,
        entries: facts.entries,
        command: facts.command.clone(),
        origin: Some(facts.origin),
        runtime: facts.runtime.clone(),
        source: facts.source.clone(),
        by: facts.by.clone(),
        created_at_s: 0,
    });
    with_it
}

/// The release whose files a kept one has.
pub(crate) fn files_of(row: &TenantRow, id: ReleaseId) -> Result<ReleaseId> {
    let found = row.releases.iter().find(|release| release.id == id).map(|release| release.files);
    found.ok_or_else(|| Error::NoSuchRelease(row.name.clone(), id, row.releases.iter().map(|r| r.id).collect()))
}
