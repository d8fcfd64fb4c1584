//! Processes: what a release's `Procfile` says is to run beside its program, as often as the tenant wants. Each is a task that is begun
//! again when it ends. What is to run stands in the registry; this looks at it whenever something may have changed, ends what is not
//! wanted any more, and begins what is missing. They end with control, and the next begins them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_model::process::{MAX_SCALED, Process, ProcessEnd, RELEASE, Scale, WEB};
use kennel_model::task::TaskIo;
use kennel_model::{ProcessName, ReleaseId, TenantName};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use crate::control::{Control, QUICK};
use crate::error::{Error, Result};
use crate::program::carried;
use crate::registry::{TenantRow, WantedRow, now_s};
use crate::say;

/// What is to run is looked at at least so often.
const LOOK: Duration = Duration::from_secs(60);
/// Between the end of one and its next beginning; twice that each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// One that has run for so long was well.
const WELL: Duration = Duration::from_secs(60);

/// Whose, which process, and which of those that run of it, from 0 on.
type Which = (TenantName, ProcessName, u16);

/// What runs now.
#[derive(Default)]
pub(crate) struct Processes {
    changed: Notify,
    all: Mutex<HashMap<Which, Kept>>,
    ends: Mutex<HashMap<(TenantName, ProcessName), ProcessEnd>>,
}

/// One that is kept running.
struct Kept {
    release: ReleaseId,
    /// Dropped when it is wanted no longer.
    wanted: Option<oneshot::Sender<()>>,
    is_running: bool,
}

impl Processes {
    /// What is to run may be something else now.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Which, Kept>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<(TenantName, ProcessName), ProcessEnd>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tenant has gone.
    pub(crate) fn forget(&self, tenant: &TenantName) {
        self.ends().retain(|(whose, _), _| whose != tenant);
        self.look();
    }

    fn says(&self, which: &Which, is_running: bool) {
        if let Some(kept) = self.all().get_mut(which) {
            kept.is_running = is_running;
        }
    }

    /// How many of one run.
    fn running(&self, tenant: &TenantName, process: &ProcessName) -> u16 {
        let all = self.all();
        let those =
            all.iter().filter(|((whose, name, _), kept)| whose == tenant && name == process && kept.is_running);
        u16::try_from(those.count()).unwrap_or(u16::MAX)
    }
}

impl Control {
    /// A tenant's processes, its program the first of them.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`].
    pub(crate) async fn processes(&self, name: &TenantName) -> Result<Vec<Process>> {
        let row = self.row(name).await?;
        let (said, scale) = self.said(&row).await?;
        let web = Process {
            name: WEB.parse().map_err(|e: kennel_model::InvalidId| Error::Internal(e.to_string()))?,
            command: row.current_release().map(|release| release.command.clone()),
            wanted: 1,
            running: u16::from(self.init.slot(row.slot).0.is_alive()),
            last: None,
        };
        let unsaid = scale.keys().filter(|name| !said.iter().any(|(said, _)| said == *name));
        let of = |name: &ProcessName, command| Process {
            name: name.clone(),
            command,
            wanted: scale.get(name).copied().unwrap_or(0),
            running: self.processes.running(&row.name, name),
            last: self.processes.ends().get(&(row.name.clone(), name.clone())).cloned(),
        };
        let known = said.iter().map(|(name, command)| of(name, Some(command.clone())));
        Ok([web].into_iter().chain(known).chain(unsaid.map(|name| of(name, None))).collect())
    }

    /// Has a tenant's processes run as often as is wished from now on.
    ///
    /// # Errors
    /// [`Error::InvalidScale`], [`Error::NoSuchProcess`] and others; nothing is changed then.
    pub(crate) async fn scale(&self, name: &TenantName, wish: Scale) -> Result<Vec<Process>> {
        let row = self.ready(name).await?;
        let (said, mut scale) = self.said(&row).await?;
        for (process, count) in wish.processes {
            match process.as_str() {
                WEB => return Err(Error::InvalidScale("web, its program, runs once".into())),
                RELEASE => {
                    let why = "release runs once in each release, before that is tried";
                    return Err(Error::InvalidScale(why.into()));
                }
                _ if count > 0 && !said.iter().any(|(said, _)| *said == process) => {
                    let known = said.into_iter().map(|(name, _)| name).collect();
                    return Err(Error::NoSuchProcess(name.clone(), process, known));
                }
                _ => scale.insert(process, count),
            };
        }
        scale.retain(|_, count| *count > 0);
        let sum: u32 = scale.values().map(|count| u32::from(*count)).sum();
        if sum > u32::from(MAX_SCALED) {
            let why = format!("that makes {sum} processes beside web, and {MAX_SCALED} may run at a time");
            return Err(Error::InvalidScale(why));
        }
        let whose = name.clone();
        self.registry.with(move |store| store.set_scale(&whose, &scale)).await?;
        self.processes.look();
        self.processes(name).await
    }

    /// What the release that serves says, and how often each is wanted.
    async fn said(
        &self,
        row: &TenantRow,
    ) -> Result<(Vec<crate::registry::ProcessRow>, BTreeMap<ProcessName, u16>)> {
        let (name, files) = (row.name.clone(), row.current_release().map(|release| release.files));
        self.registry
            .with(move |store| {
                let said = files.map(|files| store.processes(&name, files)).transpose()?;
                Ok((said.unwrap_or_default(), store.scale(&name)?))
            })
            .await
    }

    /// Has run what is to run, until control ends.
    pub(crate) async fn keep_processes(self: Arc<Self>) {
        loop {
            match self.registry.with(|store| store.wanted_processes()).await {
                Ok(wanted) => self.keep_just(wanted),
                Err(cause) => say!("what is to run beside programs is not known: {cause}"),
            }
            tokio::select! { () = sleep(LOOK) => {}, () = self.processes.changed.notified() => {} }
        }
    }

    /// Ends what is not among what is wanted, and begins what is missing. What ends makes room for what comes in its place, which is
    /// begun at the next look.
    fn keep_just(self: &Arc<Self>, wanted: Vec<WantedRow>) {
        let each = wanted.into_iter().flat_map(|row| {
            (0..row.count).map(move |n| ((row.tenant.clone(), row.process.clone(), n), row.clone()))
        });
        let wanted: HashMap<Which, WantedRow> = each.collect();
        let mut all = self.processes.all();
        for (which, kept) in all.iter_mut() {
            if wanted.get(which).is_none_or(|row| row.release != kept.release) {
                kept.wanted = None;
            }
        }
        for (which, row) in wanted {
            if !all.contains_key(&which) {
                let (sender, receiver) = oneshot::channel();
                let kept = Kept { release: row.release, wanted: Some(sender), is_running: false };
                all.insert(which.clone(), kept);
                tokio::spawn(Arc::clone(self).keep_one(which, row, receiver));
            }
        }
    }

    /// One process, from its first beginning until it is wanted no longer.
    async fn keep_one(self: Arc<Self>, which: Which, wanted: WantedRow, mut over: oneshot::Receiver<()>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let ended = self.run_once(&which, &wanted, &mut over).await;
            self.processes.says(&which, false);
            let Some(why) = ended else { break };
            let (tenant, process, _) = &which;
            let end = ProcessEnd { at_s: now_s(), release: wanted.release, why };
            self.processes.ends().insert((tenant.clone(), process.clone()), end);
            pause = if begun.elapsed() >= WELL { FIRST_PAUSE } else { pause };
            tokio::select! { biased; _ = &mut over => break, () = sleep(pause) => {} }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.processes.all().remove(&which);
        self.processes.look();
    }

    /// Why it has ended, or could not begin; nothing where it was ended, as it is wanted no longer.
    async fn run_once(
        &self,
        which: &Which,
        wanted: &WantedRow,
        over: &mut oneshot::Receiver<()>,
    ) -> Option<String> {
        let begun = async {
            let row = self.ready(&which.0).await?;
            let started = self.run_in((&row, wanted.release), wanted.command.clone()).await?;
            Ok::<_, Error>((row, started))
        };
        let (row, mut started) = match begun.await {
            Ok(begun) => begun,
            Err(cause) => return Some(cause.to_string()),
        };
        self.processes.says(which, true);
        tokio::select! {
            biased;
            end = &mut started.end => {
                Some(end.map_or_else(|_| "the host's init has gone".to_owned(), |end| end.why))
            }
            _ = over => {
                self.end(&row, started).await;
                None
            }
        }
    }

    /// A command of a release's own, run beside the program and printing into the log.
    pub(crate) async fn run_in(
        &self,
        (row, release): (&TenantRow, ReleaseId),
        command: Vec<String>,
    ) -> Result<crate::init::Started> {
        let row = TenantRow { current: Some(release), ..row.clone() };
        let gone = || Error::NotDeployed(row.name.clone());
        let of = row.current_release().ok_or_else(gone)?;
        let command = carried(of, &command, self.runtime(&of.runtime)?)?;
        let mut spec = self.spec(&row).await?.ok_or_else(gone)?;
        spec.argv = command;
        spec.validate()?;
        Ok(self.init.run_task(row.slot, spec, TaskIo::Log, QUICK).await?)
    }
}
