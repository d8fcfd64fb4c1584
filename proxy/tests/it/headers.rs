//! What a program and a visitor get to see of each other's header fields.

use hyper::{Request, Response};
use kennel_proxy::Limits;

use crate::rig::*;

/// Answers with the request's line and fields as its body.
async fn mirror(claim: &Claim) -> Program {
    program(claim.slot, |request| async move {
        let mut text = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
        for (name, value) in request.headers() {
            text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        }
        Response::builder()
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("kennel-error", "forged")
            .header("upgrade", "h2c")
            .header("x-end", "2")
            .body(full(text))
            .unwrap()
    })
    .await
}

#[tokio::test]
async fn fields_of_one_connection_stay_there() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = mirror(&claim).await;
    let request = Request::post("/path?query=1")
        .header("host", "A.example.:8080")
        .header("connection", "x-mine, host")
        .header("x-mine", "1")
        .header("te", "trailers")
        .header("upgrade", "h2c")
        .header("x-forwarded-for", "10.9.9.9")
        .header("X_Forwarded_For", "10.9.9.9")
        .header("forwarded", "for=10.9.9.9")
        .header("cookie", "a=1");
    let answer = proxy.send(request.body(full("12345")).unwrap()).await;
    let mut lines: Vec<&str> = answer.text().lines().collect();
    assert_eq!(lines.remove(0), "POST /path?query=1 HTTP/1.1");
    // What they are is looked at in `seen`.
    let numbers: Vec<_> = lines
        .extract_if(.., |line| line.starts_with("x-request-id: ") || line.starts_with("traceparent: "))
        .collect();
    assert_eq!(numbers.len(), 2);
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "connection: te",
            "content-length: 5",
            "cookie: a=1",
            "forwarded: for=127.0.0.1;proto=http",
            "host: A.example.:8080",
            "te: trailers",
            "via: 1.1 kennel",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: A.example.:8080",
            "x-forwarded-proto: http",
        ]
    );
    for gone in ["x-hop", "keep-alive", "kennel-error", "upgrade", "connection"] {
        assert_eq!(answer.field(gone), None, "{gone}");
    }
    assert_eq!(answer.field("x-end"), Some("2"));
}

#[tokio::test]
async fn an_absolute_target_becomes_a_path() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = mirror(&claim).await;
    let answer = proxy
        .raw(b"GET http://a.example/x?y HTTP/1.1\r\nhost: other.example\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.contains("GET /x?y HTTP/1.1\n") && answer.contains("\nhost: a.example\n"), "{answer}");
    let answer = proxy.raw(b"OPTIONS * HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n").await;
    assert!(answer.contains("OPTIONS * HTTP/1.1\n"), "{answer}");
}

#[tokio::test]
async fn old_clients_get_what_they_understand() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = mirror(&claim).await;
    let answer = proxy.raw(b"GET / HTTP/1.0\r\nhost: a.example\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 OK") || answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("GET / HTTP/1.1\n") && !answer.contains("transfer-encoding"), "{answer}");
}

#[tokio::test]
async fn lengths_of_bodies_that_are_not_there_are_kept() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = program(claim.slot, |request| async move {
        match request.uri().path() {
            "/304" => Response::builder().status(304).header("etag", "\"x\"").body(empty()).unwrap(),
            "/204" => Response::builder().status(204).body(empty()).unwrap(),
            _ => Response::builder().header("content-length", "12345").body(empty()).unwrap(),
        }
    })
    .await;
    let mut sender = proxy.connect().await;
    for (method, path, status, length) in
        [("HEAD", "/", 200, Some("12345")), ("GET", "/304", 304, None), ("GET", "/204", 204, None)]
    {
        let request = Request::builder().method(method).uri(path).header("host", "a.example");
        soon(sender.ready()).await.unwrap();
        let answer = Answer::read(sender.send_request(request.body(empty()).unwrap()).await.unwrap()).await;
        assert_eq!((answer.status(), answer.field("content-length")), (status, length), "{method} {path}");
    }
}
