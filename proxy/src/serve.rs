//! One worker: accepts on a listening socket, serves each connection in a task of its own, and drains. Init keeps the
//! socket open, so that connections that come while nobody accepts wait for the next process.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::clients::Clients;
use crate::log;
use crate::request::{Client, answer};
use crate::shared::Shared;
use crate::stall::WriteBound;

/// Pause after an accept that failed for want of descriptors or memory.
const SHORT_OF_EVERYTHING: Duration = Duration::from_millis(100);

/// Serves until `drain` becomes true, then until nothing is in flight or the time for it is over.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, drain: watch::Receiver<bool>) {
    let mut asked = drain.clone();
    let places = Arc::new(Semaphore::new(shared.limits.client_connections));
    tokio::select! {
        biased;
        // An error would mean that nobody can ask for a drain any more, which is as good as asking.
        _ = asked.wait_for(|drain| *drain) => (),
        () = accept(&shared, &listener, &places, &drain) => (),
    }
    drop(listener);
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

async fn accept(
    shared: &Arc<Shared>,
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    drain: &watch::Receiver<bool>,
) {
    let clients = Clients::new(shared.limits.address_connections);
    // The place first: beyond the limit connections stay in the kernel's queue.
    while let Ok(permit) = places.clone().acquire_owned().await {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                refused(&e).await;
                continue;
            }
        };
        // Closed at once: an answer would have to be waited for, which is what this client has had its share of.
        let Some(share) = clients.enter(address.ip()) else { continue };
        let client = Client::new(address.ip().to_canonical(), permit, share);
        tokio::spawn(connection(shared.clone(), stream, client, drain.clone()));
    }
}

/// A client that left before it was accepted is nothing; a shortage is worth a line and a pause.
async fn refused(e: &io::Error) {
    if e.kind() != io::ErrorKind::ConnectionAborted {
        log::line(format_args!("cannot accept: {e}"));
        tokio::time::sleep(SHORT_OF_EVERYTHING).await;
    }
}

/// Serves one connection until its end; during a drain, until the end of its current request.
async fn connection(shared: Arc<Shared>, stream: TcpStream, client: Client, mut drain: watch::Receiver<bool>) {
    // Small responses leave at once; without it nothing breaks, so a failure is no reason to stop.
    _ = stream.set_nodelay(true);
    let io = TokioIo::new(WriteBound::new(stream, &shared.limits));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.request_head)
        .max_header_size(shared.limits.request_head_bytes)
        .max_buf_size(shared.limits.request_head_bytes);
    // The connection's place is given back with the last copy of `client`: here, or at the end of a tunnel.
    let service = service_fn(move |request| answer(shared.clone(), client.clone(), request));
    let served = builder.serve_connection(io, service).with_upgrades();
    tokio::pin!(served);
    // How a connection ends, in order or not, is the client's affair.
    tokio::select! {
        _ = served.as_mut() => return,
        _ = drain.wait_for(|drain| *drain) => served.as_mut().graceful_shutdown(),
    }
    _ = served.await;
}
