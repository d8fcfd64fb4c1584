//! The door with TLS: which certificate is shown for which name, what a connection may then ask for, and what is said to who
//! comes without. The clients verify what they are shown, against an authority of the test's own.

use std::time::Duration;

use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kennel_model::certificate::{CertificateTable, ServedCertificate};
use kennel_model::routes::{Https, Route};
use kennel_proxy::{Limits, Listeners};
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::authority::Authority;
use crate::rig::*;

type Secured = TlsStream<TcpStream>;

pub(crate) async fn connect(proxy: &Proxy, connector: &TlsConnector, name: &str) -> std::io::Result<Secured> {
    let stream = TcpStream::connect(proxy.https).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    soon(connector.connect(name, stream)).await
}

async fn get(stream: Secured, host: &str) -> Answer {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/").header("host", host).body(empty()).unwrap();
    Answer::read(soon(sender.send_request(request)).await.unwrap()).await
}

/// Puts certificates in force and waits until they are: the marker's name is shown with them only.
pub(crate) async fn certify(
    proxy: &Proxy,
    authority: &Authority,
    generation: u64,
    mut all: Vec<ServedCertificate>,
) {
    let marker = format!("table-{generation}.example");
    all.push(authority.issue(&[&marker], 0));
    proxy.init.say_certificates(&CertificateTable { generation, certificates: all, challenges: vec![] });
    let connector = authority.connector(&[]);
    soon(async { while connect(proxy, &connector, &marker).await.is_err() {} }).await;
}

/// A program that says what it was sent.
async fn mirror(claim: &Claim) -> Program {
    program(claim.slot, |request| async move {
        let fields = request.headers();
        let said = ["x-forwarded-proto", "via", "cookie", "host"].map(|name| {
            let all: Vec<_> = fields.get_all(name).iter().map(|v| v.to_str().unwrap()).collect();
            format!("{name}={}", all.join("|"))
        });
        Response::new(full(said.join(" ")))
    })
    .await
}

#[tokio::test]
async fn a_site_is_reached_with_tls_by_either_protocol() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let (authority, _program) = (Authority::new(), mirror(&claim).await);
    certify(&proxy, &authority, 1, vec![authority.issue(&["a.example"], 9)]).await;
    for versions in [&b"http/1.1"[..], b""] {
        let alpn: Vec<&[u8]> = if versions.is_empty() { vec![] } else { vec![versions] };
        let stream = connect(&proxy, &authority.connector(&alpn), "a.example").await.unwrap();
        let answer = get(stream, "a.example").await;
        assert_eq!(answer.text(), "x-forwarded-proto=https via=1.1 kennel cookie= host=a.example");
    }
    let stream = connect(&proxy, &authority.connector(&[b"http/1.1", b"h2"]), "a.example").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "the better one, whatever comes first");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://a.example/").header("cookie", "a=1").header("cookie", "b=2");
    let answer = Answer::read(sender.send_request(request.body(empty()).unwrap()).await.unwrap()).await;
    assert_eq!(answer.text(), "x-forwarded-proto=https via=2 kennel cookie=a=1; b=2 host=a.example");
}

#[tokio::test]
async fn what_is_said_to_be_taken_is_shown_by_every_worker() {
    let listener = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let more = Listeners { http: listener(), https: listener() };
    let second = more.https.local_addr().unwrap();
    let mut proxy = proxy_with_workers(Limits::default(), vec![more]).await;
    let authority = Authority::new();
    for generation in 1..20 {
        let name = format!("n{generation}.example");
        let certificates = vec![authority.issue(&[&name], 0)];
        proxy.init.say_certificates(&CertificateTable { generation, certificates, challenges: vec![] });
        proxy.init.takes(generation as usize).await;
        proxy.https = second;
        connect(&proxy, &authority.connector(&[]), &name).await.unwrap();
    }
}

#[tokio::test]
async fn nobody_is_shown_a_certificate_for_another_name() {
    let (proxy, authority) = (proxy(Limits::default()).await, Authority::new());
    let connector = authority.connector(&[]);
    let wild = authority.issue(&["*.a.example"], 9);
    certify(&proxy, &authority, 1, vec![wild, authority.issue(&["a.example"], 9)]).await;
    for good in ["a.example", "A.Example", "x.a.example"] {
        assert!(connect(&proxy, &connector, good).await.is_ok(), "{good}");
    }
    for bad in ["b.example", "x.y.a.example", "example", "192.0.2.1"] {
        assert!(connect(&proxy, &connector, bad).await.is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_connection_asks_only_for_what_its_certificate_is_good_for() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let (authority, _program) = (Authority::new(), hello(claim.slot).await);
    let names = ["a.example", "b.example", "c.example"];
    proxy.publish(names.map(|name| route(name, claim.slot)).into()).await;
    let both = authority.issue(&["a.example", "b.example"], 9);
    certify(&proxy, &authority, 1, vec![both, authority.issue(&["c.example"], 9)]).await;
    let connector = authority.connector(&[]);
    for (host, status) in [("a.example", 200), ("B.example", 200), ("c.example", 421), ("d.example", 421)] {
        let stream = connect(&proxy, &connector, "a.example").await.unwrap();
        assert_eq!(get(stream, host).await.status(), status, "{host}");
    }
}

#[tokio::test]
async fn of_two_the_one_that_lasts_longer_is_shown_and_a_bad_table_changes_nothing() {
    let (proxy, authority) = (proxy(Limits::default()).await, Authority::new());
    let connector = authority.connector(&[]);
    let shown = async || {
        let stream = connect(&proxy, &connector, "a.example").await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
    };
    let (long, short) = (authority.issue(&["a.example"], 9), authority.issue(&["a.example"], 8));
    certify(&proxy, &authority, 5, vec![long.clone(), short.clone()]).await;
    let first = shown().await.unwrap();
    certify(&proxy, &authority, 6, vec![short.clone()]).await;
    let second = shown().await.unwrap();
    assert_ne!(first, second);
    let of = |generation, certificates| CertificateTable { generation, certificates, challenges: vec![] };
    proxy.init.say_certificates(&of(5, vec![long.clone()]));
    let foreign_key = ServedCertificate { key_pem: short.key_pem.clone(), ..long.clone() };
    proxy.init.say_certificates(&of(7, vec![foreign_key]));
    proxy.init.say_certificates(&of(7, vec![ServedCertificate { chain_pem: "x".into(), ..long.clone() }]));
    // Init's messages come in order: when this one is in force those before it have been looked at.
    certify(&proxy, &authority, 8, vec![short]).await;
    assert_eq!(shown().await.unwrap(), second);
    certify(&proxy, &authority, 9, vec![long]).await;
    assert_eq!(shown().await.unwrap(), first);
}

#[tokio::test]
async fn who_comes_without_tls_is_sent_there_and_wakes_nobody() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let authority = Authority::new();
    let of = |https, hsts_s| vec![Route { https, hsts_s, ..route("a.example", claim.slot) }];
    let there = async |proxy: &Proxy, host: &str, path: &str| {
        let answer = proxy.get(host, path).await;
        (answer.status(), answer.field("location").map(str::to_owned))
    };
    certify(&proxy, &authority, 1, vec![authority.issue(&["a.example"], 9)]).await;
    let to = |path| (308, Some(format!("https://a.example{path}")));
    assert_eq!(there(&proxy, "a.example", "/x?y=%20z").await, to("/x?y=%20z"));
    assert_eq!(there(&proxy, "A.example.:80", "/").await, to("/"));
    proxy.init.nothing_at_all();
    // What certificate authorities ask for.
    let challenge = there(&proxy, "a.example", "/.well-known/acme-challenge/x").await;
    assert_eq!(challenge, (404, None));
    let _program = hello(claim.slot).await;
    assert_eq!(there(&proxy, "a.example:8080", "/").await, (200, None), "ports are not ours to guess");
    proxy.publish(of(Https::Optional, 0)).await;
    assert_eq!(there(&proxy, "a.example", "/").await, (200, None));
    proxy.publish(of(Https::Redirect, 0)).await;
    certify(&proxy, &authority, 2, vec![]).await;
    assert_eq!(there(&proxy, "a.example", "/").await, (200, None), "there is no certificate any more");
}

#[tokio::test]
async fn a_wildcard_certificate_is_for_a_wildcard_domain() {
    let mut proxy = proxy(Limits::default()).await;
    let (claim, authority) = (claim(), Authority::new());
    let _program = hello(claim.slot).await;
    proxy.publish(vec![route("*.a.example", claim.slot), route("b.example/shop", claim.slot)]).await;
    let wild = authority.issue(&["*.a.example"], 9);
    certify(&proxy, &authority, 1, vec![wild, authority.issue(&["b.example"], 9)]).await;
    let sent = proxy.get("X.a.example", "/y?z").await;
    assert_eq!((sent.status(), sent.field("location")), (308, Some("https://x.a.example/y?z")));
    let sent = proxy.get("b.example", "/shop/y").await;
    assert_eq!((sent.status(), sent.field("location")), (308, Some("https://b.example/shop/y")));
    let stream = connect(&proxy, &authority.connector(&[]), "x.a.example").await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/").header("host", "x.a.example").body(empty()).unwrap();
    assert_eq!(Answer::read(sender.send_request(request).await.unwrap()).await.text(), "hello");
}

#[tokio::test]
async fn browsers_are_told_to_come_with_tls_only_where_the_site_wants_it() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let authority = Authority::new();
    let own = program(claim.slot, |request| async move {
        let response = Response::builder();
        let response = match request.uri().path() {
            "/own" => response.header("strict-transport-security", "max-age=1"),
            _ => response,
        };
        response.body(full("")).unwrap()
    });
    let _program = own.await;
    certify(&proxy, &authority, 1, vec![authority.issue(&["a.example"], 9)]).await;
    let connector = authority.connector(&[]);
    let told = async |proxy: &Proxy, path: &str| {
        let stream = connect(proxy, &connector, "a.example").await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get(path).header("host", "a.example").body(empty()).unwrap();
        let answer = Answer::read(sender.send_request(request).await.unwrap()).await;
        answer.field("strict-transport-security").map(str::to_owned)
    };
    assert_eq!(told(&proxy, "/").await, None);
    let strict = Route { https: Https::Optional, hsts_s: 3600, ..route("a.example", claim.slot) };
    proxy.publish(vec![strict]).await;
    assert_eq!(told(&proxy, "/").await.as_deref(), Some("max-age=3600"));
    assert_eq!(told(&proxy, "/own").await.as_deref(), Some("max-age=1"));
    let plain = proxy.get("a.example", "/").await;
    assert_eq!(plain.field("strict-transport-security"), None, "RFC 6797, 7.2");
}

#[tokio::test]
async fn who_comes_again_is_spared_the_signature() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let (authority, _program) = (Authority::new(), hello(claim.slot).await);
    certify(&proxy, &authority, 1, vec![authority.issue(&["a.example"], 9)]).await;
    let connector = authority.connector(&[]);
    let kind = |stream: &Secured| stream.get_ref().1.handshake_kind();
    let first = connect(&proxy, &connector, "a.example").await.unwrap();
    assert_eq!(kind(&first), Some(HandshakeKind::Full));
    // The ticket comes with what follows the handshake.
    get(first, "a.example").await;
    let second = connect(&proxy, &connector, "a.example").await.unwrap();
    assert_eq!(kind(&second), Some(HandshakeKind::Resumed));
    assert_eq!(get(second, "a.example").await.text(), "hello");
}

#[tokio::test]
async fn a_handshake_is_waited_for_within_bounds_and_not_during_a_drain() {
    let limits = Limits { tls_handshake: Duration::from_millis(50), ..Limits::default() };
    let slow = proxy(limits).await;
    let mut silent = TcpStream::connect(slow.https).await.unwrap();
    assert_eq!(soon(silent.read(&mut [0])).await.unwrap_or(0), 0);
    let patient = proxy(Limits::default()).await;
    let mut silent = TcpStream::connect(patient.https).await.unwrap();
    // It has been accepted when a connection after it has been answered.
    _ = connect(&patient, &Authority::new().connector(&[]), "a.example").await;
    patient.init.say(&kennel_model::msg::ToProxy::Drain);
    assert_eq!(soon(silent.read(&mut [0])).await.unwrap_or(0), 0);
    soon(patient.ended).await.unwrap().unwrap();
}
