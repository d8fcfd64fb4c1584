//! The program's loop before a real authority, Pebble: an account, orders proved by HTTP and by TLS, and what is said when a
//! name leads elsewhere. What the authority looks at is answered here, as the proxy does on a host.

// Helpers of tests, which clippy does not know for tests.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../tests/src/pebble.rs"]
mod pebble;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kennel_acme::service::{Service, serve};
use kennel_model::HostName;
use kennel_model::acme::{Account, Ask, Authority, Failure, Fault, FromAcme, Kind, Order, Proof, Said, ToAcme};
use kennel_sys::Channel;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use pebble::Pebble;

const NAME: &str = "site.example";

/// The host: what is shown on its two ports.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Option<Proof>>>);

impl Shown {
    fn set(&self, proof: Option<Proof>) {
        *self.0.lock().unwrap() = proof;
    }

    /// A port without TLS.
    fn http(&self) -> u16 {
        let (shown, listener) = (self.clone(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, mut space) = (stream.unwrap(), [0; 4096]);
                let length = stream.read(&mut space).unwrap_or(0);
                let asked = String::from_utf8_lossy(&space[..length]).into_owned();
                let body = match &*shown.0.lock().unwrap() {
                    Some(Proof::Http { token, key_authorization })
                        if asked.starts_with(&format!("GET /.well-known/acme-challenge/{token} ")) =>
                    {
                        key_authorization.clone()
                    }
                    _ => "somebody else's".to_owned(),
                };
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes());
            }
        });
        port
    }

    /// A port with it.
    fn https(&self) -> u16 {
        let (shown, listener) = (self.clone(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(Proof::TlsAlpn(digest)) = shown.0.lock().unwrap().clone() else { continue };
                let key = KeyPair::generate().unwrap();
                let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
                params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
                let chain = vec![params.self_signed(&key).unwrap().der().clone()];
                let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                // No check that key and certificate fit: nobody takes this certificate for a site's.
                let key = provider.key_provider.load_private_key(key).unwrap();
                let shown = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)));
                let config =
                    ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
                let mut config = config.unwrap().with_no_client_auth().with_cert_resolver(shown);
                config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
                let mut session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
                let _ = session.complete_io(&mut stream.unwrap());
            }
        });
        port
    }
}

/// Control's end of the channel, and the program at the other.
struct Control {
    channel: Channel,
    last: u32,
    shown: Shown,
}

impl Control {
    fn new(shown: Shown) -> Self {
        let (ours, theirs) = Channel::pair().unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(theirs, Service::new(vec![]))).unwrap();
        });
        Self { channel: ours, last: 0, shown }
    }

    /// The answer; what is to be shown on the way is shown unless the name leads elsewhere.
    fn ask(&mut self, ask: Ask, leads_here: bool) -> Said {
        self.last += 1;
        let id = self.last;
        self.channel.send(&ToAcme { id, ask }, &[]).unwrap();
        loop {
            let (message, _) = self.channel.recv::<FromAcme>().unwrap().unwrap();
            assert_eq!(message.id, id);
            match message.said {
                Said::Challenge(proof) => {
                    assert!(proof.is_sound());
                    self.shown.set(leads_here.then_some(proof));
                    self.channel.send(&ToAcme { id, ask: Ask::Shown }, &[]).unwrap();
                }
                said => return said,
            }
        }
    }
}

fn request(name: &str) -> (KeyPair, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).unwrap().der().to_vec();
    (key, request)
}

struct Rig {
    pebble: Pebble,
    authority: Authority,
    control: Control,
}

impl Rig {
    fn new() -> Self {
        let shown = Shown::default();
        let pebble = Pebble::start(shown.http(), shown.https(), &[]).unwrap();
        let authority = Authority { directory: pebble.directory(), roots_pem: Some(pebble.root_pem.clone()) };
        Self { pebble, authority, control: Control::new(shown) }
    }

    fn register(&mut self) -> Account {
        match self.control.ask(Ask::Register(self.authority.clone(), Some("ops@site.example".into())), true) {
            Said::Account(account) => account,
            other => panic!("{other:?}"),
        }
    }

    fn order(&self, account: &Account, name: &str, prefer: Kind) -> (KeyPair, Ask) {
        let (key, request) = request(name);
        let (authority, account) = (self.authority.clone(), account.clone());
        let name = HostName::new(name).unwrap();
        let order = Order { authority, account, name, request, prefer, replaces: None };
        (key, Ask::Order(Box::new(order)))
    }
}

#[test]
fn a_certificate_is_issued_by_either_proof_and_is_the_keys_own() {
    let mut rig = Rig::new();
    let terms = rig.control.ask(Ask::Terms(rig.authority.clone()), true);
    assert!(
        matches!(&terms, Said::Terms(Some(url)) if url.starts_with("data:") || url.starts_with("http")),
        "{terms:?}"
    );
    let account = rig.register();
    for (prefer, name) in [(Kind::Http, NAME), (Kind::TlsAlpn, NAME)] {
        let (key, order) = rig.order(&account, name, prefer);
        let Said::Issued(chain) = rig.control.ask(order, true) else { panic!("not issued") };
        assert!(is_good(&rig.pebble.issues_by().unwrap(), &chain, name));
        let first = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        let public = key.public_key_raw();
        assert!(first.windows(public.len()).any(|part| part == public), "it is for the key that asked");
        // This version of Pebble may have no opinion; then there is none.
        let renewal = rig.control.ask(Ask::Renewal(rig.authority.clone(), account.clone(), chain), true);
        assert!(matches!(renewal, Said::Renewal(_)), "{renewal:?}");
    }
}

#[test]
fn a_name_that_leads_elsewhere_is_the_names_fault_and_an_unknown_account_the_accounts() {
    let mut rig = Rig::new();
    let account = rig.register();
    for prefer in [Kind::Http, Kind::TlsAlpn] {
        let (_, order) = rig.order(&account, "elsewhere.example", prefer);
        let Said::Failed(Failure { fault, reason, .. }) = rig.control.ask(order, false) else { panic!() };
        assert_eq!(fault, Fault::Name, "{reason}");
        assert!(reason.contains("elsewhere.example"), "{reason}");
    }
    let (_, order) = rig.order(&account, NAME, Kind::Http);
    let Ask::Order(mut order) = order else { panic!() };
    order.account.0 = order.account.0.replace("/my-account/", "/my-account/0");
    let Said::Failed(Failure { fault, reason, .. }) = rig.control.ask(Ask::Order(order), true) else {
        panic!()
    };
    assert_eq!(fault, Fault::Account, "{reason}");
}

#[test]
fn who_is_not_the_authority_is_not_asked() {
    let mut rig = Rig::new();
    let stranger = Pebble::start(1, 1, &[]).unwrap();
    let nobody = Authority { directory: "https://127.0.0.1:1/dir".into(), roots_pem: None };
    let public = Authority { directory: rig.pebble.directory(), roots_pem: None };
    let other = Authority { directory: rig.pebble.directory(), roots_pem: Some(stranger.root_pem.clone()) };
    let elsewhere =
        Authority { directory: format!("{}ectory", rig.pebble.directory()), ..rig.authority.clone() };
    for (authority, why) in
        [(nobody, "refused"), (public, "UnknownIssuer"), (other, "certificate"), (elsewhere, "404")]
    {
        let Said::Failed(failure) = rig.control.ask(Ask::Terms(authority), true) else { panic!("{why}") };
        assert_eq!(failure.fault, Fault::Authority);
        assert!(failure.reason.contains(why), "{} does not say {why}", failure.reason);
    }
}

#[test]
fn it_ends_when_there_is_nothing_to_do() {
    let (_control, theirs) = Channel::pair().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = Service::new(vec![]).idle_after(Duration::from_millis(10));
    runtime.block_on(serve(theirs, service)).unwrap();
}

/// Whether browsers that trust this root would take the chain for the name.
fn is_good(root_pem: &str, chain_pem: &str, name: &str) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root_pem.as_bytes()).unwrap()).unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).map(Result::unwrap).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    use rustls::client::danger::ServerCertVerifier as _;
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now()).is_ok()
}
