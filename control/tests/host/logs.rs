//! Logs through the API.

use std::io::Write;

use http_body_util::{BodyExt, Empty};
use hyper::{Method, StatusCode};
use kennel_model::api::Tenant;

use crate::support::{Host, wish};

fn print(host: &Host, tenant: &Tenant, text: &str) {
    let file = host.config.current_log(tenant.slot);
    let mut log = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
    log.write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn the_last_lines_then_new_ones_until_the_tenant_is_gone() {
    let host = Host::start();
    let operator = host.operator().await;
    let tenant: Tenant = operator.post("/v1/tenants", &wish("blog")).await.expect(StatusCode::CREATED);
    assert_eq!(operator.get("/v1/tenants/blog/logs").await.body, "");
    print(&host, &tenant, "one\ntwo\nthree\n");
    assert_eq!(operator.get("/v1/tenants/blog/logs?lines=2").await.body, "two\nthree\n");
    assert_eq!(operator.get("/v1/tenants/blog/logs?since=1").await.code(), "bad-request");
    assert_eq!(operator.get("/v1/tenants/shop/logs").await.code(), "no-such-tenant");

    let path = "/v1/tenants/blog/logs?lines=1&follow=true";
    let mut answer = operator.begin(Method::GET, path, "", Empty::new()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    let mut text = String::new();
    for (wanted, print_next) in [("three\n", "four\n"), ("three\nfour\n", "five\n")] {
        while text != wanted {
            let piece = answer.frame().await.expect("more").unwrap().into_data().unwrap();
            text.push_str(std::str::from_utf8(&piece).unwrap());
        }
        print(&host, &tenant, print_next);
    }
    let rest = tokio::spawn(answer.into_body().collect());
    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
    // The last line may or may not be seen before the files go; the stream ends either way.
    let rest = rest.await.unwrap().unwrap().to_bytes();
    assert!(rest.is_empty() || rest == "five\n", "{rest:?}");
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
