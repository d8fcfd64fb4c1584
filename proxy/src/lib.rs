//! `kennel-proxy`: takes requests by HTTP/1.1 and HTTP/2, with TLS and without, from strangers and gives each to the tenant that its host name belongs to,
//! waking the tenant through init if nobody listens. It decides nothing: routes come from control, starts are init's.
//! It opens no listener, and no file but below folders that it was handed; all else it has it is handed.
//!
//! The way of a request: `serve` (accept; `workers`) → `connection` (`tls`; HTTP/2) → `http1`: plain requests → `forward` and back; all others (`gate`, `wire`; hyper; what `forward` has `begun`, by `replay`) → `request` (`websocket` over HTTP/2) → `admission` (order of steps) → `strict`, `host`, `routes` (`paths`) → `sent` → `secure` → `files` (answers) or `leases` (→ `instead`, by `asleep` and `kept`, or `wake`) →
//! `headers` → `exchange` → by a `carrier`: `pool` or `connect` (`early`; `plain`, `lent`) → `upstream`, or `h2c` → back through `headers` and `body`, or on through `tunnel`. What goes
//! wrong is a `fault`, shown by `page`, told to gRPC's clients by `grpc`, or as an operator has it (`shown`); what goes through is told by `tally`, each request by `seen`. All numbers stand in `limits`. What takes bytes apart (`snapshot`, `routes`,
//! `host`, `gate`, `forward::request`) is public so that `fuzz` can reach it without a connection.

mod admission;
mod aside;
mod asleep;
mod awake;
mod begun;
mod body;
mod by_slot;
mod carrier;
mod challenges;
mod client;
mod clients;
mod connect;
mod connection;
mod early;
mod exchange;
mod fairness;
pub mod fault;
mod files;
pub mod forward;
mod front;
pub mod gate;
mod gauge;
mod grpc;
mod h2c;
mod headers;
mod hints;
pub mod host;
mod http1;
mod instead;
mod kept;
mod leases;
mod lent;
mod limits;
mod link;
mod log;
mod page;
mod parked;
mod paths;
mod plain;
mod pool;
mod replay;
mod request;
pub mod routes;
mod secure;
mod seen;
mod sent;
mod serve;
mod shared;
mod shown;
mod slow;
pub mod snapshot;
mod stall;
mod starts;
mod strict;
mod taking;
mod tally;
pub mod tls;
mod trailers;
mod trial;
mod tunnel;
mod unlisted;
mod upstream;
mod wake;
mod websocket;
mod wire;
mod workers;

use std::io;
use std::net::TcpListener;

use kennel_sys::Channel;
use tokio::sync::watch;
use workers::Workers;

pub use limits::Limits;
pub use link::LinkError;
pub use log::line as say;
pub use workers::runtime;

/// Why the proxy cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Init has gone, or the channel to it failed.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A listening socket cannot be used.
    #[error("the listening socket: {0}")]
    Listener(#[source] io::Error),
    /// TLS could not be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// There is no room for another worker.
    #[error("a worker cannot be started: {0}")]
    Worker(#[source] io::Error),
    /// A worker has ended while it was needed.
    #[error("worker {0} has ended, which is a defect")]
    Ended(usize),
}

/// The sockets by which visitors come to one worker.
#[derive(Debug)]
pub struct Listeners {
    /// Without TLS.
    pub http: TcpListener,
    /// With it.
    pub https: TcpListener,
}

/// Serves until init asks to drain and what is in flight is finished; to be called within a current-thread runtime.
/// That runtime is the worker by `listeners`; for each of `more` there is another, with a thread of its own.
///
/// # Errors
/// [`ProxyError`]: init has closed the channel without asking to drain, or what was handed over is no use.
pub async fn run(
    channel: Channel,
    listeners: Listeners,
    more: Vec<Listeners>,
    records: Channel,
    limits: Limits,
) -> Result<(), ProxyError> {
    let records = seen::Records::new(records, &limits);
    let shared = shared::Shared::new(limits, link::Link::new(channel)?, records, 1 + more.len())?;
    let (drain, draining) = watch::channel(false);
    let doors = serve::Doors::new(listeners)?;
    log::line(format_args!("{} workers", 1 + more.len()));
    let mut workers = Workers::start(&shared, more, &draining)?;
    let worker = async {
        serve::serve(&shared, doors, draining.clone()).await;
        serve::finish(&shared).await;
    };
    tokio::pin!(worker);
    let lost = tokio::select! {
        () = &mut worker => {
            shared.tally.tell(&shared.init).await;
            shared.records.tell(true);
            return Ok(());
        }
        () = shared.pool.sweep_forever() => return Ok(()),
        () = shared.parked.give_back_forever() => return Ok(()),
        () = shared.leases.give_back_forever(&shared) => return Ok(()),
        () = shared.tally.tell_forever(&shared.init) => return Ok(()),
        () = shared.records.tell_forever() => return Ok(()),
        ended = workers.failed() => return Err(ended),
        lost = shared.init.hear(&shared, &drain) => lost,
    };
    if !*draining.borrow() {
        return Err(lost.into());
    }
    // Init need not stay to listen while we finish.
    worker.await;
    shared.tally.tell(&shared.init).await;
    shared.records.tell(true);
    Ok(())
}
