//! A program that init asks to end, as a deploy does: who comes then waits for its next life, who is being answered is answered,
//! and who is broken off without a word is asked for once more, where that cannot run anything twice.

use std::time::Duration;

use hyper::Request;
use kennel_model::msg::{Rung, ToProxy};
use kennel_proxy::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::rig::*;

const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";

/// Waits for a request and closes without a word.
async fn break_off(mut stream: TcpStream, first: impl FnOnce()) {
    read_head(&mut stream).await;
    first();
}

/// A program is started for a request, and asked to end before it has answered; what the visitor gets. `served`: another request has
/// been answered before, so that this one finds it awake. `stale`: it has closed a connection before, so that the one that breaks is a new one.
async fn ask(limits: Limits, request: Request<&'static str>, served: bool, stale: bool) -> Answer {
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let lives = async {
        proxy.init.woken_and(Ok(())).await;
        let listener = listen(claim.slot).await;
        let accept = async || soon(listener.accept()).await.unwrap().0;
        if served {
            let mut stream = accept().await;
            read_head(&mut stream).await;
            stream.write_all(LAST).await.unwrap();
        }
        if stale {
            break_off(accept().await, || ()).await;
        }
        break_off(accept().await, || proxy.init.say(&ToProxy::Ending(claim.slot))).await;
        drop(listener);
        proxy.init.say(&ToProxy::Down(claim.slot));
        proxy.init.woken_and(Ok(())).await;
        let _program = hello(claim.slot).await;
        std::future::pending().await
    };
    let asks = async {
        if served {
            assert_eq!(proxy.get("a.example", "/").await.text(), "hi");
        }
        proxy.send(request.map(full)).await
    };
    let answer = tokio::select! {
        answer = asks => answer,
        () = lives => unreachable!(),
    };
    proxy.init.nothing_more();
    answer
}

fn request(method: &str, body: &'static str) -> Request<&'static str> {
    Request::builder().method(method).uri("/").header("host", "a.example").body(body).unwrap()
}

#[tokio::test]
async fn who_was_not_answered_is_answered_by_the_next_life() {
    // However long it has listened.
    for settling in [Limits::default().settling, Duration::ZERO] {
        for (served, stale) in [(false, false), (false, true), (true, false)] {
            let limits = Limits { settling, ..Limits::default() };
            let answer = ask(limits, request("GET", ""), served, stale).await;
            assert_eq!(answer.text(), "hello", "{settling:?} {served} {stale}");
        }
    }
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_by_the_next_life() {
    for body in ["", "x"] {
        assert_eq!(ask(Limits::default(), request("POST", body), false, false).await.code(), Some("broke"));
    }
}

#[tokio::test]
async fn who_comes_then_waits_for_the_next_life_and_who_is_served_is_served() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let first = request("GET", "").map(full);
    let mut visitor = proxy.connect().await;
    let first = tokio::spawn(async move { Answer::read(visitor.send_request(first).await.unwrap()).await });
    proxy.init.woken_and(Ok(())).await;
    let listener = listen(claim.slot).await;
    let mut stream = soon(listener.accept()).await.unwrap().0;
    read_head(&mut stream).await;
    drop(listener);
    proxy.init.say(&ToProxy::Ending(claim.slot));
    // When this is in force, what was said before it has been heard.
    proxy.publish(vec![route("a.example", claim.slot)]).await;
    let mut visitor = proxy.connect().await;
    let second = request("GET", "").map(full);
    let second = tokio::spawn(async move { Answer::read(visitor.send_request(second).await.unwrap()).await });
    let (id, slot) = proxy.init.woken().await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
    assert_eq!(soon(first).await.unwrap().text(), "hi");
    drop(stream);
    proxy.init.say(&ToProxy::Down(slot));
    let _program = hello(slot).await;
    proxy.init.say(&ToProxy::Wake { id, slot, result: Ok(Rung::Stopped) });
    assert_eq!(soon(second).await.unwrap().text(), "hello");
}
