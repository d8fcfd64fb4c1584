//! Jobs: commands of tenants' that run by the clock, as tasks beside their programs. What is due is planned on disk before it
//! begins, so that none is begun twice; a run that was due while nobody could begin it is not made up for, but said.

mod timetable;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kennel_model::cron::{Job, LastRun, MAX_SCHEDULE_BYTES, MAX_TIMEOUT_S, Missed, NewJob};
use kennel_model::msg::ControlRequest;
use kennel_model::task::{TaskEnd, TaskIo};
use kennel_model::{TenantName, command};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep, timeout};

use crate::control::{Control, QUICK};
use crate::error::{Error, Result};
use crate::init::Started;
use crate::registry::{JobId, now_s};
use crate::say;
use timetable::Timetable;

/// Runs at a time on the host; others wait.
const AT_ONCE: usize = 4;
/// The clock is looked at at least so often: somebody may set it.
const LOOK: Duration = Duration::from_secs(20);
/// A run that comes later than this is none.
const GRACE_S: u64 = 60;
/// How long a run may wait for its turn.
const TURN: Duration = Duration::from_secs(300);

/// What runs by the clock now.
pub(crate) struct Cron {
    /// Somebody has changed what there is.
    changed: Notify,
    running: Mutex<HashMap<JobId, u32>>,
    places: Semaphore,
}

impl Default for Cron {
    fn default() -> Self {
        Self { changed: Notify::new(), running: Mutex::default(), places: Semaphore::new(AT_ONCE) }
    }
}

/// A run, from when it is due to its end.
struct Running<'c> {
    cron: &'c Cron,
    id: JobId,
}

impl Cron {
    fn count(&self, id: &JobId) -> u32 {
        self.lock().get(id).copied().unwrap_or(0)
    }

    /// Nothing when its last run is not over and it is not to overlap.
    fn begin(&self, id: &JobId, overlap: bool) -> Option<Running<'_>> {
        let mut running = self.lock();
        let count = running.entry(id.clone()).or_default();
        if *count > 0 && !overlap {
            return None;
        }
        *count += 1;
        Some(Running { cron: self, id: id.clone() })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, u32>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut running = self.cron.lock();
        if let Some(count) = running.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.id);
            }
        }
    }
}

impl Control {
    /// A tenant's jobs.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`].
    pub(crate) async fn timetable(&self, name: &TenantName) -> Result<Vec<Job>> {
        let wanted = name.clone();
        let mut jobs = self.registry.with(move |store| store.jobs(&wanted)).await?;
        for job in &mut jobs {
            job.running = self.cron.count(&JobId { tenant: name.clone(), number: job.number });
        }
        Ok(jobs)
    }

    /// Makes one.
    ///
    /// # Errors
    /// [`Error::InvalidJob`] says what is wrong with it; and others.
    pub(crate) async fn add_job(&self, name: &TenantName, wish: NewJob, by: String) -> Result<Job> {
        let table = checked(&wish)?;
        let row = self.ready(name).await?;
        let next = table
            .after(now_s())
            .ok_or_else(|| Error::InvalidJob(format!("the schedule {:?} is never due", wish.schedule)))?;
        let job = self.registry.with(move |store| store.add_job(&row.name, &wish, &by, Some(next))).await?;
        self.cron.changed.notify_one();
        Ok(job)
    }

    /// Forgets one. A run of it that is not over goes on.
    ///
    /// # Errors
    /// [`Error::NoSuchJob`] and others.
    pub(crate) async fn remove_job(&self, name: &TenantName, number: u32) -> Result<()> {
        let id = JobId { tenant: name.clone(), number };
        self.registry.with(move |store| store.remove_job(&id)).await
    }

    /// Runs one now, whatever the clock says, and whether or not it runs already. Answered when it has been begun.
    ///
    /// # Errors
    /// [`Error::NoSuchJob`], [`Error::NotDeployed`] and others.
    pub(crate) async fn run_job_now(self: Arc<Self>, name: &TenantName, number: u32) -> Result<Job> {
        let find = |jobs: Vec<Job>| jobs.into_iter().find(|job| job.number == number);
        let none = || Error::NoSuchJob(name.clone(), number);
        let job = find(self.timetable(name).await?).ok_or_else(none)?;
        let id = JobId { tenant: name.clone(), number };
        let started = self.begin_task(name, job.wish.command.clone(), TaskIo::Log).await?;
        let control = Arc::clone(&self);
        tokio::spawn(async move {
            let Some(_running) = control.cron.begin(&id, true) else { return };
            control.see_through(&id, &job, Ok(started)).await;
        });
        // It has begun, whether or not that is counted already.
        find(self.timetable(name).await?).ok_or_else(none)
    }

    /// Begins what is due, until control ends.
    pub(crate) async fn keep_jobs(self: Arc<Self>) {
        loop {
            let pause = match self.look_at_jobs().await {
                Ok(next) => {
                    next.map_or(LOOK, |next| Duration::from_secs(next.saturating_sub(now_s())).min(LOOK))
                }
                Err(cause) => {
                    say!("jobs cannot be looked at: {cause}");
                    LOOK
                }
            };
            // Never twice within the second that something is due in.
            tokio::select! { () = sleep(pause.max(Duration::from_millis(200))) => {}, () = self.cron.changed.notified() => {} }
        }
    }

    /// Begins what is due; the answer is when something is due next.
    async fn look_at_jobs(self: &Arc<Self>) -> Result<Option<u64>> {
        let jobs = self.registry.with(|store| store.all_jobs()).await?;
        let now = now_s();
        let (mut plans, mut due, mut first) = (vec![], vec![], None::<u64>);
        for (id, job) in jobs {
            // One that was written by another version may know more than this one.
            let Ok(table) = checked(&job.wish) else { continue };
            let next = table.after(now);
            let planned = job.next_at_s.filter(|planned| *planned <= now);
            // The clock may have been set back meanwhile.
            if planned.is_some() || job.next_at_s > next || job.next_at_s.is_none() {
                plans.push((id.clone(), next));
            }
            first = [first, next].into_iter().flatten().min();
            if let Some(planned) = planned {
                due.push((id, job, table.count(planned, now)));
            }
        }
        if !plans.is_empty() {
            self.registry.with(move |store| store.plan_jobs(&plans)).await?;
        }
        for (id, job, (count, last)) in due {
            let late = now.saturating_sub(last) > GRACE_S;
            let missed = if late { count } else { count - 1 };
            if missed > 0 {
                let why = "the host was down, busy, or had another time".to_owned();
                self.miss(&id, Missed { count: missed, at_s: last, why }).await;
            }
            if !late {
                let control = Arc::clone(self);
                tokio::spawn(async move { control.run_job(id, job, last).await });
            }
        }
        Ok(first)
    }

    /// One run that is due, from its turn to its end.
    async fn run_job(&self, id: JobId, job: Job, at_s: u64) {
        let Some(_running) = self.cron.begin(&id, job.wish.overlap) else {
            let why = "the run before it was not over".to_owned();
            return self.miss(&id, Missed { count: 1, at_s, why }).await;
        };
        let Ok(Ok(_place)) = timeout(TURN, self.cron.places.acquire()).await else {
            let why = format!("{AT_ONCE} others ran on the host for {} s", TURN.as_secs());
            return self.miss(&id, Missed { count: 1, at_s, why }).await;
        };
        let started = self.begin_task(&id.tenant, job.wish.command.clone(), TaskIo::Log).await;
        self.see_through(&id, &job, started).await;
    }

    /// Waits for a run's end, or brings it about when its time is over, and writes down what became of it.
    async fn see_through(&self, id: &JobId, job: &Job, started: Result<Started>) {
        let (at_s, begun) = (now_s(), Instant::now());
        let TaskEnd { code, why } = match started {
            Ok(started) => self.ended(started, Duration::from_secs(job.wish.timeout_s.into())).await,
            Err(cause) => TaskEnd { code: 127, why: cause.to_string() },
        };
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (whose, run) = (id.clone(), LastRun { at_s, took_ms, code, why });
        if let Err(cause) = self.registry.with(move |store| store.job_ran(&whose, &run)).await {
            say!("{}: what became of job {} is not kept: {cause}", id.tenant, id.number);
        }
    }

    async fn ended(&self, mut started: Started, limit: Duration) -> TaskEnd {
        let gone = TaskEnd { code: 255, why: "the host's init has gone".to_owned() };
        if let Ok(end) = timeout(limit, &mut started.end).await {
            return end.unwrap_or(gone);
        }
        // Init kills it when its grace is over, which is a minute at most.
        let _ = self.init.act(ControlRequest::StopTask(started.id), QUICK).await;
        let why = format!("it took longer than {} s and was ended", limit.as_secs());
        started.end.await.map_or(gone, |end| TaskEnd { code: end.code, why })
    }

    async fn miss(&self, id: &JobId, missed: Missed) {
        let whose = id.clone();
        if let Err(cause) = self.registry.with(move |store| store.job_missed(&whose, &missed)).await {
            say!("{}: a missed run of job {} is not kept: {cause}", id.tenant, id.number);
        }
    }
}

/// Its timetable, if it is one that can be.
fn checked(wish: &NewJob) -> Result<Timetable> {
    if wish.command.is_empty() {
        return Err(Error::InvalidJob("there is no command to run".into()));
    }
    if wish.schedule.len() > MAX_SCHEDULE_BYTES || wish.zone.len() > MAX_SCHEDULE_BYTES {
        return Err(Error::InvalidJob(format!("a schedule has {MAX_SCHEDULE_BYTES} bytes at most")));
    }
    if !(1..=MAX_TIMEOUT_S).contains(&wish.timeout_s) {
        return Err(Error::InvalidJob(format!("a job may take 1 to {MAX_TIMEOUT_S} seconds")));
    }
    command::check(&wish.command).map_err(|bad| Error::InvalidJob(bad.to_string()))?;
    Timetable::new(&wish.schedule, &wish.zone).map_err(Error::InvalidJob)
}
