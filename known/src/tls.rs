//! TLS that trusts one certificate by its fingerprint and nothing else: no authorities, no names, no dates. The
//! handshake's signature is still checked, or anybody could replay the certificate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::counted::Counted;
use crate::hosts::ApiUrl;
use crate::pin::Fingerprint;

/// A host under emulation on a busy machine needs some patience.
pub const CONNECT: Duration = Duration::from_secs(15);

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// Nobody there, or nobody who speaks TLS.
    #[error("{0}")]
    Unreachable(String),
    /// Somebody else, or the same host with a new data volume.
    #[error("it shows the certificate {shown}, but {expected} is expected")]
    WrongCertificate {
        /// What it showed.
        shown: Fingerprint,
        /// What is pinned.
        expected: Fingerprint,
    },
}

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

/// A connection to a host's API, if it shows this certificate.
///
/// # Errors
/// [`TlsError`].
pub async fn connect(url: &ApiUrl, expected: Fingerprint) -> Result<TlsStream<Counted>, TlsError> {
    let verifier = Pinned::new(Some(expected));
    handshake(url, Arc::clone(&verifier)).await.map_err(|error| match verifier.shown() {
        Some(shown) if shown != expected => TlsError::WrongCertificate { shown, expected },
        _ => error,
    })
}

/// The fingerprint of the certificate that a host shows on first contact. Nothing is sent to it.
///
/// # Errors
/// [`TlsError::Unreachable`].
pub async fn fingerprint_of(url: &ApiUrl) -> Result<Fingerprint, TlsError> {
    let verifier = Pinned::new(None);
    match handshake(url, Arc::clone(&verifier)).await {
        Ok(_) => Err(unreachable(&"it speaks TLS without a certificate")),
        Err(error) => verifier.shown().ok_or(error),
    }
}

async fn handshake(url: &ApiUrl, verifier: Arc<Pinned>) -> Result<TlsStream<Counted>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| unreachable(&e))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let bare = url.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let server_name = ServerName::try_from(bare.clone()).map_err(|e| unreachable(&e))?;
    let establish = async {
        let tcp = TcpStream::connect((bare.as_str(), url.port)).await?;
        tcp.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(server_name, Counted::new(tcp)).await
    };
    timeout(CONNECT, establish)
        .await
        .map_err(|_| unreachable(&"no answer in time"))?
        .map_err(|e| unreachable(&e))
}

fn unreachable(cause: &dyn std::fmt::Display) -> TlsError {
    TlsError::Unreachable(cause.to_string())
}
