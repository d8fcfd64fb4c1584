//! Certificates of sites, from the API to the table that the proxy gets.

use hyper::StatusCode;
use kennel_model::certificate::{Certificate, NewCertificate};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::support::{Host, openapi};

pub(crate) fn made(names: &[&str]) -> NewCertificate {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_after = date_time_ymd(2090, 1, 1);
    NewCertificate { chain_pem: params.self_signed(&key).unwrap().pem(), key_pem: key.serialize_pem() }
}

#[tokio::test]
async fn what_is_brought_is_shown_until_it_is_removed_and_survives_control() {
    let mut host = Host::start();
    let operator = host.operator().await;
    let shown = |host: &Host| {
        let table = host.world.lock().certificates.clone().unwrap();
        let pem = |c: kennel_model::certificate::ServedCertificate| (c.chain_pem, c.key_pem);
        table.certificates.into_iter().map(pem).collect::<Vec<_>>()
    };
    assert!(shown(&host).is_empty());
    let (first, other) = (made(&["*.a.test", "a.test"]), made(&["b.test"]));
    let added: Certificate = operator.post("/v1/certificates", &first).await.expect(StatusCode::CREATED);
    assert!(added.by.starts_with("SHA256:") && added.name.as_str() == "*.a.test");
    operator.post("/v1/certificates", &other).await.expect::<Certificate>(StatusCode::CREATED);
    let pem = |c: &NewCertificate| (c.chain_pem.clone(), c.key_pem.clone());
    assert_eq!(shown(&host), [pem(&first), pem(&other)]);
    let renewed = made(&["*.a.test", "a.test"]);
    operator.post("/v1/certificates", &renewed).await.expect::<Certificate>(StatusCode::CREATED);
    assert_eq!(shown(&host), [pem(&renewed), pem(&other)]);
    let listed = operator.get("/v1/certificates").await;
    let text = String::from_utf8_lossy(&listed.body).into_owned();
    assert!(!text.contains("PRIVATE"), "{text}");
    assert_eq!(listed.expect::<Vec<Certificate>>(StatusCode::OK).len(), 2);

    let refused = operator.post("/v1/certificates", &NewCertificate { key_pem: other.key_pem, ..first }).await;
    assert_eq!(refused.code(), "bad-certificate");
    assert_eq!(shown(&host)[0], pem(&renewed), "what was there still is");

    host.stop();
    host.restart();
    let operator = host.operator().await;
    assert_eq!(shown(&host).len(), 2);
    assert_eq!(operator.delete("/v1/certificates/*.a.test").await.status, StatusCode::NO_CONTENT);
    assert_eq!(shown(&host).len(), 1);
    for name in ["*.a.test", "a.test", "A"] {
        assert_eq!(operator.delete(&format!("/v1/certificates/{name}")).await.code(), "no-such-certificate");
    }
    assert!(openapi::seen().contains("removeCertificate"));
}
