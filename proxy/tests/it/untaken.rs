//! What a client does not take: given up with its connection, by the kernel too, which would keep it for whoever answers its probes.

use std::time::Duration;

use hyper::Response;
use kennel_proxy::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use crate::rig::*;

/// Whether this machine still has the proxy's end of a connection, in whatever state.
fn is_held(proxy: u16, client: u16) -> bool {
    let ends = [proxy, client].map(|port| format!("0100007F:{port:04X}"));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| line.split_whitespace().skip(1).take(2).eq(&ends))
}

#[tokio::test]
async fn nothing_is_kept_for_a_client_that_was_given_up() {
    let limits = Limits { write_stall: Duration::from_millis(200), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let _program = program(claim.slot, |_| async { Response::new(full(vec![b'x'; 8 << 20])) }).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut stream = socket.connect(proxy.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await.unwrap();
    let (ours, theirs) = (stream.local_addr().unwrap().port(), proxy.address.port());
    assert!(is_held(theirs, ours));
    // It reads nothing, and stays.
    soon(async {
        while is_held(theirs, ours) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    drop(stream);
}
