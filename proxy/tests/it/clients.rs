//! One client cannot keep the others out.

use std::net::SocketAddr;

use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::rig::*;

/// A connection from this address that has sent half of a request's head.
async fn idle(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n").await.unwrap();
    stream
}

async fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    // The rest of the head; where nobody listens any more, writing or reading may say so.
    let _gone = stream.write_all(b"connection: close\r\n\r\n").await;
    let _gone = soon(stream.read_to_string(&mut answer)).await;
    answer
}

#[tokio::test]
async fn idle_connections_of_one_client_leave_room_for_others() {
    let limits = Limits { client_connections: 4, address_connections: 2, ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let _program = hello(claim.slot).await;
    let first = idle("127.0.0.2", proxy.address).await;
    let second = idle("127.0.0.2", proxy.address).await;
    for _ in 0..4 {
        assert_eq!(answer(idle("127.0.0.2", proxy.address).await).await, "");
    }
    assert!(answer(idle("127.0.0.3", proxy.address).await).await.ends_with("hello"));
    // What it had is still served, and what it gives up it gets back.
    assert!(answer(first).await.ends_with("hello"));
    drop(second);
    soon(async {
        while !answer(idle("127.0.0.2", proxy.address).await).await.ends_with("hello") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
