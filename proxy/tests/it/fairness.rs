//! What a tenant, and one of its clients, may have of the proxy at a time and in a second.

use std::net::Ipv4Addr;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kennel_model::routes::{Route, TrafficLimits};
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::rig::*;

const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

async fn proxy_with(limits: Limits, traffic: TrafficLimits) -> (Proxy, Claim) {
    let (mut proxy, claim) = (proxy(limits).await, claim());
    proxy.publish(vec![Route { traffic, ..route("a.example", claim.slot) }]).await;
    (proxy, claim)
}

async fn connect(proxy: &Proxy, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(proxy.address).await.unwrap()
}

async fn get(proxy: &Proxy, from: Ipv4Addr) -> Answer {
    let stream = connect(proxy, from).await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/").header("host", "a.example").body(empty()).unwrap();
    Answer::read(soon(sender.send_request(request)).await.unwrap()).await
}

/// A program that answers when it is let, and tells how many requests it has had at a time.
struct Slow {
    _program: Program,
    gate: Arc<Semaphore>,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Slow {
    async fn new(claim: &Claim) -> Self {
        let (gate, now, most) = (Arc::new(Semaphore::new(0)), Arc::default(), Arc::default());
        let state: (Arc<Semaphore>, Arc<AtomicUsize>, Arc<AtomicUsize>) =
            (Arc::clone(&gate), Arc::clone(&now), Arc::clone(&most));
        let _program = program(claim.slot, move |_| {
            let (gate, now, most) = state.clone();
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                now.fetch_sub(1, Ordering::SeqCst);
                Response::new(full("at last"))
            }
        })
        .await;
        Self { _program, gate, now, most }
    }

    async fn has(&self, requests: usize) {
        soon(async {
            while self.now.load(Ordering::SeqCst) != requests {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_crowd_reaches_the_program_a_few_at_a_time_and_all_are_answered() {
    let traffic = TrafficLimits { requests_max: 4, ..TrafficLimits::default() };
    let (proxy, claim) = proxy_with(Limits::default(), traffic).await;
    let proxy = Arc::new(proxy);
    let slow = Slow::new(&claim).await;
    let mut asked = JoinSet::new();
    for n in 0..40 {
        let proxy = proxy.clone();
        asked.spawn(async move { get(&proxy, if n % 2 == 0 { ONE } else { OTHER }).await.status() });
    }
    slow.has(4).await;
    slow.gate.add_permits(40);
    assert_eq!(soon(asked.join_all()).await, [200; 40]);
    assert_eq!(slow.most.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn one_client_leaves_room_for_others() {
    let traffic = TrafficLimits { requests_max: 4, ..TrafficLimits::default() };
    let (proxy, claim) = proxy_with(Limits::default(), traffic).await;
    let proxy = Arc::new(proxy);
    let slow = Slow::new(&claim).await;
    let mut greedy = JoinSet::new();
    for _ in 0..9 {
        let proxy = proxy.clone();
        greedy.spawn(async move { get(&proxy, ONE).await.status() });
    }
    slow.has(2).await;
    let other = tokio::spawn({
        let proxy = proxy.clone();
        async move { get(&proxy, OTHER).await.status() }
    });
    slow.has(3).await;
    slow.gate.add_permits(10);
    assert_eq!(soon(other).await.unwrap(), 200);
    assert_eq!(soon(greedy.join_all()).await, [200; 9]);
}

#[tokio::test]
async fn who_waits_in_vain_is_told_so_and_so_is_who_finds_the_line_too_long() {
    let traffic = TrafficLimits { requests_max: 1, ..TrafficLimits::default() };
    let limits = Limits { slot_waiting: 1, turn_wait: Duration::from_millis(300), ..Limits::default() };
    let (proxy, claim) = proxy_with(limits, traffic).await;
    let proxy = Arc::new(proxy);
    let slow = Slow::new(&claim).await;
    let first = tokio::spawn({
        let proxy = proxy.clone();
        async move { get(&proxy, ONE).await.status() }
    });
    slow.has(1).await;
    let (second, third) = tokio::join!(get(&proxy, OTHER), get(&proxy, OTHER));
    let mut codes = [second.code(), third.code()];
    codes.sort_unstable();
    assert_eq!(codes, [Some("busy"), Some("crowded")]);
    for answer in [&second, &third] {
        assert_eq!((answer.status(), answer.field("retry-after")), (503, Some("2")));
    }
    slow.gate.add_permits(2);
    assert_eq!(soon(first).await.unwrap(), 200);
    assert_eq!(get(&proxy, OTHER).await.status(), 200, "places come back");
}

#[tokio::test]
async fn what_lasts_takes_no_place() {
    let traffic = TrafficLimits { requests_max: 1, ..TrafficLimits::default() };
    let (proxy, claim) = proxy_with(Limits::default(), traffic).await;
    let _program = raw_program(claim.slot, |_, mut stream| async move {
        let head = read_head(&mut stream).await.to_lowercase();
        let answer: &[u8] = if head.contains("upgrade: websocket") {
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n"
        } else if head.starts_with("get /events") {
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n"
        } else {
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
        };
        stream.write_all(answer).await.unwrap();
        _ = stream.read(&mut [0]).await;
    })
    .await;
    let mut events = connect(&proxy, ONE).await;
    events.write_all(b"GET /events HTTP/1.1\r\nhost: a.example\r\n\r\n").await.unwrap();
    assert!(read_head(&mut events).await.starts_with("HTTP/1.1 200 "));
    let mut chat = connect(&proxy, ONE).await;
    let ask = "GET /chat HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
    chat.write_all(ask.as_bytes()).await.unwrap();
    assert!(read_head(&mut chat).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(get(&proxy, ONE).await.text(), "hello");
    drop((events, chat));
}

#[tokio::test]
async fn a_client_s_flood_is_refused_and_others_are_served() {
    let traffic = TrafficLimits { client_requests_per_s: NonZeroU32::new(1), ..TrafficLimits::default() };
    // Even the slowest machine sends more than one in this time.
    let limits = Limits { rate_ahead: Duration::ZERO, ..Limits::default() };
    let (proxy, claim) = proxy_with(limits, traffic).await;
    let program = hello(claim.slot).await;
    let refused = soon(async {
        loop {
            let answers = tokio::join!(get(&proxy, ONE), get(&proxy, ONE), get(&proxy, ONE));
            for answer in [answers.0, answers.1, answers.2] {
                if answer.status() != 200 {
                    return answer;
                }
            }
        }
    })
    .await;
    assert_eq!(
        (refused.status(), refused.code(), refused.field("retry-after")),
        (429, Some("too-many"), Some("2"))
    );
    let before = program.requests();
    assert_eq!(get(&proxy, OTHER).await.text(), "hello");
    assert_eq!(program.requests(), before + 1);
}

#[tokio::test]
async fn a_tenant_s_rate_bounds_all_its_clients_together() {
    let traffic = TrafficLimits { requests_per_s: NonZeroU32::new(1), ..TrafficLimits::default() };
    let limits = Limits { rate_ahead: Duration::ZERO, ..Limits::default() };
    let (proxy, claim) = proxy_with(limits, traffic).await;
    let _program = hello(claim.slot).await;
    let refused = soon(async {
        loop {
            let answers = tokio::join!(get(&proxy, ONE), get(&proxy, OTHER), get(&proxy, OTHER));
            if let Some(answer) =
                [answers.0, answers.1, answers.2].into_iter().find(|answer| answer.status() != 200)
            {
                return answer;
            }
        }
    })
    .await;
    assert_eq!((refused.status(), refused.code()), (503, Some("crowded")));
}

#[tokio::test]
async fn a_tenant_that_sends_much_is_slowed_down_and_its_neighbour_is_not() {
    const BYTES: usize = 200_000;
    let (mut proxy, slow, fast) = (proxy(Limits::default()).await, claim(), claim());
    let traffic = TrafficLimits { send_bytes_per_s: NonZeroU64::new(1000), ..TrafficLimits::default() };
    let routes = vec![Route { traffic, ..route("a.example", slow.slot) }, route("b.example", fast.slot)];
    proxy.publish(routes).await;
    let much = |_| async {
        let pieces = (0..BYTES / 1000).map(|_| Ok(Frame::data(Bytes::from(vec![b'x'; 1000]))));
        Response::new(StreamBody::new(futures_util::stream::iter(pieces)).boxed())
    };
    let (_slow, _fast) = (program(slow.slot, much).await, program(fast.slot, much).await);
    let request = Request::get("/").header("host", "a.example").body(empty()).unwrap();
    let answer = soon(proxy.connect().await.send_request(request)).await.unwrap();
    let mut body = answer.into_body();
    let first = soon(body.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(proxy.get("b.example", "/").await.body.len(), BYTES);
    // Minutes are left of it, at a thousand bytes a second.
    let whole = tokio::time::timeout(Duration::from_millis(500), body.collect()).await;
    assert!(whole.is_err() && first.len() < BYTES);
}
