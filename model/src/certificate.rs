//! TLS certificates of sites: what the API says of them, and the table that the proxy serves by, a whole snapshot each time,
//! JSON in a sealed memfd. Taking certificates apart is control's business, handshakes are the proxy's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::CertificateName;
use crate::acme::ServedChallenge;

/// A certificate that an operator brings.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCertificate {
    /// The certificate and, after it, those that lead to its authority's root; PEM.
    pub chain_pem: String,
    /// Its private key; PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key_pem: String,
}

// A key is in no log.
impl fmt::Debug for NewCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewCertificate").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

/// What operators are told of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The first of its names; another one with the same takes its place.
    pub name: CertificateName,
    /// All of its names, that one first.
    pub names: Vec<CertificateName>,
    /// Who has issued it, as it says itself.
    pub issuer: String,
    /// `SHA256:` and the base64 without padding of the SHA-256 of its DER.
    pub fingerprint: String,
    /// From when on it is good, in seconds since 1970.
    pub not_before_s: u64,
    /// Until when.
    pub not_after_s: u64,
    /// The operator who brought it; nobody where `acme` is said.
    pub by: String,
    /// When, in seconds since 1970.
    pub created_at_s: u64,
    /// Where it comes from when nobody brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<ByAcme>,
}

/// A certificate that is not renewed so long before its end is worth a warning, in seconds; or a fifth of its life, if that is
/// less. By then an authority has been asked again and again, or a person has forgotten it.
const WARNING_S: u64 = 21 * 24 * 3600;

impl Certificate {
    /// Whether it should have been renewed by now.
    pub fn is_expiring(&self, now_s: u64) -> bool {
        let life = self.not_after_s.saturating_sub(self.not_before_s);
        self.not_after_s.saturating_sub(now_s) < WARNING_S.min(life / 5)
    }
}

/// A certificate that control has ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByAcme {
    /// The directory of the authority that issued it.
    pub directory: String,
    /// From when on it is renewed, in seconds since 1970.
    pub renew_at_s: u64,
}

/// All certificates that the proxy shows.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateTable {
    /// Grows with every published table, so that an old one is never taken for news.
    pub generation: u64,
    /// Of two that are good for a name, the one that lasts longer is shown.
    pub certificates: Vec<ServedCertificate>,
    /// What authorities are answered that ask whether a name leads here.
    #[serde(default)]
    pub challenges: Vec<ServedChallenge>,
}

/// One of them, with its private key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedCertificate {
    /// What it is good for.
    pub names: Vec<CertificateName>,
    /// Until when, in seconds since 1970.
    pub not_after_s: u64,
    /// As in [`NewCertificate`].
    pub chain_pem: String,
    /// As in [`NewCertificate`].
    pub key_pem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_forms_are_no_names() {
        for good in ["blog.example", "*.blog.example", "localhost"] {
            assert!(CertificateName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "*", "*.", "a.*.example", "*a.example", "*.*.example", "Blog.example", "a b", "*.-a"] {
            assert!(CertificateName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_fifth_is_worth_a_warning_and_three_weeks_at_most() {
        let of = |days: u64| Certificate {
            name: CertificateName::new("a.example").unwrap(),
            names: vec![],
            issuer: String::new(),
            fingerprint: String::new(),
            not_before_s: 0,
            not_after_s: days * 86_400,
            by: String::new(),
            created_at_s: 0,
            acme: None,
        };
        for (life, last_good) in [(90, 72), (365, 344), (6, 4)] {
            assert!(!of(life).is_expiring(last_good * 86_400), "{life}");
            assert!(of(life).is_expiring((last_good + 1) * 86_400), "{life}");
        }
        assert!(of(90).is_expiring(u64::MAX), "expired");
    }

    #[test]
    fn a_key_is_not_printed() {
        let new = NewCertificate { chain_pem: "chain".into(), key_pem: "secret".into() };
        assert!(!format!("{new:?}").contains("secret"));
    }
}
