//! Waking: once, for everyone who waits, and no longer than needed.

use std::time::Duration;

use kennel_model::ReleaseId;
use kennel_model::msg::{FromProxy, Refusal, Rung, ToProxy};
use kennel_model::routes::Route;
use kennel_proxy::Limits;
use tokio::task::JoinSet;

use crate::rig::*;

#[tokio::test]
async fn fifty_requests_start_a_program_once() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let mut visitors = JoinSet::new();
    for _ in 0..50 {
        let mut sender = proxy.connect().await;
        let request = hyper::Request::get("/").header("host", "a.example").body(empty()).unwrap();
        visitors.spawn(async move { Answer::read(sender.send_request(request).await.unwrap()).await });
    }
    assert_eq!(proxy.init.woken_and(Ok(())).await, claim.slot);
    let program = hello(claim.slot).await;
    while let Some(answer) = soon(visitors.join_next()).await {
        assert_eq!(answer.unwrap().text(), "hello");
    }
    assert_eq!(program.requests(), 50);
    proxy.init.nothing_more();
}

#[tokio::test]
async fn a_program_that_listens_already_is_not_woken() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = hello(claim.slot).await;
    assert_eq!(proxy.get("a.example", "/").await.text(), "hello");
    proxy.init.nothing_more();
}

#[tokio::test]
async fn the_end_of_the_program_before_is_not_the_end_of_this_one() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let starts = async {
        let (id, slot) = proxy.init.woken().await;
        proxy.init.say(&ToProxy::Down(slot));
        proxy.init.say(&ToProxy::Wake { id, slot, result: Ok(Rung::Stopped) });
        hello(claim.slot).await
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn after_a_failed_start_the_next_request_tries_again() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let refused = Err(Refusal::Failed("no memory".into()));
    let (answer, _) = tokio::join!(proxy.get("a.example", "/"), proxy.init.woken_and(refused));
    assert_eq!(answer.status(), 503);
    let starts = async {
        proxy.init.woken_and(Ok(())).await;
        hello(claim.slot).await
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn a_killed_program_is_started_again_by_the_next_request() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let program = hello(claim.slot).await;
    assert_eq!(proxy.get("a.example", "/").await.text(), "hello");
    // Its connections are still kept by the proxy, which has not heard of its end yet.
    drop(program);
    let starts = async {
        proxy.init.woken_and(Ok(())).await;
        hello(claim.slot).await
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!(answer.text(), "hello");
}

#[tokio::test]
async fn a_visitor_who_leaves_takes_nothing_with_him() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let mut leaver = proxy.connect().await;
    let request = hyper::Request::get("/").header("host", "a.example").body(empty()).unwrap();
    let leaves = tokio::spawn(async move { leaver.send_request(request).await });
    let (id, slot) = proxy.init.woken().await;
    leaves.abort();
    proxy.init.say(&ToProxy::Wake { id, slot, result: Ok(Rung::Stopped) });
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/"), hello(claim.slot));
    assert_eq!(answer.text(), "hello");
    proxy.init.nothing_more();
}

#[tokio::test]
async fn the_queue_for_a_start_is_bounded() {
    let limits = Limits { slot_waiting: 2, ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let mut visitors = JoinSet::new();
    for _ in 0..5 {
        let mut sender = proxy.connect().await;
        let request = hyper::Request::get("/").header("host", "a.example").body(empty()).unwrap();
        visitors.spawn(async move { Answer::read(sender.send_request(request).await.unwrap()).await });
    }
    // Three are sent away while nobody listens yet.
    for _ in 0..3 {
        let answer = soon(visitors.join_next()).await.unwrap().unwrap();
        assert_eq!(
            (answer.status(), answer.code(), answer.field("retry-after")),
            (503, Some("busy"), Some("2"))
        );
    }
    proxy.init.woken_and(Ok(())).await;
    let _program = hello(claim.slot).await;
    while let Some(answer) = soon(visitors.join_next()).await {
        assert_eq!(answer.unwrap().text(), "hello");
    }
}

#[tokio::test]
async fn what_the_waiting_hold_is_bounded() {
    let limits = Limits { slot_waiting_bytes: 1000, ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let get = |cookie: usize| {
        let request = hyper::Request::get("/").header("host", "a.example").header("cookie", "x".repeat(cookie));
        proxy.send(request.body(empty()).unwrap())
    };
    let starts = async {
        proxy.init.woken_and(Ok(())).await;
        let answer = get(600).await;
        assert_eq!(
            (answer.status(), answer.code(), answer.field("retry-after")),
            (503, Some("busy"), Some("2"))
        );
        hello(claim.slot).await
    };
    let (answer, _program) = tokio::join!(get(600), starts);
    assert_eq!(answer.text(), "hello");
    assert_eq!(get(600).await.text(), "hello", "who does not wait is not counted");
}

#[tokio::test]
async fn a_deploy_during_a_start_costs_the_visitor_no_error() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let mut visitor = proxy.connect().await;
    let request = hyper::Request::get("/").header("host", "a.example").body(empty()).unwrap();
    let visit = tokio::spawn(async move { Answer::read(visitor.send_request(request).await.unwrap()).await });
    proxy.init.grants(Rung::Stopped).await;
    proxy.publish(vec![Route { release: Some(ReleaseId(2)), ..route("a.example", claim.slot) }]).await;
    proxy.init.say(&ToProxy::Down(claim.slot));
    assert_eq!(proxy.init.woken_and(Ok(())).await, claim.slot);
    let _program = hello(claim.slot).await;
    assert_eq!(soon(visit).await.unwrap().text(), "hello");
    proxy.init.nothing_more();
}

#[tokio::test]
async fn whose_turn_does_not_come_in_time_is_told_so_and_nobody_waits_for_it_any_more() {
    let limits = Limits { start_longest: Duration::from_millis(20), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let answer = proxy.get("a.example", "/").await;
    assert_eq!((answer.status(), answer.code(), answer.field("retry-after")), (503, Some("busy"), Some("2")));
    let (asked, _) = proxy.init.woken().await;
    let FromProxy::GiveUp { slot, id } = proxy.init.hears().await else { panic!("init is told") };
    assert_eq!((slot, id), (claim.slot, asked));
}
