//! A program that has a path for it is ready when that path says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use hyper::Response;
use kennel_model::SlotId;
use kennel_model::msg::{Rung, ToProxy};
use kennel_model::routes::Route;
use kennel_proxy::Limits;

use crate::rig::*;

fn with_health(slot: SlotId, start_timeout_ms: u32) -> Vec<Route> {
    let health = Some("/healthz".parse().unwrap());
    vec![Route { health, start_timeout_ms, ..route("a.example", slot) }]
}

/// A program that answers its path with a status, and other requests with how often it was asked for it.
async fn checked(slot: SlotId, status: Arc<AtomicU16>, until: usize) -> Program {
    let asked = Arc::new(AtomicU16::new(0));
    program(slot, move |request| {
        let (status, asked) = (status.clone(), asked.clone());
        async move {
            if request.uri().path() != "/healthz" {
                return Response::new(full(asked.load(Ordering::Relaxed).to_string()));
            }
            assert_eq!(request.headers()["host"], "a.example");
            if usize::from(asked.fetch_add(1, Ordering::Relaxed)) + 1 >= until {
                status.store(404, Ordering::Relaxed);
            }
            Response::builder().status(status.load(Ordering::Relaxed)).body(empty()).unwrap()
        }
    })
    .await
}

#[tokio::test]
async fn the_first_request_waits_until_it_is_ready_and_no_other_asks_again() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    proxy.publish(with_health(claim.slot, 20_000)).await;
    let starts = async {
        proxy.init.grants(Rung::Stopped).await;
        checked(claim.slot, Arc::new(AtomicU16::new(503)), 4).await
    };
    let (answer, program) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!(answer.text(), "4");
    assert_eq!(proxy.get("a.example", "/").await.text(), "4");
    assert_eq!(program.requests(), 6);
}

#[tokio::test]
async fn who_comes_while_it_is_not_ready_waits_as_well() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    proxy.publish(with_health(claim.slot, 20_000)).await;
    let status = Arc::new(AtomicU16::new(500));
    let starts = async {
        proxy.init.grants(Rung::Stopped).await;
        let program = checked(claim.slot, status.clone(), usize::MAX).await;
        while program.requests() < 3 {
            tokio::task::yield_now().await;
        }
        // The lease is held by now.
        let late = proxy.get("a.example", "/late");
        let ready = async {
            while program.requests() < 5 {
                tokio::task::yield_now().await;
            }
            status.store(200, Ordering::Relaxed);
        };
        let (late, ()) = tokio::join!(late, ready);
        (late, program)
    };
    let (first, (late, _program)) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!((first.status(), late.status()), (200, 200));
    assert_eq!(first.text(), late.text(), "asked for both at once");
}

#[tokio::test]
async fn one_that_never_is_gets_the_late_page() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    proxy.publish(with_health(claim.slot, 300)).await;
    let starts = async {
        proxy.init.grants(Rung::Stopped).await;
        checked(claim.slot, Arc::new(AtomicU16::new(503)), usize::MAX).await
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!((answer.status(), answer.code()), (504, Some("started-late")));
}

#[tokio::test]
async fn one_that_was_asleep_is_not_asked() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    proxy.publish(with_health(claim.slot, 20_000)).await;
    let wakes = async {
        let (id, slot) = proxy.init.woken().await;
        let program = checked(claim.slot, Arc::new(AtomicU16::new(503)), usize::MAX).await;
        proxy.init.say(&ToProxy::Wake { id, slot, result: Ok(Rung::Frozen) });
        program
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/"), wakes);
    assert_eq!(answer.text(), "0");
}

#[tokio::test]
async fn one_that_breaks_off_is_asked_again() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    proxy.publish(with_health(claim.slot, 20_000)).await;
    let starts = async {
        proxy.init.grants(Rung::Stopped).await;
        raw_program(claim.slot, |count, mut stream| async move {
            let head = read_head(&mut stream).await;
            if count > 1 {
                let body = if head.starts_with("GET /healthz ") { "yes" } else { "page" };
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
            }
        })
        .await
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!(answer.text(), "page");
}
