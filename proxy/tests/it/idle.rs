//! Clients' connections without a request: parked, taken up again, closed in time.

use std::time::Duration;

use kennel_model::msg::ToProxy;
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::*;

const PARK: Duration = Duration::from_millis(20);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";

/// Asks over a connection and reads the answer's head, and its body of two bytes.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(REQUEST).await.unwrap();
    let head = read_head(stream).await;
    let mut body = [0; 2];
    soon(stream.read_exact(&mut body)).await.unwrap();
    assert_eq!(&body, b"hi");
    head
}

async fn hi(claim: &Claim, after: Duration) -> Program {
    program(claim.slot, move |_| async move {
        tokio::time::sleep(after).await;
        hyper::Response::new(full("hi"))
    })
    .await
}

#[tokio::test]
async fn a_parked_connection_goes_on() {
    let (proxy, claim) = proxy_with_a_tenant(Limits { park: PARK, ..Limits::default() }).await;
    let program = hi(&claim, Duration::ZERO).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    for round in 0..4 {
        // Before its first request, too.
        tokio::time::sleep(PARK * 5).await;
        assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200 "), "{round}");
    }
    // In pieces, of which the first ends the parking.
    for piece in [&REQUEST[..1], &REQUEST[1..20], &REQUEST[20..]] {
        tokio::time::sleep(PARK * 5).await;
        stream.write_all(piece).await.unwrap();
    }
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
    let mut rest = [0; 2];
    soon(stream.read_exact(&mut rest)).await.unwrap();
    // What is no request is refused there as well.
    tokio::time::sleep(PARK * 5).await;
    stream.write_all(b"GET / HTTP/1.1\n\n").await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 400 "));
    assert_eq!(program.requests(), 5);
}

#[tokio::test]
async fn who_waits_for_an_answer_is_not_idle() {
    let (proxy, claim) = proxy_with_a_tenant(Limits { park: PARK, ..Limits::default() }).await;
    let _program = hi(&claim, PARK * 10).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200 "));
    // Two at once: the second waits in hyper's hands.
    stream.write_all(&[REQUEST, REQUEST].concat()).await.unwrap();
    for _ in 0..2 {
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
        soon(stream.read_exact(&mut [0; 2])).await.unwrap();
    }
}

#[tokio::test]
async fn heads_that_do_not_come_are_not_waited_for_longer() {
    let limits = Limits { park: PARK, request_head: PARK * 10, ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let _program = hi(&claim, Duration::ZERO).await;
    let ends = async |first: &[u8], answered: bool| {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        if answered {
            ask(&mut stream).await;
        }
        stream.write_all(first).await.unwrap();
        assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap_or(0), 0);
    };
    for answered in [false, true] {
        for first in [&b""[..], b"\r\n", b"G", b"GET / HTTP/1.1\r\nhost: a"] {
            ends(first, answered).await;
        }
    }
}

#[tokio::test]
async fn a_drain_closes_what_is_parked() {
    let (proxy, claim) = proxy_with_a_tenant(Limits { park: PARK, ..Limits::default() }).await;
    let _program = hi(&claim, Duration::ZERO).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    ask(&mut stream).await;
    tokio::time::sleep(PARK * 5).await;
    proxy.init.say(&ToProxy::Drain);
    assert_eq!(soon(stream.read(&mut [0; 1])).await.unwrap(), 0);
    soon(proxy.ended).await.unwrap().unwrap();
}
