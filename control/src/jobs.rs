//! Jobs under way, and those that have ended not long ago: what they are, how far they have come, and news of that to whoever
//! follows one. Whatever is part of a job says so with [`step`], and knows no more of it: which job that is goes along with the task,
//! and what is done for no job is told to nobody.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kennel_model::TenantName;
use kennel_model::api::Problem;
use kennel_model::job::{Job, JobState, JobStep};
use tokio::sync::watch;
use tokio::time::Instant;

/// Jobs that have ended and are kept; older ones are in the audit log alone.
const KEPT: usize = 200;
/// Steps of a job that are told of.
const MAX_STEPS: usize = 200;

tokio::task_local! {
    /// What this task is part of.
    static CURRENT: Arc<UnderWay>;
}

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<VecDeque<Arc<UnderWay>>>);

/// A job, and when it began.
#[derive(Debug)]
pub(crate) struct UnderWay {
    since: Instant,
    job: watch::Sender<Job>,
}

/// Ends a job that is dropped before it has ended by itself: with the task that carried it out.
pub(crate) struct Running(Arc<UnderWay>);

impl Jobs {
    /// A new one.
    pub(crate) fn begin(&self, number: u64, act: String, tenant: Option<TenantName>, by: String) -> Running {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let job = Job {
            number,
            act,
            tenant,
            by,
            at_ms: ms(at),
            state: JobState::Running,
            took_ms: None,
            steps: vec![],
            problem: None,
        };
        let begun = Arc::new(UnderWay { since: Instant::now(), job: watch::Sender::new(job) });
        let mut all = self.all();
        all.push_back(Arc::clone(&begun));
        let ended = |one: &Arc<UnderWay>| one.job.borrow().state != JobState::Running;
        while all.len() > KEPT
            && let Some(oldest) = all.iter().position(ended)
        {
            all.remove(oldest);
        }
        Running(begun)
    }

    /// All that are known, the oldest first.
    pub(crate) fn list(&self) -> Vec<Job> {
        self.all().iter().map(|one| one.job.borrow().clone()).collect()
    }

    /// One, and news of it; nothing when it is not known, or not any more.
    pub(crate) fn follow(&self, number: u64) -> Option<watch::Receiver<Job>> {
        let all = self.all();
        all.iter().find(|one| one.job.borrow().number == number).map(|one| one.job.subscribe())
    }

    /// Those of an earlier tenant of this name are not told to whoever looks at the new one.
    pub(crate) fn forget(&self, tenant: &TenantName) {
        self.all().retain(|one| {
            let job = one.job.borrow();
            job.state == JobState::Running || job.tenant.as_ref() != Some(tenant)
        });
    }

    fn all(&self) -> MutexGuard<'_, VecDeque<Arc<UnderWay>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Carries out what it consists of.
    pub(crate) async fn carry_out<T>(&self, acts: impl Future<Output = T>) -> T {
        CURRENT.scope(Arc::clone(&self.0), acts).await
    }

    /// News of it.
    pub(crate) fn follow(&self) -> watch::Receiver<Job> {
        self.0.job.subscribe()
    }

    /// To whom it turned out to be done.
    pub(crate) fn is_of(&self, tenant: Option<TenantName>) {
        if tenant.is_some() {
            self.0.job.send_modify(|job| job.tenant = tenant);
        }
    }

    /// It is over; with what went wrong, if it did.
    pub(crate) fn end(self, problem: Option<Problem>) {
        self.0.end(problem);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let (code, message) = ("internal".to_owned(), "it was broken off".to_owned());
        self.0.end(Some(Problem { code, message, hint: None }));
    }
}

impl UnderWay {
    /// A part of it begins; its place among the steps.
    fn begin_step(&self, name: &str) -> Option<usize> {
        let after_ms = ms(self.since.elapsed());
        let mut place = None;
        self.job.send_if_modified(|job| {
            if job.state != JobState::Running || job.steps.len() >= MAX_STEPS {
                return false;
            }
            let depth = job.steps.iter().filter(|step| step.state == JobState::Running).count();
            let depth = u32::try_from(depth).unwrap_or(u32::MAX);
            place = Some(job.steps.len());
            let (name, state) = (name.to_owned(), JobState::Running);
            job.steps.push(JobStep { name, depth, state, after_ms, took_ms: None });
            true
        });
        place
    }

    fn end_step(&self, place: usize, state: JobState) {
        let now = ms(self.since.elapsed());
        self.job.send_modify(|job| {
            if let Some(step) = job.steps.get_mut(place).filter(|step| step.state == JobState::Running) {
                (step.state, step.took_ms) = (state, Some(now.saturating_sub(step.after_ms)));
            }
        });
    }

    /// The first end counts.
    fn end(&self, problem: Option<Problem>) {
        let now = ms(self.since.elapsed());
        self.job.send_if_modified(|job| {
            if job.state != JobState::Running {
                return false;
            }
            job.state = if problem.is_some() { JobState::Failed } else { JobState::Done };
            (job.took_ms, job.problem) = (Some(now), problem);
            let broken_off = job.state;
            for step in job.steps.iter_mut().filter(|step| step.state == JobState::Running) {
                (step.state, step.took_ms) = (broken_off, Some(now.saturating_sub(step.after_ms)));
            }
            true
        });
    }
}

/// Does a part of the job that this task is part of, if it is of one. Steps that begin within it are parts of it.
pub(crate) async fn step<T, E>(name: &str, part: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let Ok(job) = CURRENT.try_with(Arc::clone) else { return part.await };
    let place = job.begin_step(name);
    let done = part.await;
    if let Some(place) = place {
        job.end_step(place, if done.is_ok() { JobState::Done } else { JobState::Failed });
    }
    done
}

/// For a task of its own that carries out a part of this one's job.
pub(crate) fn within<F: Future>(part: F) -> impl Future<Output = F::Output> {
    let job = CURRENT.try_with(Arc::clone).ok();
    async move {
        match job {
            Some(job) => CURRENT.scope(job, part).await,
            None => part.await,
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(jobs: &Jobs, number: u64) -> Vec<(String, u32, JobState)> {
        let job = jobs.follow(number).unwrap().borrow().clone();
        job.steps.into_iter().map(|step| (step.name, step.depth, step.state)).collect()
    }

    #[tokio::test]
    async fn steps_within_steps_are_told_where_they_are() {
        let jobs = Jobs::default();
        let running = jobs.begin(7, "deploy".into(), None, "anna".into());
        let acts = async {
            step("unpack", async { Ok::<_, ()>(()) }).await?;
            let part = within(async {
                step("start", async { Ok::<_, ()>(()) }).await?;
                step("stay up", async { Err::<(), ()>(()) }).await
            });
            step("try it", async { tokio::spawn(part).await.unwrap() }).await
        };
        assert_eq!(running.carry_out(acts).await, Err(()));
        let problem = Problem { code: "not-ready".into(), message: "no".into(), hint: None };
        running.end(Some(problem.clone()));
        let of = |name: &str, depth, state| (name.to_owned(), depth, state);
        assert_eq!(
            told(&jobs, 7),
            [
                of("unpack", 0, JobState::Done),
                of("try it", 0, JobState::Failed),
                of("start", 1, JobState::Done),
                of("stay up", 1, JobState::Failed)
            ]
        );
        let job = &jobs.list()[0];
        assert_eq!((job.state, job.problem.as_ref()), (JobState::Failed, Some(&problem)));
        assert!(job.took_ms.is_some() && job.steps.iter().all(|step| step.took_ms.is_some()));
        assert!(jobs.follow(8).is_none());
    }

    #[tokio::test]
    async fn what_is_part_of_no_job_is_done_all_the_same() {
        assert_eq!(step("alone", async { Ok::<_, ()>(3) }).await, Ok(3));
        assert_eq!(within(async { 4 }).await, 4);
    }

    #[test]
    fn one_that_is_dropped_has_failed_and_old_ones_go_but_those_that_run() {
        let jobs = Jobs::default();
        let first = jobs.begin(1, "deploy".into(), None, String::new());
        drop(jobs.begin(2, "deploy".into(), None, String::new()));
        assert_eq!(jobs.list()[1].state, JobState::Failed);
        for number in 3..=500 {
            jobs.begin(number, "start".into(), None, String::new()).end(None);
        }
        let kept = jobs.list();
        assert_eq!((kept.len(), kept[0].number, kept[0].state), (KEPT, 1, JobState::Running));
        assert_eq!(kept.last().map(|job| (job.number, job.state)), Some((500, JobState::Done)));
        first.end(None);
        assert_eq!(jobs.list()[0].state, JobState::Done);
    }
}
