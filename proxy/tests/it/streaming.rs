//! Bodies: both ways at once, at the pace of the slower side, and cut where someone stops.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response};
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::rig::*;

type Channelled = http_body_util::combinators::BoxBody<Bytes, Infallible>;

/// A body that is fed piece by piece.
fn fed() -> (mpsc::Sender<Bytes>, Channelled) {
    let (sender, mut pieces) = mpsc::channel::<Bytes>(1);
    let stream = futures_util::stream::poll_fn(move |cx| {
        pieces.poll_recv(cx).map(|piece| piece.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes))))
    });
    (sender, BodyExt::boxed(StreamBody::new(stream)))
}

/// Sends each piece back as it comes.
async fn echo(claim: &Claim) -> Program {
    program(claim.slot, |request| async move {
        let (sender, body) = fed();
        tokio::spawn(async move {
            let mut incoming = request.into_body();
            while let Some(Ok(frame)) = incoming.frame().await {
                let Ok(piece) = frame.into_data() else { continue };
                if sender.send(piece).await.is_err() {
                    break;
                }
            }
        });
        Response::new(body)
    })
    .await
}

#[tokio::test]
async fn pieces_pass_as_they_come() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = echo(&claim).await;
    let (sender, body) = fed();
    sender.send("first".into()).await.unwrap();
    let request = Request::post("/").header("host", "a.example").body(body).unwrap();
    let mut answer = soon(proxy.connect().await.send_request(request)).await.unwrap().into_body();
    assert_eq!(soon(answer.frame()).await.unwrap().unwrap().into_data().unwrap(), "first");
    for piece in ["second", "third"] {
        // Sent only after the one before has come back.
        sender.send(piece.into()).await.unwrap();
        assert_eq!(soon(answer.frame()).await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    drop(sender);
    assert!(soon(answer.frame()).await.is_none());
}

#[tokio::test]
async fn large_bodies_arrive_whole() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = echo(&claim).await;
    let bytes: Vec<u8> = (0..24 << 20).map(|n: u32| (n % 251) as u8).collect();
    let bytes = Bytes::from(bytes);
    let request = Request::put("/").header("host", "a.example").body(full(bytes.clone())).unwrap();
    assert!(proxy.send(request).await.body == bytes);
    // The same without a length, and with a method that seldom has a body.
    let (sender, body) = fed();
    let feeder = bytes.clone();
    tokio::spawn(async move {
        for at in (0..feeder.len()).step_by(100_000) {
            sender.send(feeder.slice(at..(at + 100_000).min(feeder.len()))).await.unwrap();
        }
    });
    let request = Request::get("/").header("host", "a.example").header("transfer-encoding", "chunked");
    assert!(proxy.send(request.body(body).unwrap()).await.body == bytes);
}

#[tokio::test]
async fn who_does_not_read_stops_who_writes() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 200;
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let _program = program(claim.slot, move |_| {
        let count = count.clone();
        async move {
            let (sender, body) = fed();
            tokio::spawn(async move {
                while count.load(Ordering::Relaxed) < PIECES
                    && sender.send(Bytes::from(vec![7; PIECE])).await.is_ok()
                {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
            Response::new(body)
        }
    })
    .await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n").await.unwrap();
    // Until nothing more is made: what sockets and buffers hold on the way, and not the whole.
    let mut before = usize::MAX;
    while before != made.load(Ordering::Relaxed) || before == 0 {
        before = made.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(before < PIECES / 2, "{before} MiB were buffered");
    let mut read = 0;
    let mut buffer = vec![0; PIECE];
    while let n @ 1.. = soon(stream.read(&mut buffer)).await.unwrap() {
        read += n;
    }
    assert!(read > PIECES * PIECE, "the rest came when it was read");
}

#[tokio::test]
async fn a_client_that_stops_sending_is_told_so() {
    let limits = Limits { request_stall: Duration::from_millis(100), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let _program = program(claim.slot, |request| async move {
        let complete = request.into_body().collect().await.is_ok();
        Response::new(full(if complete { "whole" } else { "cut" }))
    })
    .await;
    let answer = proxy.raw(b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 10\r\n\r\n12345").await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("kennel-error: client-stalled"), "{answer}");
}

#[tokio::test]
async fn a_slow_upload_is_not_a_slow_program() {
    let limits = Limits { response_head: Duration::from_millis(300), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let _program = program(claim.slot, |request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full(body.len().to_string()))
    })
    .await;
    let (sender, body) = fed();
    tokio::spawn(async move {
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            sender.send("x".into()).await.unwrap();
        }
    });
    let request = Request::post("/").header("host", "a.example").body(body).unwrap();
    assert_eq!(proxy.send(request).await.text(), "8");
}

#[tokio::test]
async fn a_response_that_breaks_off_does_not_look_complete() {
    for head in ["content-length: 10", "transfer-encoding: chunked"] {
        let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
        let _program = raw_program(claim.slot, move |_, mut stream| async move {
            read_head(&mut stream).await;
            stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\n12345").as_bytes()).await.unwrap();
        })
        .await;
        let request = Request::get("/").header("host", "a.example").body(empty()).unwrap();
        let response = proxy.connect().await.send_request(request).await.unwrap();
        assert!(soon(response.into_body().collect()).await.is_err(), "{head}");
    }
}

#[tokio::test]
async fn a_response_that_stalls_is_cut() {
    let limits = Limits { response_stall: Duration::from_millis(100), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let _program = raw_program(claim.slot, |_, mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").await.unwrap();
        std::future::pending().await
    })
    .await;
    let request = Request::get("/").header("host", "a.example").body(empty()).unwrap();
    let response = proxy.connect().await.send_request(request).await.unwrap();
    assert!(soon(response.into_body().collect()).await.is_err());
}

#[tokio::test]
async fn a_body_is_asked_for_when_the_program_wants_it() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = echo(&claim).await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a.example\r\nexpect: 100-continue\r\ncontent-length: 2\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(read_head(&mut stream).await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hi").await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("hi"), "{answer}");
}
