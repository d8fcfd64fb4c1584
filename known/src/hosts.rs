//! The hosts known here: `hosts.toml` with each one's address, certificate fingerprint and web port. Speaking to
//! them is others' work.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use http::Uri;
use kennel_model::{Domain, HostName, layout};
use serde::{Deserialize, Serialize};

use crate::FileError;
use crate::paths::write_private;
use crate::pin::Fingerprint;

/// Address of a host's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiUrl {
    /// Name or IP address, as a URL has it: an IPv6 address in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Text that is no address of an API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the address of an API: expected https://HOST:PORT")]
pub struct InvalidUrl(String);

impl FromStr for ApiUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let invalid = || InvalidUrl(text.chars().take(120).collect());
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let authority = uri.authority().ok_or_else(invalid)?;
        let bare = uri.scheme_str() == Some("https") && uri.path() == "/" && uri.query().is_none();
        // What is left of the authority beside the host is ":PORT", or nothing; a user name is not understood here.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(layout::API_PORT),
            Some(port) => port.strip_prefix(':').and_then(|digits| digits.parse().ok()),
            None => None,
        };
        match port {
            Some(port) if bare => Ok(Self { host: authority.host().to_owned(), port }),
            _ => Err(invalid()),
        }
    }
}

impl TryFrom<String> for ApiUrl {
    type Error = InvalidUrl;
    fn try_from(text: String) -> Result<Self, InvalidUrl> {
        text.parse()
    }
}

impl From<ApiUrl> for String {
    fn from(url: ApiUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}:{}", self.host, self.port)
    }
}

/// One host as it is known here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownHost {
    /// Address of its API.
    pub url: ApiUrl,
    /// The only certificate that it may show.
    pub fingerprint: Fingerprint,
    /// Port of the pages that it serves.
    pub web_port: u16,
    /// And with TLS.
    #[serde(default = "https_port")]
    pub https_port: u16,
    /// The endorsement key that its TPM showed when it was first asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<Fingerprint>,
}

const fn https_port() -> u16 {
    layout::HTTPS_PORT
}

impl KnownHost {
    /// Where a domain's pages are reached with TLS.
    pub fn https_url(&self, domain: &HostName) -> String {
        match self.https_port {
            layout::HTTPS_PORT => format!("https://{domain}/"),
            port => format!("https://{domain}:{port}/"),
        }
    }

    /// Where a domain's pages are reached; of a wildcard, with its star.
    pub fn page_url(&self, domain: &Domain) -> String {
        let path = if domain.path().is_empty() { "/" } else { domain.path() };
        match self.web_port {
            80 => format!("http://{}{path}", domain.host()),
            port => format!("http://{}:{port}{path}", domain.host()),
        }
    }
}

/// All hosts known here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostBook {
    /// The one used when none is named: the last one added or run.
    pub current: Option<HostName>,
    /// By name.
    pub hosts: BTreeMap<HostName, KnownHost>,
}

/// Why there is no host to speak to.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// None was ever run or added.
    #[error("no host is known here")]
    None,
    /// Several are, and none of them is the last one used.
    #[error("several hosts are known here: {0}")]
    Several(String),
    /// Not in the book.
    #[error("host {name} is not known here")]
    Unknown {
        /// The name asked for.
        name: HostName,
        /// Those that are known.
        known: String,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file makes no sense.
    #[error("{path} is not valid: {cause}")]
    Invalid {
        /// The file.
        path: String,
        /// With line and column.
        cause: String,
    },
}

impl HostBook {
    /// Reads the file; a missing one is an empty book.
    ///
    /// # Errors
    /// [`HostsError::File`], [`HostsError::Invalid`].
    pub fn load(path: &Path) -> Result<Self, HostsError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(FileError::at("read", path)(e).into()),
        };
        toml::from_str(&text)
            .map_err(|e| HostsError::Invalid { path: path.display().to_string(), cause: e.to_string() })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// [`HostsError::File`].
    pub fn save(&self, path: &Path) -> Result<(), HostsError> {
        let text = toml::to_string(self)
            .map_err(|e| HostsError::Invalid { path: path.display().to_string(), cause: e.to_string() })?;
        Ok(write_private(path, text.as_bytes())?)
    }

    /// Puts a host into the book and makes it the current one.
    pub fn put(&mut self, name: HostName, host: KnownHost) {
        self.current = Some(name.clone());
        self.hosts.insert(name, host);
    }

    /// Forgets a host.
    ///
    /// # Errors
    /// [`HostsError::Unknown`].
    pub fn remove(&mut self, name: &HostName) -> Result<KnownHost, HostsError> {
        let host = self.hosts.remove(name).ok_or_else(|| self.unknown(name))?;
        if self.current.as_ref() == Some(name) {
            self.current = None;
        }
        Ok(host)
    }

    /// The host named, or the current one, or the only one.
    ///
    /// # Errors
    /// [`HostsError`] says which are known.
    pub fn resolve(&self, name: Option<&HostName>) -> Result<(&HostName, &KnownHost), HostsError> {
        if let Some(name) = name {
            return self.hosts.get_key_value(name).ok_or_else(|| self.unknown(name));
        }
        if let Some(found) = self.current.as_ref().and_then(|name| self.hosts.get_key_value(name)) {
            return Ok(found);
        }
        let mut all = self.hosts.iter();
        match (all.next(), all.next()) {
            (None, _) => Err(HostsError::None),
            (Some(only), None) => Ok(only),
            _ => Err(HostsError::Several(self.names())),
        }
    }

    fn unknown(&self, name: &HostName) -> HostsError {
        HostsError::Unknown { name: name.clone(), known: self.names() }
    }

    fn names(&self) -> String {
        self.hosts.keys().map(HostName::as_str).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> HostName {
        HostName::new(text).unwrap()
    }

    fn host(web_port: u16) -> KnownHost {
        KnownHost {
            url: "https://127.0.0.1:8443".parse().unwrap(),
            fingerprint: Fingerprint::of_certificate(b""),
            web_port,
            https_port: 443,
            tpm: None,
        }
    }

    #[test]
    fn addresses() {
        let url: ApiUrl = "https://[::1]:9".parse().unwrap();
        assert_eq!((url.host.as_str(), url.port), ("[::1]", 9));
        assert_eq!("https://h".parse::<ApiUrl>().unwrap().port, 8443);
        for bad in
            ["", "h:1", "http://h:1", "https://h:1/x", "https://h/?q", "https://u@h:1", "https://h:99999"]
        {
            assert!(bad.parse::<ApiUrl>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_book_survives_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kennel/hosts.toml");
        assert_eq!(HostBook::load(&path).unwrap(), HostBook::default());
        let mut book = HostBook::default();
        book.put(name("local"), host(8080));
        book.save(&path).unwrap();
        assert_eq!(HostBook::load(&path).unwrap(), book);
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts.toml");
        std::fs::write(&path, "curent = \"local\"\n").unwrap();
        let error = HostBook::load(&path).unwrap_err().to_string();
        assert!(error.contains("curent") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn which_host_is_meant() {
        let mut book = HostBook::default();
        assert!(matches!(book.resolve(None), Err(HostsError::None)));
        book.put(name("a"), host(80));
        book.put(name("b"), host(80));
        assert_eq!(book.resolve(None).unwrap().0, &name("b"));
        assert_eq!(book.resolve(Some(&name("a"))).unwrap().0, &name("a"));
        assert!(matches!(book.resolve(Some(&name("c"))), Err(HostsError::Unknown { .. })));
        book.put(name("c"), host(80));
        book.remove(&name("c")).unwrap();
        assert!(matches!(book.resolve(None), Err(HostsError::Several(_))));
        book.remove(&name("b")).unwrap();
        assert_eq!(book.resolve(None).unwrap().0, &name("a"));
    }

    #[test]
    fn page_addresses_leave_the_usual_port_out() {
        let url = |port, domain: &str| host(port).page_url(&domain.parse().unwrap());
        assert_eq!(url(80, "a.example"), "http://a.example/");
        assert_eq!(url(8080, "a.localhost/shop"), "http://a.localhost:8080/shop");
    }
}
