//! Several workers are one proxy: what is bounded is bounded over all of them, and an end waits for all of them. Each is told
//! from the others by a port of its own here, where on a host the kernel shares out who comes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use hyper::{Request, Response};
use kennel_model::msg::ToProxy;
use kennel_proxy::{Limits, Listeners};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::rig::*;

/// A proxy with two workers that knows `a.example`, and where the second is found.
async fn two(limits: Limits) -> (Proxy, Claim, SocketAddr) {
    let listener = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let more = Listeners { http: listener(), https: listener() };
    let second = more.http.local_addr().unwrap();
    let (mut proxy, claim) = (proxy_with_workers(limits, vec![more]).await, claim());
    proxy.publish(vec![route("a.example", claim.slot)]).await;
    (proxy, claim, second)
}

#[tokio::test]
async fn each_keeps_its_own_connections_to_programs_and_all_are_closed_with_them() {
    let (mut proxy, claim, second) = two(Limits::default()).await;
    let program = hello(claim.slot).await;
    let both = [proxy.address, second];
    for _ in 0..5 {
        for address in both {
            proxy.address = address;
            assert_eq!(proxy.get("a.example", "/").await.text(), "hello");
        }
    }
    assert_eq!((program.connections(), program.requests()), (2, 10));
    proxy.init.say(&ToProxy::Down(claim.slot));
    // What init says comes before a table that it publishes afterwards.
    proxy.address = second;
    proxy.publish(vec![route("a.example", claim.slot)]).await;
    assert_eq!(proxy.get("a.example", "/").await.text(), "hello");
    assert_eq!((program.connections(), program.requests()), (3, 11));
}

/// A connection from another address than the other tests', and what is answered to its first request.
async fn visit(to: SocketAddr) -> (TcpStream, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let mut answer = vec![0; 4096];
    // Where it was closed at once, either may say so.
    let _gone = stream.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    let length = soon(stream.read(&mut answer)).await.unwrap_or(0);
    (stream, String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[tokio::test]
async fn a_client_has_its_share_of_all_workers_together() {
    let limits = Limits { client_connections: 8, address_connections: 2, ..Limits::default() };
    let (proxy, claim, second) = two(limits).await;
    let _program = hello(claim.slot).await;
    let both = [proxy.address, second];
    let (_one, answer) = visit(proxy.address).await;
    assert!(answer.ends_with("hello"), "{answer}");
    let (_two, answer) = visit(second).await;
    assert!(answer.ends_with("hello"), "{answer}");
    for address in both {
        assert_eq!(visit(address).await.1, "", "one too many");
    }
}

#[tokio::test]
async fn a_drain_waits_for_what_another_worker_has_in_flight() {
    let (mut proxy, claim, second) = two(Limits::default()).await;
    let (open, gate) = watch::channel(false);
    let program = program(claim.slot, move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            Response::new(full("finished"))
        }
    })
    .await;
    proxy.address = second;
    let (mut idle, mut busy) = (TcpStream::connect(second).await.unwrap(), proxy.connect().await);
    let request = Request::get("/").header("host", "a.example").body(empty()).unwrap();
    let answer = tokio::spawn(async move { Answer::read(busy.send_request(request).await.unwrap()).await });
    program.asked().await;
    proxy.init.say(&ToProxy::Drain);
    assert_eq!(soon(idle.read(&mut [0])).await.unwrap_or(0), 0);
    assert!(!proxy.ended.is_finished());
    open.send_replace(true);
    assert_eq!(soon(answer).await.unwrap().text(), "finished");
    soon(proxy.ended).await.unwrap().unwrap();
    assert!(TcpStream::connect(second).await.is_err());
}
