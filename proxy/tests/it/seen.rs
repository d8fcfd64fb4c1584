//! What the proxy tells of each request, and what its numbers are called.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use kennel_model::access::{
    CLIENT_LEFT, Ended, HostCounts, Id, MAX_PACKET_BYTES, Part, Parts, Protocol, Record, SlotCounts, Took,
};
use kennel_model::msg::{Rung, ToProxy};
use kennel_model::{ReleaseId, SlotId};
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::*;

/// What control keeps of a record.
#[derive(Debug, Clone)]
struct Seen {
    slot: Option<SlotId>,
    tenant: String,
    host: String,
    method: String,
    target: String,
    protocol: Protocol,
    status: u16,
    bytes: (u64, u64),
    referer: String,
    agent: String,
    id: Id,
    trace: Id,
    fault: String,
    ended: Ended,
    took: Took,
}

impl Seen {
    fn of(record: &Record<'_>) -> Self {
        assert_eq!(record.client.to_string(), "127.0.0.1");
        assert!(record.at_ms > 1_700_000_000_000);
        Self {
            slot: record.tenant.map(|(slot, _)| slot),
            tenant: record.tenant.map_or("", |(_, name)| name).into(),
            host: record.host.into(),
            method: record.method.into(),
            target: record.target.into(),
            protocol: record.protocol,
            status: record.status,
            bytes: (record.bytes_in, record.bytes_out),
            referer: record.referer.into(),
            agent: record.agent.into(),
            id: record.id,
            trace: record.trace,
            fault: record.fault.into(),
            ended: record.ended,
            took: record.took,
        }
    }
}

/// All that was told so far.
#[derive(Debug, Default)]
struct Told {
    seen: Vec<Seen>,
    slots: Vec<SlotCounts>,
    host: HostCounts,
}

impl Told {
    fn read(&mut self, proxy: &Proxy) {
        let mut packet = vec![0; MAX_PACKET_BYTES];
        while let Ok(Some(length)) = proxy.records.recv_packet(&mut packet) {
            for part in Parts::of(&packet[..length]) {
                match part.unwrap() {
                    // Of the rig's own questions.
                    Part::Record(record) if record.host.starts_with("table-") => {}
                    Part::Record(record) => self.seen.push(Seen::of(&record)),
                    Part::Slot(counts) => self.slots.push(counts),
                    Part::Host(counts) => self.host.add(&counts),
                }
            }
        }
    }
}

/// The next that was told.
async fn next(proxy: &Proxy) -> Seen {
    let mut told = Told::default();
    soon(async {
        while told.seen.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            told.read(proxy);
        }
    })
    .await;
    assert_eq!(told.seen.len(), 1, "{told:?}");
    told.seen.remove(0)
}

/// Answers with the fields that number a request, a line each.
async fn numbers(claim: &Claim) -> Program {
    program(claim.slot, |request| async move {
        let fields = request.headers();
        let of =
            |name: &str| fields.get_all(name).iter().map(|v| v.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        let text = ["x-request-id", "traceparent", "tracestate"].map(of).join("\n");
        Response::builder().header("x-request-id", "the program's").body(full(text)).unwrap()
    })
    .await
}

#[tokio::test]
async fn a_request_is_told_with_its_numbers_and_its_time() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = numbers(&claim).await;
    let request = Request::post("/a?b=c")
        .header("host", "A.example:8080")
        .header("x-request-id", "mine")
        .header("x_request_id", "mine")
        .header("tracestate", "a=b")
        .header("referer", HeaderValue::from_bytes("http://b.example/\u{fc}".as_bytes()).unwrap())
        .header("user-agent", "curl/8");
    let answer = proxy.send(request.body(full("seven c")).unwrap()).await;
    let seen = next(&proxy).await;
    let lines: Vec<_> = answer.text().split('\n').collect();
    let id = seen.id.to_string();
    assert_eq!(
        (answer.field("x-request-id"), lines[0]),
        (Some(&*id), &*id),
        "one number, whoever says another"
    );
    assert!(lines[1].starts_with(&format!("00-{}-", seen.trace)) && lines[2].is_empty(), "{lines:?}");
    assert_eq!(seen.trace, seen.id, "the trace begins here");
    assert_eq!((seen.slot, seen.tenant.as_str(), seen.host.as_str()), (Some(claim.slot), "blog", "a.example"));
    assert_eq!((seen.method.as_str(), seen.target.as_str(), seen.status), ("POST", "/a?b=c", 200));
    assert_eq!((seen.protocol, seen.bytes), (Protocol::Http11, (7, answer.body.len() as u64)));
    assert_eq!((seen.referer.as_str(), seen.agent.as_str()), ("http://b.example/\\xC3\\xBC", "curl/8"));
    assert_eq!((seen.fault.as_str(), seen.ended), ("", Ended::Whole));
    let Took { total_us, queue_us, upstream_us, own_us } = seen.took;
    assert!(total_us >= upstream_us.unwrap() + queue_us.unwrap() + own_us, "{:?}", seen.took);
    assert!(answer.field("server-timing").is_none(), "nobody asked for it");
}

#[tokio::test]
async fn a_trace_goes_on_and_its_state_with_it() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = numbers(&claim).await;
    let ask = async |parent: &str| {
        let request = Request::get("/").header("host", "a.example").header("tracestate", "a=b");
        proxy.send(request.header("traceparent", parent).body(empty()).unwrap()).await
    };
    let answer = ask("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00").await;
    let seen = next(&proxy).await;
    let lines: Vec<_> = answer.text().split('\n').collect();
    assert!(lines[1].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && lines[1].ends_with("-00"));
    assert!(!lines[1].contains("00f067aa0ba902b7") && lines[2] == "a=b", "{lines:?}");
    assert_eq!(seen.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_ne!(seen.id, seen.trace);
    let answer = ask("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-00").await;
    let seen = next(&proxy).await;
    let lines: Vec<_> = answer.text().split('\n').collect();
    assert_eq!((seen.trace, lines[2]), (seen.id, ""), "another trace, without the state of that one");
}

#[tokio::test]
async fn what_the_proxy_answers_itself_is_told_with_the_reason() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let release = None;
    proxy.publish(vec![kennel_model::routes::Route { release, ..route("a.example", claim.slot) }]).await;
    Told::default().read(&proxy);
    let answer = proxy.get("nobody.example", "/scan").await;
    let seen = next(&proxy).await;
    assert_eq!((seen.slot, seen.host.as_str(), seen.fault.as_str()), (None, "nobody.example", "unknown-host"));
    assert_eq!((seen.status, seen.bytes.1), (404, answer.body.len() as u64));
    assert_eq!(answer.field("x-request-id"), Some(&*seen.id.to_string()), "also there");
    assert_eq!((seen.took.queue_us, seen.took.upstream_us), (None, None));
    proxy.get("a.example", "/").await;
    let seen = next(&proxy).await;
    assert_eq!((seen.slot, seen.fault.as_str()), (Some(claim.slot), "not-deployed"));
    proxy.raw(b"GET / HTTP/1.1\r\nhost: a.example\r\nhost: b.example\r\nconnection: close\r\n\r\n").await;
    let seen = next(&proxy).await;
    assert_eq!((seen.slot, seen.status, seen.fault.as_str()), (None, 400, "bad-request"));
    // What never was a request to hyper.
    let long = format!("GET /{} HTTP/1.1\r\nhost: a.example\r\n\r\n", "x".repeat(70_000));
    let fields = format!("GET / HTTP/1.1\r\n{}\r\n", "x-y: z\r\n".repeat(200));
    for (bytes, status) in [("GET  HTTP/7.0\r\n\r\n", 400), (&*fields, 431), (&*long, 431)] {
        let answer = proxy.raw(bytes.as_bytes()).await;
        let seen = next(&proxy).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) || answer.is_empty(), "{answer}");
        assert_eq!((seen.method.as_str(), seen.status, seen.fault.as_str()), ("", status, "bad-request"));
    }
}

#[tokio::test]
async fn a_wake_and_the_program_have_times_of_their_own_and_the_owner_may_have_them_told() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let told = kennel_model::routes::Route { server_timing: true, ..route("a.example", claim.slot) };
    proxy.publish(vec![told]).await;
    let (sleeps, works) = (Duration::from_millis(120), Duration::from_millis(60));
    let starts = async {
        let (id, slot) = proxy.init.woken().await;
        tokio::time::sleep(sleeps).await;
        let program = program(claim.slot, move |_| async move {
            tokio::time::sleep(works).await;
            Response::builder().header("server-timing", "db;dur=1").body(full("hello")).unwrap()
        });
        let program = program.await;
        proxy.init.say(&ToProxy::Awake(slot, Some(ReleaseId(1))));
        proxy.init.say(&ToProxy::Wake { id, slot, result: Ok(Rung::Stopped) });
        program
    };
    Told::default().read(&proxy);
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/"), starts);
    let Took { total_us, queue_us, upstream_us, .. } = next(&proxy).await.took;
    let least = |time: Duration| time.as_micros() as u64;
    assert!(queue_us.unwrap() >= least(sleeps) && upstream_us.unwrap() >= least(works));
    assert!(total_us >= least(sleeps + works));
    let timing: Vec<_> = answer.head.headers.get_all("server-timing").iter().collect();
    assert_eq!(timing[0], "db;dur=1", "the program's own word");
    let ours = timing[1].to_str().unwrap();
    let names: Vec<_> = ours.split(", ").map(|part| part.split(";dur=").next().unwrap()).collect();
    assert_eq!(names, ["queue", "upstream", "own"], "{ours}");
    let queue: f64 = ours.split("dur=").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
    assert!(queue >= 120.0, "in milliseconds: {ours}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_as_such_and_a_client_that_left() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let program = raw_program(claim.slot, |n, mut stream| async move {
        let head = read_head(&mut stream).await;
        let (answer, hold) = match head.split(' ').nth(1).unwrap() {
            "/cut" => ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", false),
            "/slow" => ("", true),
            "/none" => ("HTTP/1.1 204 No Content\r\n\r\n", false),
            _ => ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nwhole"[..].split_at(42).0, false),
        };
        _ = (n, stream.write_all(answer.as_bytes()).await);
        if hold {
            _ = stream.read(&mut [0]).await;
        }
    })
    .await;
    let asked = |path: &str| Request::get(path).header("host", "a.example").body(empty()).unwrap();
    let cut = proxy.connect().await.send_request(asked("/cut")).await.unwrap();
    assert!(soon(cut.into_body().collect()).await.is_err());
    let seen = next(&proxy).await;
    assert_eq!((seen.status, seen.bytes.1, seen.ended), (200, 4, Ended::Cut));

    proxy.send(asked("/none")).await;
    let seen = next(&proxy).await;
    assert_eq!((seen.status, seen.bytes.1, seen.ended), (204, 0, Ended::Whole));

    let head = Request::head("/").header("host", "a.example").body(empty()).unwrap();
    proxy.send(head).await;
    let seen = next(&proxy).await;
    assert_eq!((seen.method.as_str(), seen.bytes.1, seen.ended), ("HEAD", 0, Ended::Whole));

    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: a.example\r\n\r\n").await.unwrap();
    soon(async {
        while program.connections() < 4 {
            tokio::task::yield_now().await
        }
    })
    .await;
    drop(stream);
    let seen = next(&proxy).await;
    assert_eq!((seen.status, seen.ended, seen.fault.as_str()), (CLIENT_LEFT, Ended::Cut, ""));
    assert!(seen.took.upstream_us.is_some(), "the program was asked");
}

#[tokio::test]
async fn a_websocket_is_told_when_it_ends() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = raw_program(claim.slot, |_, mut stream| async move {
        read_head(&mut stream).await;
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nhello";
        stream.write_all(switch.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let ask = b"GET /chat HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    let head = read_head(&mut stream).await.to_lowercase();
    soon(stream.read_exact(&mut [0; 5])).await.unwrap();
    stream.write_all(b"more than that").await.unwrap();
    soon(stream.read_exact(&mut [0; 14])).await.unwrap();
    let mut told = Told::default();
    tokio::time::sleep(Duration::from_millis(250)).await;
    told.read(&proxy);
    assert!(told.seen.is_empty(), "it is not over: {told:?}");
    stream.shutdown().await.unwrap();
    let seen = next(&proxy).await;
    assert_eq!((seen.status, seen.bytes, seen.ended), (101, (14, 19), Ended::Whole));
    assert!(head.contains(&format!("\r\nx-request-id: {}\r\n", seen.id)), "{head}");
}

#[tokio::test]
async fn a_flood_is_sampled_and_a_neighbour_is_told_whole() {
    let limits = Limits { slot_records_a_second: 1, slot_records_at_once: 20, ..Limits::default() };
    let (mut proxy, claim) = proxy_with_a_tenant(limits).await;
    let neighbour = crate::rig::claim();
    proxy.publish(vec![route("a.example", claim.slot), route("b.example", neighbour.slot)]).await;
    let _programs = (hello(claim.slot).await, hello(neighbour.slot).await);
    let mut sender = proxy.connect().await;
    let mut told = Told::default();
    for n in 0..300 {
        let host = if n % 20 == 0 { "b.example" } else { "a.example" };
        let request = Request::get("/").header("host", host).body(empty()).unwrap();
        let answer = Answer::read(sender.send_request(request).await.unwrap()).await;
        assert_eq!(answer.status(), 200);
        told.read(&proxy);
    }
    let answers = |told: &Told, slot: SlotId| {
        told.slots
            .iter()
            .filter(|counts| counts.slot == Some(slot))
            .map(|counts| counts.statuses[1])
            .sum::<u32>()
    };
    soon(async {
        while answers(&told, claim.slot) < 285 || answers(&told, neighbour.slot) < 15 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            told.read(&proxy);
        }
    })
    .await;
    let of = |slot| told.seen.iter().filter(|seen| seen.slot == Some(slot)).count();
    let left_out = |slot: Option<SlotId>| -> u32 {
        let wanted = |counts: &&SlotCounts| slot.is_none() || counts.slot == slot;
        told.slots.iter().filter(wanted).map(|counts| counts.left_out).sum()
    };
    let (all_left_out, left_out) = (left_out(None), left_out(Some(claim.slot)));
    assert_eq!((of(neighbour.slot), of(claim.slot) + left_out as usize), (15, 285));
    assert!(left_out > 100 && of(claim.slot) >= 20, "{left_out} left out");
    assert_eq!((told.host.flooded, told.host.unread), (u64::from(all_left_out), 0));
    let counted: u64 = told.host.durations.upstream.counts.iter().sum();
    assert_eq!(counted, 300, "each is in the histograms");
}
