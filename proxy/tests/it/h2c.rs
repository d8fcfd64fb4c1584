//! Programs that speak HTTP/2 without TLS: how they are reached, what becomes of a connection that many requests share, and of one that is
//! none. What goes over it for gRPC is in `grpc`.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kennel_model::SlotId;
use kennel_model::msg::{Rung, ToProxy};
use kennel_model::routes::{Protocol, Route};
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::rig::*;

pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// A program that answers each request by `handle`, over connections that are as `builder` has them.
pub(crate) async fn program_with<F, R>(
    slot: SlotId,
    builder: impl Fn(&mut http2::Builder<TokioExecutor>) + Send + Sync + 'static,
    handle: F,
) -> Program
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    raw_program(slot, move |_, stream| {
        let handle = handle.clone();
        let mut http = http2::Builder::new(TokioExecutor::new());
        builder(&mut http);
        async move {
            let service = service_fn(move |request| {
                let answer = handle(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            _ = http.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await
}

/// A program that answers each request by `handle`.
pub(crate) async fn program<F, R>(slot: SlotId, handle: F) -> Program
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    program_with(slot, |_| (), handle).await
}

pub(crate) fn speaks_h2c(slot: SlotId) -> Route {
    Route { protocol: Protocol::H2c, ..route("a.example", slot) }
}

/// A proxy that knows `a.example`, which asks for HTTP/2.
pub(crate) async fn proxy_with_h2c(limits: Limits) -> (Proxy, Claim) {
    let (mut proxy, claim) = (proxy(limits).await, claim());
    proxy.publish(vec![speaks_h2c(claim.slot)]).await;
    (proxy, claim)
}

/// A client's connection of HTTP/2.
pub(crate) async fn connect(proxy: &Proxy) -> hyper::client::conn::http2::SendRequest<Body> {
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

/// What a program was asked, in a line.
fn told(request: &Request<Incoming>) -> String {
    let field = |name: &str| request.headers().get(name).map_or("-", |v| v.to_str().unwrap()).to_owned();
    let names = ["host", "connection", "transfer-encoding", "te", "content-length", "x-forwarded-host"];
    let fields = names.map(field).join(" ");
    let version = if request.version() == Version::HTTP_2 { "2" } else { "?" };
    format!("{version} {} {} {fields}", request.method(), request.uri())
}

#[tokio::test]
async fn requests_of_http1_come_as_those_of_http2_do() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let program = program(claim.slot, |request| async move {
        let head = told(&request);
        let body = request.into_body().collect().await.unwrap().to_bytes();
        Response::new(full([head.as_bytes(), b" ", &body].concat()))
    })
    .await;
    let answer = proxy.get("a.example", "/x?y=1").await;
    assert_eq!(answer.text(), "2 GET http://a.example/x?y=1 - - - - - a.example ");
    assert_eq!(answer.head.version, Version::HTTP_11);
    let chunked = b"PUT / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\nte: trailers\r\n\
        connection: te, close\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let answer = proxy.raw(chunked).await;
    assert!(answer.contains("2 PUT http://a.example/ - - - trailers - a.example hi"), "{answer}");
    let request = Request::post("/").header("host", "a.example").body(full("hello")).unwrap();
    assert_eq!(proxy.send(request).await.text(), "2 POST http://a.example/ - - - - 5 a.example hello");
    let request = Request::head("/").header("host", "a.example").body(empty()).unwrap();
    assert_eq!((proxy.send(request).await.body.len(), program.connections()), (0, 1));
    let mut sender = connect(&proxy).await;
    let request = Request::get("http://a.example/").body(empty()).unwrap();
    let answer = Answer::read(soon(sender.send_request(request)).await.unwrap()).await;
    assert_eq!(answer.text(), "2 GET http://a.example/ - - - - - a.example ");
    assert_eq!(program.connections(), 1);
}

#[tokio::test]
async fn an_upgrade_is_not_passed_on() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let _program = program(claim.slot, |request| async move { Response::new(full(told(&request))) }).await;
    let ask = b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
    let answer = proxy.raw(ask).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("2 GET http://a.example/ - - -"),
        "{answer}"
    );
}

#[tokio::test]
async fn what_speaks_http1_is_told_from_what_does_not_answer() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let http1 = hello(claim.slot).await;
    for method in [Method::GET, Method::POST] {
        let request = Request::builder().method(method).uri("/").header("host", "a.example");
        let answer = proxy.send(request.body(full("x")).unwrap()).await;
        assert_eq!((answer.status(), answer.code()), (502, Some("protocol")));
    }
    assert_eq!(http1.requests(), 0);
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let _answers = raw_program(claim.slot, |_, mut stream| async move {
        _ = stream.read(&mut [0; 24]).await;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await.unwrap();
        // Left open.
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(proxy.get("a.example", "/").await.code(), Some("protocol"));
}

#[tokio::test]
async fn a_program_that_says_nothing_is_not_waited_for_for_ever() {
    let limits = Limits { response_head: Duration::from_millis(100), ..Limits::default() };
    let (proxy, claim) = proxy_with_h2c(limits).await;
    let _program = raw_program(claim.slot, |_, stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    assert_eq!(proxy.get("a.example", "/").await.code(), Some("answered-late"));
}

#[tokio::test]
async fn more_requests_than_it_takes_wait_and_need_few_connections() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (now.clone(), most.clone());
    let program = program_with(
        claim.slot,
        |http| _ = http.max_concurrent_streams(2),
        move |request| {
            let (now, most) = counts.clone();
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                let body = request.into_body().collect().await.unwrap().to_bytes();
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::Relaxed);
                Response::new(full(body))
            }
        },
    )
    .await;
    let sender = connect(&proxy).await;
    let mut asked = JoinSet::new();
    for n in 0..100 {
        let mut sender = sender.clone();
        asked.spawn(async move {
            let request = Request::post("http://a.example/").body(full(format!("{n}"))).unwrap();
            let answer = Answer::read(sender.send_request(request).await.unwrap()).await;
            assert_eq!((answer.status(), answer.text()), (200, format!("{n}").as_str()));
        });
    }
    soon(asked.join_all()).await;
    let connections = program.connections();
    assert!((2..=Limits::default().h2c_per_slot).contains(&connections), "{connections}");
    assert!(most.load(Ordering::Relaxed) <= 2 * connections);
}

#[tokio::test]
async fn what_is_idle_is_closed_and_so_is_what_has_ended() {
    let limits = Limits { upstream_idle: Duration::from_millis(50), ..Limits::default() };
    let (proxy, claim) = proxy_with_h2c(limits).await;
    let closed = Arc::new(Notify::new());
    let tell = closed.clone();
    let _program = raw_program(claim.slot, move |_, stream| {
        let tell = tell.clone();
        async move {
            let service = service_fn(|_| async { Ok::<_, Infallible>(Response::new(full("hi"))) });
            let http = http2::Builder::new(TokioExecutor::new());
            http.serve_connection(TokioIo::new(stream), service).await.unwrap();
            tell.notify_one();
        }
    })
    .await;
    for _ in 0..3 {
        assert_eq!(proxy.get("a.example", "/").await.text(), "hi");
        soon(closed.notified()).await;
    }
}

#[tokio::test]
async fn down_closes_it_when_its_requests_are_through() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let go = Arc::new(Notify::new());
    let when = go.clone();
    let program = program(claim.slot, move |request| {
        let when = when.clone();
        async move {
            if request.uri().path() == "/slow" {
                when.notified().await;
            }
            Response::new(full("hi"))
        }
    })
    .await;
    let mut sender = connect(&proxy).await;
    let mut slow = connect(&proxy).await;
    let ask = |path: &str| Request::get(format!("http://a.example{path}")).body(empty()).unwrap();
    let first = tokio::spawn(slow.send_request(ask("/slow")));
    assert_eq!(Answer::read(soon(sender.send_request(ask("/"))).await.unwrap()).await.text(), "hi");
    assert_eq!(program.connections(), 1);
    proxy.init.say(&ToProxy::Down(claim.slot));
    soon(async {
        while program.connections() == 1 {
            assert_eq!(proxy.get("a.example", "/").await.text(), "hi");
        }
    })
    .await;
    go.notify_one();
    assert_eq!(Answer::read(soon(first).await.unwrap().unwrap()).await.text(), "hi");
}

#[tokio::test]
async fn a_start_is_found_out_and_health_is_asked_by_http2() {
    for health in [None, Some("/healthz".parse().unwrap())] {
        let (mut proxy, claim) = proxy_with_h2c(Limits::default()).await;
        proxy.publish(vec![Route { health, ..speaks_h2c(claim.slot) }]).await;
        let starts = async {
            proxy.init.grants(Rung::Stopped).await;
            program(claim.slot, |request| async move {
                if request.uri().path() == "/healthz" {
                    assert_eq!(request.uri().host(), Some("a.example"));
                }
                Response::new(full("awake"))
            })
            .await
        };
        let (answer, program) = tokio::join!(proxy.get("a.example", "/"), starts);
        assert_eq!(answer.text(), "awake");
        // The one that found it out is the one that is used, but where it was a question's.
        assert_eq!(program.connections(), if health.is_some() { 2 } else { 1 });
    }
}

#[tokio::test]
async fn a_refused_request_is_sent_once_more_and_a_body_never_twice() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    // Refuses the second request on each connection.
    let _program = raw_program(claim.slot, move |_, stream| {
        let count = count.clone();
        async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut asked = 0;
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                asked += 1;
                count.fetch_add(1, Ordering::Relaxed);
                if asked == 2 {
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                    connection.graceful_shutdown();
                } else {
                    let path = request.uri().path().to_owned();
                    let mut send = respond.send_response(Response::new(()), false).unwrap();
                    send.send_data(path.into(), true).unwrap();
                }
            }
        }
    })
    .await;
    let ask = async |method: Method, body: &'static str| {
        let request = Request::builder().method(method).uri("/x").header("host", "a.example");
        proxy.send(request.body(full(body)).unwrap()).await
    };
    assert_eq!(ask(Method::GET, "").await.text(), "/x");
    assert_eq!(ask(Method::POST, "").await.text(), "/x", "which nobody has looked at");
    assert_eq!(seen.load(Ordering::Relaxed), 3);
    assert_eq!(ask(Method::PUT, "body").await.code(), Some("broke"));
    assert_eq!(seen.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn after_a_goaway_there_is_another_connection() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let program = raw_program(claim.slot, |_, stream| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            // It may be read in the same go as the answer, or after the next request was sent.
            connection.graceful_shutdown();
            let path = request.uri().path().to_owned();
            let mut send = respond.send_response(Response::new(()), false).unwrap();
            send.send_data(path.into(), true).unwrap();
        }
    })
    .await;
    for n in 0..20 {
        let path = format!("/{n}");
        assert_eq!(proxy.get("a.example", &path).await.text(), path);
    }
    assert!(program.connections() > 10, "{}", program.connections());
}
