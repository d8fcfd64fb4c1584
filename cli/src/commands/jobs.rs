//! `kennel jobs` and `kennel job`: what is being changed on the host, and how it goes on.

use kennel_model::job::{Job, JobState};

use super::Context;
use super::timeline::time;
use crate::args::{JobCommand, Jobs};
use crate::exit::{Exit, Failure};
use crate::ui::{Narration, SafeLines, seconds, step_line, table};

pub(super) async fn jobs(context: &Context, args: &Jobs) -> Result<(), Failure> {
    let mut jobs: Vec<Job> = context.client()?.get("/v1/jobs").await?;
    if let Some(name) = &args.name {
        jobs.retain(|job| job.tenant.as_ref() == Some(name));
    }
    let left_out = jobs.len().saturating_sub(args.lines);
    // Whatever goes on is shown, however old.
    let mut index = 0;
    jobs.retain(|job| {
        index += 1;
        index > left_out || job.state == JobState::Running
    });
    if jobs.is_empty() {
        context
            .ui
            .note("nothing has been changed since the host's control was started; `kennel audit` knows more");
    }
    Ok(context.ui.result(&jobs, |jobs| if jobs.is_empty() { String::new() } else { words(jobs) })?)
}

pub(super) async fn job(context: &Context, command: &JobCommand) -> Result<(), Failure> {
    let mut client = context.client()?;
    match command {
        JobCommand::Show { number } => {
            let job: Job = client.get(&format!("/v1/jobs/{number}")).await?;
            Ok(context.ui.result(&job, whole)?)
        }
        JobCommand::Follow { number } => {
            let number = match number {
                Some(number) => *number,
                None => newest(client.get("/v1/jobs").await?)?,
            };
            let mut told = Narration::default();
            let mut waiting = context.ui.spinner(&format!("following job {number}"));
            let job = client.follow(number, |job| waiting.tell(job, &mut told)).await?;
            drop(waiting);
            context.ui.result(&job, |job| heading(job) + "\n")?;
            ended(&job)
        }
    }
}

/// What runs and began last.
fn newest(jobs: Vec<Job>) -> Result<u64, Failure> {
    let running = jobs.iter().rev().find(|job| job.state == JobState::Running).map(|job| job.number);
    let hint = "`kennel jobs` lists what has ended, `kennel job show N` shows one";
    running.ok_or_else(|| Failure::usage("no job is under way", hint))
}

/// Whoever follows a job ends as it does.
fn ended(job: &Job) -> Result<(), Failure> {
    match &job.problem {
        None => Ok(()),
        Some(problem) => Err(Failure {
            code: problem.code.clone(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
            exit: Exit::Failed,
        }),
    }
}

fn words(jobs: &[Job]) -> String {
    let rows: Vec<[String; 6]> = jobs
        .iter()
        .map(|job| {
            let tenant = job.tenant.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
            let state = match job.steps.iter().rev().find(|step| step.state == job.state) {
                Some(step) if job.state != JobState::Done => format!("{}: {}", job.state.as_str(), step.name),
                _ => job.state.as_str().to_owned(),
            };
            let took = job.took_ms.map_or_else(|| "-".to_owned(), seconds);
            [format!("{} {}", job.number, job.act), tenant, time(job.at_ms), took, job.by.clone(), state]
        })
        .collect();
    safe(&table(["JOB", "TENANT", "BEGAN (UTC)", "TOOK", "BY", "STATE"], &rows))
}

fn whole(job: &Job) -> String {
    let mut text = heading(job) + "\n";
    for (index, step) in job.steps.iter().enumerate() {
        let has_parts = job.steps.get(index + 1).is_some_and(|next| next.depth > step.depth);
        text.push_str(&step_line(step, has_parts));
        text.push('\n');
    }
    if let Some(problem) = &job.problem {
        text.push_str(&format!("  {}\n", problem.message));
        let hint = problem.hint.iter().flat_map(|hint| hint.lines());
        hint.for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    safe(&text)
}

fn heading(job: &Job) -> String {
    let of = job.tenant.as_ref().map(|tenant| format!(" of {tenant}")).unwrap_or_default();
    let took = job.took_ms.map(|ms| format!(" in {}", seconds(ms))).unwrap_or_default();
    format!("job {}, {}{of}: {}{took}", job.number, job.act, job.state.as_str())
}

fn safe(text: &str) -> String {
    SafeLines::new(false).push(text.as_bytes()).join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use kennel_model::api::Problem;
    use kennel_model::job::JobStep;

    use super::*;

    fn failed() -> Job {
        let step = |name: &str, depth, state| JobStep {
            name: name.to_owned(),
            depth,
            state,
            after_ms: 0,
            took_ms: Some(200),
        };
        Job {
            number: 12,
            act: "deploy".into(),
            tenant: Some("blog".parse().unwrap()),
            by: "anna".into(),
            at_ms: 1_793_491_261_250,
            state: JobState::Failed,
            took_ms: Some(3400),
            steps: vec![
                step("receive and unpack release r2", 0, JobState::Done),
                step("try r2 beside r1", 0, JobState::Failed),
                step("start it, until it is ready", 1, JobState::Failed),
                step("remove the files of r2", 0, JobState::Done),
            ],
            problem: Some(Problem {
                code: "not-ready".into(),
                message: "release r2 is not taken into use".into(),
                hint: Some("its log ends with\nno such module\u{1b}[2J".into()),
            }),
        }
    }

    #[test]
    fn a_job_is_a_line_and_tells_where_it_failed() {
        let text = words(&[failed()]);
        let line =
            "12 deploy  blog    2026-11-01 00:01:01.250  3.4 s  anna  failed: start it, until it is ready";
        assert_eq!(text.lines().nth(1), Some(line), "{text}");
        let running = Job { state: JobState::Running, took_ms: None, problem: None, steps: vec![], ..failed() };
        assert!(words(&[running]).lines().nth(1).unwrap().ends_with("anna  running"));
    }

    #[test]
    fn one_is_shown_with_its_steps_and_ends_as_it_did() {
        let text = whole(&failed());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "job 12, deploy of blog: failed in 3.4 s");
        assert_eq!(
            lines[2..5],
            [
                "  try r2 beside r1: failed after 0.2 s",
                "    start it, until it is ready: failed after 0.2 s",
                "  remove the files of r2: 0.2 s"
            ]
        );
        assert_eq!(lines[5..7], ["  release r2 is not taken into use", "  its log ends with"]);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(ended(&failed()).unwrap_err().code, "not-ready");
        assert!(ended(&Job { problem: None, ..failed() }).is_ok());
        assert_eq!(newest(vec![failed()]).unwrap_err().exit, Exit::Usage);
        let running = Job { state: JobState::Running, ..failed() };
        assert_eq!(newest(vec![running, failed()]).unwrap(), 12);
    }
}
