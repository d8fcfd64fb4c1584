//! A release on trial: it runs beside the one that serves, at a port of its own, until it is ready and has gone on for a while;
//! then it takes over as it is. Visitors meet neither its start nor, if it is no good, anything of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kennel_model::msg::{ControlRequest, Refusal};
use kennel_model::task::{Ask, Asked, TaskEnd, TaskIo};
use kennel_model::{LaunchSpec, ReleaseId, SlotId, TenantName};
use tokio::time::{Instant, sleep, timeout};

use crate::control::{Control, QUICK};
use crate::error::{Error, Result};
use crate::init::{InitError, Started};
use crate::jobs::step;
use crate::registry::TenantRow;
use crate::say;

/// Time between two questions whether it is ready.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// The proxy gives up sooner: so long means that it does not answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Time between two looks at a release that has just taken over.
const LOOK: Duration = Duration::from_millis(250);
/// So many ends by itself, and a release that has just taken over is no good after all. One may be bad luck.
const CRASHES: u64 = 2;
/// Lines of its log that are shown when it is no good.
pub(crate) const LOG_LINES: usize = 15;

/// A release that has passed its trial, and runs.
#[derive(Debug)]
pub(crate) struct Passed {
    started: Started,
    spec: Box<LaunchSpec>,
    ready_after: Duration,
}

/// What slots ran before the last release took over, by slot: init keeps it asleep for some minutes.
#[derive(Debug, Default)]
pub(crate) struct Warm(Mutex<HashMap<SlotId, Kept>>);

/// A program that another has taken over from.
#[derive(Debug)]
pub(crate) struct Kept {
    release: ReleaseId,
    started: Started,
}

/// Which release of each slot is looked after: the last that has taken over.
#[derive(Debug, Default)]
pub(crate) struct Cared(Mutex<HashMap<SlotId, ReleaseId>>);

impl Cared {
    /// It is this one from now on, and none before.
    fn begin(&self, slot: SlotId, release: ReleaseId) {
        self.all().insert(slot, release);
    }

    fn is(&self, slot: SlotId, release: ReleaseId) -> bool {
        self.all().get(&slot) == Some(&release)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SlotId, ReleaseId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Warm {
    /// Instead of what was kept before, which init does not keep any longer either.
    fn keep(&self, slot: SlotId, kept: Kept) {
        self.all().insert(slot, kept);
    }

    /// For whoever goes back to it; what is another's stays.
    fn take(&self, slot: SlotId, release: ReleaseId) -> Option<Started> {
        let mut all = self.all();
        all.get(&slot).filter(|kept| kept.release == release)?;
        all.remove(&slot).map(|kept| kept.started)
    }

    /// It is nobody's to go back to any more.
    pub(crate) fn forget(&self, slot: SlotId) {
        self.all().remove(&slot);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SlotId, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Passed {
    /// Its program, which somebody else sees to from now on.
    pub(crate) fn into_started(self) -> Started {
        self.started
    }

    /// How long it took to get ready, in milliseconds.
    pub(crate) fn ready_ms(&self) -> u32 {
        u32::try_from(self.ready_after.as_millis()).unwrap_or(u32::MAX)
    }
}

impl Control {
    /// Tries what is to be run for a tenant that has `row` now.
    ///
    /// # Errors
    /// [`Error::NotReady`], or what kept it from being tried; nothing of it runs then.
    pub(crate) async fn try_beside(&self, row: &TenantRow, spec: LaunchSpec) -> Result<Passed> {
        let beside = row.current.map_or_else(String::new, |current| format!(" beside {current}"));
        let name = format!("try {}{beside}", spec.release);
        step(&name, self.try_it(row, spec)).await
    }

    async fn try_it(&self, row: &TenantRow, spec: LaunchSpec) -> Result<Passed> {
        let release = spec.release;
        let mut started = self.init.run_task(row.slot, spec.clone(), TaskIo::Trial, QUICK).await?;
        let why = match self.watch(row, &mut started).await {
            Ok(ready_after) => return Ok(Passed { started, spec: Box::new(spec), ready_after }),
            Err(Verdict::Ended(why)) => why,
            Err(Verdict::Bad(why)) => {
                self.end(row, started).await;
                why
            }
            Err(Verdict::Unknown(cause)) => {
                self.end(row, started).await;
                return Err(cause.into());
            }
        };
        let log = self.logs.last_start(row.slot, release, LOG_LINES).await;
        Err(Error::NotReady { release, serving: row.current, why, log })
    }

    /// Has what has passed take over from what the slot runs for a tenant that had `row`. Where init does not let it, as the slot
    /// is being stopped just now, it is started anew in its place.
    ///
    /// # Errors
    /// Init's, or the registry's.
    pub(crate) async fn take_over(&self, row: &TenantRow, passed: Passed) -> Result<()> {
        let Passed { started, spec, .. } = passed;
        if let Err(cause) = self.init.act(ControlRequest::Promote(started.id, *spec), QUICK).await {
            say!("{}: what was tried does not take over as it is: {cause}", row.name);
            self.end(row, started).await;
            return self.activate(&row.name).await;
        }
        self.is_warm(row, started);
        self.published(row).await
    }

    /// Has the program of a release take over that ran until not long ago and is kept asleep since, or that is shown; whether there
    /// was one. It is known to work, and need not be tried. Routes are still to be published.
    pub(crate) async fn take_known(&self, row: &TenantRow, spec: &LaunchSpec) -> bool {
        let known = match self.warm.take(row.slot, spec.release) {
            Some(started) => Some(started),
            None => self.betas.take(row.slot, spec.release).await,
        };
        let Some(started) = known else { return false };
        if self.init.act(ControlRequest::Promote(started.id, spec.clone()), QUICK).await.is_err() {
            // It has ended since, or has other variables or limits than are wanted now.
            self.end(row, started).await;
            if let Err(cause) = self.publish_routes().await {
                say!("{}: there may be a route to what is shown no longer: {cause}", row.name);
            }
            return false;
        }
        self.is_warm(row, started);
        true
    }

    /// What a tenant ran that had `row` sleeps, under this number, and may be taken back.
    fn is_warm(&self, row: &TenantRow, started: Started) {
        if let Some(release) = row.current {
            self.warm.keep(row.slot, Kept { release, started });
        }
    }

    /// What has taken over is where requests are sent to from now on.
    ///
    /// # Errors
    /// Init's, or the registry's.
    pub(crate) async fn published(&self, row: &TenantRow) -> Result<()> {
        self.publish_routes().await?;
        let name = row.name.clone();
        self.registry.with(move |store| store.settle(&name)).await
    }

    /// Ends what has passed; it is not to take over after all.
    pub(crate) async fn dismiss(&self, row: &TenantRow, passed: Passed) {
        self.end(row, passed.started).await;
    }

    /// How long it took to get ready.
    async fn watch(&self, row: &TenantRow, started: &mut Started) -> std::result::Result<Duration, Verdict> {
        let ask = ask(row);
        let ready_after = step("start it, until it is ready", self.gets_ready(row, started, &ask)).await?;
        let steady = self.config.steady;
        step(&format!("see that it goes on for {} s", steady.as_secs_f32()), goes_on(started, steady)).await?;
        match self.ask_once(started, &ask).await? {
            Some(asked) if !asked.is_ready() => {
                Err(Verdict::Bad(format!("it was ready first, and then {}", words(Some(asked), row))))
            }
            _ => Ok(ready_after),
        }
    }

    async fn gets_ready(
        &self,
        row: &TenantRow,
        started: &mut Started,
        ask: &Ask,
    ) -> std::result::Result<Duration, Verdict> {
        let patience = Duration::from_millis(row.limits.start_timeout_ms.into());
        let (began, mut pause, mut last) = (Instant::now(), FIRST_PAUSE, None);
        loop {
            match self.ask_once(started, ask).await? {
                Some(asked) if asked.is_ready() => return Ok(began.elapsed()),
                Some(asked) => last = Some(asked),
                None => {}
            }
            if began.elapsed() >= patience {
                let why = format!("within {} s it {}", patience.as_secs_f32(), words(last, row));
                return Err(Verdict::Bad(why));
            }
            goes_on(started, pause).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Nothing when nobody was there to ask it.
    async fn ask_once(
        &self,
        Started { id, end, .. }: &mut Started,
        ask: &Ask,
    ) -> std::result::Result<Option<Asked>, Verdict> {
        let asked = tokio::select! {
            biased;
            ended = end => return Err(ended_by_itself(ended)),
            asked = self.init.ask_task(*id, ask.clone(), ANSWER) => asked,
        };
        match asked {
            Ok(asked) => Ok(Some(asked)),
            // It has ended, which is about to be told, or the proxy is being started.
            Err(InitError::Refused(Refusal::Failed(_) | Refusal::Busy(_))) => Ok(None),
            Err(other) => Err(Verdict::Unknown(other)),
        }
    }

    /// Ends what is on trial, and waits for that within its grace.
    pub(crate) async fn end(&self, row: &TenantRow, Started { id, end, .. }: Started) {
        // Init that does not answer is about to end everything.
        let _ = self.init.act(ControlRequest::StopTask(id), QUICK).await;
        let grace = Duration::from_millis(row.limits.stop_grace_ms.into());
        let _ = timeout(grace + QUICK, end).await;
    }
}

/// Looks after a release that has just taken over from `before`: when its program ends by itself again and again, what served
/// before serves again, and the timeline says so. For who has not been told to keep it.
pub(crate) async fn look_after(control: Arc<Control>, name: TenantName, release: ReleaseId, before: ReleaseId) {
    let Ok(row) = control.row(&name).await else { return };
    control.cared.begin(row.slot, release);
    let (first, until) = (control.init.ends(row.slot).failures, Instant::now() + control.config.care);
    while Instant::now() < until {
        sleep(LOOK).await;
        // Ends of what came after it are not its own, also when it serves again.
        if !control.cared.is(row.slot, release) {
            return;
        }
        let end = control.init.ends(row.slot);
        if end.failures.saturating_sub(first) < CRASHES {
            continue;
        }
        let by = format!("the host, as it has ended {CRASHES} times: {}", end.why);
        match control.rollback_from(&name, release, before, &by).await {
            Ok(true) => say!("{name}: {release} ends again and again ({}); {before} serves again", end.why),
            // Another is looked after by now.
            Ok(false) => {}
            Err(Error::Busy(..)) => continue,
            Err(cause) => say!("{name}: {release} ends again and again, and is kept: {cause}"),
        }
        return;
    }
}

/// Why it does not take over.
enum Verdict {
    /// It is no good.
    Bad(String),
    /// It has ended by itself.
    Ended(String),
    /// Nobody can say.
    Unknown(InitError),
}

fn ended_by_itself(ended: std::result::Result<TaskEnd, tokio::sync::oneshot::error::RecvError>) -> Verdict {
    match ended {
        Ok(end) => Verdict::Ended(end.why),
        Err(_) => Verdict::Unknown(InitError::Gone),
    }
}

/// So long.
async fn goes_on(started: &mut Started, time: Duration) -> std::result::Result<(), Verdict> {
    tokio::select! {
        biased;
        ended = &mut started.end => Err(ended_by_itself(ended)),
        () = sleep(time) => Ok(()),
    }
}

/// As a visitor of the tenant's would.
fn ask(row: &TenantRow) -> Ask {
    let shown = row.domains.iter().filter(|given| given.redirect.is_none() && !given.domain.is_wildcard());
    let host = shown.map(|given| given.domain.host().to_owned()).next();
    Ask {
        host: host.unwrap_or_else(|| "localhost".to_owned()),
        path: row.limits.health,
        protocol: row.limits.protocol,
    }
}

/// What one that is not ready does.
fn words(last: Option<Asked>, row: &TenantRow) -> String {
    let path = row.limits.health.map_or_else(String::new, |path| path.to_string());
    match last {
        Some(Asked::Status(status)) => format!("answered {path} with {status}"),
        Some(Asked::Silent) => format!("did not answer {path}"),
        Some(Asked::Refused | Asked::Accepted) => "did not listen on the port in PORT".to_owned(),
        None => "could not be asked, as the proxy was not there".to_owned(),
    }
}
