//! HTTP/2 without TLS, as clients with prior knowledge speak it: many requests on one connection, bodies both ways, the
//! connection's end, and what is refused. Tests of ALPN are in `tls`.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::client::conn::http2::{Connection, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kennel_model::msg::ToProxy;
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::rig::*;

type Body = http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>;
type Ended = JoinHandle<Result<(), hyper::Error>>;

async fn connect(proxy: &Proxy) -> (SendRequest<Body>, Ended) {
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection): (_, Connection<_, _, _>) = handshake.await.unwrap();
    (sender, tokio::spawn(connection))
}

fn request(path: &str, body: Body) -> Request<Body> {
    Request::post(format!("http://a.example{path}")).body(body).unwrap()
}

#[tokio::test]
async fn many_requests_share_a_connection_and_bodies_pass_both_ways() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = program(claim.slot, |request| async move {
        let length = request.headers().get("content-length").cloned();
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut response = Response::new(full([path.as_bytes(), &body].concat()));
        if let Some(length) = length {
            response.headers_mut().insert("x-length", length);
        }
        response
    })
    .await;
    let (sender, _) = connect(&proxy).await;
    let mut asked = JoinSet::new();
    for n in 0..150_usize {
        let mut sender = sender.clone();
        asked.spawn(async move {
            let body = vec![b'x'; n * 1000];
            let answer = sender.send_request(request(&format!("/{n}"), full(body.clone()))).await.unwrap();
            let answer = Answer::read(answer).await;
            assert_eq!(answer.body, [format!("/{n}").as_bytes(), &body].concat());
            assert_eq!(answer.field("x-length"), Some((n * 1000).to_string().as_str()).filter(|_| n > 0));
        });
    }
    soon(asked.join_all()).await;
}

#[tokio::test]
async fn what_a_request_must_not_be() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let program = hello(claim.slot).await;
    let status = async |request: Request<Body>| {
        let (mut sender, _ended) = connect(&proxy).await;
        soon(sender.send_request(request)).await.map(|answer| answer.status().as_u16())
    };
    let asked = |host: Option<&str>| {
        let request = Request::get("http://a.example/");
        host.into_iter().fold(request, |r, host| r.header("host", host)).body(empty()).unwrap()
    };
    assert_eq!(status(asked(Some("a.example"))).await.unwrap(), 200);
    assert_eq!(status(asked(Some("b.example"))).await.unwrap(), 400, "RFC 9113, 8.3.1");
    assert_eq!(status(Request::connect("a.example:80").body(empty()).unwrap()).await.unwrap(), 405);
    assert_eq!(program.requests(), 1);
}

#[tokio::test]
async fn an_idle_connection_ends_and_one_with_a_request_does_not() {
    let limits = Limits { request_head: Duration::from_millis(50), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let (open, gate) = watch::channel(false);
    let _program = program(claim.slot, move |request| {
        let mut gate = gate.clone();
        async move {
            if request.uri().path() == "/slow" {
                gate.wait_for(|open| *open).await.unwrap();
            }
            Response::new(full("done"))
        }
    })
    .await;
    let (mut busy, busy_ended) = connect(&proxy).await;
    let slow =
        tokio::spawn(
            async move { Answer::read(busy.send_request(request("/slow", empty())).await.unwrap()).await },
        );
    let (mut idle, idle_ended) = connect(&proxy).await;
    let answer = Answer::read(idle.send_request(request("/", empty())).await.unwrap()).await;
    assert_eq!(answer.text(), "done");
    soon(idle_ended).await.unwrap().unwrap();
    assert!(idle.send_request(request("/", empty())).await.is_err());
    assert!(!busy_ended.is_finished());
    open.send_replace(true);
    assert_eq!(soon(slow).await.unwrap().text(), "done");
    soon(busy_ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_lets_requests_end() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let (open, gate) = watch::channel(false);
    let program = program(claim.slot, move |_| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            Response::new(full("finished"))
        }
    })
    .await;
    let (sender, ended) = connect(&proxy).await;
    let answer = tokio::spawn({
        let mut sender = sender.clone();
        async move { Answer::read(sender.send_request(request("/", empty())).await.unwrap()).await }
    });
    program.asked().await;
    proxy.init.say(&ToProxy::Drain);
    // Nobody is let in any more, so it has begun.
    soon(async { while TcpStream::connect(proxy.address).await.is_ok() {} }).await;
    drop(sender);
    open.send_replace(true);
    assert_eq!(soon(answer).await.unwrap().text(), "finished");
    soon(ended).await.unwrap().unwrap();
    soon(proxy.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_only_begins_like_it_is_none() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = hello(claim.slot).await;
    let answer = proxy.raw(b"PRINT / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // One that is cut after its first byte is read as HTTP/1.1, as most are that come so.
    let mut slow = TcpStream::connect(proxy.address).await.unwrap();
    slow.write_all(b"P").await.unwrap();
    tokio::task::yield_now().await;
    slow.write_all(b"OST / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon(slow.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_what_it_asked_for_is_given_up() {
    let limits = Limits { response_stall: Duration::from_millis(100), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let _program = program(claim.slot, |_| async { Response::new(full(vec![b'x'; 1 << 20])) }).await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.adaptive_window(false).initial_stream_window_size(1000);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    let ended = tokio::spawn(connection);
    let answer = soon(sender.send_request(request("/", empty()))).await.unwrap();
    assert_eq!(answer.status(), 200);
    // By flow control nothing more comes, and the connection itself is alive.
    _ = soon(ended).await;
    assert!(answer.into_body().collect().await.is_err());
}
