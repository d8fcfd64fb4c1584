//! One visitor's connection from its first byte to its end: TLS if it came by that door, then HTTP/1.1 or HTTP/2, whichever
//! ALPN said or, without TLS, its first bytes show (RFC 9113, 3.3). During a drain it ends with its current requests. What
//! the requests are answered is `request`'s business.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kennel_model::acme::CHALLENGE_ALPN;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::client::Client;
use crate::http1;
use crate::limits::Limits;
use crate::request::answer;
use crate::shared::Shared;
use crate::stall::WriteBound;
use crate::taking::Taking;
use crate::tls::H2;

/// What a client of HTTP/2 sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// As much of it as no request of HTTP/1.1 begins with. It comes in one piece: who sends less is taken for HTTP/1.1.
const TELLING: usize = b"PRI".len();

/// A connection without TLS.
pub(crate) async fn plain(
    shared: Arc<Shared>,
    stream: TcpStream,
    client: Client,
    mut drain: watch::Receiver<bool>,
) {
    let is_http2 = tokio::select! {
        is_http2 = tokio::time::timeout(shared.limits.request_head, is_http2(&stream)) => is_http2,
        // It has not asked for anything.
        _ = drain.wait_for(|drain| *drain) => return,
    };
    match is_http2 {
        Ok(true) => Box::pin(over_http2(shared, stream, client, drain)).await,
        Ok(false) => http1::serve(&shared, stream, &client, &mut drain).await,
        Err(_) => (),
    }
}

/// A connection with TLS.
pub(crate) async fn tls(
    shared: Arc<Shared>,
    stream: TcpStream,
    mut client: Client,
    mut drain: watch::Receiver<bool>,
) {
    let handshake = tokio::time::timeout(shared.limits.tls_handshake, shared.acceptor.accept(stream));
    let handshake = tokio::select! {
        handshake = handshake => handshake,
        _ = drain.wait_for(|drain| *drain) => return,
    };
    // How it failed is the client's affair.
    let Ok(Ok(stream)) = handshake else { return };
    let session = stream.get_ref().1;
    // Without a name no certificate was shown, and there is no session.
    let Some(name) = session.server_name() else { return };
    client.came_for(name.to_ascii_lowercase());
    // An authority has seen what it came for.
    if session.alpn_protocol() == Some(CHALLENGE_ALPN) {
        return;
    }
    match session.alpn_protocol() == Some(H2) {
        true => Box::pin(over_http2(shared, stream, client, drain)).await,
        false => http1::serve(&shared, stream, &client, &mut drain).await,
    }
}

/// Looks at the first bytes without taking them.
async fn is_http2(stream: &TcpStream) -> bool {
    let mut first = [0; PREFACE.len()];
    let seen = stream.peek(&mut first).await.unwrap_or(0);
    seen >= TELLING && first[..seen] == PREFACE[..seen]
}

/// To be boxed, so that it takes no room in a connection of HTTP/1.1.
async fn over_http2<T>(shared: Arc<Shared>, io: T, client: Client, mut drain: watch::Receiver<bool>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = shared.limits.clone();
    let io = TokioIo::new(WriteBound::new(io, &limits));
    let requests = Arc::new(AtomicU64::new(0));
    let counted = requests.clone();
    let taking = Arc::new(Taking::default());
    let of_each = client.clone().over_http2(taking.clone());
    let service = service_fn(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        answer(shared.clone(), of_each.clone(), request, None)
    });
    let mut served = pin!(http2_builder(&limits).serve_connection(io, service));
    tokio::select! {
        _ = served.as_mut() => return,
        _ = drain.wait_for(|drain| *drain) => (),
        () = idle(&client, &requests, limits.request_head) => (),
        () = taking.stands_still(limits.response_stall) => return,
    }
    // The client is told which of its requests are the last that count, and what is in flight goes on.
    served.as_mut().graceful_shutdown();
    tokio::select! {
        _ = served => (),
        () = idle(&client, &requests, limits.write_stall) => (),
        () = taking.stands_still(limits.response_stall) => (),
    }
}

fn http2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        // WebSockets (RFC 8441).
        .enable_connect_protocol()
        .max_concurrent_streams(limits.http2_streams)
        .initial_stream_window_size(limits.http2_stream_bytes)
        .initial_connection_window_size(limits.http2_connection_bytes)
        .max_send_buf_size(limits.http2_send_bytes)
        .max_header_list_size(u32::try_from(limits.request_head_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.http2_resets)
        .max_local_error_reset_streams(limits.http2_faults);
    builder
}

/// Ends when no request has come or been in flight for one to two times `pause`.
async fn idle(client: &Client, requests: &AtomicU64, pause: Duration) {
    let mut seen = None;
    loop {
        tokio::time::sleep(pause).await;
        let all = requests.load(Ordering::Relaxed);
        if seen == Some(all) && client.in_flight() == 0 {
            return;
        }
        seen = Some(all);
    }
}
