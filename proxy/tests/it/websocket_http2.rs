//! WebSockets over HTTP/2 (RFC 8441): CONNECT on the client's side, Upgrade on the program's.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use kennel_model::msg::ToProxy;
use kennel_model::routes::Route;
use kennel_model::routes::TrafficLimits;
use kennel_proxy::Limits;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::h2c::{Body, connect, proxy_with_h2c};
use crate::rig::*;

fn asking(path: &str, protocol: &'static str) -> Request<Body> {
    let mut request = Request::connect(format!("http://a.example{path}"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .header("origin", "https://a.example")
        .body(empty())
        .unwrap();
    request.extensions_mut().insert(Protocol::from_static(protocol));
    request
}

/// What a server says to a key (RFC 6455, 4.2.2).
fn accept(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
    assert_eq!(STANDARD.decode(key).unwrap().len(), 16, "{head}");
    STANDARD
        .encode(Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize())
}

async fn switch(stream: &mut TcpStream) {
    let head = read_head(stream).await;
    assert!(head.starts_with("GET /chat HTTP/1.1\r\n") && head.contains("\r\nhost: a.example\r\n"), "{head}");
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "via: 2 kennel",
        "origin: https://a.example",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
    let accept = accept(&head);
    let switch = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-accept: {accept}\r\nsec-websocket-protocol: chat\r\n\r\nhello"
    );
    stream.write_all(switch.as_bytes()).await.unwrap();
}

/// Switches protocols, says hello, then sends back what comes, until the other side has closed or says "end".
async fn echo(claim: &Claim) -> Program {
    raw_program(claim.slot, |_, mut stream| async move {
        switch(&mut stream).await;
        let mut piece = vec![0; 64 << 10];
        loop {
            match stream.read(&mut piece).await.unwrap() {
                0 => return,
                n if &piece[..n] == b"end" => return,
                n => stream.write_all(&piece[..n]).await.unwrap(),
            }
        }
    })
    .await
}

type Sender = hyper::client::conn::http2::SendRequest<Body>;

async fn open(sender: &mut Sender) -> TokioIo<Upgraded> {
    let mut answer = soon(sender.send_request(asking("/chat", "websocket"))).await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.headers());
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    for name in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
    let mut socket = TokioIo::new(soon(hyper::upgrade::on(&mut answer)).await.unwrap());
    let mut hello = [0; 5];
    soon(socket.read_exact(&mut hello)).await.unwrap();
    assert_eq!(&hello, b"hello");
    socket
}

/// A client that knows that the proxy takes such a CONNECT.
async fn client(proxy: &Proxy) -> Sender {
    let mut sender = connect(proxy).await;
    // It has heard the proxy's settings by the time that it has an answer.
    let request = Request::get("http://nobody.example/").body(empty()).unwrap();
    assert_eq!(soon(sender.send_request(request)).await.unwrap().status(), 404);
    sender
}

#[tokio::test]
async fn bytes_pass_both_ways_until_the_client_ends() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = echo(&claim).await;
    let mut sender = client(&proxy).await;
    let (mut one, mut other) = (open(&mut sender).await, open(&mut sender).await);
    for message in ["one".to_owned(), "two".repeat(50_000), "three".to_owned()] {
        for socket in [&mut one, &mut other] {
            let (mut read, mut write) = tokio::io::split(socket);
            let mut back = vec![0; message.len()];
            let (sent, got) =
                soon(async { tokio::join!(write.write_all(message.as_bytes()), read.read_exact(&mut back)) })
                    .await;
            sent.unwrap();
            got.unwrap();
            assert!(back == message.as_bytes());
        }
    }
    one.shutdown().await.unwrap();
    assert_eq!(soon(one.read(&mut [0])).await.unwrap(), 0);
    other.write_all(b"still").await.unwrap();
    let mut back = [0; 5];
    soon(other.read_exact(&mut back)).await.unwrap();
    assert_eq!(&back, b"still");
}

#[tokio::test]
async fn the_program_may_end_it() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = echo(&claim).await;
    let mut socket = open(&mut client(&proxy).await).await;
    socket.write_all(b"end").await.unwrap();
    assert_eq!(soon(socket.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_silent_one_is_closed_and_a_drain_waits_for_it() {
    let limits = Limits { tunnel_idle: Duration::from_millis(100), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let _program = echo(&claim).await;
    let mut socket = open(&mut client(&proxy).await).await;
    assert_eq!(soon(socket.read(&mut [0])).await.unwrap_or(0), 0);
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = echo(&claim).await;
    let mut socket = open(&mut client(&proxy).await).await;
    proxy.init.say(&ToProxy::Drain);
    soon(async { while TcpStream::connect(proxy.address).await.is_ok() {} }).await;
    socket.write_all(b"more").await.unwrap();
    let mut back = [0; 4];
    soon(socket.read_exact(&mut back)).await.unwrap();
    assert!(!proxy.ended.is_finished());
    socket.shutdown().await.unwrap();
    drop(socket);
    soon(proxy.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn it_holds_no_place_at_the_program() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let traffic = TrafficLimits { requests_max: 1, ..TrafficLimits::default() };
    proxy.publish(vec![Route { traffic, ..route("a.example", claim.slot) }]).await;
    let _program = echo(&claim).await;
    let mut sender = client(&proxy).await;
    let sockets = [open(&mut sender).await, open(&mut sender).await];
    drop(sockets);
}

#[tokio::test]
async fn a_program_may_decline() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = program(claim.slot, |request| async move {
        let status = request.uri().path().trim_start_matches('/').parse::<u16>().unwrap();
        Response::builder().status(status).body(full("no")).unwrap()
    })
    .await;
    let mut sender = client(&proxy).await;
    for (path, status, code) in [("/404", 404, None), ("/302", 302, None), ("/200", 501, Some("no-websocket"))]
    {
        let answer = soon(sender.send_request(asking(path, "websocket"))).await.unwrap();
        let answer = Answer::read(answer).await;
        assert_eq!((answer.status(), answer.code()), (status, code), "{path}");
        assert!(code.is_some() || answer.text() == "no", "{path}");
    }
}

#[tokio::test]
async fn a_switch_without_the_right_word_is_none() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = raw_program(claim.slot, |_, mut stream| async move {
        read_head(&mut stream).await;
        let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
            sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        stream.write_all(switch.as_bytes()).await.unwrap();
        std::future::pending().await
    })
    .await;
    let answer = soon(client(&proxy).await.send_request(asking("/chat", "websocket"))).await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["kennel-error"]), (502, &"broke".parse().unwrap()));
}

#[tokio::test]
async fn what_speaks_http2_has_none_and_other_protocols_are_refused() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let asked = crate::h2c::program(claim.slot, |_| async { Response::new(full("no")) }).await;
    let mut sender = client(&proxy).await;
    let answer = soon(sender.send_request(asking("/chat", "websocket"))).await.unwrap();
    assert_eq!(Answer::read(answer).await.code(), Some("no-websocket"));
    for request in [asking("/chat", "connect-udp"), Request::connect("a.example:443").body(empty()).unwrap()] {
        assert_eq!(request.method(), Method::CONNECT);
        assert_eq!(
            Answer::read(soon(sender.send_request(request)).await.unwrap()).await.code(),
            Some("method")
        );
    }
    assert_eq!(asked.connections(), 0);
}
