//! Requests that are passed on without hyper, beside the same in two pieces, which hyper passes on: program and client get the same, byte for byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kennel_model::routes::Route;
use kennel_proxy::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::*;

/// Whoever does not see this pause sees one piece, and the test nothing new.
const PAUSE: Duration = Duration::from_millis(20);

/// Answers all requests of a connection with this, and closes it where it says so; keeps their heads.
async fn says(claim: &Claim, answer: &'static str, heads: Arc<Mutex<Vec<String>>>) -> Program {
    raw_program(claim.slot, move |_, mut stream| {
        let heads = heads.clone();
        async move {
            loop {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                heads.lock().unwrap().push(String::from_utf8(head).unwrap());
                _ = stream.write_all(answer.as_bytes()).await;
                // By a close, too, where its length is not told.
                if answer.contains("close") || !answer.contains(": ") {
                    return;
                }
            }
        }
    })
    .await
}

/// Without what differs from request to request, in an order of its own.
fn lines(text: &str) -> (String, Vec<String>, String) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.split("\r\n").map(str::to_owned);
    let first = lines.next().unwrap_or_default();
    let differs = ["x-request-id:", "traceparent:", "server-timing:", "date: "];
    let named = |line: String| match differs.iter().find(|name| line.starts_with(*name)) {
        Some(name) => (*name).to_owned(),
        None => line,
    };
    let mut lines: Vec<_> = lines.map(named).collect();
    lines.sort_unstable();
    (first, lines, body.to_owned())
}

/// What the client gets, up to the end of the connection.
async fn ask(proxy: &Proxy, pieces: &[&str]) -> String {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    for piece in pieces {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::time::sleep(PAUSE).await;
    }
    // It is hyper's, and ends the connection.
    stream.write_all(b"GET / HTTP/1.1\r\nhost: nobody.example\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    _ = soon(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    // The last is not what is asked for; after an answer that was cut there is none.
    answer.rfind("HTTP/1.1 404 ").map_or(answer.clone(), |at| answer[..at].to_owned())
}

#[tokio::test]
async fn clients_and_programs_get_the_same_either_way() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 Fine by me\r\ncontent-length: 2\r\nX-A: 1\r\nx-a: 2\r\nx-b: \t3 \r\n\r\nhi",
        "HTTP/1.1 299 \r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 404\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nkennel-error: died\r\nkennel-asleep: kept\r\nx-request-id: 1\r\nkeep-alive: timeout=5\r\nconnection: Keep-Alive\r\nproxy-connection: x\r\nupgrade: h2c\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver-timing: db;dur=1\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x-private\r\nx-private: 1\r\n\r\nhi",
        "HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\netag: \"x\"\r\n\r\n",
        "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 02\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhi",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nno colon\r\n\r\nhi",
        "HTTP/1.1 200 OK\ncontent-length: 2\nserver: x\n\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nhi",
        "nonsense",
    ];
    for answer in answers {
        for method in ["GET", "HEAD", "POST", "DELETE"] {
            let limits = Limits { lease_idle: PATIENCE * 100, ..Limits::default() };
            let (mut proxy, claim) = proxy_with_a_tenant(limits).await;
            proxy.publish(vec![Route { server_timing: true, ..route("a.example", claim.slot) }]).await;
            let heads = Arc::new(Mutex::new(Vec::new()));
            let _program = says(&claim, answer, heads.clone()).await;
            // Wakes it.
            _ = ask(&proxy, &["GET /first HTTP/1.1\r\nhost: a.example\r\n\r\n"]).await;
            let request = format!(
                "{method} /a?b HTTP/1.1\r\nHost: A.example\r\nUser-Agent:  x\t\r\nX-Forwarded-For: 1\r\nCookie: a=b\r\ntracestate: x\r\n\r\n"
            );
            heads.lock().unwrap().clear();
            let whole = ask(&proxy, &[&request]).await;
            let of_whole = std::mem::take(&mut *heads.lock().unwrap());
            let pieces = ask(&proxy, &[&request[..20], &request[20..]]).await;
            let of_pieces = std::mem::take(&mut *heads.lock().unwrap());
            assert_eq!(lines(&whole), lines(&pieces), "{method} {answer:?}");
            let sorted = |heads: Vec<String>| heads.iter().map(|head| lines(head)).collect::<Vec<_>>();
            assert_eq!(sorted(of_whole), sorted(of_pieces), "{method} {answer:?}");
        }
    }
}

#[tokio::test]
async fn whoever_leaves_is_not_worked_for() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let _program = raw_program(claim.slot, move |_, mut stream| {
        let tell = tell.clone();
        async move {
            loop {
                if read_head(&mut stream).await.starts_with("GET /wait ") {
                    tell.send("asked").unwrap();
                    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
                    tell.send("closed").unwrap();
                    return;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
            }
        }
    })
    .await;
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await.unwrap();
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
        soon(stream.read_exact(&mut [0; 2])).await.unwrap();
    }
    stream.write_all(b"GET /wait HTTP/1.1\r\nhost: a.example\r\n\r\n").await.unwrap();
    assert_eq!(soon(told.recv()).await, Some("asked"));
    drop(stream);
    assert_eq!(soon(told.recv()).await, Some("closed"));
}
