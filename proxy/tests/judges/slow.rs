//! slowhttptest, in all its modes: one client with hundreds of connections, on each of which it sends or takes next to nothing. What a client holds is
//! bounded, and a neighbour does not notice. When it is given up is measured by `benches/slow.sh`: that takes longer than tests may.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kennel_model::routes::TrafficLimits;
use kennel_proxy::Limits;
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::rig::*;
use crate::stand::{LOCAL, Stand, run};

/// More than one address may hold.
const CONNECTIONS: usize = 300;
const LARGE: usize = 256 << 10;
/// The neighbour's pause, so that the machine is not its own.
const BETWEEN: Duration = Duration::from_millis(5);

/// Asks once, on a connection of its own, from another address than the one that is slow.
async fn neighbour(proxy: SocketAddr) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = soon(socket.connect(proxy)).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/").header("host", LOCAL).body(empty()).unwrap();
    Answer::read(soon(sender.send_request(request)).await.unwrap()).await
}

/// Of the last line of its table: how many connections were closed on it, and how many it has.
fn last(csv: &str) -> (usize, usize) {
    let cells: Vec<usize> =
        csv.trim().lines().last().unwrap().split(',').map(|cell| cell.parse().unwrap()).collect();
    (cells[1], cells[3])
}

async fn besieged(mode: &[&str]) {
    let stand = Stand::with(TrafficLimits::default()).await;
    let program = program(stand.claim.slot, |request| async {
        // Whether it ever comes or not.
        _ = request.into_body().collect().await;
        Response::new(full(vec![b'x'; LARGE]))
    });
    let program = program.await;
    let files = TempDir::new().unwrap();
    let report = files.path().join("report");
    let url = format!("http://{LOCAL}:{}/", stand.http.port());
    let count = CONNECTIONS.to_string();
    let usual = [
        "-c",
        &count,
        "-r",
        "200",
        "-i",
        "2",
        "-l",
        "8",
        "-p",
        "2",
        "-g",
        "-o",
        report.to_str().unwrap(),
        "-u",
        &url,
    ];
    let args = [mode, &usual].concat();
    let mut attack = std::pin::pin!(run("slowhttptest", &args));
    let mut answered = 0;
    let output = loop {
        let asks = async {
            tokio::time::sleep(BETWEEN).await;
            let answer = neighbour(stand.http).await;
            assert_eq!((answer.status(), answer.body.len()), (200, LARGE), "{mode:?}, after {answered}");
        };
        tokio::select! {
            output = &mut attack => break output,
            () = asks => answered += 1,
        }
    };
    let csv =
        std::fs::read_to_string(report.with_extension("csv")).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let (closed, open) = last(&csv);
    let most = Limits::default().address_connections;
    // It ends early when all of them are closed, before the next line of its table.
    let is_over = String::from_utf8_lossy(&output.stdout).contains("No open connections left");
    assert!(is_over || (closed >= CONNECTIONS - most && open <= most), "{mode:?}: {csv}");
    assert!(answered > 0 && program.requests() >= answered, "{mode:?}: {answered}");
    println!("slowhttptest {mode:?}: {closed} closed, {open} held; a neighbour was answered {answered} times");
    stand.ends().await;
}

#[tokio::test]
async fn slow_heads() {
    besieged(&["-H"]).await;
}

#[tokio::test]
async fn slow_bodies() {
    besieged(&["-B"]).await;
}

#[tokio::test]
async fn ranges() {
    besieged(&["-R"]).await;
}

#[tokio::test]
async fn slow_readers() {
    besieged(&["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "3"]).await;
}
