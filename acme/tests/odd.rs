//! What Pebble cannot be made to say: that it was asked too often and when to come again, that a nonce is bad for ever, when to
//! renew, and nonsense. A server of the test's own says it; signatures are Pebble's to judge.

// Helpers of tests, which clippy does not know for tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use kennel_acme::service::{Service, serve};
use kennel_model::acme::{Account, Ask, Authority, Failure, Fault, FromAcme, Kind, Order, Said, ToAcme};
use kennel_sys::Channel;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What it says to an order: status, fields, body.
type Says = (u16, &'static str, &'static str);

/// One that knows every account, and says this to every order and to who asks when to renew.
fn authority(to_orders: Says, to_renewals: Says) -> Authority {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(vec![]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let roots_pem = Some(root.self_signed(&root_key).unwrap().pem());
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let own = own.signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key)
        .unwrap();
    let (config, listener) = (Arc::new(config), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let base = format!("https://{}", listener.local_addr().unwrap());
    let directory = format!("{base}/dir");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let session = ServerConnection::new(config.clone()).unwrap();
            let mut stream = BufReader::new(StreamOwned::new(session, stream.unwrap()));
            while let Some(path) = read(&mut stream) {
                let place = path.split('/').nth(1).unwrap_or_default().to_owned();
                let (status, fields, body) = match place.as_str() {
                    "dir" => (200, String::new(), directory_of(&base)),
                    "nonce" => (200, String::new(), String::new()),
                    "account" => (201, format!("location: {base}/account/1\r\n"), "{}".to_owned()),
                    "order" => (to_orders.0, to_orders.1.to_owned(), to_orders.2.to_owned()),
                    "renewal" => (to_renewals.0, to_renewals.1.to_owned(), to_renewals.2.to_owned()),
                    other => panic!("nothing is at {other}"),
                };
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} x\r\nreplay-nonce: n\r\n{fields}content-length: {length}\r\n\r\n"
                );
                if stream.get_mut().write_all((head + &body).as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
    Authority { directory, roots_pem }
}

fn directory_of(base: &str) -> String {
    let at = |place: &str| format!("{base}/{place}");
    let (nonce, account, order, renewal) = (at("nonce"), at("account"), at("order"), at("renewal"));
    format!(
        r#"{{"newNonce":"{nonce}","newAccount":"{account}","newOrder":"{order}","revokeCert":"{base}/revoke","keyChange":"{base}/change","renewalInfo":"{renewal}"}}"#
    )
}

/// The path of the next request.
fn read(stream: &mut impl std::io::BufRead) -> Option<String> {
    let (mut line, mut length, mut path) = (String::new(), 0, None);
    while stream.read_line(&mut line).ok()? > 0 {
        let text = line.trim_end().to_owned();
        line.clear();
        if text.is_empty() {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).ok()?;
            return path;
        }
        if path.is_none() {
            path = text.split(' ').nth(1).map(str::to_owned);
        } else if let Some(value) = text.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    None
}

struct Control(Channel);

impl Control {
    fn new() -> Self {
        let (ours, theirs) = Channel::pair().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(theirs, Service::new(vec![]))).unwrap();
        });
        Self(ours)
    }

    fn ask(&self, ask: Ask) -> Said {
        self.0.send(&ToAcme { id: 1, ask }, &[]).unwrap();
        self.0.recv::<FromAcme>().unwrap().unwrap().0.said
    }

    fn account(&self, authority: &Authority) -> Account {
        match self.ask(Ask::Register(authority.clone(), None)) {
            Said::Account(account) => account,
            other => panic!("{other:?}"),
        }
    }

    fn order(&self, authority: &Authority, account: Account) -> Failure {
        let order = Order {
            authority: authority.clone(),
            account,
            name: "a.example".parse().unwrap(),
            request: vec![0x30],
            prefer: Kind::Http,
            replaces: None,
        };
        match self.ask(Ask::Order(Box::new(order))) {
            Said::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }
}

const NEVER: Says = (404, "", "{}");

#[test]
fn what_an_authority_says_of_when_to_come_again_is_passed_on() {
    let limited =
        r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates","status":429}"#;
    let bad_nonce = r#"{"type":"urn:ietf:params:acme:error:badNonce","detail":"no","status":400}"#;
    for (says, fault, seconds) in [
        ((429, "retry-after: 7200\r\n", limited), Fault::RateLimited, Some(7200)),
        ((429, "", limited), Fault::RateLimited, None),
        (
            (503, "retry-after: 60\r\n", r#"{"type":"urn:ietf:params:acme:error:serverInternal"}"#),
            Fault::Authority,
            Some(60),
        ),
        ((500, "", "<html>out of order</html>"), Fault::Authority, None),
        ((400, "", bad_nonce), Fault::Authority, None),
        ((201, "", "{}"), Fault::Authority, None),
    ] {
        let (authority, control) = (authority(says, NEVER), Control::new());
        let account = control.account(&authority);
        let failure = control.order(&authority, account);
        assert_eq!((failure.fault, failure.retry_after_s), (fault, seconds), "{says:?}: {}", failure.reason);
    }
}

#[test]
fn it_suggests_when_to_renew() {
    let window = r#"{"suggestedWindow":{"start":"2026-01-02T00:00:00Z","end":"2026-01-03T00:00:00Z"}}"#;
    let key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(vec![]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut leaf = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    leaf.use_authority_key_identifier_extension = true;
    let root_key = KeyPair::generate().unwrap();
    let chain = leaf.signed_by(&key, &Issuer::new(root, root_key)).unwrap().pem();
    let ask = |says| {
        let (authority, control) = (authority(NEVER, says), Control::new());
        let account = control.account(&authority);
        control.ask(Ask::Renewal(authority, account, chain.clone()))
    };
    let suggested = ask((200, "retry-after: 21600\r\n", window));
    assert_eq!(suggested, Said::Renewal(Some((1_767_312_000, 1_767_398_400))));
    assert!(matches!(ask(NEVER), Said::Failed(Failure { fault: Fault::Authority, .. })));
}
