//! Another program takes over from the one that a slot has, at another port: who comes from then on is the new one's, who was there
//! before stays with the old one, and init hears when nobody does any more. And programs on trial, which are asked and no more.

use std::net::Ipv4Addr;

use hyper::Request;
use kennel_model::ReleaseId;
use kennel_model::msg::{FromProxy, Rung, ToProxy};
use kennel_model::routes::{Beta, Protocol, Route};
use kennel_model::task::{Ask, Asked};
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::*;

const OLD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nold";
const NEW: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nnew";

/// The claim has the second port.
const fn third(claim: &Claim) -> u16 {
    claim.slot.port() + 2
}

async fn listen_at(port: u16) -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap()
}

async fn accept(listener: &TcpListener) -> TcpStream {
    soon(listener.accept()).await.unwrap().0
}

fn request(method: &str) -> Request<&'static str> {
    Request::builder().method(method).uri("/").header("host", "a.example").body("").unwrap()
}

/// A visit to what is shown.
fn ask_for_beta() -> Request<&'static str> {
    Request::builder().uri("/").header("host", "r2.a.example").body("").unwrap()
}

#[tokio::test]
async fn what_is_shown_is_asked_at_its_port_and_nothing_is_woken_or_kept_for_it() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let shown = listen_at(third(&claim)).await;
    let at = |port| Route {
        release: Some(ReleaseId(2)),
        beta: Some(Beta { port }),
        ..route("r2.a.example", claim.slot)
    };
    proxy.publish(vec![route("a.example", claim.slot), at(Some(third(&claim)))]).await;
    // The one that serves is asleep all the while.
    proxy.init.say(&ToProxy::Down(claim.slot));
    for _ in 0..2 {
        let mut visitor = proxy.connect().await;
        let answer = tokio::spawn(async move {
            Answer::read(visitor.send_request(ask_for_beta().map(full)).await.unwrap()).await
        });
        // Each by a connection of its own.
        let mut stream = accept(&shown).await;
        read_head(&mut stream).await;
        stream.write_all(NEW).await.unwrap();
        let answer = soon(answer).await.unwrap();
        assert_eq!((answer.text(), &answer.head.headers["x-robots-tag"]), ("new", &"noindex".parse().unwrap()));
        assert_eq!(soon(stream.read(&mut [0])).await.unwrap(), 0, "it is closed");
    }
    drop(shown);
    let mut visitor = proxy.connect().await;
    let gone = Answer::read(visitor.send_request(ask_for_beta().map(full)).await.unwrap()).await;
    assert_eq!(gone.code(), Some("died"));
    proxy.publish(vec![at(None)]).await;
    let gone = Answer::read(visitor.send_request(ask_for_beta().map(full)).await.unwrap()).await;
    assert_eq!(gone.code(), Some("no-file"), "there are files alone, and none of them");
    proxy.init.nothing_more();
}

/// A request, and the program that was given it and has not answered yet.
async fn in_flight(
    proxy: &Proxy,
    listener: &TcpListener,
    method: &str,
) -> (tokio::task::JoinHandle<Answer>, TcpStream) {
    let mut visitor = proxy.connect().await;
    let request = request(method).map(full);
    let answer = tokio::spawn(async move { Answer::read(visitor.send_request(request).await.unwrap()).await });
    let mut stream = accept(listener).await;
    read_head(&mut stream).await;
    (answer, stream)
}

async fn left(proxy: &Proxy) -> u16 {
    loop {
        if let FromProxy::Left(port) = proxy.init.hears().await {
            return port;
        }
    }
}

#[tokio::test]
async fn who_comes_is_the_new_ones_and_who_was_there_stays() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let (old, new) = (listen(claim.slot).await, listen_at(third(&claim)).await);
    let (first, mut first_at) = in_flight(&proxy, &old, "GET").await;
    let (second, mut second_at) = in_flight(&proxy, &old, "POST").await;
    proxy.init.say(&ToProxy::Moved(claim.slot, third(&claim)));
    proxy.publish(vec![route("a.example", claim.slot)]).await;
    let (third_one, mut third_at) = in_flight(&proxy, &new, "GET").await;
    third_at.write_all(NEW).await.unwrap();
    assert_eq!(soon(third_one).await.unwrap().text(), "new");
    first_at.write_all(OLD).await.unwrap();
    assert_eq!(soon(first).await.unwrap().text(), "old");
    // Its connection is given back, good as ever, and is not used: it is the old one's.
    let (fourth, mut at) = {
        let mut visitor = proxy.connect().await;
        let asks = tokio::spawn(async move {
            Answer::read(visitor.send_request(request("GET").map(full)).await.unwrap()).await
        });
        read_head(&mut third_at).await;
        (asks, third_at)
    };
    at.write_all(NEW).await.unwrap();
    assert_eq!(soon(fourth).await.unwrap().text(), "new");
    proxy.init.nothing_more();
    second_at.write_all(OLD).await.unwrap();
    assert_eq!(soon(second).await.unwrap().text(), "old");
    assert_eq!(left(&proxy).await, claim.slot.port());
}

#[tokio::test]
async fn what_the_old_one_drops_without_a_word_is_the_new_ones_where_that_cannot_run_anything_twice() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let (old, new) = (listen(claim.slot).await, listen_at(third(&claim)).await);
    let (reads, reads_at) = in_flight(&proxy, &old, "GET").await;
    let (writes, writes_at) = in_flight(&proxy, &old, "POST").await;
    proxy.init.say(&ToProxy::Moved(claim.slot, third(&claim)));
    drop(reads_at);
    // The next wake is of the new one, which runs.
    let mut again = accept(&new).await;
    read_head(&mut again).await;
    again.write_all(NEW).await.unwrap();
    assert_eq!(soon(reads).await.unwrap().text(), "new");
    drop(writes_at);
    assert_eq!(soon(writes).await.unwrap().code(), Some("broke"));
    assert_eq!(left(&proxy).await, claim.slot.port());
}

#[tokio::test]
async fn who_is_told_that_nobody_is_left_is_told_of_the_right_one() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let (old, new) = (listen(claim.slot).await, listen_at(third(&claim)).await);
    let (first, mut first_at) = in_flight(&proxy, &old, "GET").await;
    proxy.init.say(&ToProxy::Moved(claim.slot, third(&claim)));
    proxy.publish(vec![route("a.example", claim.slot)]).await;
    let (second, mut second_at) = in_flight(&proxy, &new, "GET").await;
    // And back again, with somebody left in each.
    proxy.init.say(&ToProxy::Moved(claim.slot, claim.slot.port()));
    assert_eq!(left(&proxy).await, claim.slot.port(), "that is the slot's again, and not to be waited for");
    second_at.write_all(NEW).await.unwrap();
    assert_eq!(soon(second).await.unwrap().text(), "new");
    assert_eq!(left(&proxy).await, third(&claim));
    first_at.write_all(OLD).await.unwrap();
    assert_eq!(soon(first).await.unwrap().text(), "old");
}

#[tokio::test]
async fn it_is_woken_and_found_where_it_is() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    proxy.init.say(&ToProxy::Moved(claim.slot, third(&claim)));
    let starts = async {
        proxy.init.hears().await;
        proxy.init.grants(Rung::Stopped).await;
        let new = listen_at(third(&claim)).await;
        let mut stream = accept(&new).await;
        read_head(&mut stream).await;
        stream.write_all(NEW).await.unwrap();
        (new, stream)
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!(answer.text(), "new");
}

async fn asked(proxy: &Proxy, claim: &Claim, port: u16, path: Option<&str>, protocol: Protocol) -> Asked {
    let ask = Ask { host: "a.example".into(), path: path.map(|path| path.parse().unwrap()), protocol };
    proxy.init.say(&ToProxy::Ask { id: 7, slot: claim.slot, port, ask });
    match proxy.init.hears().await {
        FromProxy::Asked(7, asked) => asked,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_program_on_trial_is_asked_and_says_how_it_is() {
    let limits = Limits { ask: std::time::Duration::from_millis(200), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let (http, port) = (Protocol::Http1, third(&claim));
    assert_eq!(asked(&proxy, &claim, port, None, http).await, Asked::Refused);
    assert_eq!(
        asked(&proxy, &claim, claim.slot.last_port() + 1, None, http).await,
        Asked::Refused,
        "a neighbour's"
    );
    let trial = listen_at(port).await;
    assert_eq!(asked(&proxy, &claim, port, None, http).await, Asked::Accepted);
    let answers = async |answer: &'static [u8]| {
        let mut stream = accept(&trial).await;
        // The one that was only accepted has nothing to say.
        let head = loop {
            let mut byte = [0];
            if matches!(soon(stream.peek(&mut byte)).await, Ok(1)) {
                break read_head(&mut stream).await;
            }
            stream = accept(&trial).await;
        };
        stream.write_all(answer).await.unwrap();
        (head, stream)
    };
    let ask = asked(&proxy, &claim, port, Some("/healthz"), http);
    let (said, (head, _stream)) = tokio::join!(ask, answers(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"));
    assert_eq!(said, Asked::Status(503));
    assert!(head.starts_with("GET /healthz HTTP/1.1\r\n") && head.contains("host: a.example\r\n"), "{head}");
    let ask = asked(&proxy, &claim, port, Some("/healthz"), http);
    let (said, _) = tokio::join!(ask, answers(b"no such protocol\r\n\r\n"));
    assert_eq!(said, Asked::Silent);
    assert_eq!(asked(&proxy, &claim, port, Some("/"), http).await, Asked::Silent, "nobody answers");
    assert_eq!(asked(&proxy, &claim, port, Some("/"), Protocol::H2c).await, Asked::Silent);
}
