//! The certificates of sites: brought by operators, checked and taken apart here, kept in the registry, published to the proxy,
//! which shows them. The API's own certificate is `certificate`'s business.

use std::time::{SystemTime, UNIX_EPOCH};

use kennel_model::CertificateName;
use kennel_model::certificate::{Certificate, CertificateTable, NewCertificate, ServedCertificate};
use kennel_model::msg::ControlRequest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::Certificate as Parsed;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::acme;
use crate::certificate::fingerprint;
use crate::control::{Control, QUICK};
use crate::error::{Error, Result};
use crate::registry::CertificateRow;
use crate::routes::sealed;

/// Certificates at a time: what fits into the proxy's table.
pub(crate) const MAX_CERTIFICATES: usize = 1000;
/// Bytes of a chain and its key together: four certificates and RSA's longest key are within half of it.
const MAX_PEM: usize = 32 << 10;
/// Names of one certificate; as many as authorities put into one.
const MAX_NAMES: usize = 100;

impl Control {
    /// All certificates, by name.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) async fn certificates(&self) -> Result<Vec<Certificate>> {
        let rows = self.registry.with(|store| store.certificates()).await?;
        Ok(rows.into_iter().map(|row| row.certificate).collect())
    }

    /// Those that should have been renewed by now.
    ///
    /// # Errors
    /// The registry's.
    pub(crate) async fn expiring(&self) -> Result<Vec<Certificate>> {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Ok(self.certificates().await?.into_iter().filter(|c| c.is_expiring(now_s)).collect())
    }

    /// Keeps one and shows it from now on; it takes the place of another with the same first name.
    ///
    /// # Errors
    /// [`Error::BadCertificate`], [`Error::TooManyCertificates`], the registry's or init's.
    pub(crate) async fn add_certificate(&self, wish: NewCertificate, by: String) -> Result<Certificate> {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let certificate = examine(&wish, now_s, by).map_err(Error::BadCertificate)?;
        let NewCertificate { chain_pem, key_pem } = wish;
        let row = CertificateRow { certificate: certificate.clone(), chain_pem, key_pem };
        self.registry.with(move |store| store.put_certificate(&row, MAX_CERTIFICATES)).await?;
        self.publish_certificates().await?;
        self.orders.look();
        Ok(certificate)
    }

    /// Removes one: it is not shown any more when this returns.
    ///
    /// # Errors
    /// [`Error::NoSuchCertificate`], the registry's or init's.
    pub(crate) async fn remove_certificate(&self, name: CertificateName) -> Result<()> {
        self.registry.with(move |store| store.remove_certificate(&name)).await?;
        self.publish_certificates().await?;
        self.orders.look();
        Ok(())
    }

    /// Publishes what the registry has now. A table never goes out after one that is newer.
    ///
    /// # Errors
    /// The registry's or init's.
    pub(crate) async fn publish_certificates(&self) -> Result<()> {
        let _turn = self.publishing.lock().await;
        let (rows, tenants) = self.registry.with(|store| Ok((store.certificates()?, store.tenants()?))).await?;
        let certificates = acme::shown(rows, &tenants).into_iter().map(|row| ServedCertificate {
            names: row.certificate.names,
            not_after_s: row.certificate.not_after_s,
            chain_pem: row.chain_pem,
            key_pem: row.key_pem,
        });
        let (certificates, challenges) = (certificates.collect(), self.orders.shown());
        let table = CertificateTable { generation: self.next_generation(), certificates, challenges };
        let fd = sealed("certificates", &table).map_err(|e| Error::Io("the table of certificates", e))?;
        self.init.ask(ControlRequest::PublishCertificates, vec![fd], QUICK).await?;
        Ok(())
    }
}

/// What a certificate says of itself, if it can be shown. Whether browsers trust its authority is between those two.
pub(crate) fn examine(
    wish: &NewCertificate,
    now_s: u64,
    by: String,
) -> std::result::Result<Certificate, String> {
    if wish.chain_pem.len() + wish.key_pem.len() > MAX_PEM {
        return Err(format!("chain and key have more than {} KiB together", MAX_PEM >> 10));
    }
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(wish.chain_pem.as_bytes())
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| format!("the chain is not PEM: {e}"))?;
    let first = chain.first().ok_or("there is no certificate in the chain")?.clone();
    let key = PrivateKeyDer::from_pem_slice(wish.key_pem.as_bytes())
        .map_err(|_| "there is no private key in PEM, or it is encrypted".to_owned())?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(|e| match e {
        rustls::Error::InconsistentKeys(_) => "the key is not that of the chain's first certificate".to_owned(),
        other => format!("it cannot be shown: {other}"),
    })?;
    let parsed = Parsed::from_der(&first).map_err(|e| format!("it cannot be read: {e}"))?.tbs_certificate;
    let names = names(&parsed)?;
    let not_after_s = parsed.validity.not_after.to_unix_duration().as_secs();
    if not_after_s <= now_s {
        return Err("it has expired".to_owned());
    }
    Ok(Certificate {
        name: names.first().cloned().ok_or("it is for no host name")?,
        names,
        issuer: parsed.issuer.to_string(),
        fingerprint: fingerprint(&first),
        not_before_s: parsed.validity.not_before.to_unix_duration().as_secs(),
        not_after_s,
        by,
        created_at_s: now_s,
        acme: None,
    })
}

/// Its DNS names (RFC 5280, 4.2.1.6), in lower case; others, such as addresses, are nothing that a site is routed by.
fn names(parsed: &x509_cert::TbsCertificate) -> std::result::Result<Vec<CertificateName>, String> {
    let found = parsed.get::<SubjectAltName>().map_err(|e| format!("its names cannot be read: {e}"))?;
    let all = found.map(|(_, names)| names.0).unwrap_or_default();
    let dns = all.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(CertificateName::new(name.as_str().to_ascii_lowercase())),
        _ => None,
    });
    let mut names: Vec<CertificateName> = Vec::new();
    for name in dns {
        let name = name.map_err(|e| e.to_string())?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.len() > MAX_NAMES {
        return Err(format!("it has more than {MAX_NAMES} names"));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};

    const NOW_S: u64 = 1_800_000_000;

    fn made(names: &[&str], until: i32) -> NewCertificate {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        let dns = |name: &&str| SanType::DnsName((*name).try_into().unwrap());
        params.subject_alt_names = names.iter().map(dns).collect();
        params.subject_alt_names.push(SanType::IpAddress([192, 0, 2, 1].into()));
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
        let chain_pem = params.self_signed(&key).unwrap().pem();
        NewCertificate { chain_pem, key_pem: key.serialize_pem() }
    }

    fn examined(wish: &NewCertificate) -> std::result::Result<Certificate, String> {
        examine(wish, NOW_S, "SHA256:x".into())
    }

    #[test]
    fn what_it_says_of_itself_is_told() {
        let seen = examined(&made(&["Blog.example", "*.blog.example", "blog.example"], 2040)).unwrap();
        let names: Vec<_> = seen.names.iter().map(CertificateName::as_str).collect();
        assert_eq!((seen.name.as_str(), names), ("blog.example", vec!["blog.example", "*.blog.example"]));
        assert_eq!((seen.not_before_s, seen.not_after_s), (1_577_836_800, 2_208_988_800));
        assert_eq!(seen.issuer, "CN=rcgen self signed cert");
        assert!(seen.fingerprint.starts_with("SHA256:") && seen.created_at_s == NOW_S);
    }

    #[test]
    fn what_cannot_be_shown_is_refused_with_the_reason() {
        let good = made(&["a.example"], 2040);
        let with_chain = |chain_pem: &str| NewCertificate { chain_pem: chain_pem.into(), ..good.clone() };
        let with_key = |key_pem: &str| NewCertificate { key_pem: key_pem.into(), ..good.clone() };
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (wish, reason) in [
            (with_chain(""), "there is no certificate in the chain"),
            (with_chain(&good.key_pem), "there is no certificate in the chain"),
            (with_key(""), "there is no private key"),
            (with_key(encrypted), "or it is encrypted"),
            (with_key(&made(&["a.example"], 2040).key_pem), "the key is not that of"),
            (made(&["a.example"], 2021), "it has expired"),
            (made(&[], 2040), "it is for no host name"),
            (made(&["a_b.example"], 2040), "certificate name \"a_b.example\" is not valid"),
            (with_chain(&good.chain_pem.repeat(100)), "more than 32 KiB"),
        ] {
            let refused = examined(&wish).unwrap_err();
            assert!(refused.contains(reason), "{refused:?} does not say {reason:?}");
        }
    }
}
