//! TLS towards visitors: which certificate is shown for which name, by the table that control publishes, and the handshake.
//! TLS 1.2 and 1.3; HTTP/2 and HTTP/1.1 by ALPN. Keys come and go with the table and are on no disk here.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use kennel_model::CertificateName;
use kennel_model::acme::CHALLENGE_ALPN;
use kennel_model::certificate::CertificateTable;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use tokio_rustls::TlsAcceptor;

use crate::challenges::{self, Challenges};
use crate::log;

/// Protocols by ALPN, the one we like best first. The last is for who offers nothing else, and for no request.
const ALPN: [&[u8]; 3] = [H2, b"http/1.1", CHALLENGE_ALPN];
/// HTTP/2's name in ALPN (RFC 9113, 3.1).
pub(crate) const H2: &[u8] = b"h2";

/// A table that is not taken, the one before stays.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificates {
    /// Not newer than what is in force.
    #[error("generation {got} is older than {have}, which is in force")]
    Old {
        /// Of the new table.
        got: u64,
        /// Of the table in force.
        have: u64,
    },
    /// One of its certificates cannot be shown.
    #[error("the certificate of {name}: {cause}")]
    Unusable {
        /// The first of its names.
        name: String,
        /// Why.
        cause: String,
    },
}

/// Names to certificates.
#[derive(Debug, Default)]
struct Table {
    generation: u64,
    /// Wildcards by what follows their star: `.blog.example`.
    by_name: HashMap<String, Arc<CertifiedKey>>,
    challenges: Challenges,
}

/// The table in force, shared by all workers.
#[derive(Debug)]
pub struct Certificates {
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<Table>>,
}

impl Certificates {
    /// None yet.
    pub fn new() -> Arc<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Arc::new(Self { provider, current: RwLock::default() })
    }

    /// Puts a new table in force; connections keep the certificate that they were shown.
    ///
    /// # Errors
    /// [`BadCertificates`], and nothing has changed.
    pub fn replace(&self, table: CertificateTable) -> Result<usize, BadCertificates> {
        let mut certificates = table.certificates;
        // The last one that is inserted for a name stays.
        certificates.sort_by_key(|certificate| certificate.not_after_s);
        let before = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut by_name = HashMap::new();
        for certificate in certificates {
            let first = certificate.names.first();
            let name = first.map_or("", CertificateName::as_str);
            let chain = parse_chain(name, &certificate.chain_pem)?;
            // A table comes with each challenge, and taking keys apart is most of the work.
            let known = first.and_then(|first| before.by_name.get(place(first)));
            let key = match known.filter(|known| known.cert == chain) {
                Some(known) => known.clone(),
                None => Arc::new(self.load(name, chain, &certificate.key_pem)?),
            };
            for name in certificate.names {
                by_name.insert(place(&name).to_owned(), key.clone());
            }
        }
        let names = by_name.len();
        let challenges =
            Challenges::new(table.challenges, |name, chain, key| self.load_proof(name, chain, key))?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if table.generation < current.generation {
            return Err(BadCertificates::Old { got: table.generation, have: current.generation });
        }
        *current = Arc::new(Table { generation: table.generation, by_name, challenges });
        Ok(names)
    }

    /// Whether there is one for the host.
    pub(crate) fn has(&self, host: &str) -> bool {
        self.find(host).is_some()
    }

    /// Whether who was shown the certificate for one name may ask for the other on the same connection, as browsers do
    /// when it has both (RFC 9113, 9.1.1).
    pub(crate) fn are_one(&self, shown_for: &str, host: &str) -> bool {
        shown_for == host
            || matches!((self.find(shown_for), self.find(host)), (Some(a), Some(b)) if Arc::ptr_eq(&a, &b))
    }

    fn find(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let exact = current.by_name.get(host);
        let wild = || current.by_name.get(&host[host.find('.')?..]);
        exact.or_else(wild).cloned()
    }

    /// What the name's authority is to read at this token, while an order of the name is pending.
    pub(crate) fn challenge(&self, name: &str, token: &str) -> Option<Bytes> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.challenges.by_http(name, token)
    }

    fn load(&self, name: &str, chain: Chain, key_pem: &str) -> Result<CertifiedKey, BadCertificates> {
        CertifiedKey::from_der(chain, parse_key(name, key_pem)?, &self.provider).map_err(|e| unusable(name, e))
    }

    /// For authorities only, whose extension is critical (RFC 8737, 3): no verifier for visitors takes such a certificate,
    /// the one that compares key and certificate among them.
    fn load_proof(&self, name: &str, chain_pem: &str, key_pem: &str) -> Result<CertifiedKey, BadCertificates> {
        let (chain, key) = (parse_chain(name, chain_pem)?, parse_key(name, key_pem)?);
        let key = self.provider.key_provider.load_private_key(key).map_err(|e| unusable(name, e))?;
        Ok(CertifiedKey::new(chain, key))
    }
}

type Chain = Vec<CertificateDer<'static>>;

fn parse_chain(name: &str, pem: &str) -> Result<Chain, BadCertificates> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|e| unusable(name, e))
}

fn parse_key(name: &str, pem: &str) -> Result<PrivateKeyDer<'static>, BadCertificates> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|e| unusable(name, e))
}

fn unusable(name: &str, cause: impl std::fmt::Display) -> BadCertificates {
    BadCertificates::Unusable { name: name.to_owned(), cause: cause.to_string() }
}

/// Where a name stands in the table.
fn place(name: &CertificateName) -> &str {
    name.as_str().strip_prefix('*').unwrap_or(name.as_str())
}

impl ResolvesServerCert for Certificates {
    /// None ends the handshake: a stranger's name is answered with nobody's certificate.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        if hello.alpn().is_some_and(challenges::is_asked) {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            return current.challenges.by_tls(&name);
        }
        self.find(&name)
    }
}

/// What takes connections of TLS. Who comes again with a ticket is spared the signature; the tickets' keys change every few
/// hours and end with this process.
///
/// # Errors
/// Those of the library's set-up, which do not depend on any certificate.
pub(crate) fn acceptor(certificates: Arc<Certificates>) -> Result<TlsAcceptor, rustls::Error> {
    let provider = certificates.provider.clone();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    match rustls::crypto::ring::Ticketer::new() {
        Ok(ticketer) => config.ticketer = ticketer,
        Err(e) => log::line(format_args!("no session tickets: {e}")),
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use kennel_model::certificate::ServedCertificate;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn issue(name: &str) -> ServedCertificate {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
        ServedCertificate {
            names: vec![CertificateName::new(name.to_owned()).unwrap()],
            not_after_s: 0,
            chain_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    #[test]
    fn only_what_is_new_is_taken_apart() {
        let served = Certificates::new();
        let put = |generation, certificates: &[&ServedCertificate]| {
            let certificates = certificates.iter().map(|&c| c.clone()).collect();
            served.replace(CertificateTable { generation, certificates, challenges: vec![] }).unwrap()
        };
        let (kept, renewed) = (issue("a.example"), issue("b.example"));
        put(1, &[&kept, &renewed]);
        let before = ["a.example", "b.example"].map(|name| served.find(name).unwrap());
        put(2, &[&kept, &issue("b.example")]);
        let after = ["a.example", "b.example"].map(|name| served.find(name).unwrap());
        assert!(Arc::ptr_eq(&before[0], &after[0]));
        assert_ne!(before[1].cert, after[1].cert);
        put(3, &[]);
        assert!(served.find("a.example").is_none());
    }
}
