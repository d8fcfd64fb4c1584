//! Jobs: how a change goes on is told live to whoever asked for it and to whoever follows it, and to nobody whose tenant it is not.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, StatusCode};
use kennel_model::TenantName;
use kennel_model::api::{NewTenant, Tenant};
use kennel_model::job::{ANSWER, Answered, EVENTS, JOB, Job, JobState};
use kennel_model::task::Asked;
use kennel_model::{Limits, ReleaseId};
use serde_json::{Value, json};

use crate::support::client::{Client, key};
use crate::support::openapi::{document, errors};
use crate::support::{Host, archive, two_tenants, wish};

/// The events of a stream: each one's name and data.
fn events(text: &str) -> Vec<(String, Value)> {
    let blocks = text.split_terminator("\n\n").filter(|block| !block.starts_with(':'));
    let field = |block: &str, name: &str| {
        let value = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.unwrap_or_else(|| panic!("no {name} in {block:?}")).to_owned()
    };
    blocks.map(|block| (field(block, "event"), serde_json::from_str(&field(block, "data")).unwrap())).collect()
}

/// A request whose client would see its job: the media type of what came, and all of it.
async fn live(client: &Client, path: &str, media_type: &str, body: Vec<u8>) -> (StatusCode, String, String) {
    let body = Full::new(Bytes::from(body));
    let accept = format!("application/json, {EVENTS}");
    let answer = client.begin_accepting(Method::POST, path, (media_type, &accept), body).await.unwrap();
    let (status, shown) = (answer.status(), answer.headers()["content-type"].to_str().unwrap().to_owned());
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    (status, shown, String::from_utf8(text.to_vec()).unwrap())
}

/// What the last event but one says of the job, and what the last one has.
fn ended(text: &str) -> (Job, Answered<Value>) {
    let mut events = events(text);
    let (name, answer) = events.pop().unwrap();
    assert_eq!(name, ANSWER);
    assert!(events.len() > 1 && events.iter().all(|(name, _)| name == JOB), "{events:?}");
    for (_, job) in &events {
        assert_eq!(errors(&document()["components"]["schemas"]["Job"], job, "job"), [""; 0]);
    }
    let jobs: Vec<Job> = events.into_iter().map(|(_, job)| serde_json::from_value(job).unwrap()).collect();
    let (last, before) = jobs.split_last().unwrap();
    assert!(before.iter().all(|job| job.state == JobState::Running), "{before:?}");
    (last.clone(), serde_json::from_value(answer).unwrap())
}

fn steps(job: &Job) -> Vec<(&str, u32, JobState)> {
    job.steps.iter().map(|step| (step.name.as_str(), step.depth, step.state)).collect()
}

/// A host whose tenant `blog` has what is new tried.
async fn with_trials() -> (Host, Client) {
    let host = Host::start();
    let operator = host.operator().await;
    let health = Some("/healthz".parse().unwrap());
    let limits = Limits { health, start_timeout_ms: 200, ..Limits::default() };
    let blog = NewTenant { limits, ..wish("blog") };
    operator.post("/v1/tenants", &blog).await.expect::<Tenant>(StatusCode::CREATED);
    (host, operator)
}

const RELEASES: &str = "/v1/tenants/blog/releases";
const TAR: &str = "application/x-tar";

#[tokio::test]
async fn a_deploy_is_seen_step_by_step_and_answered_by_its_last_event() {
    let (_host, operator) = with_trials().await;
    let (status, shown, text) = live(&operator, RELEASES, TAR, archive(&[("server.js", 1)])).await;
    assert_eq!((status, shown.as_str()), (StatusCode::OK, EVENTS));
    let (job, answer) = ended(&text);
    assert_eq!((job.act.as_str(), job.tenant.as_ref()), ("deploy", Some(&TenantName::new("blog").unwrap())));
    assert_eq!((job.state, job.problem.clone()), (JobState::Done, None));
    assert!(job.by.starts_with("SHA256:") && job.took_ms.is_some(), "{job:?}");
    let told = steps(&job);
    let names: Vec<_> = told.iter().map(|(name, depth, _)| (*name, *depth)).collect();
    assert_eq!(
        names[..3],
        [("receive and unpack release r1", 0), ("try r1", 0), ("start it, until it is ready", 1)]
    );
    assert!(names[3].0.starts_with("see that it goes on for ") && names[3].1 == 1, "{names:?}");
    assert_eq!(names[4..], [("switch to it", 0)]);
    assert!(told.iter().all(|(_, _, state)| *state == JobState::Done), "{told:?}");
    assert_eq!(answer.status, 201);
    assert_eq!(answer.body.unwrap()["release"]["id"], json!(1));
    // It is known afterwards, under the number that it has in the audit log.
    let path = format!("/v1/jobs/{}", job.number);
    assert_eq!(operator.get(&path).await.expect::<Job>(StatusCode::OK), job);
    let listed: Vec<Job> = operator.get("/v1/jobs").await.expect(StatusCode::OK);
    assert_eq!(listed.last(), Some(&job));
    assert_eq!(listed[0].act, "add-tenant");
    assert_eq!(listed[0].tenant, job.tenant, "which only its body has told");
    let followed = operator.get(&format!("{path}/events")).await;
    let followed = events(std::str::from_utf8(&followed.body).unwrap());
    assert_eq!(followed, [(JOB.to_owned(), serde_json::to_value(&job).unwrap())]);
}

#[tokio::test]
async fn one_that_fails_says_in_which_step_and_why() {
    let (host, operator) = with_trials().await;
    let (_, _, text) = live(&operator, RELEASES, TAR, archive(&[("server.js", 1)])).await;
    assert_eq!(ended(&text).1.status, 201);
    host.world.lock().asked = vec![Asked::Status(503); 1000].into();
    let (status, _, text) = live(&operator, RELEASES, TAR, archive(&[("server.js", 2)])).await;
    assert_eq!(status, StatusCode::OK, "there was a job to be told of");
    let (job, answer) = ended(&text);
    let problem = job.problem.clone().unwrap();
    assert_eq!((job.state, problem.code.as_str()), (JobState::Failed, "not-ready"));
    let told = steps(&job);
    assert_eq!(
        told[1..3],
        [("try r2 beside r1", 0, JobState::Failed), ("start it, until it is ready", 1, JobState::Failed)]
    );
    assert_eq!(told[3..], [("remove the files of r2", 0, JobState::Done)]);
    assert_eq!((answer.status, answer.body), (422, Some(serde_json::to_value(&problem).unwrap())));
    let tenant: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
    assert_eq!(tenant.current, Some(ReleaseId(1)));
}

#[tokio::test]
async fn what_is_refused_before_there_is_a_job_is_answered_as_ever() {
    let (host, operator) = with_trials().await;
    let (status, shown, text) = live(&host.stranger(), RELEASES, TAR, vec![]).await;
    assert_eq!((status, shown.as_str()), (StatusCode::UNAUTHORIZED, "application/json"));
    assert!(text.contains("sign-in-required"), "{text}");
    // What is no job is not told of, however it is asked for.
    let token = json!({"name": "ci", "scope": "read", "account": null});
    let (status, shown, _) =
        live(&operator, "/v1/tokens", "application/json", serde_json::to_vec(&token).unwrap()).await;
    assert_ne!((status, shown.as_str()), (StatusCode::OK, EVENTS));
    assert_eq!(operator.get("/v1/jobs/999").await.code(), "unknown-job");
    assert_eq!(operator.get("/v1/jobs/999/events").await.code(), "unknown-job");
    assert_eq!(operator.get("/v1/jobs/x").await.code(), "bad-request");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_a_job_that_others_follow() {
    let (host, operator) = with_trials().await;
    host.world.lock().asked = [Asked::Refused, Asked::Refused, Asked::Status(200)].into();
    let body = Full::new(Bytes::from(archive(&[("server.js", 1)])));
    let begun = operator.begin_accepting(Method::POST, RELEASES, (TAR, EVENTS), body).await.unwrap();
    let mut body = begun.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    let job: Job = serde_json::from_value(events(std::str::from_utf8(&first).unwrap())[0].1.clone()).unwrap();
    assert_eq!(job.state, JobState::Running);
    drop(body);
    let followed = operator.get(&format!("/v1/jobs/{}/events", job.number)).await;
    let (_, last) = events(std::str::from_utf8(&followed.body).unwrap()).pop().unwrap();
    let last: Job = serde_json::from_value(last).unwrap();
    assert_eq!((last.number, last.state), (job.number, JobState::Done));
    let tenant: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
    assert_eq!(tenant.current, Some(ReleaseId(1)));
}

#[tokio::test]
async fn others_see_the_jobs_of_their_tenants() {
    let (host, operator) = two_tenants().await;
    let keys = [key(9).public_key().to_openssh().unwrap()];
    let anna = json!({"name": "anna", "role": "viewer", "tenants": ["blog"], "keys": keys});
    assert_eq!(operator.post("/v1/accounts", &anna).await.status, StatusCode::CREATED);
    let mut viewer = host.stranger();
    viewer.sign_in(&key(9)).await;
    let all: Vec<Job> = operator.get("/v1/jobs").await.expect(StatusCode::OK);
    let theirs: Vec<Job> = viewer.get("/v1/jobs").await.expect(StatusCode::OK);
    let is_blogs = |job: &&Job| job.tenant.as_ref().is_some_and(|name| name.as_str() == "blog");
    assert!(all.len() > theirs.len() && !theirs.is_empty());
    assert_eq!(theirs, all.iter().filter(is_blogs).cloned().collect::<Vec<_>>());
    let others = all.iter().find(|job| !is_blogs(job)).unwrap().number;
    assert_eq!(viewer.get(&format!("/v1/jobs/{others}")).await.code(), "unknown-job");
    assert_eq!(viewer.get(&format!("/v1/jobs/{others}/events")).await.code(), "unknown-job");
    // Another tenant of the same name is another's.
    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    let of_new: Vec<Job> = operator.get("/v1/jobs").await.expect(StatusCode::OK);
    let of_new: Vec<_> = of_new.iter().filter(is_blogs).map(|job| job.act.as_str()).collect();
    assert_eq!(of_new, ["add-tenant"]);
}

/// For the test of every operation.
pub(crate) async fn each_operation(operator: &Client) {
    let all: Vec<Job> = operator.get("/v1/jobs").await.expect(StatusCode::OK);
    let last = all.last().unwrap().number;
    operator.get(&format!("/v1/jobs/{last}")).await.expect::<Job>(StatusCode::OK);
    assert_eq!(operator.get(&format!("/v1/jobs/{last}/events")).await.status, StatusCode::OK);
}
