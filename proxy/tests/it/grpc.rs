//! What gRPC needs of the way to a program that speaks HTTP/2: streams both ways at their own pace, trailers, and errors that its
//! clients understand. Messages here are any bytes: the proxy looks into none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kennel_proxy::Limits;
use tokio::sync::{Notify, mpsc};

use crate::authority::Authority;
use crate::h2c::{Body, connect, program, program_with, proxy_with_h2c};
use crate::rig::*;
use crate::tls;

type Sender = mpsc::Sender<Frame<Bytes>>;

/// A body that is sent piece by piece.
fn piecewise() -> (Sender, Body) {
    let (send, pieces) = mpsc::channel(1);
    let body = stream::unfold(pieces, |mut pieces: mpsc::Receiver<Frame<Bytes>>| async move {
        let frame = pieces.recv().await?;
        Some((Ok(frame), pieces))
    });
    (send, BodyExt::boxed(StreamBody::new(body)))
}

async fn send(to: &Sender, bytes: impl Into<Bytes>) {
    soon(to.send(Frame::data(bytes.into()))).await.unwrap();
}

fn trailers(of: &[(&'static str, &'static str)]) -> Frame<Bytes> {
    let fields = of.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    Frame::trailers(fields.collect::<HeaderMap>())
}

async fn ends_well(to: &Sender) {
    soon(to.send(trailers(&[("grpc-status", "0"), ("grpc-message", "fine"), ("x-custom-bin", "AAEC")])))
        .await
        .unwrap();
}

fn call(path: &str, body: Body) -> Request<Body> {
    let request = Request::post(format!("http://a.example{path}"));
    request.header("content-type", "application/grpc+proto").header("te", "trailers").body(body).unwrap()
}

fn answering(body: Body) -> Response<Body> {
    Response::builder().header("content-type", "application/grpc+proto").body(body).unwrap()
}

/// The next message.
async fn next(body: &mut Incoming) -> Bytes {
    soon(body.frame()).await.unwrap().unwrap().into_data().unwrap()
}

/// The next message, or none at the end, which comes with an empty piece.
async fn next_if_any(body: &mut Incoming) -> Option<Bytes> {
    loop {
        let piece = soon(body.frame()).await?.unwrap().into_data().unwrap();
        if !piece.is_empty() {
            return Some(piece);
        }
    }
}

async fn status(body: &mut Incoming) -> HeaderMap {
    soon(body.frame()).await.unwrap().unwrap().into_trailers().unwrap()
}

#[tokio::test]
async fn a_call_has_its_message_and_its_trailers() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let program = program(claim.slot, |request| async move {
        assert_eq!(
            (&request.headers()["te"], request.uri().path()),
            (&"trailers".parse().unwrap(), "/pkg.Svc/Call")
        );
        assert_eq!(request.headers()["grpc-timeout"], "5S");
        let asked = request.into_body().collect().await.unwrap();
        let sum = asked.trailers().map_or("none", |t| t["x-sum"].to_str().unwrap()).to_owned();
        let (to, body) = piecewise();
        tokio::spawn(async move {
            send(&to, [b"re: ", &asked.to_bytes()[..], b" ", sum.as_bytes()].concat()).await;
            ends_well(&to).await;
        });
        answering(body)
    })
    .await;
    let mut sender = connect(&proxy).await;
    for with_trailers in [false, true] {
        let (to, body) = piecewise();
        let mut request = call("/pkg.Svc/Call", body);
        request.headers_mut().insert("grpc-timeout", "5S".parse().unwrap());
        let asked = tokio::spawn(sender.send_request(request));
        send(&to, "one").await;
        if with_trailers {
            soon(to.send(trailers(&[("x-sum", "7"), ("host", "b.example")]))).await.unwrap();
        }
        drop(to);
        let answer = soon(asked).await.unwrap().unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
            (200, "application/grpc+proto")
        );
        let whole = soon(answer.into_body().collect()).await.unwrap();
        let end = whole.trailers().cloned().unwrap();
        assert_eq!(
            (&end["grpc-status"], &end["grpc-message"], &end["x-custom-bin"]),
            (&"0".parse().unwrap(), &"fine".parse().unwrap(), &"AAEC".parse().unwrap())
        );
        assert_eq!(whole.to_bytes(), if with_trailers { "re: one 7" } else { "re: one none" });
    }
    assert_eq!(program.connections(), 1);
}

#[tokio::test]
async fn a_call_with_tls_is_passed_on_without() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let authority = Authority::new();
    tls::certify(&proxy, &authority, 1, vec![authority.issue(&["a.example"], 9)]).await;
    let _program = program(claim.slot, |request| async move {
        let (to, body) = piecewise();
        tokio::spawn(async move {
            send(&to, request.headers()["x-forwarded-proto"].as_bytes().to_vec()).await;
            ends_well(&to).await;
        });
        answering(body)
    })
    .await;
    // As gRPC's clients do: HTTP/2 by ALPN, or nothing.
    let stream = tls::connect(&proxy, &authority.connector(&[b"h2"]), "a.example").await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = soon(handshake).await.unwrap();
    tokio::spawn(connection);
    let mut request = call("/pkg.Svc/Call", full("one"));
    *request.uri_mut() = "https://a.example/pkg.Svc/Call".parse().unwrap();
    let answer = soon(sender.send_request(request)).await.unwrap();
    let whole = soon(answer.into_body().collect()).await.unwrap();
    assert_eq!(whole.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(whole.to_bytes(), "https");
}

#[tokio::test]
async fn an_error_that_is_all_head_comes_as_such() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let _program = program(claim.slot, |_| async {
        let mut response = answering(empty());
        response.headers_mut().insert("grpc-status", "5".parse().unwrap());
        response
    })
    .await;
    let answer = soon(connect(&proxy).await.send_request(call("/x", full("m")))).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "5");
    assert!(answer.body().is_end_stream());
}

#[tokio::test]
async fn messages_come_one_by_one_in_both_directions() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let _program = program(claim.slot, |request| async move {
        let (to, body) = piecewise();
        tokio::spawn(async move {
            let mut asked = request.into_body();
            while let Some(message) = next_if_any(&mut asked).await {
                send(&to, [b"re: ", &message[..]].concat()).await;
            }
            ends_well(&to).await;
        });
        answering(body)
    })
    .await;
    let (to, body) = piecewise();
    let answer = soon(connect(&proxy).await.send_request(call("/chat", body))).await.unwrap();
    let mut answer = answer.into_body();
    for message in ["one", "two", "three"] {
        send(&to, message).await;
        assert_eq!(next(&mut answer).await, format!("re: {message}"));
    }
    drop(to);
    assert_eq!(status(&mut answer).await["grpc-status"], "0");
}

#[tokio::test]
async fn a_stream_may_be_silent_for_longer_than_an_upload() {
    let short = Duration::from_millis(50);
    let limits =
        Limits { request_stall: short, response_head: short, response_stall: short, ..Limits::default() };
    let (proxy, claim) = proxy_with_h2c(limits).await;
    let _program = program(claim.slot, |request| async move {
        let (to, body) = piecewise();
        let mut asked = request.into_body();
        let first = asked.frame().await.unwrap().unwrap().into_data().unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        tokio::spawn(async move {
            send(&to, first).await;
            assert!(next_if_any(&mut asked).await.is_none());
            ends_well(&to).await;
        });
        answering(body)
    })
    .await;
    let (to, body) = piecewise();
    let asked = tokio::spawn(connect(&proxy).await.send_request(call("/chat", body)));
    tokio::time::sleep(Duration::from_millis(200)).await;
    send(&to, "late").await;
    let mut answer = soon(asked).await.unwrap().unwrap().into_body();
    assert_eq!(next(&mut answer).await, "late");
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(to);
    assert_eq!(status(&mut answer).await["grpc-status"], "0");
}

/// Sends pieces for as long as they are taken; answers how many of its bytes were.
async fn flood(to: Sender, taken: Arc<AtomicUsize>) {
    const PIECE: usize = 16 << 10;
    while to.send(Frame::data(vec![b'x'; PIECE].into())).await.is_ok() {
        taken.fetch_add(PIECE, Ordering::Relaxed);
    }
}

/// Until no more of it is taken.
async fn settled(taken: &AtomicUsize) -> usize {
    let mut before = usize::MAX;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = taken.load(Ordering::Relaxed);
        if now == before {
            return now;
        }
        before = now;
    }
}

#[tokio::test]
async fn who_does_not_read_stops_who_sends_and_nobody_else() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let (up, down) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let sent = down.clone();
    // One that has room for more than one request that it does not read.
    let roomy =
        |http: &mut hyper::server::conn::http2::Builder<_>| _ = http.initial_connection_window_size(4 << 20);
    let _program = program_with(claim.slot, roomy, move |request| {
        let sent = sent.clone();
        async move {
            if request.uri().path() == "/other" {
                return answering(full(request.into_body().collect().await.unwrap().to_bytes()));
            }
            let (to, body) = piecewise();
            tokio::spawn(async move {
                // Never read, and not given up.
                let _asked = request.into_body();
                flood(to, sent).await;
            });
            answering(body)
        }
    })
    .await;
    let (to, body) = piecewise();
    let mut sender = connect(&proxy).await;
    let asked = sender.send_request(call("/flood", body));
    tokio::spawn(flood(to, up.clone()));
    let answer = soon(asked).await.unwrap();
    // What the proxy and both ends may hold of it, of which the client's window is the most, and no more.
    let bound = 8 << 20;
    let (up, down) = (soon(settled(&up)).await, soon(settled(&down)).await);
    assert!((1..bound).contains(&up) && (1..bound).contains(&down), "{up} {down}");
    let other = Answer::read(
        soon(connect(&proxy).await.send_request(call("/other", full(vec![b'y'; 300_000])))).await.unwrap(),
    );
    assert_eq!(other.await.body.len(), 300_000);
    drop(answer);
}

#[tokio::test]
async fn a_program_that_dies_in_the_middle_is_no_end() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let die = Arc::new(Notify::new());
    let when = die.clone();
    let _program = raw_program(claim.slot, move |_, stream| {
        let when = when.clone();
        async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (_, mut respond) = connection.accept().await.unwrap().unwrap();
            let mut send = respond.send_response(Response::new(()), false).unwrap();
            send.send_data("half".into(), false).unwrap();
            tokio::select! {
                _ = connection.accept() => (),
                () = when.notified() => (),
            }
        }
    })
    .await;
    let (_to, body) = piecewise();
    let mut answer = soon(connect(&proxy).await.send_request(call("/x", body))).await.unwrap().into_body();
    assert_eq!(next(&mut answer).await, "half");
    die.notify_one();
    assert!(soon(answer.frame()).await.unwrap().is_err());
}

#[tokio::test]
async fn who_leaves_is_not_worked_for() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let left = Arc::new(Notify::new());
    let tell = left.clone();
    let _program = program(claim.slot, move |request| {
        let tell = tell.clone();
        async move {
            let (to, body) = piecewise();
            tokio::spawn(async move {
                let mut asked = request.into_body();
                send(&to, "begun").await;
                assert!(asked.frame().await.unwrap().is_err());
                soon(to.closed()).await;
                tell.notify_one();
            });
            answering(body)
        }
    })
    .await;
    let (_to, body) = piecewise();
    let mut answer = soon(connect(&proxy).await.send_request(call("/x", body))).await.unwrap().into_body();
    assert_eq!(next(&mut answer).await, "begun");
    drop((answer, _to));
    soon(left.notified()).await;
}

#[tokio::test]
async fn faults_are_told_in_grpcs_way() {
    let (proxy, claim) = proxy_with_h2c(Limits::default()).await;
    let _program = hello(claim.slot).await;
    let mut sender = connect(&proxy).await;
    let mut elsewhere = call("/x", full("m"));
    *elsewhere.uri_mut() = "http://nobody.example/x".parse().unwrap();
    for (request, number, code) in
        [(call("/x", full("m")), "14", "protocol"), (elsewhere, "12", "unknown-host")]
    {
        let answer = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(answer.status(), 200);
        let field = |name: &str| answer.headers()[name].to_str().unwrap();
        assert_eq!(
            (field("content-type"), field("grpc-status"), field("kennel-error")),
            ("application/grpc", number, code)
        );
        assert!(!field("grpc-message").is_empty() && !field("x-request-id").is_empty());
        assert!(answer.body().is_end_stream());
    }
    let mut plain = call("/x", full("m"));
    plain.headers_mut().remove("content-type");
    assert_eq!(soon(sender.send_request(plain)).await.unwrap().status(), 502);
}
