//! TLS that trusts one certificate by its fingerprint and nothing else: no authorities, no names, no dates. The
//! handshake's signature is still checked, or anybody could replay the certificate.

use std::sync::{Arc, Mutex, PoisonError};

use kennel_model::HostName;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{CONNECT, ClientError};
use crate::hosts::{ApiUrl, KnownHost};
use crate::pin::Fingerprint;

/// Holds the server's certificate against the pin, and remembers what was shown.
#[derive(Debug)]
struct Pinned {
    /// None admits no certificate at all, but still remembers it.
    expected: Option<Fingerprint>,
    shown: Mutex<Option<Fingerprint>>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn new(expected: Option<Fingerprint>) -> Arc<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Arc::new(Self { expected, shown: Mutex::default(), provider })
    }

    fn shown(&self) -> Option<Fingerprint> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Fingerprint::of_certificate(end_entity);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        if self.expected == Some(shown) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection to the host, if it shows the pinned certificate.
pub(super) async fn connect(name: &HostName, host: &KnownHost) -> Result<TlsStream<TcpStream>, ClientError> {
    let verifier = Pinned::new(Some(host.fingerprint));
    handshake(name, &host.url, Arc::clone(&verifier)).await.map_err(|error| match verifier.shown() {
        Some(shown) if shown != host.fingerprint => {
            ClientError::WrongCertificate { host: name.clone(), shown, expected: host.fingerprint }
        }
        _ => error,
    })
}

/// The fingerprint of the certificate that a host shows on first contact. Nothing is sent to it.
///
/// # Errors
/// [`ClientError::Unreachable`].
pub async fn fingerprint_of(name: &HostName, url: &ApiUrl) -> Result<Fingerprint, ClientError> {
    let verifier = Pinned::new(None);
    match handshake(name, url, Arc::clone(&verifier)).await {
        Ok(_) => Err(unreachable(name, url, &"it speaks TLS without a certificate")),
        Err(error) => verifier.shown().ok_or(error),
    }
}

async fn handshake(
    name: &HostName,
    url: &ApiUrl,
    verifier: Arc<Pinned>,
) -> Result<TlsStream<TcpStream>, ClientError> {
    let fail = |cause: &dyn std::fmt::Display| unreachable(name, url, cause);
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| fail(&e))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let bare = url.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let server_name = ServerName::try_from(bare.clone()).map_err(|e| fail(&e))?;
    let establish = async {
        let tcp = TcpStream::connect((bare.as_str(), url.port)).await?;
        tcp.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(server_name, tcp).await
    };
    timeout(CONNECT, establish).await.map_err(|_| fail(&"no answer in time"))?.map_err(|e| fail(&e))
}

fn unreachable(name: &HostName, url: &ApiUrl, cause: &dyn std::fmt::Display) -> ClientError {
    ClientError::Unreachable { host: name.clone(), url: url.clone(), cause: cause.to_string() }
}
