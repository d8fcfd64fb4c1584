//! Programs that answer before they have read what they are sent, and close: the answer is passed on, however far the rest had come. So it
//! is with answers of the proxy's own.

use std::time::Duration;

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

/// Sends all of its body whatever it is told; answers what it was told, and whether it could send everything.
async fn stubborn(proxy: &Proxy, host: &str) -> (String, bool) {
    let (mut read, mut write) = TcpStream::connect(proxy.address).await.unwrap().into_split();
    let head = format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: {UPLOAD}\r\n\r\n");
    let body = vec![b'x'; UPLOAD];
    let sends = async {
        write.write_all(head.as_bytes()).await.unwrap();
        write.write_all(&body).await.is_ok()
    };
    let mut answer = Vec::new();
    let (sent, _) = soon(async { tokio::join!(sends, read.read_to_end(&mut answer)) }).await;
    (String::from_utf8_lossy(&answer).into_owned(), sent)
}

#[tokio::test]
async fn an_early_answer_is_passed_on_over_http1() {
    let (proxy, claim) = proxy_with_a_tenant(Limits { linger: PATIENCE, ..Limits::default() }).await;
    let _program = refusing(&claim).await;
    for _ in 0..TIMES {
        let (answer, sent) = stubborn(&proxy, "a.example").await;
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("big"), "{answer}");
        assert!(sent, "the connection was reset");
        let (answer, sent) = stubborn(&proxy, "nobody.example").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(sent, "the connection was reset");
    }
}

#[tokio::test]
async fn who_never_stops_sending_is_listened_to_within_bounds() {
    let limits = Limits { linger: Duration::from_millis(50), ..Limits::default() };
    let (proxy, _claim) = proxy_with_a_tenant(limits).await;
    let (mut read, mut write) = TcpStream::connect(proxy.address).await.unwrap().into_split();
    write
        .write_all(b"POST / HTTP/1.1\r\nhost: nobody.example\r\ncontent-length: 1000000000000\r\n\r\n")
        .await
        .unwrap();
    let sends = async { while write.write_all(&[b'x'; 1000]).await.is_ok() {} };
    let mut answer = Vec::new();
    // Ends when the proxy closes.
    _ = soon(async { tokio::join!(sends, read.read_to_end(&mut answer)) }).await;
    assert!(answer.starts_with(b"HTTP/1.1 404 "));
}
