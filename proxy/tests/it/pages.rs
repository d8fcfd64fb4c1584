//! Which answer each way of going wrong gets.

use std::time::Duration;

use hyper::{Request, Response};
use kennel_model::msg::{Refusal, ToProxy};
use kennel_model::routes::Route;
use kennel_proxy::Limits;
use tokio::io::AsyncWriteExt;

use crate::rig::*;

#[tokio::test]
async fn before_the_first_table_every_site_is_about_to_come() {
    let proxy = proxy(Limits::default()).await;
    let answer = proxy.get("a.example", "/").await;
    assert_eq!(
        (answer.status(), answer.code(), answer.field("retry-after")),
        (503, Some("starting"), Some("2"))
    );
}

#[tokio::test]
async fn an_unknown_host_is_a_404_in_the_format_asked_for() {
    let (proxy, _claim) = proxy_with_a_tenant(Limits::default()).await;
    for (accept, media_type) in [
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("*/*", "text/plain; charset=utf-8"),
    ] {
        let request = Request::get("/").header("host", "nobody.example").header("accept", accept);
        let answer = proxy.send(request.body(empty()).unwrap()).await;
        assert_eq!((answer.status(), answer.field("content-type")), (404, Some(media_type)));
        assert!(answer.text().contains("404") && !answer.text().contains("nobody.example"));
    }
    assert_eq!(proxy.get("a.example.evil.example", "/").await.status(), 404);
    assert_eq!(proxy.get("[::1]:80", "/").await.status(), 404);
}

#[tokio::test]
async fn a_tenant_without_a_release_is_a_503_and_nobody_is_woken() {
    let (mut proxy, claim) = (proxy(Limits::default()).await, claim());
    proxy.publish(vec![Route { release: None, ..route("a.example", claim.slot) }]).await;
    let answer = proxy.get("a.example", "/").await;
    assert_eq!(
        (answer.status(), answer.code(), answer.field("retry-after")),
        (503, Some("not-deployed"), None)
    );
    proxy.init.nothing_more();
}

#[tokio::test]
async fn what_init_refuses_is_a_503_that_does_not_say_why() {
    let (proxy, _claim) = proxy_with_a_tenant(Limits::default()).await;
    let failed = Refusal::Failed("clone3: secret cause".into());
    let (answer, _) = tokio::join!(proxy.get("a.example", "/"), proxy.init.woken_and(Err(failed)));
    assert_eq!(
        (answer.status(), answer.code(), answer.field("retry-after")),
        (503, Some("cannot-start"), Some("30"))
    );
    assert!(!format!("{answer:?}").contains("secret"));
    let busy = Refusal::Busy("stopping".into());
    let (answer, _) = tokio::join!(proxy.get("a.example", "/"), proxy.init.woken_and(Err(busy)));
    assert_eq!((answer.status(), answer.code(), answer.field("retry-after")), (503, Some("busy"), Some("2")));
}

#[tokio::test]
async fn a_program_that_dies_before_it_listens_is_a_502_at_once() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let dies = async {
        proxy.init.woken_and(Ok(())).await;
        proxy.init.say(&ToProxy::Down(claim.slot));
    };
    let (answer, ()) = tokio::join!(proxy.get("a.example", "/"), dies);
    assert_eq!((answer.status(), answer.code()), (502, Some("died")));
}

#[tokio::test]
async fn a_program_that_never_listens_is_a_504() {
    let (mut proxy, claim) = (proxy(Limits::default()).await, claim());
    proxy.publish(vec![Route { start_timeout_ms: 150, ..route("a.example", claim.slot) }]).await;
    let (answer, _) = tokio::join!(proxy.get("a.example", "/"), proxy.init.woken_and(Ok(())));
    assert_eq!((answer.status(), answer.code()), (504, Some("started-late")));
}

#[tokio::test]
async fn a_program_that_breaks_off_or_talks_nonsense_is_a_502() {
    for nonsense in
        [&b""[..], b"HTTP/1.1 200 OK\r\n", b"hello?\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
    {
        let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
        let _program = raw_program(claim.slot, move |_, mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(nonsense).await.unwrap();
        })
        .await;
        let answer = proxy.get("a.example", "/").await;
        assert_eq!((answer.status(), answer.code()), (502, Some("broke")), "{nonsense:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_a_502() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = program(claim.slot, |_| async {
        Response::builder().header("x-large", "x".repeat(80 << 10)).body(empty()).unwrap()
    })
    .await;
    assert_eq!(proxy.get("a.example", "/").await.code(), Some("broke"));
}

#[tokio::test]
async fn a_program_that_does_not_answer_is_a_504() {
    let limits = Limits { response_head: Duration::from_millis(150), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let _program = program(claim.slot, |_| std::future::pending()).await;
    let answer = proxy.get("a.example", "/").await;
    assert_eq!((answer.status(), answer.code()), (504, Some("answered-late")));
}

#[tokio::test]
async fn one_slot_has_only_so_many_requests_in_flight() {
    let limits = Limits { slot_requests: 2, ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let opened = gate.clone();
    let program = program(claim.slot, move |_| {
        let gate = opened.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Response::new(full("late"))
        }
    })
    .await;
    let third = async {
        soon(async {
            while program.requests() < 2 {
                tokio::task::yield_now().await
            }
        })
        .await;
        let answer = proxy.get("a.example", "/").await;
        gate.add_permits(2);
        answer
    };
    let (first, second, third) = tokio::join!(proxy.get("a.example", "/"), proxy.get("a.example", "/"), third);
    assert_eq!((first.text(), second.text()), ("late", "late"));
    assert_eq!((third.status(), third.code(), third.field("retry-after")), (503, Some("busy"), Some("2")));
    gate.add_permits(1);
    assert_eq!(proxy.get("a.example", "/").await.text(), "late", "places come back");
}
