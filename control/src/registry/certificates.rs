//! Rows of sites' certificates, private keys among them: the registry's file is for control alone.

use kennel_model::CertificateName;
use kennel_model::certificate::{ByAcme, Certificate};
use rusqlite::params;

use super::{Store, checked};
use crate::error::{Error, Result};

/// A certificate as registered.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateRow {
    /// What operators are told of it.
    pub certificate: Certificate,
    /// What the proxy shows.
    pub chain_pem: String,
    /// What the proxy signs with.
    pub key_pem: String,
}

impl Store {
    /// All certificates, by name.
    ///
    /// # Errors
    /// The database's.
    pub fn certificates(&mut self) -> Result<Vec<CertificateRow>> {
        let mut query = self.db.prepare_cached(
            "SELECT name, names, issuer, fingerprint, not_before_s, not_after_s, by, created_at_s, chain_pem, key_pem,
                 directory, renew_at_s
             FROM certificates ORDER BY name",
        )?;
        let rows = query.query_map([], |row| {
            Ok((
                (row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?),
                (row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?),
                (row.get(8)?, row.get(9)?),
                (row.get::<_, Option<String>>(10)?, row.get::<_, Option<u64>>(11)?),
            ))
        })?;
        rows.map(|row| {
            let ((name, names, issuer, fingerprint), (not_before_s, not_after_s, by, created_at_s), pem, acme) =
                row?;
            let (chain_pem, key_pem) = pem;
            let certificate = Certificate {
                name: checked("certificate", CertificateName::new(name))?,
                names: serde_json::from_str(&names)
                    .map_err(|e| Error::Damaged(format!("a certificate's names: {e}")))?,
                issuer,
                fingerprint,
                not_before_s,
                not_after_s,
                by,
                created_at_s,
                acme: acme.0.zip(acme.1).map(|(directory, renew_at_s)| ByAcme { directory, renew_at_s }),
            };
            Ok(CertificateRow { certificate, chain_pem, key_pem })
        })
        .collect()
    }

    /// Keeps one, in the place of another with its name, unless there are as many as there may be.
    ///
    /// # Errors
    /// [`Error::TooManyCertificates`], or the database's.
    pub fn put_certificate(&mut self, row: &CertificateRow, most: usize) -> Result<()> {
        let Certificate { name, names, issuer, fingerprint, .. } = &row.certificate;
        let others: usize = self.db.query_row(
            "SELECT count(*) FROM certificates WHERE name <> ?1",
            [name.as_str()],
            |found| found.get(0),
        )?;
        if others >= most {
            return Err(Error::TooManyCertificates(most));
        }
        let names = serde_json::to_string(names).map_err(|e| Error::Internal(e.to_string()))?;
        self.db.execute(
            "INSERT OR REPLACE INTO certificates
             (name, names, issuer, fingerprint, not_before_s, not_after_s, by, created_at_s, chain_pem, key_pem,
                 directory, renew_at_s)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                name.as_str(),
                names,
                issuer,
                fingerprint,
                row.certificate.not_before_s,
                row.certificate.not_after_s,
                row.certificate.by,
                row.certificate.created_at_s,
                row.chain_pem,
                row.key_pem,
                row.certificate.acme.as_ref().map(|acme| &acme.directory),
                row.certificate.acme.as_ref().map(|acme| acme.renew_at_s),
            ],
        )?;
        Ok(())
    }

    /// Forgets one, key and all.
    ///
    /// # Errors
    /// [`Error::NoSuchCertificate`], or the database's.
    pub fn remove_certificate(&mut self, name: &CertificateName) -> Result<()> {
        match self.db.execute("DELETE FROM certificates WHERE name = ?1", [name.as_str()])? {
            0 => Err(Error::NoSuchCertificate(name.to_string())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::store;
    use super::*;

    fn row(names: &[&str], key_pem: &str) -> CertificateRow {
        let names: Vec<_> = names.iter().map(|name| CertificateName::new(*name).unwrap()).collect();
        let certificate = Certificate {
            name: names[0].clone(),
            names,
            issuer: "CN=x".into(),
            fingerprint: "SHA256:y".into(),
            not_before_s: 1,
            not_after_s: 9,
            by: "SHA256:z".into(),
            created_at_s: 7,
            acme: key_pem.starts_with('4').then(|| ByAcme { directory: "d".into(), renew_at_s: 8 }),
        };
        CertificateRow { certificate, chain_pem: "chain".into(), key_pem: key_pem.into() }
    }

    #[test]
    fn a_new_one_takes_the_place_of_the_one_before() {
        let mut store = store();
        let (first, second) = (row(&["*.a.example", "a.example"], "1"), row(&["b.example"], "2"));
        store.put_certificate(&second, 2).unwrap();
        store.put_certificate(&first, 2).unwrap();
        assert!(store.certificates().unwrap() == [first, second.clone()]);
        assert!(matches!(
            store.put_certificate(&row(&["c.example"], "3"), 2),
            Err(Error::TooManyCertificates(2))
        ));
        let renewed = row(&["*.a.example"], "4");
        store.put_certificate(&renewed, 2).unwrap();
        assert!(store.certificates().unwrap() == [renewed, second]);
        let name = CertificateName::new("*.a.example").unwrap();
        store.remove_certificate(&name).unwrap();
        assert!(matches!(store.remove_certificate(&name), Err(Error::NoSuchCertificate(_))));
        assert_eq!(store.certificates().unwrap().len(), 1);
    }
}
