//! `kennel cron`: what runs by the clock.

use kennel_model::TenantName;
use kennel_model::cron::{Job, NewJob};

use super::{Context, tenant_path};
use crate::args::CronCommand;
use crate::exit::Failure;
use crate::ui::{SafeLines, ago, table, until};

pub(super) async fn cron(context: &Context, command: CronCommand) -> Result<(), Failure> {
    match command {
        CronCommand::Add { name, schedule, zone, timeout, overlap, command } => {
            let never = || Failure::usage("a job cannot take for ever", "`--timeout 24h` is the longest");
            let timeout_s = timeout.0.ok_or_else(never)?;
            add(context, &name, &NewJob { schedule, zone, command, timeout_s, overlap }).await
        }
        CronCommand::Ls { name } => ls(context, &name).await,
        CronCommand::Run { name, number } => {
            let job: Job = context.client()?.act(&format!("{}/{number}/run", path(&name))).await?;
            Ok(context.ui.result(&job, |job| {
                format!(
                    "job {} of {name} has been begun; `kennel logs -f {name}` shows what it prints\n",
                    job.number
                )
            })?)
        }
        CronCommand::Rm { name, number } => {
            context.client()?.delete(&format!("{}/{number}", path(&name))).await?;
            context.ui.note(&format!("job {number} of {name} is removed"));
            Ok(())
        }
    }
}

fn path(name: &TenantName) -> String {
    format!("{}/cron", tenant_path(name))
}

async fn add(context: &Context, name: &TenantName, wish: &NewJob) -> Result<(), Failure> {
    let job: Job = context.client()?.post(&path(name), wish).await?;
    Ok(context.ui.result(&job, |job| {
        let next = job.next_at_s.map_or_else(|| "never".to_owned(), until);
        format!("job {} of {name} is due {next}, by the clock of {}\n", job.number, job.wish.zone)
    })?)
}

async fn ls(context: &Context, name: &TenantName) -> Result<(), Failure> {
    let jobs: Vec<Job> = context.client()?.get(&path(name)).await?;
    Ok(context.ui.result(&jobs, |jobs| words(name, jobs))?)
}

fn words(name: &TenantName, jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return format!("{name} has no jobs; make one: kennel cron add {name} '0 4 * * *' -- node job.js\n");
    }
    let rows: Vec<[String; 6]> = jobs
        .iter()
        .map(|job| {
            let when = format!("{} {}", job.wish.schedule, job.wish.zone);
            let next = job.next_at_s.map_or_else(|| "never".to_owned(), until);
            [job.number.to_string(), when, next, last(job), missed(job), job.wish.command.join(" ")]
        })
        .collect();
    let text = table(["JOB", "WHEN", "NEXT", "LAST", "MISSED", "COMMAND"], &rows);
    // A command is whatever somebody has typed.
    SafeLines::new(false).push(text.as_bytes()).join("\n") + "\n"
}

fn last(job: &Job) -> String {
    match (&job.last, job.running) {
        (_, 1..) => "running".to_owned(),
        (Some(run), _) if run.code == 0 => format!("{}, took {:.1} s", ago(run.at_s), seconds(run.took_ms)),
        (Some(run), _) => format!("{}: {}", ago(run.at_s), run.why),
        (None, _) => "-".to_owned(),
    }
}

fn missed(job: &Job) -> String {
    let missed = job.missed.as_ref();
    missed.map_or_else(|| "-".to_owned(), |m| format!("{}, {}: {}", m.count, ago(m.at_s), m.why))
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kennel_model::cron::{LastRun, Missed};

    #[test]
    fn a_job_is_a_line_that_says_what_became_of_it() {
        let wish = NewJob {
            schedule: "0 4 * * *".into(),
            zone: "UTC".into(),
            command: vec!["node".into(), "\u{1b}[2J".into()],
            timeout_s: 600,
            overlap: false,
        };
        let fresh = Job {
            number: 1,
            wish,
            by: "SHA256:me".into(),
            created_at_s: 0,
            next_at_s: None,
            running: 0,
            last: None,
            missed: None,
        };
        let run = |code, why: &str| LastRun { at_s: 0, took_ms: 1500, code, why: why.into() };
        let name = "blog".parse().unwrap();
        let line = |job: Job| words(&name, &[job]).lines().nth(1).unwrap().to_owned();
        assert!(line(fresh.clone()).starts_with("1    0 4 * * * UTC  never  -"), "{}", line(fresh.clone()));
        assert!(!line(fresh.clone()).contains('\u{1b}'));
        let good = Job { last: Some(run(0, "exited with code 0")), ..fresh.clone() };
        assert!(line(good).contains("days ago, took 1.5 s"));
        let bad = Job { last: Some(run(3, "exited with code 3")), ..fresh.clone() };
        assert!(line(bad.clone()).contains("days ago: exited with code 3"));
        assert!(line(Job { running: 1, ..bad }).contains("running"));
        let missed = Some(Missed { count: 7, at_s: 0, why: "the host was down".into() });
        assert!(line(Job { missed, ..fresh }).contains("7, "));
        assert!(words(&name, &[]).contains("kennel cron add blog"));
    }
}
