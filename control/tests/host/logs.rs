//! Logs through the API.

use std::io::Write;

use http_body_util::{BodyExt, Empty};
use hyper::{Method, StatusCode};
use kennel_model::api::{Deployed, Problem, Tenant};
use kennel_model::printed::Printed;

use crate::support::{Host, archive, wish};

/// Prints as the program of a release at a place does.
fn print(host: &Host, tenant: &Tenant, file: &str, text: &str) {
    let file = host.config.log_folder(tenant.slot).join(file);
    let mut log = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
    log.write_all(text.as_bytes()).unwrap();
}

/// Release and text of each line.
fn lines(body: &[u8]) -> Vec<(u32, String)> {
    let body = std::str::from_utf8(body).unwrap();
    let lines = body.lines().map(|line| serde_json::from_str::<Printed<'_>>(line).unwrap());
    lines.map(|line| (line.release.0, line.text.into_owned())).collect()
}

fn of(release: u32, texts: &[&str]) -> Vec<(u32, String)> {
    texts.iter().map(|text| (release, (*text).to_owned())).collect()
}

#[tokio::test]
async fn the_last_lines_then_new_ones_until_the_tenant_is_gone() {
    let host = Host::start();
    let operator = host.operator().await;
    let tenant: Tenant = operator.post("/v1/tenants", &wish("blog")).await.expect(StatusCode::CREATED);
    assert_eq!(operator.get("/v1/tenants/blog/logs").await.body, "");
    print(&host, &tenant, "0-1", "one\ntwo\nthree\n");
    assert_eq!(lines(&operator.get("/v1/tenants/blog/logs?lines=2").await.body), of(1, &["two", "three"]));
    assert_eq!(operator.get("/v1/tenants/blog/logs?since=1").await.code(), "bad-request");
    assert_eq!(operator.get("/v1/tenants/shop/logs").await.code(), "no-such-tenant");

    let path = "/v1/tenants/blog/logs?lines=1&follow=true";
    let mut answer = operator.begin(Method::GET, path, "", Empty::new()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let mut text = Vec::new();
    for (wanted, print_next) in [(&["three"][..], "four\n"), (&["three", "four"], "five\n")] {
        while !text.ends_with(b"\n") || lines(&text) != of(1, wanted) {
            text.extend(answer.frame().await.expect("more").unwrap().into_data().unwrap());
        }
        print(&host, &tenant, "0-1", print_next);
    }
    let rest = tokio::spawn(answer.into_body().collect());
    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
    // The last line may or may not be seen before the files go; the stream ends either way.
    let rest = rest.await.unwrap().unwrap().to_bytes();
    assert!(rest.is_empty() || lines(&rest) == of(1, &["five"]), "{rest:?}");
}

#[tokio::test]
async fn a_release_has_its_lines_and_no_others() {
    let host = Host::start();
    let operator = host.operator().await;
    let tenant: Tenant = operator.post("/v1/tenants", &wish("blog")).await.expect(StatusCode::CREATED);
    let get = async |query: &str| operator.get(&format!("/v1/tenants/blog/logs?{query}")).await;
    let problem = get("release=1").await.json::<Problem>();
    assert_eq!(
        (problem.code.as_str(), problem.message.as_str()),
        ("no-such-release", "the tenant blog has never had a release r1")
    );
    for n in 1..=3 {
        operator.deploy("blog", archive(&[("server.js", n)])).await.expect::<Deployed>(StatusCode::CREATED);
    }
    // Two at once, one of which says that it is the other.
    print(&host, &tenant, "0-1", "kennel: starting release 1: node\nfirst\nkennel: starting release 2: node\n");
    print(&host, &tenant, "1-2", "kennel: starting release 2 on trial: node\nsecond\n");
    print(&host, &tenant, "0-1", "still the first\n");
    let first =
        ["kennel: starting release 1: node", "first", "kennel: starting release 2: node", "still the first"];
    assert_eq!(lines(&get("release=1").await.body), of(1, &first));
    assert_eq!(lines(&get("release=1&lines=2").await.body), of(1, &first[2..]));
    assert_eq!(lines(&get("release=2&since_s=60").await.body).len(), 2);
    assert_eq!(lines(&get("lines=10").await.body).len(), 6);

    let file =
        std::fs::File::options().write(true).open(host.config.log_folder(tenant.slot).join("1-2")).unwrap();
    print(&host, &tenant, "1-2", "long ago\n");
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(3600)).unwrap();
    assert_eq!(lines(&get("release=2").await.body).last().unwrap().1, "long ago");
    assert_eq!(lines(&get("release=2&since_s=600").await.body).len(), 2, "it was printed before that");

    for (query, code, message) in [
        ("release=4", "no-such-release", "the tenant blog has never had a release r4"),
        ("release=0", "no-such-release", "the tenant blog has never had a release r0"),
        (
            "release=3",
            "no-lines",
            "the log of blog has no line of r3: it was not started, or what it printed has been displaced by newer lines",
        ),
    ] {
        let problem = get(query).await.json::<Problem>();
        assert_eq!((problem.code.as_str(), problem.message.as_str()), (code, message));
    }
    // One that is kept may print yet.
    let path = "/v1/tenants/blog/logs?release=3&follow=true";
    let mut answer = operator.begin(Method::GET, path, "", Empty::new()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    print(&host, &tenant, "1-2", "not this\n");
    print(&host, &tenant, "0-3", "this\n");
    let told = answer.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(lines(&told), of(3, &["this"]));
}

#[tokio::test]
async fn a_follower_that_hangs_up_gives_its_place_back() {
    let host = Host::start_with(&crate::uploads::user_data(), |config| config.http.connections = 2);
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    for _ in 0..6 {
        let follow = "/v1/tenants/blog/logs?follow=true";
        let answer = operator.begin(Method::GET, follow, "", Empty::new()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        drop(answer);
    }
    assert_eq!(operator.get("/v1/ping").await.status, StatusCode::OK);
}
