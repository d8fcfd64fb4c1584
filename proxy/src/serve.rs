//! What one worker does: accepts on its listening sockets and gives each connection a task of its own, until it is time to
//! drain. Init keeps the sockets open, so that connections that come while nobody accepts wait for the next process. What is
//! spoken on a connection is `connection`'s business.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::client::Client;
use crate::clients::{Clients, Share};
use crate::connection;
use crate::shared::Shared;
use crate::{Listeners, ProxyError, front, log};

/// Pause after an accept that failed for want of descriptors or memory.
const SHORT_OF_EVERYTHING: Duration = Duration::from_millis(100);

/// What visitors come in by.
pub(crate) struct Doors {
    /// Without TLS.
    http: TcpListener,
    /// With it.
    https: TcpListener,
}

impl Doors {
    /// For the runtime that this is called within.
    ///
    /// # Errors
    /// [`ProxyError::Listener`].
    pub(crate) fn new(listeners: Listeners) -> Result<Self, ProxyError> {
        let ready = |listener: std::net::TcpListener| {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        let [http, https] =
            [listeners.http, listeners.https].map(|listener| ready(listener).map_err(ProxyError::Listener));
        Ok(Self { http: http?, https: https? })
    }
}

/// Accepts until `drain` becomes true.
pub(crate) async fn serve(shared: &Arc<Shared>, doors: Doors, drain: watch::Receiver<bool>) {
    let mut asked = drain.clone();
    tokio::select! {
        biased;
        // An error would mean that nobody can ask for a drain any more, which is as good as asking.
        _ = asked.wait_for(|drain| *drain) => (),
        () = accept(shared, &doors, &drain) => (),
    }
}

/// Waits until all workers' connections have ended, or the time for it is over.
pub(crate) async fn finish(shared: &Shared) {
    let all = u32::try_from(shared.limits.client_connections).unwrap_or(u32::MAX);
    let open = || shared.limits.client_connections - shared.places.available_permits();
    log::line(format_args!("draining {} connections", open()));
    match tokio::time::timeout(shared.limits.drain, shared.places.acquire_many(all)).await {
        Ok(_) => log::line(format_args!("drained")),
        Err(_) => log::line(format_args!("{} connections cut off", open())),
    }
}

async fn accept(shared: &Arc<Shared>, doors: &Doors, drain: &watch::Receiver<bool>) {
    let clients = &shared.clients;
    // The place first: beyond the limit connections stay in the kernel's queues.
    while let Ok(permit) = shared.places.clone().acquire_owned().await {
        let (accepted, with_tls) = tokio::select! {
            accepted = doors.http.accept() => (accepted, false),
            accepted = doors.https.accept() => (accepted, true),
        };
        let (mut stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                refused(&e).await;
                continue;
            }
        };
        let address = address.ip().to_canonical();
        let front = shared.routes.in_front();
        // What is trusted brings many visitors.
        let share = match front.as_ref().is_some_and(|front| front.trusts(address)) {
            true => None,
            // Closed at once: an answer would have to be waited for, which is what this client has had its share of.
            false => match clients.enter(address) {
                None => continue,
                share => share,
            },
        };
        // Small responses leave at once, and what a client does not take goes with its connection, which the kernel would keep for
        // it; without it nothing breaks, so a failure is no reason to stop.
        _ = stream.set_nodelay(true);
        _ = set_tcp_user_timeout(&stream, millis(shared.limits.write_stall));
        let (shared, drain) = (shared.clone(), drain.clone());
        if share.is_none() && front.is_some_and(|front| front.proxy_protocol) {
            tokio::spawn(async move {
                let limit = shared.limits.proxy_header;
                if let Some((visitor, share)) = introduced(&mut stream, address, &shared.clients, limit).await {
                    begin(shared, (stream, with_tls), Client::new(visitor, permit, share), drain);
                }
            });
        } else {
            begin(shared, (stream, with_tls), Client::new(address, permit, share), drain);
        }
    }
}

/// Reads whom somebody trusted brings; who it is, and his share of the connections. Nothing for who says nothing, or has had his
/// share.
async fn introduced(
    stream: &mut TcpStream,
    by: IpAddr,
    clients: &Arc<Clients>,
    limit: Duration,
) -> Option<(IpAddr, Option<Share>)> {
    match tokio::time::timeout(limit, front::announced(stream)).await {
        Ok(Ok(Some(visitor))) => Some((visitor, Some(clients.enter(visitor)?))),
        Ok(Ok(None)) => Some((by, None)),
        Ok(Err(e)) if e.kind() == io::ErrorKind::InvalidData => {
            log::line(format_args!("{by} is trusted to speak the PROXY protocol, version 2, and does not"));
            None
        }
        _ => None,
    }
}

/// A task of its own for a connection.
fn begin(
    shared: Arc<Shared>,
    (stream, with_tls): (TcpStream, bool),
    client: Client,
    drain: watch::Receiver<bool>,
) {
    match with_tls {
        false => tokio::spawn(connection::plain(shared, stream, client, drain)),
        true => tokio::spawn(connection::tls(shared, stream, client, drain)),
    };
}

fn millis(bound: Duration) -> u32 {
    u32::try_from(bound.as_millis()).unwrap_or(u32::MAX)
}

/// A client that left before it was accepted is nothing; a shortage is worth a line and a pause.
async fn refused(e: &io::Error) {
    if e.kind() != io::ErrorKind::ConnectionAborted {
        log::line(format_args!("cannot accept: {e}"));
        tokio::time::sleep(SHORT_OF_EVERYTHING).await;
    }
}
