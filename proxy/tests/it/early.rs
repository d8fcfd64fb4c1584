//! Programs that answer before they have read what they are sent, and close: the answer is passed on, however far the rest had come.

use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::*;

/// More than all buffers between a client and a program hold.
const UPLOAD: usize = 8 << 20;
/// How the two races end differs from time to time.
const TIMES: usize = 30;

/// Reads the head, says no, and closes with the body unread, which resets the connection.
async fn refusing(claim: &Claim) -> Program {
    raw_program(claim.slot, |_, mut stream| async move {
        read_head(&mut stream).await;
        let answer = "HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await
}

#[tokio::test]
async fn an_early_answer_is_passed_on_over_http2() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = refusing(&claim).await;
    for _ in 0..TIMES {
        let stream = TcpStream::connect(proxy.address).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let request = Request::post("http://a.example/").body(full(vec![b'x'; UPLOAD])).unwrap();
        let answer = Answer::read(soon(sender.send_request(request)).await.unwrap()).await;
        assert_eq!((answer.status(), answer.text()), (413, "big"));
    }
}

#[tokio::test]
async fn an_early_answer_is_passed_on_over_http1() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = refusing(&claim).await;
    let head = format!("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: {UPLOAD}\r\n\r\n");
    for _ in 0..TIMES {
        let (mut read, mut write) = TcpStream::connect(proxy.address).await.unwrap().into_split();
        let body = vec![b'x'; UPLOAD];
        let sends = async {
            write.write_all(head.as_bytes()).await.unwrap();
            // As much of it as is taken.
            _ = write.write_all(&body).await;
        };
        let mut answer = Vec::new();
        _ = soon(async { tokio::join!(sends, read.read_to_end(&mut answer)) }).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("big"), "{answer}");
    }
}
