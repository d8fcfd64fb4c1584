//! What stands before the host and is trusted: it says who visitors are, and nobody else does.

use std::net::Ipv4Addr;

use hyper::{Request, Response};
use kennel_model::routes::Front;
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::rig::*;

/// Of the PROXY protocol: version 2, then PROXY or LOCAL.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const PROXY: u8 = 0x21;
const LOCAL: u8 = 0x20;
const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";

/// A proxy behind this, and a program that answers who its visitor is.
async fn behind(front: Front) -> (Proxy, Claim, Program) {
    let (proxy, claim) = (proxy(Limits::default()).await, claim());
    *proxy.init.front.lock().unwrap() = front;
    // Whether this one is in force is asked without the PROXY protocol, where that is wanted.
    proxy.init.publish(1, vec![route("a.example", claim.slot)]);
    let program = program(claim.slot, |request| async move {
        let field = |name: &str| {
            let values: Vec<_> = request.headers().get_all(name).iter().map(|v| v.to_str().unwrap()).collect();
            values.join("+")
        };
        let all = ["x-forwarded-for", "x-forwarded-proto", "forwarded"].map(field);
        Response::new(full(all.join(" ")))
    })
    .await;
    soon(async { while from(&proxy, Ipv4Addr::new(127, 0, 0, 9), ASK).await.contains("starting") {} }).await;
    (proxy, claim, program)
}

/// All that comes as an answer to these bytes, sent from this address.
async fn from(proxy: &Proxy, address: Ipv4Addr, bytes: &[u8]) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    let mut stream: TcpStream = socket.connect(proxy.address).await.unwrap();
    _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    _ = soon(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn trusted(networks: &[&str], proxy_protocol: bool) -> Front {
    Front { trusted: networks.iter().map(|network| network.parse().unwrap()).collect(), proxy_protocol }
}

async fn asked(proxy: &Proxy, fields: &[(&str, &str)]) -> String {
    let request =
        fields.iter().fold(Request::get("/").header("host", "a.example"), |r, (n, v)| r.header(*n, *v));
    proxy.send(request.body(empty()).unwrap()).await.text().to_owned()
}

#[tokio::test]
async fn who_is_trusted_names_the_visitor_of_each_request() {
    let (proxy, _claim, _program) = behind(trusted(&["127.0.0.0/8", "10.0.0.0/8"], false)).await;
    let list = ("x-forwarded-for", "198.51.100.9, 192.0.2.1, 10.0.0.7");
    assert_eq!(asked(&proxy, &[list]).await, "192.0.2.1 http for=192.0.2.1;proto=http");
    assert_eq!(
        asked(&proxy, &[list, ("x-forwarded-proto", "https"), ("forwarded", "for=203.0.113.9")]).await,
        "192.0.2.1 https for=192.0.2.1;proto=https"
    );
    assert_eq!(asked(&proxy, &[]).await, "127.0.0.1 http for=127.0.0.1;proto=http");
}

#[tokio::test]
async fn a_stranger_names_nobody() {
    let (proxy, _claim, _program) = behind(trusted(&["10.0.0.0/8"], false)).await;
    let claims =
        [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"), ("forwarded", "for=192.0.2.1")];
    assert_eq!(asked(&proxy, &claims).await, "127.0.0.1 http for=127.0.0.1;proto=http");
}

fn header(command: u8, rest: &[u8]) -> Vec<u8> {
    // TCP over IPv4: from 192.0.2.1 port 4711 to 198.51.100.4 port 80.
    let addresses = [192, 0, 2, 1, 198, 51, 100, 4, 0x12, 0x67, 0, 80];
    let length = u16::try_from(addresses.len() + rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, 0x11], &length, &addresses, rest].concat()
}

#[tokio::test]
async fn the_proxy_protocol_names_the_visitor_of_a_connection() {
    let (proxy, _claim, _program) = behind(trusted(&["127.0.0.1/32"], true)).await;
    let balancer = Ipv4Addr::new(127, 0, 0, 1);
    let answer = from(&proxy, balancer, &[&header(PROXY, b""), ASK].concat()).await;
    assert!(answer.ends_with("192.0.2.1 http for=192.0.2.1;proto=http"), "{answer}");
    // What it knows besides (a type, a length, a value) is not looked at.
    let answer = from(&proxy, balancer, &[&header(PROXY, &[0xea, 0, 2, 1, 2]), ASK].concat()).await;
    assert!(answer.ends_with("192.0.2.1 http for=192.0.2.1;proto=http"), "{answer}");
    let answer = from(&proxy, balancer, &[&header(LOCAL, b""), ASK].concat()).await;
    assert!(answer.ends_with("127.0.0.1 http for=127.0.0.1;proto=http"), "its own look: {answer}");
}

#[tokio::test]
async fn without_its_header_nothing_is_believed_and_from_strangers_it_is_no_request() {
    let (proxy, _claim, program) = behind(trusted(&["127.0.0.1/32"], true)).await;
    let (balancer, stranger) = (Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2));
    let before = program.requests();
    assert_eq!(from(&proxy, balancer, ASK).await, "");
    let long = [SIGNATURE, &[PROXY, 0x11, 0xff, 0xff]].concat();
    assert_eq!(from(&proxy, balancer, &[&long, ASK].concat()).await, "");
    let short = [SIGNATURE, &[PROXY, 0x11, 0, 4, 1, 2, 3, 4]].concat();
    assert_eq!(from(&proxy, balancer, &[&short, ASK].concat()).await, "");
    let answer = from(&proxy, stranger, &[&header(PROXY, b""), ASK].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(program.requests(), before);
    let answer = from(&proxy, stranger, ASK).await;
    assert!(answer.ends_with("127.0.0.2 http for=127.0.0.2;proto=http"), "{answer}");
}
