//! What a Procfile says beside `web`: run once before a release is tried, or kept running beside its program.

use hyper::StatusCode;
use kennel_model::api::{Deployed, Problem};
use kennel_model::found::{Found, Process as Said};
use kennel_model::msg::ControlRequest;
use kennel_model::process::Process;
use kennel_model::task::TaskIo;
use kennel_model::{ReleaseId, SlotId};
use serde_json::json;

use crate::support::client::Client;
use crate::support::{Host, deployed};
use crate::uploads::telling;

const PATH: &str = "/v1/tenants/blog/processes";

/// A release whose Procfile has these lines.
fn procfile(lines: &[(&str, Result<&str, &str>)]) -> Vec<u8> {
    let said = lines.iter().map(|(name, command)| Said {
        name: name.parse().unwrap(),
        command: command.map(|line| line.split(' ').map(str::to_owned).collect()).map_err(str::to_owned),
    });
    telling(&Found { top: vec!["server.js".into()], processes: said.collect(), ..Found::default() })
}

/// What was run beside the program, and printed into the log: in which release, and what.
fn ran(host: &Host) -> Vec<(u32, String)> {
    let world = host.world.lock();
    let tasks = world.requests.iter().filter_map(|request| match request {
        ControlRequest::RunTask { spec, io: TaskIo::Log, .. } => Some((spec.release.0, spec.argv.join(" "))),
        _ => None,
    });
    tasks.collect()
}

/// What of that runs now.
fn running(host: &Host) -> Vec<(u32, String)> {
    let world = host.world.lock();
    let those = world.tasks.values().filter(|task| task.spec.argv[0].starts_with("./") && !task.stopped);
    those.map(|task| (task.spec.release.0, task.spec.argv.join(" "))).collect()
}

async fn until(operator: &Client, done: impl Fn(&[Process]) -> bool) -> Vec<Process> {
    for _ in 0..6000 {
        let all: Vec<Process> = operator.get(PATH).await.expect(StatusCode::OK);
        if done(&all) {
            return all;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the processes are never so");
}

/// For the test of every operation.
pub(crate) async fn each_operation(operator: &Client, name: &str) {
    let path = format!("/v1/tenants/{name}/processes");
    let all: Vec<Process> = operator.get(&path).await.expect(StatusCode::OK);
    assert_eq!((all.len(), all[0].name.as_str()), (1, "web"));
    let none = json!({ "processes": { "worker": 0 } });
    assert_eq!(operator.post(&path, &none).await.expect::<Vec<Process>>(StatusCode::OK), all);
    let one = json!({ "processes": { "worker": 1 } });
    assert_eq!(operator.post(&path, &one).await.code(), "no-such-process");
}

#[tokio::test]
async fn a_process_runs_as_often_as_is_wished_in_what_serves() {
    let (host, operator) = deployed().await;
    let lines = [("worker", Ok("./wait for work")), ("clock", Ok("./wait an hour"))];
    let made: Deployed = operator.deploy("blog", procfile(&lines)).await.expect(StatusCode::CREATED);
    let said = "worker in Procfile is not run yet: `kennel scale blog worker=1` does";
    assert_eq!((made.notes.len(), made.notes[0].as_str()), (2, said));
    let all: Vec<Process> = operator.get(PATH).await.expect(StatusCode::OK);
    let names: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.wanted, one.running)).collect();
    assert_eq!(names, [("web", 1, 0), ("worker", 0, 0), ("clock", 0, 0)]);
    assert!(ran(&host).is_empty());

    let wish = json!({ "processes": { "worker": 2, "clock": 1 } });
    operator.post(PATH, &wish).await.expect::<Vec<Process>>(StatusCode::OK);
    until(&operator, |all| all[1].running == 2 && all[2].running == 1).await;
    let worker = |release: u32| (release, "./wait for work".to_owned());
    assert_eq!(running(&host).iter().filter(|one| **one == worker(2)).count(), 2);

    // Those go on in the next release that has the line; the wish for the other is kept.
    let made: Deployed = operator.deploy("blog", procfile(&lines[..1])).await.expect(StatusCode::CREATED);
    assert!(made.notes.is_empty(), "{:?}", made.notes);
    let all = until(&operator, |all| all[1].running == 2 && all[2].running == 0).await;
    assert_eq!((all[2].name.as_str(), all[2].wanted, &all[2].command), ("clock", 1, &None));
    assert_eq!(running(&host), [worker(3), worker(3)]);

    // Back with a rollback.
    operator.post("/v1/tenants/blog/rollback", &json!({})).await.expect::<serde_json::Value>(StatusCode::OK);
    until(&operator, |all| all[1].running == 2 && all[2].running == 1).await;
    assert_eq!(running(&host).iter().filter(|one| **one == worker(2)).count(), 2);
    let wish = json!({ "processes": { "worker": 0 } });
    operator.post(PATH, &wish).await.expect::<Vec<Process>>(StatusCode::OK);
    until(&operator, |all| all[1].running == 0).await;
    assert_eq!(running(&host), [(2, "./wait an hour".to_owned())]);
    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
    assert!(running(&host).is_empty());
}

#[tokio::test]
async fn one_that_ends_is_begun_again_and_its_end_is_told() {
    let (host, operator) = deployed().await;
    operator
        .deploy("blog", procfile(&[("worker", Ok("./complain"))]))
        .await
        .expect::<Deployed>(StatusCode::CREATED);
    let wish = json!({ "processes": { "worker": 1 } });
    operator.post(PATH, &wish).await.expect::<Vec<Process>>(StatusCode::OK);
    let all = until(&operator, |all| all[1].last.is_some()).await;
    let last = all[1].last.as_ref().unwrap();
    assert_eq!((last.release, last.why.as_str()), (ReleaseId(2), "exited with code 3"));
    let before = ran(&host).len();
    until(&operator, |_| ran(&host).len() > before).await;
}

#[tokio::test]
async fn control_that_begins_anew_begins_them_anew() {
    let (mut host, operator) = deployed().await;
    operator
        .deploy("blog", procfile(&[("worker", Ok("./wait"))]))
        .await
        .expect::<Deployed>(StatusCode::CREATED);
    let wish = json!({ "processes": { "worker": 1 } });
    operator.post(PATH, &wish).await.expect::<Vec<Process>>(StatusCode::OK);
    until(&operator, |all| all[1].running == 1).await;
    let before = ran(&host).len();
    host.restart();
    let operator = host.operator().await;
    until(&operator, |all| all[1].running == 1).await;
    assert_eq!(ran(&host).len(), before + 1);
}

#[tokio::test]
async fn what_is_to_run_before_a_release_is_tried_decides_whether_it_is() {
    let (host, operator) = deployed().await;
    operator
        .deploy("blog", procfile(&[("release", Ok("./npm run migrate"))]))
        .await
        .expect::<Deployed>(StatusCode::CREATED);
    assert_eq!(ran(&host), [(2, "./npm run migrate".to_owned())]);
    let all: Vec<Process> = operator.get(PATH).await.expect(StatusCode::OK);
    assert_eq!(all.len(), 1, "it is none that goes on");
    let slot = SlotId::new(0).unwrap();
    std::fs::write(host.config.log_folder(slot).join("1-3"), "kennel: running x\nno such table\n").unwrap();
    for (line, why) in
        [(Ok("./complain"), "exited with code 3"), (Err("`a && b` is for a shell"), "for a shell")]
    {
        let refused = operator.deploy("blog", procfile(&[("release", line)])).await;
        let problem: Problem = refused.expect(StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem.code, "release-failed");
        assert!(problem.message.contains(why), "{}", problem.message);
        if line.is_ok() {
            assert!(problem.hint.unwrap().contains("no such table"));
        }
        let world = host.world.lock();
        assert_eq!(world.slots[&slot].spec.as_ref().map(|spec| spec.release), Some(ReleaseId(2)));
        assert_eq!(world.slots[&slot].releases.iter().collect::<Vec<_>>(), [&1, &2], "nothing of it is left");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_changes_nothing() {
    let (host, operator) = deployed().await;
    let lines = [("worker", Ok("./wait")), ("odd", Err("`x | y` is for a shell"))];
    let made: Deployed = operator.deploy("blog", procfile(&lines)).await.expect(StatusCode::CREATED);
    assert!(made.notes[0].starts_with("odd in Procfile cannot be run: `x | y`"), "{:?}", made.notes);
    for (wish, code) in [
        (json!({ "web": 2 }), "invalid-scale"),
        (json!({ "release": 1 }), "invalid-scale"),
        (json!({ "worker": 5 }), "invalid-scale"),
        (json!({ "worker": 1, "odd": 1 }), "no-such-process"),
        (json!({ "a b": 1 }), "bad-request"),
        (json!({ "worker": -1 }), "bad-request"),
    ] {
        let wish = json!({ "processes": wish });
        assert_eq!(operator.post(PATH, &wish).await.code(), code, "{wish}");
    }
    let all: Vec<Process> = operator.get(PATH).await.expect(StatusCode::OK);
    assert!(all.iter().skip(1).all(|one| (one.wanted, one.running) == (0, 0)));
    assert!(ran(&host).is_empty());
    assert_eq!(operator.get("/v1/tenants/nobody/processes").await.code(), "no-such-tenant");
}
