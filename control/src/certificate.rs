//! The API's certificate: self-signed, made once, and known to operators by its fingerprint, which the console shows
//! and `kennel` pins. Who may sign in is `auth`'s business.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

/// Certificate and key, ready to serve with.
pub struct Certificate {
    der: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The file cannot be read or written.
    #[error("api.pem: {0}")]
    Io(#[from] io::Error),
    /// The file is not what was written.
    #[error("api.pem is damaged: {0}; remove it and operators have to trust a new certificate")]
    Damaged(String),
    /// A new pair could not be made.
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The TLS library does not take it.
    #[error("the certificate cannot be served: {0}")]
    Tls(#[from] rustls::Error),
}

impl Certificate {
    /// Reads the file, or makes it when it is not there.
    ///
    /// # Errors
    /// [`CertificateError`]. A damaged file is never replaced silently: operators have pinned what was in it.
    pub fn load_or_make(file: &Path) -> Result<Self, CertificateError> {
        let pem = match fs::read(file) {
            Ok(pem) => pem,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let pem = make()?;
                write_durably(file, pem.as_bytes())?;
                pem.into_bytes()
            }
            Err(e) => return Err(e.into()),
        };
        let damaged = |e: rustls::pki_types::pem::Error| CertificateError::Damaged(format!("{e:?}"));
        Ok(Self {
            der: CertificateDer::from_pem_slice(&pem).map_err(damaged)?,
            key: PrivateKeyDer::from_pem_slice(&pem).map_err(damaged)?,
        })
    }

    /// `SHA256:` and the base64 without padding of the SHA-256 of the certificate's DER.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.der)
    }

    /// The same as bytes.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// The TLS side of the server: TLS 1.2 and 1.3, HTTP/1.1 by ALPN.
    ///
    /// # Errors
    /// [`CertificateError::Tls`].
    pub fn server_config(self) -> Result<Arc<ServerConfig>, CertificateError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.der], self.key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The fingerprint of a certificate in DER.
pub fn fingerprint(der: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(der)))
}

/// A new pair as PEM. The names matter little, as the fingerprint is what is trusted; the validity spans every clock
/// that a host may wake up with.
fn make() -> Result<String, rcgen::Error> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = rcgen::CertificateParams::new(vec!["kennel".to_owned(), "localhost".to_owned()])?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "Kennel host");
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2999, 12, 31);
    Ok(params.self_signed(&key)?.pem() + &key.serialize_pem())
}

/// Either the whole file is there after a power cut, or none.
pub(crate) fn write_durably(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = file.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&fresh, file)?;
    File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_and_only_control_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("api.pem");
        fs::write(dir.path().join("api.new"), "what a power cut left").unwrap();
        let first = Certificate::load_or_make(&file).unwrap().fingerprint();
        assert_eq!(Certificate::load_or_make(&file).unwrap().fingerprint(), first);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!dir.path().join("api.new").exists());
    }

    #[test]
    fn the_fingerprint_has_the_form_of_the_console_line() {
        // printf '' | openssl dgst -sha256 -binary | base64
        assert_eq!(fingerprint(b""), "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU");
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("api.pem");
        fs::write(&file, "half").unwrap();
        assert!(matches!(Certificate::load_or_make(&file), Err(CertificateError::Damaged(_))));
        assert_eq!(fs::read(&file).unwrap(), b"half");
    }
}
