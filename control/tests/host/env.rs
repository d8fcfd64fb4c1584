//! The environment of tenants' programs: what reaches init, what is told of it, and what is on the disk.

use hyper::StatusCode;
use kennel_model::ReleaseId;
use kennel_model::SlotId;
use kennel_model::api::{Deployed, ReleaseState, RolledBack, Tenant};
use kennel_model::env::{EnvChanged, EnvVariable};
use kennel_model::seeing::Transition;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::{Host, archive, wish};

const ENV: &str = "/v1/tenants/blog/env";
const SECRET: &str = "hunter2-hunter2";

/// A host with the tenant `blog`, which is not deployed.
async fn made() -> (Host, Client) {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    (host, operator)
}

async fn deploy(operator: &Client) -> Deployed {
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect(StatusCode::CREATED)
}

async fn change(operator: &Client, wish: Value) -> EnvChanged {
    operator.post(ENV, &wish).await.expect(StatusCode::OK)
}

/// What the next start would have, as `NAME=VALUE`.
fn given(host: &Host) -> Vec<String> {
    let world = host.world.lock();
    let spec = world.slots[&SlotId::new(0).unwrap()].spec.clone().unwrap();
    spec.env.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect()
}

/// Every operation once; the tenant has a release before and after.
pub(crate) async fn each_operation(operator: &Client, name: &str) {
    let path = format!("/v1/tenants/{name}/env");
    let changed: EnvChanged = operator.post(&path, &json!({"set": {"A": "1"}})).await.expect(StatusCode::OK);
    let release = changed.release.unwrap();
    assert_eq!((release.state, changed.tenant.current), (ReleaseState::Serving, Some(release.id)));
    assert!(release.files.is_some_and(|files| files < release.id));
    let listed: Vec<EnvVariable> = operator.get(&path).await.expect(StatusCode::OK);
    assert_eq!(listed, [EnvVariable { name: "A".parse().unwrap(), since: Some(release.id) }]);
}

#[tokio::test]
async fn a_change_is_a_release_of_the_same_files() {
    let (mut host, operator) = made().await;
    let before = change(&operator, json!({"set": {"COLOUR": "red"}})).await;
    assert_eq!((before.release, before.variables[0].since), (None, None));
    deploy(&operator).await;
    assert_eq!(given(&host), ["COLOUR=red"], "the first release begins with it");
    let changed = change(&operator, json!({"set": {"SIZE": "9 px\n", "COLOUR": "blue"}})).await;
    let release = changed.release.unwrap();
    assert_eq!((release.id, release.files), (ReleaseId(2), Some(ReleaseId(1))));
    assert_eq!(given(&host), ["COLOUR=blue", "SIZE=9 px\n"]);
    {
        let world = host.world.lock();
        let slot = &world.slots[&SlotId::new(0).unwrap()];
        assert_eq!(slot.releases, [1].into(), "no files were written");
        let spec = slot.running.as_ref().unwrap();
        assert_eq!((spec.release, spec.files), (ReleaseId(2), ReleaseId(1)));
        assert_eq!(world.routes.clone().unwrap().routes[0].release, Some(ReleaseId(2)), "the proxy is told");
    }
    let same = change(&operator, json!({"set": {"COLOUR": "blue"}})).await;
    assert_eq!((same.release, same.tenant.current), (None, Some(ReleaseId(2))), "nothing to do");
    change(&operator, json!({"unset": ["COLOUR"]})).await;
    assert_eq!(deploy(&operator).await.release.id, ReleaseId(4));
    assert_eq!(given(&host), ["SIZE=9 px\n"], "a deploy keeps it");
    let back = operator.post("/v1/tenants/blog/rollback", &json!({"to": 2})).await;
    back.expect::<RolledBack>(StatusCode::OK);
    assert_eq!(given(&host), ["COLOUR=blue", "SIZE=9 px\n"], "a rollback brings back what the release had");
    let listed: Vec<EnvVariable> = operator.get(ENV).await.expect(StatusCode::OK);
    assert_eq!(listed.iter().map(|v| v.since).collect::<Vec<_>>(), [Some(ReleaseId(2)); 2]);
    host.stop();
    host.world.cut_power();
    host.restart();
    let _operator = host.operator().await;
    assert_eq!(given(&host), ["COLOUR=blue", "SIZE=9 px\n"], "after a boot, too");
}

#[tokio::test]
async fn one_with_which_the_program_does_not_stay_up_changes_nothing() {
    let (host, operator) = made().await;
    deploy(&operator).await;
    change(&operator, json!({"set": {"COLOUR": "red"}})).await;
    host.world.lock().broken.insert(3);
    let answer = operator.post(ENV, &json!({"set": {"COLOUR": SECRET}})).await;
    assert_eq!(answer.code(), "does-not-start");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("release r3 does not stay up") && !text.contains(SECRET), "{text}");
    let tenant: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
    let releases: Vec<_> = tenant.releases.iter().map(|release| release.id.0).collect();
    assert_eq!((tenant.current, releases), (Some(ReleaseId(2)), vec![1, 2]));
    assert_eq!(given(&host), ["COLOUR=red"]);
    deploy(&operator).await;
    assert_eq!(given(&host), ["COLOUR=red"]);
}

#[tokio::test]
async fn values_are_nowhere_to_be_read() {
    let (mut host, operator) = made().await;
    deploy(&operator).await;
    change(&operator, json!({"set": {"KEY": SECRET}})).await;
    let no = |what: &str, bytes: &[u8]| {
        assert!(!bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "in {what}");
    };
    for path in ["/v1/tenants/blog", ENV, "/v1/tenants/blog/releases", "/v1/tenants/blog/timeline"] {
        no(path, &operator.get(path).await.body);
    }
    let timeline: Vec<Transition> = operator.get("/v1/tenants/blog/timeline").await.expect(StatusCode::OK);
    assert!(
        timeline.iter().any(|change| change.reason.starts_with("environment changed, set KEY: r2 by SHA256:"))
    );
    no("what init was asked, in words", format!("{:?}", host.world.lock().requests).as_bytes());
    host.stop();
    let mut files = 0;
    for entry in std::fs::read_dir(&host.config.control_dir).unwrap() {
        let path = entry.unwrap().path();
        no(&path.display().to_string(), &std::fs::read(&path).unwrap());
        files += 1;
    }
    assert!(files >= 3, "the registry, the certificate and the key");
    std::fs::remove_file(host.config.env_key_file()).unwrap();
    host.world.cut_power();
    host.restart();
    let operator = host.operator().await;
    let lost = operator.get(ENV).await;
    assert_eq!(lost.code(), "internal", "without the key nothing can be opened");
    assert!(
        String::from_utf8_lossy(&lost.body).contains("the environment of blog cannot be opened with env.key")
    );
    assert!(
        host.world.lock().slots[&SlotId::new(0).unwrap()].spec.is_none(),
        "and it does not run without its own"
    );
}

#[tokio::test]
async fn what_cannot_be_set_says_why_and_changes_nothing() {
    let (host, operator) = made().await;
    assert_eq!(operator.get("/v1/tenants/other/env").await.code(), "no-such-tenant");
    deploy(&operator).await;
    change(&operator, json!({"set": {"A": "1"}})).await;
    let asked = host.world.lock().requests.len();
    let large: serde_json::Map<String, Value> =
        (0..3).map(|n| (format!("L{n}"), SECRET.repeat(400).into())).collect();
    for (wish, code, words) in [
        (json!({"set": {"PORT": SECRET}}), "invalid-env", "PORT is set by the host"),
        (json!({"set": {"KENNEL_TENANT": SECRET}}), "invalid-env", "KENNEL_TENANT is set by the host"),
        (json!({"set": {"9A": SECRET}}), "bad-request", "variable \\\"9A\\\" is not valid"),
        (json!({"set": {"A": format!("{SECRET}\0")}}), "bad-request", "a value holds a control character"),
        (json!({"set": {"A": [SECRET]}}), "bad-request", "a value is a text"),
        (json!({"set": {"A": SECRET.repeat(1000)}}), "bad-request", "a value is longer than 8192 bytes"),
        (json!({"set": large}), "invalid-env", "the environment is longer than 16384 bytes"),
        (json!({"unset": ["B"]}), "no-such-variable", "blog has no variable B"),
        (json!({"set": {"A": SECRET}, "unset": ["A"]}), "invalid-env", "A is to be set and unset"),
        (json!({"clear": true}), "bad-request", "unknown field"),
    ] {
        let answer = operator.post(ENV, &wish).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.code(), code, "{text}");
        assert!(text.contains(words) && !text.contains(SECRET), "{text}");
    }
    assert_eq!(host.world.lock().requests.len(), asked, "init was asked for nothing");
    assert_eq!(given(&host), ["A=1"]);
}
