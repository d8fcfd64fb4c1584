//! What the tests stand on: a proxy in this process, an init that does what the test says, programs that listen on
//! a slot's port (`programs`), and a client.

// Others than `it` have this file by its path.
#[path = "programs.rs"]
mod programs;

use std::convert::Infallible;
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kennel_model::certificate::CertificateTable;
use kennel_model::msg::{Cause, FromProxy, Refusal, RequestId, Rung, ToProxy};
use kennel_model::routes::{Front, Route, RouteTable};
use kennel_model::{ReleaseId, SlotId, TenantName};
use kennel_proxy::{Limits, Listeners, ProxyError};
use kennel_sys::{Channel, ChannelError, async_channel};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use programs::{Program, hello, listen, program, raw_program, read_head};

/// Long enough for a loaded machine; reached only by a failing test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits, but not for ever.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("nothing happened")
}

/// A slot that no other test uses at the same time, in this process or another: whoever holds its second port has it.
pub(crate) struct Claim {
    pub(crate) slot: SlotId,
    _second_port: std::net::TcpListener,
}

pub(crate) fn claim() -> Claim {
    // Below the ephemeral ports, so that no outgoing connection takes one of ours.
    for n in 700..1500 {
        let slot = SlotId::new(n).unwrap();
        let bind = |port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let Ok(second) = bind(slot.port() + 1) else { continue };
        // The program of the test that had the slot before listens until that test's runtime is gone.
        if bind(slot.port()).is_ok() {
            return Claim { slot, _second_port: second };
        }
    }
    panic!("no free slot");
}

pub(crate) fn route(host: &str, slot: SlotId) -> Route {
    let limits = kennel_model::Limits { start_timeout_ms: 20_000, ..kennel_model::Limits::default() };
    Route::to(host.parse().unwrap(), TenantName::new("blog").unwrap(), slot, Some(ReleaseId(1)), &limits)
}

pub(crate) fn sealed(json: &[u8]) -> OwnedFd {
    let mut file = File::from(memfd_create("routes", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap());
    file.write_all(json).unwrap();
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE).unwrap();
    file.into()
}

/// Init's end of the channel. By itself it grants a wake where a program listens, as init does for one that runs; what
/// else comes it leaves to the test.
pub(crate) struct Init {
    channel: Arc<AsyncFd<Channel>>,
    /// What visitors come through, in tables from now on.
    pub(crate) front: std::sync::Mutex<Front>,
    heard: Mutex<mpsc::UnboundedReceiver<FromProxy>>,
    counted: Mutex<mpsc::UnboundedReceiver<FromProxy>>,
    /// How many tables the proxy has taken, or refused.
    taken: Arc<AtomicUsize>,
    /// Ends with this.
    _listens: JoinSet<()>,
}

impl Init {
    pub(crate) fn new(channel: Channel) -> Self {
        let channel = Arc::new(async_channel::register(channel).unwrap());
        let (tell, heard) = mpsc::unbounded_channel();
        let (count, counted) = mpsc::unbounded_channel();
        let mut listens = JoinSet::new();
        let taken = Arc::new(AtomicUsize::new(0));
        listens.spawn(listen_to(channel.clone(), tell, count, taken.clone()));
        Self {
            channel,
            front: std::sync::Mutex::default(),
            heard: Mutex::new(heard),
            counted: Mutex::new(counted),
            taken,
            _listens: listens,
        }
    }

    /// Until the proxy has said of so many tables that it has taken or refused them.
    pub(crate) async fn takes(&self, tables: usize) {
        soon(async {
            while self.taken.load(Ordering::Relaxed) < tables {
                tokio::task::yield_now().await
            }
        })
        .await;
    }

    pub(crate) fn say(&self, message: &ToProxy) {
        self.channel.get_ref().send(message, &[]).unwrap();
    }

    pub(crate) fn say_with(&self, message: &ToProxy, fd: impl AsFd) {
        self.channel.get_ref().send(message, &[fd.as_fd()]).unwrap();
    }

    pub(crate) fn say_routes(&self, json: &[u8]) {
        self.channel.get_ref().send(&ToProxy::Routes, &[sealed(json).as_fd()]).unwrap();
    }

    pub(crate) fn say_certificates(&self, table: &CertificateTable) {
        let json = sealed(&serde_json::to_vec(table).unwrap());
        self.channel.get_ref().send(&ToProxy::Certificates, &[json.as_fd()]).unwrap();
    }

    pub(crate) fn publish(&self, generation: u64, routes: Vec<Route>) {
        let front = self.front.lock().unwrap().clone();
        let table = RouteTable { generation, routes, front, ..RouteTable::default() };
        self.say_routes(&serde_json::to_vec(&table).unwrap());
    }

    /// The next that the proxy has counted: what went through, and how long wakes took.
    pub(crate) async fn counts(&self) -> FromProxy {
        soon(self.counted.lock().await.recv()).await.unwrap()
    }

    /// What the proxy says next, but for wakes of programs that listen, and for what it counts.
    pub(crate) async fn hears(&self) -> FromProxy {
        soon(self.heard.lock().await.recv()).await.unwrap()
    }

    /// The next wake request.
    pub(crate) async fn woken(&self) -> (RequestId, SlotId) {
        loop {
            if let FromProxy::Wake { id, slot, .. } = self.hears().await {
                return (id, slot);
            }
        }
    }

    /// Grants the next wake, of a program that was on this rung, and says that it is awake; answers why it was woken.
    pub(crate) async fn grants(&self, rung: Rung) -> Cause {
        loop {
            if let FromProxy::Wake { id, slot, cause } = self.hears().await {
                self.say(&ToProxy::Awake(slot, Some(ReleaseId(1))));
                self.say(&ToProxy::Wake { id, slot, result: Ok(rung) });
                return cause;
            }
        }
    }

    pub(crate) async fn woken_and(&self, result: Result<(), Refusal>) -> SlotId {
        let (id, slot) = self.woken().await;
        self.say(&ToProxy::Wake { id, slot, result: result.map(|()| Rung::Stopped) });
        slot
    }

    /// Fails if there is anything that nobody looked at.
    pub(crate) fn nothing_at_all(&self) {
        assert!(self.heard.try_lock().unwrap().try_recv().is_err());
    }

    /// Fails if there is a wake request that nobody looked at.
    pub(crate) fn nothing_more(&self) {
        let mut heard = self.heard.try_lock().unwrap();
        while let Ok(message) = heard.try_recv() {
            assert!(matches!(message, FromProxy::Idle { .. }), "{message:?}");
        }
    }
}

async fn listen_to(
    channel: Arc<AsyncFd<Channel>>,
    tell: mpsc::UnboundedSender<FromProxy>,
    count: mpsc::UnboundedSender<FromProxy>,
    taken: Arc<AtomicUsize>,
) {
    loop {
        let Ok(mut ready) = channel.readable().await else { return };
        match channel.get_ref().recv() {
            Ok(Some((FromProxy::Wake { id, slot, .. }, _))) if listens(slot) => {
                let granted = ToProxy::Wake { id, slot, result: Ok(Rung::Running) };
                _ = channel.get_ref().send(&granted, &[]);
            }
            Ok(Some((message @ (FromProxy::Passed(_) | FromProxy::Woken { .. }), _))) => {
                _ = count.send(message)
            }
            Ok(Some((FromProxy::Taken, _))) => _ = taken.fetch_add(1, Ordering::Relaxed),
            Ok(Some((message, _))) => _ = tell.send(message),
            Err(ChannelError::WouldBlock) => ready.clear_ready(),
            _ => return,
        }
    }
}

/// Without a connection, which its program would count.
fn listens(slot: SlotId) -> bool {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, slot.port())).is_err()
}

/// A proxy in this process.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) init: Init,
    /// Where records of requests come out.
    pub(crate) records: Channel,
    pub(crate) ended: JoinHandle<Result<(), ProxyError>>,
    generation: u64,
}

pub(crate) async fn proxy(limits: Limits) -> Proxy {
    proxy_with_workers(limits, vec![]).await
}

/// One with workers beside the test's own runtime.
pub(crate) async fn proxy_with_workers(limits: Limits, more: Vec<Listeners>) -> Proxy {
    let (near, far) = Channel::pair().unwrap();
    let listener = || std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let listeners = Listeners { http: listener(), https: listener() };
    let [address, https] = [&listeners.http, &listeners.https].map(|l| l.local_addr().unwrap());
    let (records_in, records) = Channel::pair().unwrap();
    let ended = tokio::spawn(kennel_proxy::run(near, listeners, more, records_in, limits));
    Proxy { address, https, init: Init::new(far), records, ended, generation: 0 }
}

/// A proxy that knows `a.example`, which lives in a slot of its own.
pub(crate) async fn proxy_with_a_tenant(limits: Limits) -> (Proxy, Claim) {
    let (mut proxy, claim) = (proxy(limits).await, claim());
    proxy.publish(vec![route("a.example", claim.slot)]).await;
    (proxy, claim)
}

impl Proxy {
    /// Publishes the routes and waits until they are in force.
    pub(crate) async fn publish(&mut self, mut routes: Vec<Route>) {
        self.generation += 1;
        // A name of its own for each table, without a release: found means 503, unknown 404.
        let marker = format!("table-{}.example", self.generation);
        routes.push(Route { release: None, ..route(&marker, SlotId::new(0).unwrap()) });
        self.init.publish(self.generation, routes);
        soon(async { while self.get(&marker, "/").await.code() != Some("not-deployed") {} }).await;
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> Answer {
        let request = Request::get(path).header("host", host).body(empty()).unwrap();
        self.send(request).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn send(&self, request: Request<BoxBody<Bytes, Infallible>>) -> Answer {
        Answer::read(self.connect().await.send_request(request).await.unwrap()).await
    }

    pub(crate) async fn connect(&self) -> hyper::client::conn::http1::SendRequest<BoxBody<Bytes, Infallible>> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends bytes as they are; answers everything that comes until the proxy closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset after an early answer is as good as an end.
        _ = soon(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

pub(crate) fn empty() -> BoxBody<Bytes, Infallible> {
    full("")
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> BoxBody<Bytes, Infallible> {
    Full::new(bytes.into()).boxed()
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: hyper::http::response::Parts,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        Self { head, body: soon(body.collect()).await.unwrap().to_bytes() }
    }

    pub(crate) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Which fault the proxy names.
    pub(crate) fn code(&self) -> Option<&str> {
        self.field("kennel-error")
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).map(|v| v.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
