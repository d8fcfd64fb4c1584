//! Tenants' programs: what listens on a slot's port and answers, or does what no HTTP library would.

use std::convert::Infallible;
use std::future::Future;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kennel_model::SlotId;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{full, soon};

/// A tenant's program.
pub(crate) struct Program {
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) requests: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Program {
    /// Until the first request has come.
    pub(crate) async fn asked(&self) {
        soon(async {
            while self.requests() == 0 {
                tokio::task::yield_now().await
            }
        })
        .await;
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

pub(crate) async fn listen(slot: SlotId) -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, slot.port())).await.unwrap()
}

/// A program that answers each request by `handle`. It ends, connections and all, when it is dropped.
pub(crate) async fn program<F, R>(slot: SlotId, handle: F) -> Program
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Response<BoxBody<Bytes, Infallible>>> + Send + 'static,
{
    let listener = listen(slot).await;
    let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    let counts = (connections.clone(), requests.clone());
    tasks.spawn(async move {
        let mut served = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counts.0.fetch_add(1, Ordering::Relaxed);
            let (handle, requests) = (handle.clone(), counts.1.clone());
            let service = service_fn(move |request| {
                requests.fetch_add(1, Ordering::Relaxed);
                let answer = handle(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            served.spawn(async move {
                _ = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
            });
        }
    });
    Program { connections, requests, _tasks: tasks }
}

/// A program that says hello.
pub(crate) async fn hello(slot: SlotId) -> Program {
    program(slot, |_| async { Response::new(full("hello")) }).await
}

/// A program that gives each connection to `handle`, for answers that no HTTP library would give.
pub(crate) async fn raw_program<F, R>(slot: SlotId, handle: F) -> Program
where
    F: Fn(usize, TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = listen(slot).await;
    let connections = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let count = connections.clone();
    tasks.spawn(async move {
        let mut served = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            served.spawn(handle(count.fetch_add(1, Ordering::Relaxed), stream));
        }
    });
    Program { connections, requests: Arc::default(), _tasks: tasks }
}

/// Reads a request's head, byte by byte.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}
