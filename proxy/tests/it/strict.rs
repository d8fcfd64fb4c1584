//! Requests that two programs could read differently: refused, or read in the one way that leaves nothing over.

use http_body_util::BodyExt;
use hyper::Response;
use kennel_proxy::Limits;

use crate::rig::*;

/// Counts what reaches it; answers with the body's length.
async fn counter(claim: &Claim) -> Program {
    program(claim.slot, |request| async move {
        let framing: Vec<_> = ["content-length", "transfer-encoding"]
            .into_iter()
            .flat_map(|name| request.headers().get_all(name).iter().map(move |v| format!("{name}={v:?}")))
            .collect();
        let body = request.into_body().collect().await.map(|b| b.to_bytes().len());
        Response::new(full(format!("body {body:?} {}", framing.join(" "))))
    })
    .await
}

#[tokio::test]
async fn malformed_requests_never_reach_a_program() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let program = counter(&claim).await;
    let host = "host: a.example\r\n";
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a.example\r\n\r\n";
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}host: b.example\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\nhost : a.example\r\n{host}\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}x-a: 1\r\n folded\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}x-a: 1\0\r\n\r\n"), 400),
        (format!("GET / HTTP/1.1\r\n{host}x-a: 1\rx-b: 2\r\n\r\n"), 400),
        (format!("GET  / HTTP/1.1\r\n{host}\r\n"), 400),
        (format!("GET / HTTP/1.1 \r\n{host}\r\n"), 400),
        (format!("GET a.example HTTP/1.1\r\n{host}\r\n"), 400),
        (format!("CONNECT a.example:80 HTTP/1.1\r\n{host}connection: close\r\n\r\n"), 405),
        (format!("TRACE / HTTP/1.1\r\n{host}connection: close\r\n\r\n"), 405),
        (format!("POST / HTTP/1.1\r\n{host}content-length: +5\r\n\r\n12345"), 400),
        (format!("POST / HTTP/1.1\r\n{host}content-length: -5\r\n\r\n12345"), 400),
        (format!("POST / HTTP/1.1\r\n{host}content-length: 5, 5\r\n\r\n12345"), 400),
        (format!("POST / HTTP/1.1\r\n{host}content-length: 0x5\r\n\r\n12345"), 400),
        (
            format!("POST / HTTP/1.1\r\n{host}content-length: 5\r\ncontent-length: 0\r\n\r\n12345{smuggled}"),
            400,
        ),
        (format!("POST / HTTP/1.1\r\n{host}content-length: 99999999999999999999\r\n\r\n"), 400),
        (format!("POST / HTTP/1.1\r\n{host}transfer-encoding: xchunked\r\n\r\n{smuggled}"), 400),
        (format!("POST / HTTP/1.1\r\n{host}transfer-encoding: identity\r\n\r\n{smuggled}"), 400),
        (format!("POST / HTTP/1.1\r\n{host}transfer-encoding: chunked, identity\r\n\r\n{smuggled}"), 400),
        (format!("POST / HTTP/1.1\r\n{host}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n{smuggled}"), 501),
        (
            format!(
                "POST / HTTP/1.1\r\n{host}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            501,
        ),
        (format!("POST / HTTP/1.1\r\n{host}transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n{smuggled}"), 400),
        (format!("POST / HTTP/1.0\r\n{host}transfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"), 400),
        (format!("POST / HTTP/1.1\r\n{host}expect: something\r\ncontent-length: 5\r\n\r\n12345"), 417),
        ("PRI * HTTP/2.0\r\n\r\nxx\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\n{host}{}\r\n", "x-a: 1\r\n".repeat(100)), 431),
        (format!("GET / HTTP/1.1\r\n{host}x-a: {}\r\n\r\n", "x".repeat(40 << 10)), 431),
    ] {
        let answer = proxy.raw(request.as_bytes()).await;
        let shown: String = request.chars().take(150).collect();
        // What cannot even be parsed may also be cut off without a word.
        let refused = answer.starts_with(&format!("HTTP/1.1 {status} "));
        assert!(refused || (status == 400 && answer.is_empty()), "{shown:?}\n{answer}");
        assert!(answer.matches("HTTP/1.").count() <= 1, "{shown:?}\n{answer}");
    }
    assert_eq!(program.requests(), 0);
}

#[tokio::test]
async fn with_both_lengths_nothing_is_read() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a.example\r\n\r\n";
    for fields in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "content-length: 400\r\ntransfer-encoding: chunked",
    ] {
        let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
        let program = counter(&claim).await;
        let request =
            format!("POST / HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n\r\n2\r\nhi\r\n0\r\n\r\n{smuggled}");
        let answer = proxy.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!((program.requests(), answer.matches("HTTP/1.").count()), (0, 1), "{fields}\n{answer}");
    }
}

#[tokio::test]
async fn broken_chunks_end_the_request() {
    for body in
        ["zz\r\nhi\r\n", "2\r\nhiXX0\r\n\r\n", "ffffffffffffffffff\r\n", "-2\r\nhi\r\n", "2\r\nhi\r\n0\r\nx"]
    {
        let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
        let program = counter(&claim).await;
        let request = format!("POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        let mut stream = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
        tokio::io::AsyncWriteExt::shutdown(&mut stream).await.unwrap();
        let mut answer = String::new();
        _ = soon(tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer)).await;
        assert!(!answer.contains("body Ok"), "{body:?}\n{answer}");
        assert!(program.requests() <= 1);
    }
}

#[tokio::test]
async fn a_tenant_cannot_answer_twice() {
    use tokio::io::AsyncWriteExt;
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = raw_program(claim.slot, |_, mut stream| async move {
        read_head(&mut stream).await;
        let two =
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
        stream.write_all(two.as_bytes()).await.unwrap();
        std::future::pending().await
    })
    .await;
    for _ in 0..3 {
        assert_eq!(proxy.get("a.example", "/").await.text(), "hi");
    }
}
