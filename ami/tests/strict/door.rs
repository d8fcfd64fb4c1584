//! The API behind a host's address: it answers only when the system is up, has its data, and lets the caller in; and it
//! shows the certificate that lies on the disk for data.

use crate::fake::account::Host;
use crate::fake::host::fingerprint;
use crate::hosts::REGION;
use crate::{Clients, clients};
use aws_sdk_ec2::types::{IpPermission, IpRange};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Trusts everyone: what is shown is looked at afterwards.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The fingerprint that is shown at an address, and the status of a path there; nothing if nobody answers.
async fn asked(ip: &str, path: &str) -> Option<(String, String)> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().dangerous();
    let config = config.with_custom_certificate_verifier(Arc::new(Anyone)).with_no_client_auth();
    let stream = tokio::net::TcpStream::connect((ip, 8443)).await.ok()?;
    let name = ServerName::try_from("kennel").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: kennel\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let der = stream.get_ref().1.peer_certificates()?.first()?.to_vec();
    let shown = format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(der)));
    Some((shown, answer.split(' ').nth(1)?.to_owned()))
}

impl Clients {
    /// Lets this computer in at the API's port.
    async fn let_in(&self) {
        let range = IpRange::builder().cidr_ip("127.0.0.0/8").build();
        let rule = IpPermission::builder().ip_protocol("tcp").from_port(8443).to_port(8443).ip_ranges(range);
        let group = self.ec2.authorize_security_group_ingress().group_id("sg-0d00000000000000d");
        group.ip_permissions(rule.build()).send().await.unwrap();
    }
}

#[tokio::test]
async fn the_api_answers_whom_it_lets_in_with_the_certificate_of_the_disk() {
    let aws = clients().await;
    let (id, disk) = aws.host().await;
    // A look, with which the doors of new addresses are opened.
    assert_eq!(aws.state(&id).await, "running");
    let (ip, number) = {
        let mut account = aws.fake.account();
        let compute = &account.region(REGION).compute;
        (compute.public_address(&id).unwrap().to_owned(), compute.volumes[&disk].certificate.unwrap())
    };
    assert_eq!(asked(&ip, "/v1/ping").await, None, "nobody is let in yet");
    aws.let_in().await;
    let answers = |status: &str| Some((fingerprint(number), status.to_owned()));
    assert_eq!(asked(&ip, "/v1/ping").await, answers("200"));
    assert_eq!(asked(&ip, "/v1/tenants").await, answers("401"));
    aws.fake.account().host = Host::Impostor;
    let (shown, _) = asked(&ip, "/v1/ping").await.unwrap();
    assert_ne!(shown, fingerprint(number));
    aws.fake.account().host = Host::Well;
    aws.ec2.reboot_instances().instance_ids(&id).send().await.unwrap();
    assert_eq!(asked(&ip, "/v1/ping").await, None, "while it starts");
    assert_eq!(asked(&ip, "/v1/ping").await, answers("200"));
    aws.ec2.stop_instances().instance_ids(&id).send().await.unwrap();
    assert_eq!(asked(&ip, "/v1/ping").await, None, "while it stops");
}
