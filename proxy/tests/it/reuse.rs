//! Connections to programs: kept, counted, and never trusted too far.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Request;
use kennel_model::msg::ToProxy;
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::*;

#[tokio::test]
async fn many_requests_need_one_connection() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let program = hello(claim.slot).await;
    for _ in 0..20 {
        // Each on a client connection of its own.
        assert_eq!(proxy.get("a.example", "/").await.text(), "hello");
    }
    assert_eq!((program.connections(), program.requests()), (1, 20));
}

#[tokio::test]
async fn down_closes_what_was_kept() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let closed = Arc::new(AtomicUsize::new(0));
    let count = closed.clone();
    let _program = raw_program(claim.slot, move |_, mut stream| {
        let count = count.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            count.fetch_add(1, Ordering::Relaxed);
        }
    })
    .await;
    assert_eq!(proxy.get("a.example", "/").await.text(), "hi");
    // The connection may be given back a moment after the answer; from then on each Down closes it.
    soon(async {
        while closed.load(Ordering::Relaxed) == 0 {
            proxy.init.say(&ToProxy::Down(claim.slot));
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Answers the first request on the first connection; closes it at the second. Later connections work.
async fn forgetful(claim: &Claim) -> Program {
    raw_program(claim.slot, |n, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
        read_head(&mut stream).await;
        if n > 0 {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
        }
    })
    .await
}

#[tokio::test]
async fn a_stale_connection_costs_a_reader_nothing() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let program = forgetful(&claim).await;
    assert_eq!(proxy.get("a.example", "/").await.text(), "hi");
    assert_eq!(proxy.get("a.example", "/").await.text(), "hi");
    assert_eq!(program.connections(), 2);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again() {
    for body in ["", "12345"] {
        let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
        let program = forgetful(&claim).await;
        assert_eq!(proxy.get("a.example", "/").await.text(), "hi");
        let request = Request::post("/buy").header("host", "a.example").body(full(body)).unwrap();
        assert_eq!(proxy.send(request).await.code(), Some("broke"));
        assert_eq!(program.connections(), 1);
    }
}

/// Answers the first request of all; closes at every other.
async fn broken(claim: &Claim) -> Program {
    raw_program(claim.slot, |n, mut stream| async move {
        read_head(&mut stream).await;
        if n == 0 {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            read_head(&mut stream).await;
        }
    })
    .await
}

#[tokio::test]
async fn what_is_tried_again_is_tried_once() {
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
        let program = broken(&claim).await;
        assert_eq!(proxy.get("a.example", "/").await.text(), "hi");
        let request =
            Request::builder().method(method).uri("/").header("host", "a.example").body(empty()).unwrap();
        assert_eq!(proxy.send(request).await.code(), Some("broke"), "{method}");
        assert_eq!(program.connections(), 2, "{method}");
    }
}

#[tokio::test]
async fn a_body_is_sent_once() {
    for (method, head) in [
        ("PUT", "content-length: 2\r\n\r\nhi"),
        ("GET", "transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ] {
        let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
        let program = forgetful(&claim).await;
        assert_eq!(proxy.get("a.example", "/").await.text(), "hi");
        let request = format!("{method} / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n{head}");
        let answer = proxy.raw(request.as_bytes()).await;
        assert!(answer.contains("kennel-error: broke"), "{method}\n{answer}");
        assert_eq!(program.connections(), 1, "{method}");
    }
}

#[tokio::test]
async fn what_was_never_sent_may_be_sent_elsewhere() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let (tell, mut closed) = tokio::sync::mpsc::unbounded_channel();
    let _program = raw_program(claim.slot, move |n, mut stream| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            if n > 0 {
                // Left open.
                std::future::pending::<()>().await;
            }
            drop(stream);
            tell.send(()).unwrap();
        }
    })
    .await;
    assert_eq!(proxy.get("a.example", "/").await.text(), "hi");
    soon(closed.recv()).await.unwrap();
    // The proxy has heard of the end by the time that it has answered another.
    assert_eq!(proxy.get("nobody.example", "/").await.status(), 404);
    let request = Request::post("/buy").header("host", "a.example").body(full("12345")).unwrap();
    assert_eq!(proxy.send(request).await.text(), "hi");
}

#[tokio::test]
async fn a_client_keeps_its_connection_too() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = hello(claim.slot).await;
    let mut sender = proxy.connect().await;
    for host in ["a.example", "nobody.example", "a.example"] {
        soon(sender.ready()).await.unwrap();
        let request = Request::get("/").header("host", host).body(empty()).unwrap();
        let answer = Answer::read(sender.send_request(request).await.unwrap()).await;
        assert_eq!(answer.status(), if host == "a.example" { 200 } else { 404 });
    }
}
