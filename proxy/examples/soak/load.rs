//! The clients: HTTP/1.1 and HTTP/2, with TLS and without, kept connections and new ones, GET, HEAD and POST, WebSockets. Each answer is looked at; one that is
//! not right has to be explained by its tenant having been away between the request and now.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;

use crate::Dice;
use crate::rig::full;
use crate::tenants::{Tenant, Tenants};

/// How often the number of requests that may be asked is raised.
const TICK: Duration = Duration::from_millis(10);
/// Beyond the waits of the proxy.
const PATIENCE: Duration = Duration::from_secs(45);
/// A connection's requests; then it is made anew.
const KEPT: u64 = 200;
/// Messages of one WebSocket.
const MESSAGES: u64 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Plain1,
    Plain2,
    Tls1,
    Tls2,
    WebSocket,
}

/// Which clients there are, each with one request at a time.
const CLIENTS: [(Way, usize); 5] =
    [(Way::Plain1, 10), (Way::Plain2, 6), (Way::Tls1, 6), (Way::Tls2, 6), (Way::WebSocket, 4)];

type Body = BoxBody<Bytes, std::convert::Infallible>;

trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

enum Sender {
    One(http1::SendRequest<Body>),
    Two(http2::SendRequest<Body>),
}

#[derive(Default)]
struct Seen {
    right: BTreeMap<Way, u64>,
    explained: BTreeMap<String, u64>,
    unexplained: Vec<String>,
    longest: Duration,
}

pub struct Load {
    tenants: Arc<Tenants>,
    addresses: [SocketAddr; 2],
    connectors: [TlsConnector; 2],
    asked: AtomicU64,
    /// Requests that may be asked, once there is a pace.
    leave: Semaphore,
    /// Per tick, in thousandths; 0 for as many as can be.
    pace: AtomicU64,
    stop: AtomicBool,
    seen: Mutex<Seen>,
}

impl Load {
    pub fn new(
        tenants: Arc<Tenants>,
        http: SocketAddr,
        https: SocketAddr,
        one: TlsConnector,
        two: TlsConnector,
    ) -> Self {
        Self {
            tenants,
            addresses: [http, https],
            connectors: [one, two],
            asked: AtomicU64::new(0),
            leave: Semaphore::new(0),
            pace: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            seen: Mutex::default(),
        }
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Every tenant that is there has been started.
    pub async fn is_under_way(&self) {
        while self.asked() < 500 {
            tokio::time::sleep(TICK).await;
        }
    }

    pub fn pace(&self, per_s: f64) {
        self.pace.store((per_s * 1000.0 * TICK.as_secs_f64()) as u64, Ordering::Relaxed);
    }

    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// All clients, until they are stopped.
    pub async fn run(self: Arc<Self>, seed: u64) {
        let mut clients = JoinSet::new();
        for (way, count) in CLIENTS {
            for _ in 0..count {
                let dice = Dice::new(seed.wrapping_mul(1000) + clients.len() as u64);
                clients.spawn(self.clone().client(way, dice));
            }
        }
        let mut ticks = tokio::time::interval(TICK);
        let mut owed = 0;
        while !clients.is_empty() {
            ticks.tick().await;
            owed += self.pace.load(Ordering::Relaxed);
            // Nobody makes up for long what could not be asked.
            let room = 1000_usize.saturating_sub(self.leave.available_permits());
            self.leave.add_permits(((owed / 1000) as usize).min(room));
            owed %= 1000;
            if self.stop.load(Ordering::Relaxed) {
                self.leave.close();
            }
            while clients.try_join_next().is_some_and(|ended| ended.is_ok()) {}
        }
    }

    /// Waits until one more may be asked; answers whether there is one more.
    async fn may(&self) -> bool {
        if self.pace.load(Ordering::Relaxed) > 0 {
            let Ok(leave) = self.leave.acquire().await else { return false };
            leave.forget();
        }
        !self.stop.load(Ordering::Relaxed)
    }

    async fn client(self: Arc<Self>, way: Way, mut dice: Dice) {
        let mut kept: Option<(Sender, u64)> = None;
        while self.may().await {
            let n = dice.roll(self.tenants.all.len() as u64) as usize;
            let tenant = &self.tenants.all[n];
            if !tenant.is_present.load(Ordering::Relaxed) {
                continue;
            }
            let began = Instant::now();
            let outcome = tokio::time::timeout(PATIENCE, async {
                match way {
                    Way::WebSocket => self.chat(tenant, &mut dice).await,
                    _ => self.ask(way, tenant, &mut kept, &mut dice).await,
                }
            });
            let outcome = outcome.await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            if outcome.is_err() {
                kept = None;
            }
            self.note(way, tenant, began, outcome);
        }
    }

    fn note(&self, way: Way, tenant: &Tenant, began: Instant, outcome: Result<u64, String>) {
        let mut seen = self.seen.lock().unwrap();
        match outcome {
            Ok(count) => {
                self.asked.fetch_add(count, Ordering::Relaxed);
                *seen.right.entry(way).or_default() += count;
                seen.longest = seen.longest.max(began.elapsed());
            }
            // Starts take a third of a second: none is late.
            Err(why) if tenant.was_away(began) && !why.starts_with("504") => {
                self.asked.fetch_add(1, Ordering::Relaxed);
                *seen.explained.entry(format!("{way:?}: {why}")).or_default() += 1;
            }
            Err(why) => seen.unexplained.push(format!("{way:?} to {}: {why}", tenant.name)),
        }
    }

    async fn wire(&self, way: Way, name: &str) -> Result<Box<dyn Wire>, String> {
        let with_tls = matches!(way, Way::Tls1 | Way::Tls2);
        let address = self.addresses[usize::from(with_tls)];
        let stream = TcpStream::connect(address).await.map_err(|e| format!("no connection: {e}"))?;
        _ = stream.set_nodelay(true);
        if !with_tls {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = &self.connectors[usize::from(way == Way::Tls2)];
        let stream = connector.connect(name, stream).await.map_err(|e| format!("no TLS: {e}"))?;
        Ok(Box::new(stream))
    }

    async fn connect(&self, way: Way, name: &str) -> Result<Sender, String> {
        let io = TokioIo::new(self.wire(way, name).await?);
        if matches!(way, Way::Plain2 | Way::Tls2) {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.map_err(|e| e.to_string())?;
            tokio::spawn(connection);
            return Ok(Sender::Two(sender));
        }
        let (sender, connection) = http1::handshake(io).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        Ok(Sender::One(sender))
    }

    /// One request, over the connection that is kept, or a new one.
    async fn ask(
        &self,
        way: Way,
        tenant: &Tenant,
        kept: &mut Option<(Sender, u64)>,
        dice: &mut Dice,
    ) -> Result<u64, String> {
        if let Some((sender, used)) = kept
            && (*used >= KEPT || !sender.is_ready().await)
        {
            *kept = None;
        }
        let (sender, used) = match kept {
            Some((sender, used)) => (sender, used),
            None => {
                let (sender, used) = kept.insert((self.connect(way, &tenant.name).await?, 0));
                (sender, used)
            }
        };
        *used += 1;
        let (method, size, sent) = match dice.roll(20) {
            0 => (Method::HEAD, 1024, 0),
            1..4 => (Method::POST, 8192, 8192),
            4..6 => (Method::GET, 65_536, 0),
            _ => (Method::GET, 1024, 0),
        };
        let scheme = if matches!(way, Way::Tls1 | Way::Tls2) { "https" } else { "http" };
        let is_two = matches!(sender, Sender::Two(_));
        let uri = if is_two { format!("{scheme}://{}/{size}", tenant.name) } else { format!("/{size}") };
        let mut request = Request::builder().method(&method).uri(uri);
        if !is_two {
            request = request.header("host", &tenant.name);
        }
        let request = request.body(full(vec![b'x'; sent])).unwrap();
        let response = sender.send(request).await.map_err(|e| format!("no answer: {e}"))?;
        let status = response.status().as_u16();
        let code = response.headers().get("kennel-error").map(|code| code.to_str().unwrap().to_owned());
        let body = response.into_body().collect().await.map_err(|_| format!("{status}, and cut"))?.to_bytes();
        let expected = if method == Method::HEAD { 0 } else { size };
        match (status, body.len() == expected) {
            (200, true) => Ok(1),
            (200, false) => Err(format!("{} bytes, not {expected}", body.len())),
            _ => Err(format!("{status} {}", code.unwrap_or_default())),
        }
    }

    /// A WebSocket's life; each message counts.
    async fn chat(&self, tenant: &Tenant, dice: &mut Dice) -> Result<u64, String> {
        let stream = self.wire(Way::Plain1, &tenant.name).await?;
        let url = format!("ws://{}/chat", tenant.name);
        let (mut socket, _) =
            tokio_tungstenite::client_async(url, stream).await.map_err(|e| format!("no WebSocket: {e}"))?;
        for _ in 0..MESSAGES {
            if !self.may().await {
                break;
            }
            let message = Message::binary(vec![b'x'; dice.roll(4096) as usize]);
            socket.send(message.clone()).await.map_err(|_| "cut while sending".to_owned())?;
            match socket.next().await {
                Some(Ok(echo)) if echo == message => (),
                Some(Ok(Message::Close(_))) | None => return Err("closed".to_owned()),
                Some(Ok(_)) => return Err("another message".to_owned()),
                Some(Err(_)) => return Err("cut".to_owned()),
            }
        }
        _ = socket.close(None).await;
        Ok(MESSAGES)
    }

    /// Prints what was seen; answers how much of it nobody can explain.
    pub fn report(&self, rate: f64) -> usize {
        let seen = self.seen.lock().unwrap();
        let of = |(way, count): (&Way, &u64)| format!("{way:?} {count}");
        let right: Vec<String> = seen.right.iter().map(of).collect();
        let all: u64 = seen.right.values().sum();
        println!(
            "{all} right answers, {rate:.0} a second: {}; the longest took {} ms",
            right.join(", "),
            seen.longest.as_millis()
        );
        println!("explained by a tenant that was away: {}", seen.explained.values().sum::<u64>());
        for (what, count) in &seen.explained {
            println!("  {count} {what}");
        }
        println!("unexplained: {}", seen.unexplained.len());
        for what in seen.unexplained.iter().take(20) {
            println!("  {what}");
        }
        seen.unexplained.len()
    }
}

impl Sender {
    async fn is_ready(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender) => sender.send_request(request).await,
            Self::Two(sender) => sender.send_request(request).await,
        }
    }
}
