//! What hosts tell the world: GetConsoleOutput, and the API behind a public address, which is real TLS on loopback. The
//! certificate is on the disk for data, as it is with Kennel: whoever gets the disk shows the same one.

use super::account::{Account, Host};
use super::answer::{Answer, Refusal, Reply};
use super::compute::{Instance, Phase};
use super::instances::named;
use super::machines::join;
use super::request::Request;
use super::types::kind_of;
use super::xml::Xml;
use super::{Shared, clock, locked};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Where a host's API is.
const API_PORT: u16 = 8443;
/// Where tenants' pages are on hosts that have any, and the port that stands for it here, as those below 1024 are not for
/// everyone.
const WEB_PORT: u16 = 80;
pub(crate) const WEB_PORT_HERE: u16 = 8080;
const PORTS: [(u16, u16); 2] = [(API_PORT, API_PORT), (WEB_PORT_HERE, WEB_PORT)];
/// Of the console only its last so many bytes are kept.
const MOST_CONSOLE: usize = 64 << 10;
/// Certificates from here on are somebody else's.
const STRANGERS: usize = 1_000_000;

/// A certificate with its key.
struct Pair {
    der: Vec<u8>,
    key: Vec<u8>,
}

/// The certificate with this number; making one takes a moment, so that they are kept.
fn pair(number: usize) -> Arc<Pair> {
    static ALL: Mutex<BTreeMap<usize, Arc<Pair>>> = Mutex::new(BTreeMap::new());
    let make = || {
        let made = rcgen::generate_simple_self_signed(vec!["kennel".to_owned()]).expect("a certificate");
        Arc::new(Pair { der: made.cert.der().to_vec(), key: made.signing_key.serialize_der() })
    };
    Arc::clone(locked(&ALL).entry(number).or_insert_with(make))
}

/// The fingerprint of a certificate, as a host's console writes it.
pub(crate) fn fingerprint(number: usize) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&pair(number).der)))
}

/// All that a system has written since it was switched on.
fn console(certificate: Option<usize>, data: bool, boots: u32) -> String {
    let mut text = String::new();
    // More than is kept, so that nobody relies on the beginning.
    for line in 0..1200_u32 {
        text += &format!(
            "[    {}.{:06}] pci 0000:00:{:02x}.0: BAR 0 [mem size 0x00004000]\r\n",
            line / 400,
            line,
            line % 32
        );
    }
    text += &format!("init: [  1.204] root verified, boot {boots}\r\n");
    if !data {
        text += "init: no data volume: no disk beside the root disk\r\ninit: control does not start without a data volume; everything else does\r\n";
    }
    if let Some(number) = certificate {
        text += &format!("control: api certificate {}\r\ninit: ready in 4.2 s\r\n", fingerprint(number));
    }
    text
}

/// Answers GetConsoleOutput: of now only where it is asked for, and on Nitro.
pub(crate) fn output(request: &Request, account: &mut Account) -> Answer {
    request.form.only(&["InstanceId", "Latest"])?;
    let (id, region) = (request.form.need("InstanceId")?, request.region.as_str());
    let latest = request.form.flag("Latest")?.unwrap_or(false);
    let host = account.host;
    let compute = &mut account.region(region).compute;
    let instance = named(compute, id)?.clone();
    if latest && !kind_of(&instance.kind).is_some_and(|kind| kind.nitro) {
        let message = "This instance type does not support retrieving the latest console logs.";
        return Err(Refusal::new(400, "UnsupportedOperation", message));
    }
    let told = instance.boot.looks == 0 && host != Host::Mute;
    let data = instance.boot.data.as_ref().and_then(|id| compute.volumes.get(id));
    let certificate = data.and_then(|it| it.certificate).filter(|_| told);
    let on = latest && instance.phase == Phase::Running;
    let data = data.is_some();
    let text = on.then(|| match &mut account.machines {
        None => console(certificate, data, instance.boot.count).into_bytes(),
        Some(machines) => machines.console(id),
    });
    let text = text.map(|it| it[it.len().saturating_sub(MOST_CONSOLE)..].to_owned());
    account.boot_on(region, id);
    Ok(Reply::xml(Xml::document("GetConsoleOutputResponse", |xml| {
        xml.text("instanceId", id).text("timestamp", clock::text(clock::now()));
        xml.option("output", text.map(|it| STANDARD.encode(it)).as_deref())
    })))
}

impl Account {
    /// The certificate that is shown at a public address to a peer; none if nobody answers there.
    fn shown_at(&mut self, ip: &str, peer: Ipv4Addr) -> Option<usize> {
        let host = self.host;
        let (region, id) = self.region_of(ip)?;
        let up = |it: &&Instance| it.phase == Phase::Running && it.boot.looks == 0;
        let was_up = self.region(&region).compute.instances.get(&id).filter(up).is_some();
        self.boot_on(&region, &id);
        let compute = &self.region(&region).compute;
        let instance = compute.instances.get(&id).filter(|_| was_up)?;
        if !compute.admits(instance, i64::from(API_PORT), peer) || host == Host::Deaf {
            return None;
        }
        let number = compute.volumes.get(instance.boot.data.as_ref()?)?.certificate?;
        Some(if host == Host::Impostor { number + STRANGERS } else { number })
    }
}

/// Opens the doors of addresses that have just come into use: from now on somebody may answer there.
pub(crate) fn open(doors: Vec<String>, shared: &Arc<Shared>) {
    let ports = if locked(&shared.account).machines.is_some() { &PORTS[..] } else { &PORTS[..1] };
    for (ip, (here, port)) in doors.iter().flat_map(|ip| ports.iter().map(move |ports| (ip.clone(), *ports))) {
        let Ok(address) = ip.parse::<IpAddr>() else { continue };
        // Where the port is taken, nobody answers: as behind a firewall.
        let Ok(listener) = std::net::TcpListener::bind(SocketAddr::new(address, here)) else { continue };
        if listener.set_nonblocking(true).is_err() {
            continue;
        }
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            loop {
                let Ok((stream, peer)) = listener.accept().await else { continue };
                let IpAddr::V4(peer) = peer.ip() else { continue };
                let account = &mut locked(&shared.account);
                if account.machines.is_some() {
                    account.leads_to(&ip, port, peer).map(|port| tokio::spawn(join(stream, port)));
                } else if port == API_PORT {
                    account.shown_at(&ip, peer).map(|number| tokio::spawn(serve(stream, number)));
                }
            }
        });
    }
}

/// The API, as far as somebody who is not signed in sees it.
async fn serve(stream: tokio::net::TcpStream, number: usize) {
    let pair = pair(number);
    let key = PrivateKeyDer::try_from(pair.key.clone()).expect("a key in PKCS #8");
    let chain = vec![CertificateDer::from(pair.der.clone())];
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions of TLS").with_no_client_auth().with_single_cert(chain, key);
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a pair that fits")));
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(|request: hyper::Request<Incoming>| async move {
        let status = if request.uri().path() == "/v1/ping" { 200 } else { 401 };
        hyper::Response::builder().status(status).body(Empty::<Bytes>::new())
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
