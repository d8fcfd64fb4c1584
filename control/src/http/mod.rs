//! The HTTPS server: bounded connections, each with its TLS handshake and HTTP/1.1, until it is told to stop. What is
//! answered is decided in `answers`.

mod acme;
mod answers;
mod body;
mod data;
mod jobs;
mod kinds;
mod paths;
mod people;
mod releases;
mod routing;
mod seeing;
mod streams;
mod tasks;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::auth::Auth;
use crate::config::HttpBounds;
use crate::control::Control;

pub(crate) use body::Streamed;
pub use paths::{Endpoint, ROUTES};

/// How long requests in flight may take once the server is to stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// Everything that an answer needs.
pub struct Server {
    /// Who may ask.
    pub auth: Arc<Auth>,
    /// What is asked for.
    pub control: Arc<Control>,
    /// The SHA-256 of the certificate.
    pub certificate: [u8; 32],
    /// The certificate to show.
    pub tls: Arc<ServerConfig>,
}

/// Serves until `stop` turns true, then lets requests in flight finish for a moment.
pub async fn serve(server: Arc<Server>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let bounds = server.control.config.http.clone();
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, from)) => {
                let (server, stop) = (Arc::clone(&server), stop.clone());
                connections.spawn(async move {
                    let _place = place;
                    connection(server, stream, from.ip(), stop).await;
                });
            }
            // Out of descriptors, or a client that went at once: neither is worth a busy loop.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
    let _ = timeout(FAREWELL, async { while connections.join_next().await.is_some() {} }).await;
}

/// One connection from handshake to end. Its errors are the client's affair.
async fn connection(server: Arc<Server>, stream: TcpStream, from: IpAddr, mut stop: watch::Receiver<bool>) {
    let bounds = &server.control.config.http;
    // Without them a peer that vanished would keep its place for hours; a kernel that refuses is no reason to refuse.
    let _ = watch_peer(&stream, bounds);
    let acceptor = TlsAcceptor::from(Arc::clone(&server.tls));
    let Ok(Ok(stream)) = timeout(bounds.handshake, acceptor.accept(stream)).await else { return };
    let answering = Arc::clone(&server);
    let service = service_fn(move |request| {
        let server = Arc::clone(&answering);
        async move { Ok::<_, Infallible>(answers::answer(server, from, request).await) }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.head)
            .max_buf_size(64 << 10)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Has the kernel end connections whose peer is gone or does not read.
fn watch_peer(stream: &TcpStream, bounds: &HttpBounds) -> io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, bounds.peer_silent / 2)?;
    let millis = u32::try_from(bounds.peer_silent.as_millis()).unwrap_or(u32::MAX);
    Ok(sockopt::set_tcp_user_timeout(stream, millis)?)
}
