//! The tenants: a program each, in this process, whose sockets are closed when it dies as the kernel closes them; and when each was away, which is what
//! explains an error.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use kennel_model::ReleaseId;
use kennel_model::msg::{Rung, ToProxy};
use kennel_model::routes::{Https, Route};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::Dice;
use crate::rig::{self, Claim, Init, Program, claim, empty, full, route};

/// As many as there are at most; half of them at least are there.
const TENANTS: usize = 12;
/// What it takes a visitor's connection to find out that a program is there again.
const GRACE: Duration = Duration::from_millis(250);

pub struct Tenant {
    pub name: String,
    claim: Claim,
    pub is_present: AtomicBool,
    release: AtomicU32,
    /// Running, and what ends its WebSockets with it.
    program: Mutex<Option<(Program, watch::Sender<()>)>>,
    /// From when to when it was away.
    away: Mutex<Vec<(Instant, Option<Instant>)>>,
}

impl Tenant {
    /// Whether it was away at some time from `since` to now.
    pub fn was_away(&self, since: Instant) -> bool {
        self.away.lock().unwrap().iter().any(|(_, back)| back.is_none_or(|back| back >= since))
    }

    fn goes(&self) {
        let mut away = self.away.lock().unwrap();
        if away.last().is_none_or(|(_, back)| back.is_some_and(|back| back < Instant::now())) {
            away.push((Instant::now(), None));
        } else if let Some((_, back)) = away.last_mut() {
            *back = None;
        }
    }

    fn is_back(&self) {
        if let Some((_, back)) = self.away.lock().unwrap().last_mut() {
            *back = Some(Instant::now() + GRACE);
        }
    }

    /// Its sockets are closed first; then init knows.
    async fn dies(&self, init: &Init) {
        self.goes();
        let program = self.program.lock().unwrap().take();
        if program.is_some() {
            drop(program);
            while TcpListener::bind((Ipv4Addr::LOCALHOST, self.claim.slot.port())).is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            init.say(&ToProxy::Down(self.claim.slot));
        }
    }
}

pub struct Tenants {
    pub all: Vec<Tenant>,
    generation: AtomicU64,
    appeared: AtomicU32,
    left: AtomicU32,
    deployed: AtomicU32,
    died: AtomicU32,
    woken: AtomicU32,
}

impl Tenants {
    pub fn new() -> Self {
        let tenant = |n| Tenant {
            name: format!("t{n}.example"),
            claim: claim(),
            is_present: AtomicBool::new(n < TENANTS * 3 / 4),
            release: AtomicU32::new(1),
            program: Mutex::default(),
            away: Mutex::new(vec![(Instant::now(), None)]),
        };
        let zero = || AtomicU32::new(0);
        let all = (0..TENANTS).map(tenant).collect();
        Self {
            all,
            generation: AtomicU64::new(0),
            appeared: zero(),
            left: zero(),
            deployed: zero(),
            died: zero(),
            woken: zero(),
        }
    }

    /// The routes of all that are there.
    pub fn publish(&self, init: &Init) {
        let present = self.all.iter().filter(|tenant| tenant.is_present.load(Ordering::Relaxed));
        let of = |tenant: &Tenant| Route {
            https: Https::Optional,
            release: Some(ReleaseId(tenant.release.load(Ordering::Relaxed))),
            ..route(&tenant.name, tenant.claim.slot)
        };
        init.publish(self.generation.fetch_add(1, Ordering::Relaxed) + 1, present.map(of).collect());
    }

    /// One tenant appears or leaves, is deployed anew, or dies.
    pub async fn befall(&self, init: &Init, dice: &mut Dice, proxy: SocketAddr) {
        let tenant = &self.all[dice.roll(TENANTS as u64) as usize];
        let is_present = tenant.is_present.load(Ordering::Relaxed);
        let count = self.all.iter().filter(|tenant| tenant.is_present.load(Ordering::Relaxed)).count();
        match (is_present, dice.roll(10)) {
            (false, _) => {
                tenant.release.fetch_add(1, Ordering::Relaxed);
                tenant.is_present.store(true, Ordering::Relaxed);
                self.publish(init);
                // Its route is in force when it is not unknown any more.
                while status(proxy, &tenant.name).await == Some(404) {}
                self.appeared.fetch_add(1, Ordering::Relaxed);
            }
            (true, 0) if count > TENANTS / 2 => {
                tenant.is_present.store(false, Ordering::Relaxed);
                tenant.goes();
                self.publish(init);
                tenant.dies(init).await;
                self.left.fetch_add(1, Ordering::Relaxed);
            }
            // As control does it: first the routes, then the old program ends.
            (true, 0..4) => {
                tenant.goes();
                tenant.release.fetch_add(1, Ordering::Relaxed);
                self.publish(init);
                tenant.dies(init).await;
                self.deployed.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                tenant.dies(init).await;
                self.died.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub fn report(&self) -> String {
        let [appeared, left, deployed, died, woken] =
            [&self.appeared, &self.left, &self.deployed, &self.died, &self.woken]
                .map(|n| n.load(Ordering::Relaxed));
        format!("{appeared} appeared, {left} left, {deployed} deployed anew, {died} died; {woken} started")
    }
}

async fn status(proxy: SocketAddr, name: &str) -> Option<u16> {
    let stream = tokio::net::TcpStream::connect(proxy).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = Request::get("/").header("host", name).body(empty()).unwrap();
    Some(sender.send_request(request).await.ok()?.status().as_u16())
}

/// Starts what is asked for, as init does, after a while.
pub async fn wake(tenants: Arc<Tenants>, init: Arc<Init>, mut dice: Dice) {
    loop {
        let (id, slot) = loop {
            // Asked for again and again, as it waits for half a minute only.
            let woken = tokio::time::timeout(Duration::from_secs(20), init.woken());
            if let Ok(woken) = woken.await {
                break woken;
            }
        };
        let (tenants, init, pause) = (tenants.clone(), init.clone(), 20 + dice.roll(300));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let tenant = tenants.all.iter().find(|tenant| tenant.claim.slot == slot).unwrap();
            let is_running = tenant.program.lock().unwrap().is_some();
            if !is_running {
                let (life, lives) = watch::channel(());
                let program = rig::program(slot, move |request| answer(request, lives.clone())).await;
                *tenant.program.lock().unwrap() = Some((program, life));
                tenants.woken.fetch_add(1, Ordering::Relaxed);
            }
            let release = ReleaseId(tenant.release.load(Ordering::Relaxed));
            init.say(&ToProxy::Awake(slot, Some(release)));
            init.say(&ToProxy::Wake { id, slot, result: Ok(Rung::Stopped) });
            tenant.is_back();
        });
    }
}

type Body = http_body_util::combinators::BoxBody<bytes::Bytes, std::convert::Infallible>;

/// Sends back what it is sent; else as many bytes as its path asks for.
async fn answer(mut request: Request<Incoming>, mut life: watch::Receiver<()>) -> Response<Body> {
    if let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) {
        let accept = derive_accept_key(key.as_bytes());
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let echo = async {
                let io = TokioIo::new(upgrade.await.ok()?);
                let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_binary() && socket.send(message).await.is_err() {
                        break;
                    }
                }
                Some(())
            };
            tokio::select! {
                _ = echo => (),
                // The program's end is theirs.
                _ = life.changed() => (),
            }
        });
        let response =
            Response::builder().status(101).header("connection", "upgrade").header("upgrade", "websocket");
        return response.header("sec-websocket-accept", accept).body(empty()).unwrap();
    }
    let size = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
    match request.into_body().collect().await.map(|body| body.to_bytes()) {
        Ok(body) if !body.is_empty() => Response::new(full(body)),
        _ => Response::new(full(vec![b'x'; size])),
    }
}
