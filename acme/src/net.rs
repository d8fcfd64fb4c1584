//! Requests to one authority: HTTPS only, HTTP/1.1, one connection that is used again, no redirects, everything within
//! bounds. What the authority last said of when to come again is remembered, as errors of `instant-acme` do not carry it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderValue, RETRY_AFTER};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use kennel_model::acme::{Authority, MAX_PEM, MAX_URL};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::dns::{self, DnsError};

/// How long a connection may take to be made, and how long an answer.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);
/// More than a directory, an order or a chain has.
const MAX_BODY: usize = 256 << 10;
/// HTTPS.
const PORT: u16 = 443;

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetError {
    /// Not a URL that is asked.
    #[error("{0:?} is not an https URL")]
    BadUrl(String),
    /// The roots that an operator gave.
    #[error("the roots to trust the authority by are not certificates in PEM")]
    BadRoots,
    /// See [`DnsError`].
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// Not reached.
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, String),
    /// Reached, and then nothing of use.
    #[error("{0} does not answer: {1}")]
    Broken(String, String),
}

/// The way to one authority. Copies share it.
#[derive(Clone)]
pub(crate) struct Net(Arc<Inner>);

struct Inner {
    servers: Vec<SocketAddr>,
    tls: Arc<ClientConfig>,
    /// Of the last request, with whom it is.
    kept: Mutex<Option<(String, SendRequest<BodyWrapper<Bytes>>)>>,
    /// What the last answer said of when to come again.
    retry_after: Mutex<Option<String>>,
}

impl Net {
    /// # Errors
    /// [`NetError::BadUrl`], [`NetError::BadRoots`].
    pub(crate) fn new(servers: Vec<SocketAddr>, authority: &Authority) -> Result<Self, NetError> {
        host_and_port(&parse(&authority.directory)?)?;
        let mut roots = RootCertStore::empty();
        match &authority.roots_pem {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) if pem.len() > MAX_PEM => return Err(NetError::BadRoots),
            Some(pem) => {
                for root in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    roots.add(root.map_err(|_| NetError::BadRoots)?).map_err(|_| NetError::BadRoots)?;
                }
            }
        }
        if roots.is_empty() {
            return Err(NetError::BadRoots);
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| NetError::BadRoots)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (kept, retry_after) = (Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { servers, tls: Arc::new(tls), kept, retry_after })))
    }

    /// What the last answer said of when to come again (RFC 9110, 10.2.3), as it stood there.
    pub(crate) fn retry_after(&self) -> Option<String> {
        lock(&self.0.retry_after).clone()
    }

    /// A resource that anybody may read.
    ///
    /// # Errors
    /// [`NetError`], also for another status than 200.
    pub(crate) async fn get(&self, url: &str) -> Result<Bytes, NetError> {
        let mut request = Request::new(BodyWrapper::default());
        *request.uri_mut() = parse(url)?;
        let answer = self.ask(request).await?;
        match answer.status().as_u16() {
            200 => Ok(answer.into_body()),
            other => Err(NetError::Broken(url.to_owned(), format!("status {other}"))),
        }
    }

    async fn ask(&self, mut request: Request<BodyWrapper<Bytes>>) -> Result<Response<Bytes>, NetError> {
        let uri = request.uri().clone();
        let (host, port) = host_and_port(&uri)?;
        let place = format!("{host}:{port}");
        let field = if port == PORT { host.clone() } else { place.clone() };
        let field = HeaderValue::from_str(&field).map_err(|_| NetError::BadUrl(uri.to_string()))?;
        request.headers_mut().insert(HOST, field);
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
        let mut sender = self.connection(&host, port, &place).await?;
        let broken = |cause: String| NetError::Broken(place.clone(), cause);
        let answered = async {
            let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_BODY).collect().await.map_err(|e| e.to_string())?;
            Ok::<_, String>(Response::from_parts(head, body.to_bytes()))
        };
        let response = match timeout(ANSWER, answered).await {
            Ok(answered) => answered.map_err(broken)?,
            Err(_) => return Err(broken(format!("nothing in {} s", ANSWER.as_secs()))),
        };
        let after = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).map(str::to_owned);
        *lock(&self.0.retry_after) = after;
        *lock(&self.0.kept) = Some((place, sender));
        Ok(response)
    }

    /// The connection that was kept, or a new one.
    async fn connection(
        &self,
        host: &str,
        port: u16,
        place: &str,
    ) -> Result<SendRequest<BodyWrapper<Bytes>>, NetError> {
        let kept = lock(&self.0.kept).take();
        if let Some((with, mut sender)) = kept
            && with == place
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let mut last = None;
        for address in dns::resolve(&self.0.servers, host).await? {
            let address = SocketAddr::new(address, port);
            match timeout(CONNECT, self.open(host, address)).await {
                Ok(Ok(sender)) => return Ok(sender),
                Ok(Err(cause)) => last = Some(NetError::Connect(address, cause)),
                Err(_) => {
                    last = Some(NetError::Connect(address, format!("nothing in {} s", CONNECT.as_secs())))
                }
            }
        }
        Err(last.unwrap_or_else(|| DnsError::NoAddress(host.to_owned()).into()))
    }

    async fn open(&self, host: &str, address: SocketAddr) -> Result<SendRequest<BodyWrapper<Bytes>>, String> {
        let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(|e| e.to_string())?;
        let connector = TlsConnector::from(Arc::clone(&self.0.tls));
        let stream = connector.connect(name, stream).await.map_err(|e| e.to_string())?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        // Its end is seen by who sends the next request.
        tokio::spawn(connection);
        Ok(sender)
    }
}

impl HttpClient for Net {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let net = self.clone();
        Box::pin(async move {
            let response = net.ask(request).await.map_err(|e| Error::Other(Box::new(e)))?;
            let (parts, body) = response.into_parts();
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

fn parse(url: &str) -> Result<Uri, NetError> {
    let bad = || NetError::BadUrl(url.chars().take(MAX_URL).collect());
    if url.len() > MAX_URL { Err(bad()) } else { url.parse().map_err(|_| bad()) }
}

fn host_and_port(uri: &Uri) -> Result<(String, u16), NetError> {
    let bad = || NetError::BadUrl(uri.to_string());
    let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or_else(bad)?;
    if uri.scheme_str() != Some("https") || authority.host().is_empty() {
        return Err(bad());
    }
    Ok((authority.host().to_owned(), authority.port_u16().unwrap_or(PORT)))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_asked_and_only_by_roots_that_are_some() {
        let net = |directory: &str, roots_pem: Option<&str>| {
            let roots_pem = roots_pem.map(str::to_owned);
            Net::new(vec![], &Authority { directory: directory.into(), roots_pem }).map(drop)
        };
        assert!(net("https://ca.example/dir", None).is_ok());
        for bad in
            ["", "http://ca.example/", "https://", "https://u@ca.example/", "ca.example", &"x".repeat(600)]
        {
            assert!(matches!(net(bad, None), Err(NetError::BadUrl(_))), "{bad}");
        }
        for bad in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(net("https://ca.example/dir", Some(bad)), Err(NetError::BadRoots)), "{bad}");
        }
    }
}
