//! The end: in order when asked for, bounded, and at once when init has gone.

use std::time::Duration;

use hyper::{Request, Response};
use kennel_model::msg::{Rung, ToProxy};
use kennel_proxy::{Limits, LinkError, ProxyError};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::rig::*;

#[tokio::test]
async fn what_is_in_flight_is_finished() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let (open, gate) = watch::channel(false);
    let program = program(claim.slot, move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            Response::new(full("finished"))
        }
    })
    .await;
    let (mut idle, mut busy) = (TcpStream::connect(proxy.address).await.unwrap(), proxy.connect().await);
    let request = Request::get("/").header("host", "a.example").body(empty()).unwrap();
    let answer = tokio::spawn(async move { Answer::read(busy.send_request(request).await.unwrap()).await });
    program.asked().await;
    proxy.init.say(&ToProxy::Drain);
    // Idle connections are closed, the busy one waits for its answer.
    assert_eq!(soon(idle.read(&mut [0])).await.unwrap_or(0), 0);
    assert!(!proxy.ended.is_finished());
    // Init need not stay.
    drop(proxy.init);
    open.send_replace(true);
    let answer = soon(answer).await.unwrap();
    assert_eq!((answer.text(), answer.field("connection")), ("finished", Some("close")));
    soon(proxy.ended).await.unwrap().unwrap();
    assert!(TcpStream::connect(proxy.address).await.is_err());
}

#[tokio::test]
async fn who_waits_for_a_start_is_still_served() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let starts = async {
        let (id, slot) = proxy.init.woken().await;
        proxy.init.say(&ToProxy::Drain);
        proxy.init.say(&ToProxy::Wake { id, slot, result: Ok(Rung::Stopped) });
        hello(claim.slot).await
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!(answer.text(), "hello");
    soon(proxy.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_does_not_wait_for_ever() {
    let limits = Limits { drain: Duration::from_millis(100), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let program = program(claim.slot, |_| std::future::pending()).await;
    let mut busy = proxy.connect().await;
    let request = Request::get("/").header("host", "a.example").body(empty()).unwrap();
    tokio::spawn(async move { busy.send_request(request).await });
    program.asked().await;
    proxy.init.say(&ToProxy::Drain);
    soon(proxy.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn without_init_it_ends() {
    let (proxy, _claim) = proxy_with_a_tenant(Limits::default()).await;
    drop(proxy.init);
    assert!(matches!(soon(proxy.ended).await.unwrap(), Err(ProxyError::Link(LinkError::Closed))));
}

#[tokio::test]
async fn beyond_its_limit_connections_wait_their_turn() {
    let limits = Limits { client_connections: 2, ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let _program = hello(claim.slot).await;
    let (first, second) = (proxy.connect().await, proxy.connect().await);
    let mut third = proxy.connect().await;
    let request = Request::get("/").header("host", "a.example").body(empty()).unwrap();
    let answer = tokio::spawn(async move { Answer::read(third.send_request(request).await.unwrap()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!answer.is_finished());
    drop((first, second));
    assert_eq!(soon(answer).await.unwrap().text(), "hello");
}
