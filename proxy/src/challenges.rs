//! What certificate authorities are answered that ask whether a name leads to this host: by HTTP (RFC 8555, 8.3) and by TLS
//! (RFC 8737), for names with a pending order only, as control publishes them beside the certificates. No program is asked and
//! none is woken. A request that belongs to no pending order goes the way of any other.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use kennel_model::acme::{Answer, CHALLENGE_ALPN, CHALLENGE_PATH, ServedChallenge};
use rustls::sign::CertifiedKey;

use crate::body::{self, Body};
use crate::shared::Shared;
use crate::tls::BadCertificates;

/// Names to what is answered.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    /// The token and the whole answer.
    by_http: HashMap<String, (String, String)>,
    by_tls: HashMap<String, Arc<CertifiedKey>>,
}

impl Challenges {
    /// Takes over what control publishes; `load` makes of chain and key what can be shown.
    ///
    /// # Errors
    /// Those of `load`.
    pub(crate) fn new(
        all: Vec<ServedChallenge>,
        load: impl Fn(&str, &str, &str) -> Result<CertifiedKey, BadCertificates>,
    ) -> Result<Self, BadCertificates> {
        let mut challenges = Self::default();
        for ServedChallenge { name, answer } in all {
            let name = name.to_string();
            match answer {
                Answer::Http { token, key_authorization } => {
                    challenges.by_http.insert(name, (token, key_authorization));
                }
                Answer::TlsAlpn { chain_pem, key_pem } => {
                    let key = load(&name, &chain_pem, &key_pem)?;
                    challenges.by_tls.insert(name, Arc::new(key));
                }
            }
        }
        Ok(challenges)
    }

    /// What the name's authority is to read at this token.
    pub(crate) fn by_http(&self, name: &str, token: &str) -> Option<Bytes> {
        let (expected, answer) = self.by_http.get(name)?;
        (expected == token).then(|| Bytes::copy_from_slice(answer.as_bytes()))
    }

    /// What the name's authority is to be shown.
    pub(crate) fn by_tls(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.by_tls.get(name).cloned()
    }
}

/// Whether a client of TLS comes to look at a challenge: it offers that protocol and no other.
pub(crate) fn is_asked<'a>(mut offered: impl Iterator<Item = &'a [u8]>) -> bool {
    offered.next() == Some(CHALLENGE_ALPN) && offered.next().is_none()
}

/// The answer to an authority's request; none for any other.
pub(crate) fn answer(shared: &Shared, name: &str, head: &Parts) -> Option<Response<Body>> {
    let token = head.uri.path().strip_prefix(CHALLENGE_PATH)?;
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return None;
    }
    let mut response = Response::new(body::page(shared.certificates.challenge(name, token)?));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Some(response)
}
