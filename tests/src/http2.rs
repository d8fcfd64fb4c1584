//! The least of HTTP/2 that the scenarios need, by a library, whose reading is not ours: one exchange of messages on a connection without TLS, to a
//! port on 127.0.0.1, with a deadline.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::ext::Protocol;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::net::TcpStream;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What came back.
#[derive(Debug, Default)]
pub struct Exchange {
    /// The status code.
    pub status: u16,
    /// Fields before the messages.
    pub head: HeaderMap,
    /// The answer to each message, or one piece of all there is where it is no exchange.
    pub messages: Vec<String>,
    /// Fields behind them.
    pub trailers: HeaderMap,
}

impl Exchange {
    /// A field, of the head or behind it; empty when it is not there.
    pub fn field(&self, name: &str) -> &str {
        let found = self.head.get(name).or_else(|| self.trailers.get(name));
        found.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Calls as gRPC does: each message is sent when the one before is answered, and trailers at the end.
///
/// # Errors
/// In words: nobody there, deadline, not HTTP/2.
pub fn call(
    port: u16,
    (host, path): (&str, &str),
    messages: &[&str],
    limit: Duration,
) -> Result<Exchange, String> {
    let request = Request::post(format!("http://{host}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(());
    within(limit, exchange(port, request.map_err(|e| e.to_string())?, messages, true))
}

/// Opens a WebSocket (RFC 8441) and exchanges bytes over it. What is in them is the program's.
///
/// # Errors
/// In words: nobody there, deadline, not HTTP/2.
pub fn websocket(
    port: u16,
    (host, path): (&str, &str),
    messages: &[&str],
    limit: Duration,
) -> Result<Exchange, String> {
    let request = Request::connect(format!("http://{host}{path}"))
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"))
        .body(());
    within(limit, exchange(port, request.map_err(|e| e.to_string())?, messages, false))
}

fn within<T>(limit: Duration, what: impl Future<Output = Result<T, Fault>>) -> Result<T, String> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let done = runtime.block_on(async { tokio::time::timeout(limit, what).await });
    done.map_err(|_| format!("no answer within {limit:?}"))?.map_err(|e| format!("HTTP/2: {e}"))
}

async fn exchange(
    port: u16,
    request: Request<()>,
    messages: &[&str],
    trailers: bool,
) -> Result<Exchange, Fault> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (client, connection) = h2::client::handshake(stream).await?;
    // Its end is the exchange's.
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await?;
    // The other side's settings come first, and say whether it takes a CONNECT with a protocol.
    while request.method() == http::Method::CONNECT && !client.is_extended_connect_protocol_enabled() {
        if connection.is_finished() {
            return Err("the connection has ended".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (response, mut to) = client.send_request(request, false)?;
    let mut messages = messages.iter();
    if let Some(first) = messages.next() {
        to.send_data(Bytes::copy_from_slice(first.as_bytes()), false)?;
    }
    let (head, mut body) = response.await.map(Response::into_parts)?;
    let mut told = Exchange { status: head.status.as_u16(), head: head.headers, ..Exchange::default() };
    let mut is_open = true;
    while let Some(piece) = next(&mut body).await? {
        told.messages.push(piece);
        if let Some(message) = messages.next() {
            to.send_data(Bytes::copy_from_slice(message.as_bytes()), false)?;
        } else if std::mem::take(&mut is_open) {
            let sum = (HeaderName::from_static("x-sum"), HeaderValue::from_static("7"));
            let fields = trailers.then(|| HeaderMap::from_iter([sum]));
            // Who has said all that there is may not listen any more.
            _ = match fields {
                Some(fields) => to.send_trailers(fields),
                None => to.send_data(Bytes::new(), true),
            };
        }
    }
    told.trailers = body.trailers().await?.unwrap_or_default();
    Ok(told)
}

/// The next piece that is not empty.
async fn next(body: &mut RecvStream) -> Result<Option<String>, h2::Error> {
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        if !piece.is_empty() {
            return Ok(Some(String::from_utf8_lossy(&piece).into_owned()));
        }
    }
    Ok(None)
}
