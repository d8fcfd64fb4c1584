//! Who gets in, and who does not.

use std::time::Duration;

use hyper::{Method, StatusCode};
use kennel_control::http::ROUTES;
use kennel_model::api;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::client::key;
use crate::support::{Host, openapi};

#[tokio::test]
async fn only_operators_get_a_token_and_only_a_token_gets_in() {
    let host = Host::start();
    let mut stranger = host.stranger();
    assert_eq!(stranger.get("/v1/ping").await.status, StatusCode::OK);
    for (method, path, _) in ROUTES.iter().filter(|route| !route.2.is_public()) {
        let path = path.replace("{name}", "blog");
        let answer = stranger.ask(method.clone(), &path, "", Default::default()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "sign-in-required"), "{path}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(stranger.sign_in(&key(2)).await.code(), "sign-in-refused");
    let session: api::Session = stranger.sign_in(&key(1)).await.expect(StatusCode::CREATED);
    assert_eq!(session.expires_in_s, 12 * 3600);
    assert_eq!(stranger.get("/v1/tenants").await.status, StatusCode::OK);
    assert!(openapi::seen().contains("signIn"));
}

#[tokio::test]
async fn a_token_ends_with_the_control_that_gave_it() {
    let mut host = Host::start();
    let mut operator = host.operator().await;
    let pin = host.world.lock().announced.clone();
    host.stop();
    host.restart();
    let token = operator.token.take();
    operator = host.stranger();
    operator.token = token;
    assert_eq!(host.world.lock().announced, pin, "the certificate stays");
    assert_eq!(operator.get("/v1/tenants").await.code(), "sign-in-required");
}

#[tokio::test]
async fn the_console_line_has_the_fingerprint_that_clients_see() {
    let host = Host::start();
    let stranger = host.stranger();
    // The client has compared the certificate it was shown with the file's.
    drop(stranger.connect().await);
    let announced = host.world.lock().announced.clone();
    let [line] = &announced[..] else { panic!("{announced:?}") };
    let hash = line.strip_prefix("control: api certificate SHA256:").unwrap();
    assert_eq!(hash.len(), 43);
    assert!(hash.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/'));
}

#[tokio::test]
async fn bad_user_data_leaves_a_host_without_operators() {
    for user_data in ["", "[operator]\nssh_keys = []\n", "[operator]\nkeys = []\n", "\u{0}", "[operator"] {
        let host = Host::start_with(user_data, |_| {});
        let mut stranger = host.stranger();
        assert_eq!(stranger.sign_in(&key(1)).await.code(), "sign-in-refused", "{user_data:?}");
    }
}

#[tokio::test]
async fn malformed_requests_are_told_what_is_wrong() {
    let host = Host::start_with("", |config| config.http.json_bytes = 1000);
    let stranger = host.stranger();
    let json = "application/json";
    for (path, media_type, body, code) in [
        ("/v1/session", json, "{", "bad-request"),
        ("/v1/session", json, "{\"nonce\":\"\",\"signature\":\"\",\"more\":1}", "bad-request"),
        ("/v1/session", "text/plain", "{}", "unsupported-media-type"),
        ("/v1/session", json, "{\"nonce\":\"\",\"signature\":\"\"}", "sign-in-refused"),
        ("/v1/session/challenge", json, "{\"public_key\":\"ssh-rsa AAAA\"}", "bad-key"),
        ("/v1/session", json, &"x".repeat(1001), "too-large"),
        ("/v1/nothing", json, "", "no-such-path"),
        ("/v1/ping", json, "", "method-not-allowed"),
    ] {
        let answer = stranger.ask(Method::POST, path, media_type, body.to_owned().into()).await;
        assert_eq!(answer.code(), code, "{path} {body:.60}");
    }
    let answer = stranger.ask(Method::PUT, "/v1/ping", "", Default::default()).await;
    assert_eq!(answer.headers["allow"], "GET");
}

/// Reads until the other side ends the connection, well or not.
async fn until_closed(mut stream: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn whoever_stands_still_is_let_go() {
    let host = Host::start_with("", |config| {
        let bounds = &mut config.http;
        (bounds.handshake, bounds.head, bounds.json, bounds.drain) = (SHORT, SHORT, SHORT, SHORT);
        // Only one place: each of these must have given it back before the next gets in.
        bounds.connections = 1;
    });
    let stranger = host.stranger();
    assert_eq!(until_closed(TcpStream::connect(host.address).await.unwrap()).await, "", "no handshake");
    assert_eq!(until_closed(stranger.connect().await).await, "", "no head");
    let mut stream = stranger.connect().await;
    stream.write_all(b"POST /v1/session HTTP/1.1\r\nhost: x\r\ncontent-len").await.unwrap();
    let answer = until_closed(stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "half a head: {answer}");
    let mut stream = stranger.connect().await;
    let head =
        "POST /v1/session HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = until_closed(stream).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"timeout\""), "no body: {answer}");
    assert_eq!(stranger.get("/v1/ping").await.status, StatusCode::OK);
}

/// Long enough to be no race, as nobody who is quick is asked to be quicker.
const SHORT: Duration = Duration::from_secs(1);
