//! Upgrades: WebSockets pass, nothing else does.

use std::time::Duration;

use hyper::Response;
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::*;

const ASK: &[u8] =
    b"GET /chat HTTP/1.1\r\nhost: a.example\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

/// Switches protocols, says hello, then sends back what comes.
async fn echo(claim: &Claim) -> Program {
    raw_program(claim.slot, |_, mut stream| async move {
        let head = read_head(&mut stream).await.to_lowercase();
        assert!(
            head.contains("\r\nconnection: upgrade\r\n") && head.contains("\r\nupgrade: websocket\r\n"),
            "{head}"
        );
        assert!(
            head.contains("\r\nsec-websocket-key: ") && head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n")
        );
        let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
            sec-websocket-accept: x\r\n\r\nhello";
        stream.write_all(switch.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

async fn open(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    let head = read_head(&mut stream).await.to_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(
        head.contains("\r\nconnection: upgrade\r\n") && head.contains("\r\nsec-websocket-accept: x\r\n"),
        "{head}"
    );
    let mut hello = [0; 5];
    soon(stream.read_exact(&mut hello)).await.unwrap();
    assert_eq!(&hello, b"hello");
    stream
}

#[tokio::test]
async fn bytes_pass_both_ways_until_one_side_ends() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = echo(&claim).await;
    let mut stream = open(&proxy).await;
    for message in ["one", "two two", "three three three"] {
        stream.write_all(message.as_bytes()).await.unwrap();
        let mut back = vec![0; message.len()];
        soon(stream.read_exact(&mut back)).await.unwrap();
        assert_eq!(back, message.as_bytes());
    }
    stream.shutdown().await.unwrap();
    assert_eq!(soon(stream.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn an_idle_tunnel_is_closed_and_gives_its_place_back() {
    let limits = Limits { tunnel_idle: Duration::from_millis(100), client_connections: 1, ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let _program = echo(&claim).await;
    let mut stream = open(&proxy).await;
    assert_eq!(soon(stream.read(&mut [0])).await.unwrap_or(0), 0);
    drop(open(&proxy).await);
}

#[tokio::test]
async fn other_upgrades_are_ordinary_requests() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = program(claim.slot, |request| async move {
        let asked = request.headers().contains_key("upgrade") || request.headers().contains_key("connection");
        Response::new(full(if asked { "asked" } else { "ordinary" }))
    })
    .await;
    for upgrade in ["h2c", "tls/1.3", "websocket-ish"] {
        let answer = proxy
            .raw(format!("GET / HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade, close\r\nupgrade: {upgrade}\r\n\r\n").as_bytes())
            .await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ordinary"), "{answer}");
    }
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_is_a_502() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = raw_program(claim.slot, |_, mut stream| async move {
        read_head(&mut stream).await;
        let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n";
        stream.write_all(switch.as_bytes()).await.unwrap();
        std::future::pending().await
    })
    .await;
    assert_eq!(proxy.get("a.example", "/").await.code(), Some("broke"));
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    assert!(
        read_head(&mut stream).await.starts_with("HTTP/1.1 502 "),
        "not to the protocol that was asked for"
    );
}

#[tokio::test]
async fn a_program_may_decline() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = hello(claim.slot).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
}
