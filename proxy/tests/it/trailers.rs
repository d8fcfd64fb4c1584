//! What comes before an answer and behind a body: hints and trailers, both of which hyper leaves to others.

use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::*;

/// Answers each connection's first request with these bytes.
async fn answering(claim: &Claim, answer: &'static str) -> Program {
    raw_program(claim.slot, move |_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        _ = stream.read(&mut [0]).await;
    })
    .await
}

#[tokio::test]
async fn an_answers_trailers_reach_who_asks_for_them() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let answer = "HTTP/1.1 200 OK\r\ntrailer: X-Sum, Set-Cookie\r\ntransfer-encoding: chunked\r\n\r\n\
        2\r\nhi\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=1\r\nX-Other: 1\r\n\r\n";
    let _program = answering(&claim, answer).await;
    let asked =
        proxy.raw(b"GET / HTTP/1.1\r\nhost: a.example\r\nte: trailers\r\nconnection: te, close\r\n\r\n").await;
    assert!(asked.contains("\r\ntrailer: x-sum\r\n"), "{asked}");
    assert!(asked.ends_with("2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n"), "{asked}");
    let not = proxy.raw(b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n").await;
    assert!(not.ends_with("2\r\nhi\r\n0\r\n\r\n"), "{not}");
}

#[tokio::test]
async fn a_requests_trailers_reach_the_program() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let _program = raw_program(claim.slot, move |_, mut stream| {
        let tell = tell.clone();
        async move {
            let head = read_head(&mut stream).await;
            let body = read_head(&mut stream).await;
            tell.send((head, body)).unwrap();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let request = b"POST / HTTP/1.1\r\nhost: a.example\r\ntrailer: X-Sum, Host\r\nte: trailers\r\nconnection: close, te\r\n\
        transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\nHost: b.example\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n";
    assert!(proxy.raw(request).await.starts_with("HTTP/1.1 204 "));
    let (head, body) = soon(told.recv()).await.unwrap();
    assert!(head.contains("\r\ntrailer: x-sum\r\n") && head.contains("\r\nte: trailers\r\n"), "{head}");
    assert_eq!(body, "2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n");
}

#[tokio::test]
async fn hints_reach_who_fetches_a_page() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let answer = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nset-cookie: a=1\r\n\r\n\
        HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
    let _program = answering(&claim, answer).await;
    let request = "GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n";
    let page = proxy.raw(format!("{request}sec-fetch-mode: navigate\r\n\r\n").as_bytes()).await;
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert!(page.starts_with(hint) && page.ends_with("hi"), "{page}");
    let other = proxy.raw(format!("{request}\r\n").as_bytes()).await;
    assert!(other.starts_with("HTTP/1.1 200 OK\r\n"), "{other}");
    let old = request.replace("1.1", "1.0");
    let old = proxy.raw(format!("{old}sec-fetch-mode: navigate\r\n\r\n").as_bytes()).await;
    assert!(!old.contains(" 103 ") && old.ends_with("hi"), "{old}");
}

#[tokio::test]
async fn a_hint_comes_before_its_answer_does() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let when = go.clone();
    let _program = raw_program(claim.slot, move |_, mut stream| {
        let when = when.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n").await.unwrap();
            when.notified().await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let mut stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a.example\r\nsec-fetch-mode: navigate\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert_eq!(read_head(&mut stream).await, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    go.notify_one();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 204 "));
}
