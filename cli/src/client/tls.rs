//! Connections to hosts that are known by name: `kennel_known::tls`, with the client's errors.

use kennel_known::Counted;
use kennel_known::tls::{self, TlsError};
use kennel_model::HostName;
use tokio_rustls::client::TlsStream;

use super::ClientError;
use crate::hosts::{ApiUrl, KnownHost};
use crate::pin::Fingerprint;

/// A connection to the host, if it shows the pinned certificate.
pub(super) async fn connect(name: &HostName, host: &KnownHost) -> Result<TlsStream<Counted>, ClientError> {
    tls::connect(&host.url, host.fingerprint).await.map_err(|error| client_error(name, &host.url, error))
}

/// The fingerprint of the certificate that a host shows on first contact. Nothing is sent to it.
///
/// # Errors
/// [`ClientError::Unreachable`].
pub async fn fingerprint_of(name: &HostName, url: &ApiUrl) -> Result<Fingerprint, ClientError> {
    tls::fingerprint_of(url).await.map_err(|error| client_error(name, url, error))
}

fn client_error(name: &HostName, url: &ApiUrl, error: TlsError) -> ClientError {
    let host = name.clone();
    match error {
        TlsError::Unreachable(cause) => ClientError::Unreachable { host, url: url.clone(), cause },
        TlsError::WrongCertificate { shown, expected } => {
            ClientError::WrongCertificate { host, shown, expected }
        }
    }
}
