//! What certificate authorities are answered: by HTTP and by TLS, for pending orders only, whatever else the site is.

use std::sync::Arc;

use kennel_model::HostName;
use kennel_model::acme::{Answer as Shown, ServedChallenge};
use kennel_model::certificate::{CertificateTable, ServedCertificate};
use kennel_proxy::Limits;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::rig::*;

/// Takes any certificate, as authorities do that come to look at a challenge.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate that is shown for a name to who offers these protocols, the protocol that is agreed on, and what is said
/// then without being asked.
async fn shown(proxy: &Proxy, name: &str, alpn: &[&[u8]]) -> Option<(Vec<u8>, Option<Vec<u8>>, bool)> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(proxy.https).await.unwrap();
    let server = ServerName::try_from(name.to_owned()).unwrap();
    let mut stream = soon(TlsConnector::from(Arc::new(config)).connect(server, stream)).await.ok()?;
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates()?.first()?.to_vec();
    let agreed = session.alpn_protocol().map(<[u8]>::to_vec);
    let is_ended = agreed.as_deref() == Some(b"acme-tls/1") && {
        let mut rest = Vec::new();
        let _ = soon(stream.read_to_end(&mut rest)).await;
        rest.is_empty()
    };
    Some((certificate, agreed, is_ended))
}

fn name(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

fn by_http(host: &str) -> ServedChallenge {
    let (token, key_authorization) = ("token_0123456789ABC".to_owned(), "token_0123456789ABC.print".to_owned());
    ServedChallenge { name: name(host), answer: Shown::Http { token, key_authorization } }
}

/// Self-signed, with the extension that an authority looks for.
fn by_tls(host: &str) -> (ServedChallenge, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&[7; 32])];
    let certificate = params.self_signed(&key).unwrap();
    let answer = Shown::TlsAlpn { chain_pem: certificate.pem(), key_pem: key.serialize_pem() };
    (ServedChallenge { name: name(host), answer }, certificate.der().to_vec())
}

fn ordinary(host: &str) -> (ServedCertificate, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap().self_signed(&key).unwrap();
    let names = vec![host.parse().unwrap()];
    let (chain_pem, key_pem) = (certificate.pem(), key.serialize_pem());
    (ServedCertificate { names, not_after_s: 9, chain_pem, key_pem }, certificate.der().to_vec())
}

/// Puts a table in force and waits until it is.
async fn publish(proxy: &Proxy, generation: u64, mut table: CertificateTable) {
    let marker = format!("table-{generation}.example");
    table.certificates.push(ordinary(&marker).0);
    table.generation = generation;
    proxy.init.say_certificates(&table);
    soon(async { while shown(proxy, &marker, &[]).await.is_none() {} }).await;
}

const PATH: &str = "/.well-known/acme-challenge/token_0123456789ABC";

#[tokio::test]
async fn an_authority_reads_the_answer_without_tls_and_wakes_nobody() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let undeployed = kennel_model::routes::Route { release: None, ..route("new.example", claim.slot) };
    proxy.publish(vec![route("a.example", claim.slot), undeployed]).await;
    // There is a certificate already, which is about to be renewed: who comes without TLS is sent there otherwise.
    let table = CertificateTable {
        certificates: vec![ordinary("a.example").0],
        challenges: vec![by_http("a.example"), by_http("new.example")],
        ..CertificateTable::default()
    };
    publish(&proxy, 1, table).await;
    for host in ["a.example", "A.example:80", "new.example"] {
        let answer = proxy.get(host, PATH).await;
        assert_eq!((answer.status(), answer.text()), (200, "token_0123456789ABC.print"), "{host}");
        assert_eq!(answer.field("content-type"), Some("application/octet-stream"));
    }
    assert_eq!(proxy.get("a.example", "/").await.status(), 308, "the site itself is where it was");
    assert_eq!(proxy.get("a.example", &PATH[..PATH.len() - 1]).await.status(), 404, "another token");
    assert_eq!(proxy.get("b.example", PATH).await.status(), 404, "another host");
    proxy.init.nothing_at_all();
    publish(&proxy, 2, CertificateTable::default()).await;
    assert_eq!(proxy.get("a.example", PATH).await.status(), 404, "the order has ended");
}

#[tokio::test]
async fn an_authority_is_shown_the_answer_with_tls_and_nobody_else_is() {
    let (proxy, _claim) = proxy_with_a_tenant(Limits::default()).await;
    let ((challenge, proof), (site, certificate)) = (by_tls("a.example"), ordinary("a.example"));
    let table = CertificateTable {
        certificates: vec![site.clone()],
        challenges: vec![challenge],
        ..CertificateTable::default()
    };
    publish(&proxy, 1, table).await;
    let acme: &[u8] = b"acme-tls/1";
    let asked = shown(&proxy, "A.Example", &[acme]).await.unwrap();
    assert_eq!(asked, (proof, Some(acme.to_vec()), true), "the proof, and then nothing");
    let visitor = shown(&proxy, "a.example", &[b"http/1.1"]).await.unwrap();
    assert_eq!(visitor, (certificate.clone(), Some(b"http/1.1".to_vec()), false));
    let odd = shown(&proxy, "a.example", &[acme, b"http/1.1"]).await.unwrap();
    assert_eq!(odd, (certificate, Some(b"http/1.1".to_vec()), false), "who offers more is a visitor");
    assert!(shown(&proxy, "b.example", &[acme]).await.is_none(), "another name");
    publish(&proxy, 2, CertificateTable { certificates: vec![site], ..CertificateTable::default() }).await;
    assert!(shown(&proxy, "a.example", &[acme]).await.is_none(), "the order has ended");
}
