//! A certificate authority of the tests' own, and clients that trust nobody else.

use std::sync::Arc;

use kennel_model::CertificateName;
use kennel_model::certificate::ServedCertificate;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// A certificate authority and a client that trusts nobody else.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    roots: RootCertStore,
    /// Its own certificate, for programs.
    #[allow(dead_code)] // One of two test programs reads it.
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        Self { issuer: Issuer::new(params, key), roots, pem: root.pem() }
    }

    pub(crate) fn issue(&self, names: &[&str], not_after_s: u64) -> ServedCertificate {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        // By a subject like its issuer's OpenSSL takes it for self-signed.
        params.distinguished_name.push(DnType::CommonName, &names[0]);
        ServedCertificate {
            names: names.into_iter().map(|name| CertificateName::new(name).unwrap()).collect(),
            not_after_s,
            chain_pem: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key_pem: key.serialize_pem(),
        }
    }

    pub(crate) fn connector(&self, alpn: &[&[u8]]) -> TlsConnector {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = versions.unwrap().with_root_certificates(self.roots.clone()).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }
}
