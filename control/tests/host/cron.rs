//! What runs by the clock: made, listed, run and removed; begun when it is due, once, and what was missed is said.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use kennel_model::api::Tenant;
use kennel_model::cron::{Job, NewJob};
use serde_json::json;

use crate::support::client::Client;
use crate::support::{Host, deployed, wish};

const PATH: &str = "/v1/tenants/blog/cron";

async fn jobs(operator: &Client) -> Vec<Job> {
    operator.get(PATH).await.expect(StatusCode::OK)
}

/// Asks until the first job is as wanted.
async fn until(operator: &Client, wanted: impl Fn(&Job) -> bool) -> Job {
    for _ in 0..600 {
        let job = jobs(operator).await.remove(0);
        if wanted(&job) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {:?}", jobs(operator).await);
}

/// For the test of every operation.
pub(crate) async fn each_operation(operator: &Client, name: &str) {
    let path = format!("/v1/tenants/{name}/cron");
    let daily = json!({ "schedule": "@daily", "command": ["complain"] });
    let made: Job = operator.post(&path, &daily).await.expect(StatusCode::CREATED);
    assert_eq!((made.number, made.wish.zone.as_str(), made.wish.timeout_s), (1, "UTC", 600));
    assert_eq!(operator.post(&format!("{path}/1/run"), &()).await.status, StatusCode::ACCEPTED);
    for _ in 0..600 {
        let jobs: Vec<Job> = operator.get(&path).await.expect(StatusCode::OK);
        if jobs[0].last.is_some() && jobs[0].running == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let jobs: Vec<Job> = operator.get(&path).await.expect(StatusCode::OK);
    let last = jobs[0].last.as_ref().expect("it has run");
    assert_eq!((last.code, last.why.as_str()), (3, "exited with code 3"));
    assert_eq!(operator.delete(&format!("{path}/1")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(operator.delete(&format!("{path}/1")).await.code(), "no-such-job");
    assert_eq!(operator.post(&format!("{path}/1/run"), &()).await.code(), "no-such-job");
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Control ends, this is done to its registry, and control starts again.
async fn meanwhile(host: &mut Host, act: &str, at_s: u64) -> Client {
    host.stop();
    let db = rusqlite::Connection::open(host.config.registry_file()).unwrap();
    db.execute(act, [at_s]).unwrap();
    drop(db);
    host.restart();
    host.operator().await
}

fn runs(host: &Host) -> usize {
    host.world.lock().requests.iter().filter(|r| format!("{r:?}").starts_with("RunTask")).count()
}

#[tokio::test]
async fn what_is_due_is_begun_once_and_what_was_due_meanwhile_is_missed() {
    let (mut host, operator) = deployed().await;
    // A minute that does not end while this goes on.
    if now_s() % 60 > 40 {
        tokio::time::sleep(Duration::from_secs(60 - now_s() % 60)).await;
    }
    let minute = now_s() / 60 * 60;
    let schedule = format!("{} * * * *", minute / 60 % 60);
    let wish = json!({ "schedule": schedule, "command": ["complain"] });
    let made: Job = operator.post(PATH, &wish).await.expect(StatusCode::CREATED);
    assert_eq!(made.next_at_s, Some(minute + 3600));
    // It was due three times while control was not there, the last time just now.
    let operator = meanwhile(&mut host, "UPDATE jobs SET next_at_s = ?1 - 7200", minute).await;
    let job = until(&operator, |job| job.last.is_some() && job.running == 0).await;
    assert_eq!((job.last.unwrap().code, job.next_at_s), (3, Some(minute + 3600)));
    let missed = job.missed.unwrap();
    assert_eq!((missed.count, missed.at_s), (2, minute));
    assert!(missed.why.contains("the host was down"));
    assert_eq!(runs(&host), 1);
    // What is long over is not made up for; and a time that is too far ahead is one of a clock that was wrong.
    let old = "UPDATE jobs SET schedule = '0 0 1 1 *', next_at_s = ?1 - 400 * 86400";
    let operator = meanwhile(&mut host, old, minute).await;
    let job = until(&operator, |job| job.missed.as_ref().unwrap().count > 2).await;
    assert!(job.next_at_s.unwrap() > minute);
    let ahead = "UPDATE jobs SET next_at_s = ?1 + 4000 * 86400";
    let operator = meanwhile(&mut host, ahead, minute).await;
    let next = until(&operator, |next| next.next_at_s == job.next_at_s).await;
    assert_eq!((next.missed, runs(&host)), (job.missed, 1));
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_ended_and_said() {
    let (host, operator) = deployed().await;
    let wish = json!({ "schedule": "@daily", "command": ["wait"], "timeout_s": 1 });
    operator.post(PATH, &wish).await.expect::<Job>(StatusCode::CREATED);
    assert_eq!(operator.post(&format!("{PATH}/1/run"), &()).await.status, StatusCode::ACCEPTED);
    let job = until(&operator, |job| job.last.is_some() && job.running == 0).await;
    let last = job.last.unwrap();
    assert_eq!((last.code, last.why.as_str()), (143, "it took longer than 1 s and was ended"));
    assert!(host.world.lock().tasks.is_empty());
}

#[tokio::test]
async fn a_run_that_cannot_begin_is_a_run_that_failed() {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    operator
        .post(PATH, &json!({ "schedule": "@daily", "command": ["cat"] }))
        .await
        .expect::<Job>(StatusCode::CREATED);
    assert_eq!(operator.post(&format!("{PATH}/1/run"), &()).await.code(), "not-deployed");
}

#[tokio::test]
async fn what_cannot_be_a_job_is_none() {
    let (_host, operator) = deployed().await;
    let good = NewJob {
        schedule: "* * * * *".into(),
        zone: "UTC".into(),
        command: vec!["node".into()],
        timeout_s: 60,
        overlap: false,
    };
    let bad = [
        NewJob { schedule: "* * * *".into(), ..good.clone() },
        NewJob { schedule: "0 0 31 2 *".into(), ..good.clone() },
        NewJob { schedule: "* ".repeat(60), ..good.clone() },
        NewJob { zone: "Nowhere".into(), ..good.clone() },
        NewJob { command: vec![], ..good.clone() },
        NewJob { command: vec!["x".repeat(9000)], ..good.clone() },
        NewJob { timeout_s: 0, ..good.clone() },
        NewJob { timeout_s: 86_401, ..good.clone() },
    ];
    for wish in bad {
        assert_eq!(operator.post(PATH, &wish).await.code(), "invalid-job", "{wish:?}");
    }
    for _ in 0..16 {
        operator.post(PATH, &good).await.expect::<Job>(StatusCode::CREATED);
    }
    assert_eq!(operator.post(PATH, &good).await.code(), "too-many-jobs");
    assert_eq!(operator.delete(&format!("{PATH}/x")).await.code(), "bad-request");
    assert_eq!(operator.get("/v1/tenants/nobody/cron").await.code(), "no-such-tenant");
}
