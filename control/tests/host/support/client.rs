//! An operator: speaks HTTPS with a pinned certificate, signs in with an SSH key, and holds every answer against
//! `openapi.json`.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kennel_control::certificate::fingerprint;
use kennel_model::api;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::openapi;

/// An operator's key, the same for the same seed.
pub(crate) fn key(seed: u8) -> PrivateKey {
    PrivateKey::new(KeypairData::Ed25519(Ed25519Keypair::from_seed(&[seed; 32])), "operator").unwrap()
}

/// Someone who talks to one host.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    pin: String,
    /// Sent with every request when there is one.
    pub(crate) token: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{}: {e}: {text}", self.status))
    }

    /// The body, when the status is as expected.
    pub(crate) fn expect<T: DeserializeOwned>(&self, status: StatusCode) -> T {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The problem's code.
    pub(crate) fn code(&self) -> String {
        assert!(self.status.as_u16() >= 400, "{self:?}");
        self.json::<api::Problem>().code
    }
}

impl Client {
    /// Trusts only the certificate with this fingerprint.
    pub(crate) fn new(address: SocketAddr, pin: String) -> Self {
        Self { address, pin, token: None }
    }

    /// Signs in as `kennel` does.
    pub(crate) async fn sign_in(&mut self, key: &PrivateKey) -> Answer {
        let public_key = key.public_key().to_openssh().unwrap();
        let challenge = self.post("/v1/session/challenge", &api::ChallengeRequest { public_key }).await;
        let nonce = challenge.expect::<api::Challenge>(StatusCode::OK).nonce;
        let text = api::signed_text(&nonce, &self.pin);
        let signature = key.sign(api::SIGNATURE_NAMESPACE, HashAlg::Sha512, text.as_bytes()).unwrap();
        let signature = signature.to_pem(LineEnding::LF).unwrap();
        let answer = self.post("/v1/session", &api::SessionRequest { nonce, signature }).await;
        if answer.status.is_success() {
            self.token = Some(answer.json::<api::Session>().token);
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "", Bytes::new()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, "", Bytes::new()).await
    }

    pub(crate) async fn post<T: Serialize>(&self, path: &str, body: &T) -> Answer {
        self.ask(Method::POST, path, "application/json", serde_json::to_vec(body).unwrap().into()).await
    }

    pub(crate) async fn put<T: Serialize>(&self, path: &str, body: &T) -> Answer {
        self.ask(Method::PUT, path, "application/json", serde_json::to_vec(body).unwrap().into()).await
    }

    pub(crate) async fn deploy(&self, name: &str, archive: Vec<u8>) -> Answer {
        self.deploy_with(name, "", archive).await
    }

    /// With what else is wanted, as a query.
    pub(crate) async fn deploy_with(&self, name: &str, query: &str, archive: Vec<u8>) -> Answer {
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let path = format!("/v1/tenants/{name}/releases{query}");
        self.ask(Method::POST, &path, "application/x-tar", archive.into()).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, media_type: &str, body: Bytes) -> Answer {
        let answer = self.begin(method.clone(), path, media_type, Full::new(body)).await.expect("an answer");
        let (head, body) = answer.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        let answer = Answer { status: head.status, headers: head.headers, body };
        openapi::check(&method, path, &answer);
        answer
    }

    /// One request whose answer is still to be read.
    pub(crate) async fn begin<B>(
        &self,
        method: Method,
        path: &str,
        media_type: &str,
        body: B,
    ) -> hyper::Result<Response<Incoming>>
    where
        B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.begin_accepting(method, path, (media_type, "*/*"), body).await
    }

    /// The same, with the media types that are accepted.
    pub(crate) async fn begin_accepting<B>(
        &self,
        method: Method,
        path: &str,
        (media_type, accept): (&str, &str),
        body: B,
    ) -> hyper::Result<Response<Incoming>>
    where
        B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect().await)).await?;
        tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(path).header("host", "kennel").header("accept", accept);
        if !media_type.is_empty() {
            request = request.header("content-type", media_type);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        sender.send_request(request.body(body).unwrap()).await
    }

    /// A TLS connection to the pinned host.
    pub(crate) async fn connect(&self) -> TlsStream<TcpStream> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let pin = Pin { fingerprint: self.pin.clone(), provider: Arc::clone(&provider) };
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(pin))
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(self.address).await.unwrap();
        connector.connect(ServerName::try_from("kennel").unwrap(), stream).await.unwrap()
    }
}

/// Accepts one certificate, by its fingerprint.
#[derive(Debug)]
struct Pin {
    fingerprint: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        assert_eq!(fingerprint(certificate), self.fingerprint);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
