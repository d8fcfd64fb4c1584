//! What all workers share: everything here may be used from several at once. A worker is a runtime with listening sockets of
//! its own (`workers`).

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::ProxyError;
use crate::awake::Awake;
use crate::clients::Clients;
use crate::fairness::{Pace, Rates, Turns};
use crate::files::Files;
use crate::gauge::Gauge;
use crate::h2c::H2c;
use crate::kept::Kept;
use crate::leases::Leases;
use crate::limits::Limits;
use crate::link::Link;
use crate::parked::Parked;
use crate::pool::Pool;
use crate::routes::Routes;
use crate::seen::Records;
use crate::starts::Starts;
use crate::tally::Tally;
use crate::tls::{self, Certificates};

/// The proxy's state.
pub(crate) struct Shared {
    /// All limits.
    pub(crate) limits: Limits,
    /// Names to slots.
    pub(crate) routes: Routes,
    /// Names to certificates.
    pub(crate) certificates: Arc<Certificates>,
    /// Makes TLS of a connection, with what is known of earlier ones.
    pub(crate) acceptor: TlsAcceptor,
    /// Places for clients' connections.
    pub(crate) places: Arc<Semaphore>,
    /// How many of them each client has.
    pub(crate) clients: Arc<Clients>,
    /// Slots being started.
    pub(crate) starts: Starts,
    /// Idle connections to programs.
    pub(crate) pool: Pool,
    /// Connections to programs that speak HTTP/2.
    pub(crate) h2c: Arc<H2c>,
    /// Requests in flight, waiting ones included, and whose program is held awake.
    pub(crate) leases: Arc<Leases>,
    /// Connections that have given back what they held.
    pub(crate) parked: Parked,
    /// What is known of programs beside that.
    pub(crate) awake: Awake,
    /// What programs answered, for when they are asleep.
    pub(crate) kept: Arc<Kept>,
    /// What is known of files that are answered here.
    pub(crate) files: Files,
    /// What went through since init was told.
    pub(crate) tally: Arc<Tally>,
    /// What is told of requests.
    pub(crate) records: Arc<Records>,
    /// Requests that a tenant's program has at a time.
    pub(crate) turns: Arc<Turns>,
    /// Requests a second.
    pub(crate) rates: Rates,
    /// Bytes a second.
    pub(crate) pace: Arc<Pace>,
    /// Requests that wait for a start, or for their turn.
    pub(crate) waiting: Arc<Gauge>,
    /// Bytes of their heads.
    pub(crate) waiting_bytes: Arc<Gauge>,
    /// New requests are refused: the machine is about to be taken away.
    pub(crate) refusing: AtomicBool,
    /// The channel to init.
    pub(crate) init: Link,
}

impl Shared {
    /// Without routes, starts or connections.
    ///
    /// # Errors
    /// [`ProxyError::Tls`].
    pub(crate) fn new(
        limits: Limits,
        init: Link,
        records: Records,
        workers: usize,
    ) -> Result<Arc<Self>, ProxyError> {
        let certificates = Certificates::new();
        Ok(Arc::new(Self {
            routes: Routes::default(),
            acceptor: tls::acceptor(certificates.clone())?,
            certificates,
            places: Arc::new(Semaphore::new(limits.client_connections)),
            clients: Clients::new(limits.address_connections),
            starts: Starts::default(),
            pool: Pool::new(&limits, workers),
            h2c: H2c::new(&limits),
            leases: Leases::new(&limits),
            parked: Parked::default(),
            awake: Awake::new(),
            kept: Kept::new(&limits),
            files: Files::new(&limits),
            waiting_bytes: Gauge::new(limits.slot_waiting_bytes),
            turns: Turns::new(&limits),
            rates: Rates::new(&limits),
            pace: Arc::default(),
            tally: Tally::new(),
            records: Arc::new(records),
            waiting: Gauge::new(limits.slot_waiting),
            refusing: AtomicBool::new(false),
            init,
            limits,
        }))
    }
}
