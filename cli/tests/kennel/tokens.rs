//! Tokens on the command line, and the certificate for who shows one.

use crate::support::at_home;

#[test]
fn a_secret_alone_is_printed_and_the_rest_is_said() {
    let (home, host) = at_home();
    let made = home.kennel(&["token", "create", "prometheus", "--scope", "metrics"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&made.stdout), "kennel_metrics_x\n");
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(
        said.contains("token prometheus may read GET /v1/metrics; its secret is not shown again"),
        "{said}"
    );
    let listed = home.kennel(&["token", "ls"]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        listed.contains("prometheus  metrics  -        -        never    never")
            && !listed.contains("kennel_metrics"),
        "{listed}"
    );
    assert!(home.kennel(&["token", "rm", "prometheus"]).output().unwrap().status.success());
    let asked = host.requests();
    for request in ["POST /v1/tokens", "GET /v1/tokens", "DELETE /v1/tokens/prometheus"] {
        assert!(asked.iter().any(|r| r == request), "{asked:?}");
    }
    for (wrong, code) in [(["token", "create", "Prometheus"], 64), (["token", "rm", "other"], 2)] {
        assert_eq!(home.kennel(&wrong).output().unwrap().status.code(), Some(code), "{wrong:?}");
    }
}

#[test]
fn the_certificate_is_printed_if_it_is_the_one_that_is_known() {
    let (home, host) = at_home();
    let printed = home.kennel(&["host", "certificate"]).output().unwrap();
    let pem = String::from_utf8(printed.stdout).unwrap();
    let der = rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes());
    let der: rustls::pki_types::CertificateDer<'_> = der.unwrap();
    assert_eq!(kennel_cli::pin::Fingerprint::of_certificate(&der), host.fingerprint);
    assert!(pem.lines().all(|line| line.len() <= 64), "{pem}");
    home.know_as(&host, kennel_cli::pin::Fingerprint::of_certificate(b"another"));
    let refused = home.kennel(&["host", "certificate"]).output().unwrap();
    assert!(!refused.status.success() && refused.stdout.is_empty());
}
