//! WebSockets over HTTP/2 (RFC 8441): a CONNECT that names its protocol, made into the Upgrade of HTTP/1.1 that programs know (RFC 6455), and what they
//! answer into what that client knows. In between it is a request as any other; the bytes after it are `tunnel`'s.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::ext::Protocol;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use rustix::rand::{GetRandomFlags, getrandom};
use sha1::{Digest as _, Sha1};

use crate::body::{self, Body};
use crate::fault::Fault;

/// What a server puts behind a client's key (RFC 6455, 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What was asked of a program in the place of a client, who has no key.
#[derive(Debug)]
pub(crate) struct Handshake {
    accept: String,
}

impl Handshake {
    /// Of a request that asks for a WebSocket by CONNECT, which is made into one that asks by an Upgrade. None of any other.
    pub(crate) fn of<B>(request: &mut Request<B>) -> Option<Self> {
        if request.method() != Method::CONNECT
            || request.extensions().get::<Protocol>().is_none_or(|protocol| protocol.as_str() != "websocket")
        {
            return None;
        }
        let mut random = [0; 16];
        // It has to differ from others and is no secret; the kernel has some whenever it is up.
        _ = getrandom(&mut random, GetRandomFlags::empty());
        let key = STANDARD.encode(random);
        *request.method_mut() = Method::GET;
        let fields = request.headers_mut();
        fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
        // Base64 is printable ASCII.
        fields.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key).ok()?);
        Some(Self { accept: accept(&key) })
    }

    /// Whether a program has understood what it was asked, as clients have to look (RFC 6455, 4.1).
    pub(crate) fn is_accepted(&self, fields: &HeaderMap) -> bool {
        fields.get(SEC_WEBSOCKET_ACCEPT).is_some_and(|said| said.as_bytes() == self.accept.as_bytes())
    }
}

fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// The answer as the client knows it: 200 for the switch, which has no fields for it. Another success would say the same, and is none.
///
/// # Errors
/// [`Fault::NoWebsocket`].
pub(crate) fn answer(response: Response<Body>) -> Result<Response<Body>, Fault> {
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {
            let (mut head, _) = response.into_parts();
            head.status = StatusCode::OK;
            for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
                head.headers.remove(name);
            }
            Ok(Response::from_parts(head, body::page(Bytes::new())))
        }
        status if status.is_success() => Err(Fault::NoWebsocket),
        _ => Ok(response),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_is_that_of_the_rfc() {
        let handshake = Handshake { accept: accept("dGhlIHNhbXBsZSBub25jZQ==") };
        let mut fields = HeaderMap::new();
        assert!(!handshake.is_accepted(&fields));
        fields.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(handshake.is_accepted(&fields));
    }

    #[test]
    fn only_a_connect_for_a_websocket_is_one() {
        let asked = |method, protocol: Option<&'static str>| {
            let mut request = Request::builder().method(method).body(()).unwrap();
            if let Some(protocol) = protocol {
                request.extensions_mut().insert(Protocol::from_static(protocol));
            }
            let found = Handshake::of(&mut request).is_some();
            (found, request)
        };
        let (found, request) = asked(Method::CONNECT, Some("websocket"));
        assert!(found && request.method() == Method::GET && request.headers()[UPGRADE] == "websocket");
        assert_eq!(STANDARD.decode(&request.headers()[SEC_WEBSOCKET_KEY]).unwrap().len(), 16);
        for (method, protocol) in
            [(Method::CONNECT, None), (Method::CONNECT, Some("connect-udp")), (Method::GET, Some("websocket"))]
        {
            let (found, request) = asked(method.clone(), protocol);
            assert!(!found && request.method() == method && request.headers().is_empty());
        }
    }

    #[test]
    fn a_switch_is_a_success_and_no_other_is() {
        let answered = |status: u16| {
            let response = Response::builder().status(status).header(UPGRADE, "websocket");
            answer(response.header("sec-websocket-protocol", "chat").body(body::page(Bytes::new())).unwrap())
        };
        let switched = answered(101).unwrap();
        assert_eq!((switched.status().as_u16(), switched.headers().len()), (200, 1));
        assert_eq!(answered(200).err().unwrap(), Fault::NoWebsocket);
        assert_eq!(answered(404).unwrap().status().as_u16(), 404);
    }
}
