//! `kennel jobs`, `kennel job`, and changes that tell of their steps, against the stand-in for a host.

use http_body_util::{BodyExt, Full};
use hyper::Response;
use kennel_model::api::Problem;
use kennel_model::job::{ANSWER, Answered, EVENTS, JOB, Job, JobState, JobStep};
use serde_json::{Value, json};

use crate::support::{Answer, at_home, error, result};

/// The stand-in's job, so far along.
fn job(state: JobState, steps: &[(&str, u32, JobState)]) -> Job {
    let took = |state| (state != JobState::Running).then_some(1500);
    let step = |(name, depth, state): &(&str, u32, JobState)| JobStep {
        name: (*name).to_owned(),
        depth: *depth,
        state: *state,
        after_ms: 0,
        took_ms: took(*state),
    };
    let problem = (state == JobState::Failed).then(|| Problem {
        code: "not-ready".into(),
        message: "release r2 is not taken into use".into(),
        hint: Some("mend it".into()),
    });
    Job {
        number: 41,
        act: "deploy".into(),
        tenant: Some("blog".parse().unwrap()),
        by: "anna".into(),
        at_ms: 1_793_491_261_250,
        state,
        took_ms: took(state),
        steps: steps.iter().map(step).collect(),
        problem,
    }
}

/// As it is while it goes on, and at its end.
fn course(end: JobState) -> [Job; 3] {
    use JobState::{Done, Running};
    [
        job(Running, &[("receive \u{1b}[2Jand unpack", 0, Running)]),
        job(
            Running,
            &[("receive \u{1b}[2Jand unpack", 0, Done), ("try r2", 0, Running), ("start it", 1, Running)],
        ),
        job(end, &[("receive \u{1b}[2Jand unpack", 0, Done), ("try r2", 0, end), ("start it", 1, end)]),
    ]
}

fn event(name: &str, data: &impl serde::Serialize) -> String {
    format!("event: {name}\ndata: {}\n\n", serde_json::to_string(data).unwrap())
}

fn events(jobs: &[Job]) -> String {
    jobs.iter().map(|job| event(JOB, job)).collect()
}

fn streamed(text: String) -> Answer {
    Response::builder().header("content-type", EVENTS).body(Full::from(text)).unwrap()
}

/// An answer as it comes to whoever wants to see its job.
pub(crate) async fn live(answer: Answer) -> Answer {
    let (head, body) = answer.into_parts();
    let body: Option<Value> = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).ok();
    let end = if head.status.is_success() { JobState::Done } else { JobState::Failed };
    let last = event(ANSWER, &Answered { status: head.status.as_u16(), body });
    streamed(events(&course(end)) + &last)
}

/// The stand-in's answers about jobs.
pub(crate) fn answer(path: &str) -> Option<Answer> {
    let [_, running, done] = course(JobState::Done);
    let [.., failed] = course(JobState::Failed);
    Some(match path {
        "/v1/jobs" => crate::support::json(200, &[Job { number: 40, ..failed }, running]),
        "/v1/jobs/40" => crate::support::json(200, &Job { number: 40, ..failed }),
        "/v1/jobs/40/events" => streamed(events(&[Job { number: 40, ..failed }])),
        "/v1/jobs/41/events" => streamed(events(&[course(JobState::Done)[0].clone(), done])),
        _ => return None,
    })
}

#[test]
fn what_is_under_way_and_what_was_are_lines() {
    let (home, _host) = at_home();
    let text = String::from_utf8(home.kennel(&["jobs"]).output().unwrap().stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[1].starts_with("40 deploy  blog  ") && lines[1].ends_with("1.5 s  anna  failed: start it"),
        "{text}"
    );
    assert!(
        lines[2].starts_with("41 deploy  blog  ") && lines[2].ends_with("anna  running: start it"),
        "{text}"
    );
    let one = result(&home.kennel(&["jobs", "blog", "-n", "0", "--json"]).output().unwrap());
    assert_eq!(
        (one.as_array().unwrap().len(), &one[0]["number"]),
        (1, &json!(41)),
        "what runs is always shown"
    );
    let none = home.kennel(&["jobs", "shop"]).output().unwrap();
    assert!(String::from_utf8_lossy(&none.stderr).contains("nothing has been changed"), "{none:?}");
    let shown = String::from_utf8(home.kennel(&["job", "show", "40"]).output().unwrap().stdout).unwrap();
    assert!(shown.starts_with("job 40, deploy of blog: failed in 1.5 s\n  receive "), "{shown}");
    assert!(
        shown.contains("\n    start it: failed after 1.5 s\n  release r2 is not taken into use\n  mend it\n")
    );
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    let missing = home.kennel(&["job", "show", "7", "--json"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn who_follows_a_job_sees_its_steps_and_ends_as_it_does() {
    let (home, _host) = at_home();
    let done = home.kennel(&["job", "follow"]).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "following job 41", "the one that runs");
    assert_eq!(lines[2..], ["  try r2:", "    start it: 1.5 s"], "{said}");
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "job 41, deploy of blog: done in 1.5 s\n");
    let failed = home.kennel(&["job", "follow", "40", "--json"]).output().unwrap();
    assert_eq!((failed.status.code(), error(&failed)["code"].as_str()), (Some(1), Some("not-ready")));
}

#[test]
fn a_change_shows_its_steps_and_is_answered_as_ever() {
    let (home, host) = at_home();
    home.file("site/server.js", "x");
    host.state.lock().unwrap().live = true;
    for args in [&["rollback", "blog"][..], &["deploy", "blog", "site"]] {
        let done = home.kennel(args).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[lines.len() - 2..], ["  try r2:", "    start it: 1.5 s"], "{said}");
        assert!(!said.contains('\u{1b}') && done.status.success(), "{said:?}");
        assert!(String::from_utf8(done.stdout).unwrap().starts_with("release r1 of blog serves"));
    }
    let quiet = home.kennel(&["rollback", "blog", "--json"]).output().unwrap();
    assert_eq!((result(&quiet)["from"].clone(), quiet.stderr.len()), (json!(2), 0));
    let refused = home.kennel(&["rollback", "blog", "--to", "9", "--json"]).output().unwrap();
    assert_eq!((refused.status.code(), error(&refused)["code"].as_str()), (Some(2), Some("no-such-release")));
}
