//! One worker: accepts on the listening sockets, gives each connection a task of its own, and drains. Init keeps the
//! sockets open, so that connections that come while nobody accepts wait for the next process. What is spoken on a
//! connection is `connection`'s business.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::client::Client;
use crate::clients::{Clients, Share};
use crate::connection;
use crate::shared::Shared;
use crate::{front, log};

/// Pause after an accept that failed for want of descriptors or memory.
const SHORT_OF_EVERYTHING: Duration = Duration::from_millis(100);

/// What visitors come in by.
pub(crate) struct Doors {
    /// Without TLS.
    pub(crate) http: TcpListener,
    /// With it.
    pub(crate) https: (TcpListener, TlsAcceptor),
}

/// Serves until `drain` becomes true, then until nothing is in flight or the time for it is over.
pub(crate) async fn serve(shared: Arc<Shared>, doors: Doors, drain: watch::Receiver<bool>) {
    let mut asked = drain.clone();
    let places = Arc::new(Semaphore::new(shared.limits.client_connections));
    tokio::select! {
        biased;
        // An error would mean that nobody can ask for a drain any more, which is as good as asking.
        _ = asked.wait_for(|drain| *drain) => (),
        () = accept(&shared, &doors, &places, &drain) => (),
    }
    drop(doors);
    let all = u32::try_from(shared.limits.client_connections).unwrap_or(u32::MAX);
    let open = shared.limits.client_connections - places.available_permits();
    log::line(format_args!("draining {open} connections"));
    match tokio::time::timeout(shared.limits.drain, places.acquire_many(all)).await {
        Ok(_) => log::line(format_args!("drained")),
        Err(_) => log::line(format_args!(
            "{} connections cut off",
            shared.limits.client_connections - places.available_permits()
        )),
    }
}

async fn accept(shared: &Arc<Shared>, doors: &Doors, places: &Arc<Semaphore>, drain: &watch::Receiver<bool>) {
    let clients = Clients::new(shared.limits.address_connections);
    let (https, acceptor) = &doors.https;
    // The place first: beyond the limit connections stay in the kernel's queues.
    while let Ok(permit) = places.clone().acquire_owned().await {
        let (accepted, with_tls) = tokio::select! {
            accepted = doors.http.accept() => (accepted, false),
            accepted = https.accept() => (accepted, true),
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
        // Small responses leave at once; without it nothing breaks, so a failure is no reason to stop.
        _ = stream.set_nodelay(true);
        let (shared, drain) = (shared.clone(), drain.clone());
        let acceptor = with_tls.then(|| acceptor.clone());
        if share.is_none() && front.is_some_and(|front| front.proxy_protocol) {
            let clients = clients.clone();
            tokio::spawn(async move {
                let limit = shared.limits.proxy_header;
                if let Some((visitor, share)) = introduced(&mut stream, address, &clients, limit).await {
                    let client = Client::new(visitor, permit, share);
                    begin(shared, stream, acceptor, client, drain);
                }
            });
        } else {
            begin(shared, stream, acceptor, Client::new(address, permit, share), drain);
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
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    client: Client,
    drain: watch::Receiver<bool>,
) {
    match acceptor {
        None => tokio::spawn(connection::plain(shared, stream, client, drain)),
        Some(acceptor) => tokio::spawn(connection::tls(shared, acceptor, stream, client, drain)),
    };
}

/// A client that left before it was accepted is nothing; a shortage is worth a line and a pause.
async fn refused(e: &io::Error) {
    if e.kind() != io::ErrorKind::ConnectionAborted {
        log::line(format_args!("cannot accept: {e}"));
        tokio::time::sleep(SHORT_OF_EVERYTHING).await;
    }
}
