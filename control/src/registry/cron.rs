//! Rows of jobs. When one is due next stands here too: a run is planned on disk before it begins, so that whatever happens none
//! is begun twice, and those that were due while nobody was there to begin them are known.

use kennel_model::TenantName;
use kennel_model::cron::{Job, LastRun, MAX_JOBS, Missed, NewJob};
use rusqlite::{OptionalExtension as _, Row, params};

use super::{Store, json, now_s};
use crate::error::{Error, Result};

/// Which job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    /// Whose.
    pub tenant: TenantName,
    /// Its number there.
    pub number: u32,
}

const COLUMNS: &str = "number, schedule, zone, jobs.command, timeout_s, overlap, by, jobs.created_at_s, next_at_s, \
     last_at_s, last_took_ms, last_code, last_why, missed, missed_at_s, missed_why";

impl Store {
    /// A tenant's jobs, in their order.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`], or the database's.
    pub fn jobs(&mut self, name: &TenantName) -> Result<Vec<Job>> {
        let tenant = self.tenant_id(name)?;
        let query = format!("SELECT {COLUMNS} FROM jobs WHERE tenant = ?1 ORDER BY number");
        let mut query = self.db.prepare_cached(&query)?;
        let rows = query.query_map([tenant], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
        rows.into_iter().map(checked).collect()
    }

    /// Those of all tenants that are whole.
    ///
    /// # Errors
    /// The database's.
    pub fn all_jobs(&mut self) -> Result<Vec<(JobId, Job)>> {
        let query = format!(
            "SELECT {COLUMNS}, tenants.name FROM jobs JOIN tenants ON tenants.id = jobs.tenant \
             WHERE tenants.phase = 'ready' ORDER BY tenants.name, number"
        );
        let mut query = self.db.prepare_cached(&query)?;
        let rows = query.query_map([], |row| Ok((read(row)?, row.get::<_, String>(16)?)))?;
        rows.map(|row| {
            let (job, name) = row?;
            let job = checked(job)?;
            let tenant = super::checked("tenant", TenantName::new(name))?;
            Ok((JobId { tenant, number: job.number }, job))
        })
        .collect()
    }

    /// Keeps one, and gives it its number.
    ///
    /// # Errors
    /// [`Error::NoSuchTenant`], [`Error::TooManyJobs`], or the database's.
    pub fn add_job(
        &mut self,
        name: &TenantName,
        wish: &NewJob,
        by: &str,
        next_at_s: Option<u64>,
    ) -> Result<Job> {
        let tenant = self.tenant_id(name)?;
        let work = self.db.transaction()?;
        let (count, number): (usize, u32) = work.query_row(
            "SELECT (SELECT count(*) FROM jobs WHERE tenant = ?1), next_job FROM tenants WHERE id = ?1",
            [tenant],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if count >= MAX_JOBS {
            return Err(Error::TooManyJobs(name.clone()));
        }
        let command = json(&wish.command)?;
        let created_at_s = now_s();
        work.execute(
            "INSERT INTO jobs (tenant, number, schedule, zone, command, timeout_s, overlap, by, created_at_s, next_at_s) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![tenant, number, wish.schedule, wish.zone, command, wish.timeout_s, wish.overlap, by, created_at_s, next_at_s],
        )?;
        work.execute("UPDATE tenants SET next_job = next_job + 1 WHERE id = ?1", [tenant])?;
        work.commit()?;
        let wish = wish.clone();
        Ok(Job {
            number,
            wish,
            by: by.to_owned(),
            created_at_s,
            next_at_s,
            running: 0,
            last: None,
            missed: None,
        })
    }

    /// Forgets one.
    ///
    /// # Errors
    /// [`Error::NoSuchJob`], [`Error::NoSuchTenant`], or the database's.
    pub fn remove_job(&mut self, id: &JobId) -> Result<()> {
        let tenant = self.tenant_id(&id.tenant)?;
        let removed = self
            .db
            .execute("DELETE FROM jobs WHERE tenant = ?1 AND number = ?2", params![tenant, id.number])?;
        if removed == 0 { Err(Error::NoSuchJob(id.tenant.clone(), id.number)) } else { Ok(()) }
    }

    /// When jobs are due next, all in one go; those that are gone are left out.
    ///
    /// # Errors
    /// The database's.
    pub fn plan_jobs(&mut self, plans: &[(JobId, Option<u64>)]) -> Result<()> {
        let work = self.db.transaction()?;
        for (id, next_at_s) in plans {
            work.prepare_cached(
                "UPDATE jobs SET next_at_s = ?3 \
                 WHERE tenant = (SELECT id FROM tenants WHERE name = ?1) AND number = ?2",
            )?
            .execute(params![id.tenant.as_str(), id.number, next_at_s])?;
        }
        Ok(work.commit()?)
    }

    /// A run is over.
    ///
    /// # Errors
    /// The database's. That the job is gone is none.
    pub fn job_ran(&mut self, id: &JobId, run: &LastRun) -> Result<()> {
        self.db.execute(
            "UPDATE jobs SET last_at_s = ?3, last_took_ms = ?4, last_code = ?5, last_why = ?6 \
             WHERE tenant = (SELECT id FROM tenants WHERE name = ?1) AND number = ?2",
            params![id.tenant.as_str(), id.number, run.at_s, run.took_ms, run.code, run.why],
        )?;
        Ok(())
    }

    /// Runs did not begin.
    ///
    /// # Errors
    /// The database's. That the job is gone is none.
    pub fn job_missed(&mut self, id: &JobId, missed: &Missed) -> Result<()> {
        self.db.execute(
            "UPDATE jobs SET missed = missed + ?3, missed_at_s = ?4, missed_why = ?5 \
             WHERE tenant = (SELECT id FROM tenants WHERE name = ?1) AND number = ?2",
            params![id.tenant.as_str(), id.number, missed.count, missed.at_s, missed.why],
        )?;
        Ok(())
    }

    fn tenant_id(&self, name: &TenantName) -> Result<i64> {
        let found =
            self.db.query_row("SELECT id FROM tenants WHERE name = ?1", [name.as_str()], |row| row.get(0));
        found.optional()?.ok_or_else(|| Error::NoSuchTenant(name.to_string()))
    }
}

/// A row as it stands there; its command is not read yet.
fn read(row: &Row<'_>) -> rusqlite::Result<(Job, String)> {
    let wish = NewJob {
        schedule: row.get(1)?,
        zone: row.get(2)?,
        command: vec![],
        timeout_s: row.get(4)?,
        overlap: row.get(5)?,
    };
    let last_at_s: Option<u64> = row.get(9)?;
    let last = match last_at_s {
        Some(at_s) => Some(LastRun { at_s, took_ms: row.get(10)?, code: row.get(11)?, why: row.get(12)? }),
        None => None,
    };
    let missed = match row.get(13)? {
        0 => None,
        count => Some(Missed { count, at_s: row.get(14)?, why: row.get(15)? }),
    };
    let job = Job {
        number: row.get(0)?,
        wish,
        by: row.get(6)?,
        created_at_s: row.get(7)?,
        next_at_s: row.get(8)?,
        running: 0,
        last,
        missed,
    };
    Ok((job, row.get(3)?))
}

fn checked((mut job, command): (Job, String)) -> Result<Job> {
    job.wish.command =
        serde_json::from_str(&command).map_err(|_| Error::Damaged(format!("a job's command {command:?}")))?;
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::super::testing::with_tenant;
    use super::*;

    fn wish() -> NewJob {
        NewJob {
            schedule: "* * * * *".into(),
            zone: "UTC".into(),
            command: vec!["node".into(), "job.js".into()],
            timeout_s: 60,
            overlap: false,
        }
    }

    #[test]
    fn jobs_keep_their_numbers_and_what_became_of_them() {
        let (mut store, name) = with_tenant();
        let first = store.add_job(&name, &wish(), "me", Some(60)).unwrap();
        let second = store.add_job(&name, &wish(), "me", None).unwrap();
        assert_eq!((first.number, second.number), (1, 2));
        let id = |number| JobId { tenant: name.clone(), number };
        store.remove_job(&id(2)).unwrap();
        assert!(matches!(store.remove_job(&id(2)), Err(Error::NoSuchJob(_, 2))));
        assert_eq!(store.add_job(&name, &wish(), "me", None).unwrap().number, 3, "a number is not used again");
        let run = LastRun { at_s: 60, took_ms: 5, code: 3, why: "exited with code 3".into() };
        store.job_ran(&id(1), &run).unwrap();
        let missed = |count| Missed { count, at_s: 180, why: "the host was down".into() };
        store.job_missed(&id(1), &missed(2)).unwrap();
        store.job_missed(&id(1), &missed(1)).unwrap();
        store.plan_jobs(&[(id(1), Some(240)), (id(2), Some(7)), (id(3), None)]).unwrap();
        let jobs = store.jobs(&name).unwrap();
        assert_eq!(jobs[0], Job { next_at_s: Some(240), last: Some(run), missed: Some(missed(3)), ..first });
        assert_eq!(store.all_jobs().unwrap().iter().map(|(id, _)| id.number).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn there_are_not_endlessly_many_and_they_go_with_their_tenant() {
        let (mut store, name) = with_tenant();
        for _ in 0..MAX_JOBS {
            store.add_job(&name, &wish(), "me", None).unwrap();
        }
        assert!(matches!(store.add_job(&name, &wish(), "me", None), Err(Error::TooManyJobs(_))));
        store.begin_removal(&name).unwrap();
        assert!(store.all_jobs().unwrap().is_empty());
        store.forget(&name).unwrap();
        assert!(matches!(store.jobs(&name), Err(Error::NoSuchTenant(_))));
    }
}
