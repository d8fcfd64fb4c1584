//! The HTTP client: rustls with ring, the system's certificates, the proxy of the environment, and a deadline on
//! everything that waits.

use std::sync::Arc;
use std::time::Duration;

use ureq::config::ConfigBuilder;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::typestate::AgentScope;

/// Name resolution, connecting and TLS together.
const CONNECT: Duration = Duration::from_secs(30);
/// From the request to the end of the answer's headers.
const ANSWER: Duration = Duration::from_secs(60);
/// A body that gives nothing for this long is dead.
const STALL: Duration = Duration::from_secs(30);
/// One attempt at a body; a longer download goes on with another request.
const BODY: Duration = Duration::from_secs(15 * 60);

/// A client with the system's certificates and the environment's proxy.
pub(super) fn agent() -> ureq::Agent {
    configuration().tls_config(tls()).build().into()
}

/// A client that uses no proxy.
#[cfg(test)]
pub(super) fn direct_agent() -> ureq::Agent {
    configuration().proxy(None).build().into()
}

fn configuration() -> ConfigBuilder<AgentScope> {
    ureq::Agent::config_builder()
        .user_agent(concat!("kennel/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(5)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(ANSWER))
        .timeout_per_read(Some(STALL))
        .timeout_recv_body(Some(BODY))
}

/// `SSL_CERT_FILE` and `SSL_CERT_DIR` win over the system's usual places. Without any certificate, plain HTTP still
/// works and HTTPS says that the issuer is unknown.
fn tls() -> TlsConfig {
    let found = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> = found.iter().map(|cert| Certificate::from_der(cert).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}
