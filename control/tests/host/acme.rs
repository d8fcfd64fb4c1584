//! Certificates by ACME, from `kennel acme on` to the table that the proxy gets, before a real authority: Pebble. The proxy's
//! part, answering what the authority looks for, is played here from the published table.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use kennel_model::acme::{Acme, AcmeName, Answer, Authority, NameState, NewAcme};
use kennel_model::api::{NewTenant, Tenant};
use kennel_model::certificate::Certificate;
use kennel_model::seeing::Transition;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::certificates::made;
use crate::pebble::Pebble;
use crate::support::client::Client;
use crate::support::world::Shared;
use crate::support::{Host, wish};

/// What stands before the proxy's two ports: the name leads here, or elsewhere.
struct Ports {
    http: u16,
    https: u16,
}

/// Answers as the published table says.
fn serve(world: &Shared) -> Ports {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (http, https) = (listen(), listen());
    let ports = Ports { http: http.local_addr().unwrap().port(), https: https.local_addr().unwrap().port() };
    let (one, other) = (world.clone(), world.clone());
    std::thread::spawn(move || http.incoming().for_each(|stream| without_tls(&one, stream.unwrap())));
    std::thread::spawn(move || https.incoming().for_each(|stream| with_tls(&other, stream.unwrap())));
    ports
}

fn answers(world: &Shared) -> Vec<Answer> {
    let table = world.lock().certificates.clone();
    table.map(|table| table.challenges.into_iter().map(|c| c.answer).collect()).unwrap_or_default()
}

fn without_tls(world: &Shared, mut stream: TcpStream) {
    let mut space = [0; 4096];
    let length = stream.read(&mut space).unwrap_or(0);
    let asked = String::from_utf8_lossy(&space[..length]).into_owned();
    let body = answers(world).into_iter().find_map(|answer| match answer {
        Answer::Http { token, key_authorization }
            if asked.starts_with(&format!("GET /.well-known/acme-challenge/{token} ")) =>
        {
            Some(key_authorization)
        }
        _ => None,
    });
    let body = body.unwrap_or_default();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all((head + &body).as_bytes());
}

fn with_tls(world: &Shared, mut stream: TcpStream) {
    let proof = answers(world).into_iter().find_map(|answer| match answer {
        Answer::TlsAlpn { chain_pem, key_pem } => Some((chain_pem, key_pem)),
        Answer::Http { .. } => None,
    });
    let Some((chain, key)) = proof else { return };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let shown = CertifiedKey::new(chain, provider.key_provider.load_private_key(key).unwrap());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let mut session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    let _ = session.complete_io(&mut stream);
}

fn on(pebble: &Pebble, agreed: bool) -> NewAcme {
    let authority = Authority { directory: pebble.directory(), roots_pem: Some(pebble.root_pem.clone()) };
    NewAcme { authority, email: Some("ops@site.example".into()), terms_agreed: agreed }
}

async fn tenant(operator: &Client, name: &str, domains: &[&str]) {
    let domains = domains.iter().map(|d| d.parse().unwrap()).collect();
    let wish = NewTenant { domains, ..wish(name) };
    operator.post("/v1/tenants", &wish).await.expect::<Tenant>(StatusCode::CREATED);
}

/// Asks until a name stands as wanted.
async fn until(operator: &Client, name: &str, wanted: impl Fn(&AcmeName) -> bool) -> AcmeName {
    let patience = Instant::now() + Duration::from_secs(120);
    loop {
        let now: Acme = operator.get("/v1/acme").await.expect(StatusCode::OK);
        let found = now.names.iter().find(|n| n.name.as_str() == name).cloned();
        match found {
            Some(found) if wanted(&found) => return found,
            other => assert!(Instant::now() < patience, "{other:?}, {:?}", now.trouble),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn shown(world: &Shared) -> Vec<String> {
    let table = world.lock().certificates.clone().unwrap();
    table.certificates.into_iter().flat_map(|c| c.names).map(|n| n.to_string()).collect()
}

/// Every operation once, of a host with a tenant that has this domain.
pub(crate) async fn each_operation(operator: &Client, domain: &str) {
    let pebble = Pebble::start(1, 1, &[]).unwrap();
    operator.put("/v1/acme", &on(&pebble, true)).await.expect::<Acme>(StatusCode::OK);
    operator.post(&format!("/v1/acme/{domain}"), &()).await.expect::<Acme>(StatusCode::ACCEPTED);
    operator.get("/v1/acme").await.expect::<Acme>(StatusCode::OK);
    assert_eq!(operator.delete("/v1/acme").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_tenants_domains_get_certificates_and_nobody_elses() {
    let mut host = Host::start();
    let ports = serve(&host.world);
    let pebble = Pebble::start(ports.http, ports.https, &[]).unwrap();
    let operator = host.operator().await;
    tenant(&operator, "blog", &["blog.example", "www.blog.example", "own.example"]).await;
    let own = made(&["own.example"]);
    operator.post("/v1/certificates", &own).await.expect::<Certificate>(StatusCode::CREATED);
    assert_eq!(operator.post("/v1/acme/blog.example", &()).await.code(), "not-ordered", "it is off");
    assert_eq!(operator.put("/v1/acme", &on(&pebble, false)).await.code(), "acme-terms");
    let now: Acme = operator.put("/v1/acme", &on(&pebble, true)).await.expect(StatusCode::OK);
    assert_eq!((now.directory, now.names.len()), (Some(pebble.directory()), 3));

    for name in ["blog.example", "www.blog.example"] {
        until(&operator, name, |n| n.state == NameState::Issued).await;
    }
    let listed: Vec<Certificate> = operator.get("/v1/certificates").await.expect(StatusCode::OK);
    let names: Vec<_> = listed.iter().map(|c| (c.name.as_str(), c.acme.is_some())).collect();
    assert_eq!(names, [("blog.example", true), ("own.example", false), ("www.blog.example", true)]);
    for certificate in listed.iter().filter_map(|c| c.acme.as_ref().map(|by| (c, by))) {
        let (c, by) = certificate;
        assert!(c.not_before_s < by.renew_at_s && by.renew_at_s < c.not_after_s, "{by:?}");
        assert!(c.issuer.contains("Pebble") && by.directory == pebble.directory(), "{c:?}");
    }
    host.world.wait("nothing is shown to authorities", |world| {
        world.certificates.as_ref().is_some_and(|table| table.challenges.is_empty())
    });
    assert_eq!(until(&operator, "own.example", |_| true).await.state, NameState::Own);
    assert_eq!(operator.post("/v1/acme/own.example", &()).await.code(), "not-ordered");
    assert_eq!(operator.post("/v1/acme/stranger.example", &()).await.code(), "not-ordered");
    let told: Vec<Transition> = operator.get("/v1/tenants/blog/timeline").await.expect(StatusCode::OK);
    assert!(
        told.iter().any(|t| t.note && t.reason.contains("certificate for blog.example issued by")),
        "{told:?}"
    );

    // What was brought takes the place of what was ordered, and stays when control starts anew.
    operator
        .post("/v1/certificates", &made(&["*.blog.example"]))
        .await
        .expect::<Certificate>(StatusCode::CREATED);
    assert_eq!(shown(&host.world), ["*.blog.example", "blog.example", "own.example"]);
    host.stop();
    host.restart();
    let operator = host.operator().await;
    assert_eq!(shown(&host.world), ["*.blog.example", "blog.example", "own.example"]);
    // A tenant that has gone has no certificate shown any more.
    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
    let page = String::from_utf8(operator.get("/v1/metrics").await.body.to_vec()).unwrap();
    let sample = "kennel_certificate_expiry_timestamp_seconds{certificate=\"blog.example\",source=\"acme\"}";
    assert!(page.contains(sample), "{page}");
    assert_eq!(operator.delete("/v1/acme").await.status, StatusCode::NO_CONTENT);
    assert_eq!(operator.get("/v1/acme").await.expect::<Acme>(StatusCode::OK), Acme::default());
}

/// Whether the timeline says that there was no certificate.
async fn has_been_told(operator: &Client) -> bool {
    let told: Vec<Transition> = operator.get("/v1/tenants/blog/timeline").await.expect(StatusCode::OK);
    told.iter().any(|t| t.note && t.reason.starts_with("no certificate for blog.example: "))
}

#[tokio::test]
async fn a_name_that_fails_waits_and_a_restart_does_not_forget() {
    let mut host = Host::start();
    // Nobody listens on the port without TLS.
    let pebble = Pebble::start(1, serve(&host.world).https, &[]).unwrap();
    let operator = host.operator().await;
    tenant(&operator, "blog", &["blog.example"]).await;
    operator.put("/v1/acme", &on(&pebble, true)).await.expect::<Acme>(StatusCode::OK);
    let first = until(&operator, "blog.example", |n| n.failures == 1).await;
    assert!(first.error.as_ref().unwrap().contains("cannot reach this host as blog.example"), "{first:?}");
    // The tenant's timeline is told a moment later, and is kept as well.
    let patience = Instant::now() + Duration::from_secs(60);
    while !has_been_told(&operator).await {
        assert!(Instant::now() < patience, "the timeline says nothing of it");
    }
    host.stop();
    host.restart();
    let operator = host.operator().await;
    let then = until(&operator, "blog.example", |n| n.state == NameState::Failed).await;
    assert_eq!(
        (then.next_s, then.failures, &then.error),
        (first.next_s, 1, &first.error),
        "it waits as before"
    );
    assert!(has_been_told(&operator).await);
    // Asked for, it is tried at once, and by the other proof.
    operator.post("/v1/acme/blog.example", &()).await.expect::<Acme>(StatusCode::ACCEPTED);
    let issued = until(&operator, "blog.example", |n| n.state == NameState::Issued).await;
    assert_eq!((issued.failures, issued.error), (0, None));
    assert_eq!(operator.post("/v1/acme/blog.example", &()).await.code(), "not-ordered", "it has one");

    // An authority that is gone is nobody's fault.
    drop(pebble);
    tenant(&operator, "shop", &["shop.example"]).await;
    let patience = Instant::now() + Duration::from_secs(60);
    let paused = loop {
        let now: Acme = operator.get("/v1/acme").await.expect(StatusCode::OK);
        if now.paused_until_s.is_some() {
            break now;
        }
        assert!(Instant::now() < patience, "{now:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(paused.trouble.unwrap().contains("cannot connect"));
    assert!(paused.names.iter().all(|name| name.failures == 0), "{:?}", paused.names);
}

#[tokio::test]
async fn an_authority_that_makes_no_sense_is_not_used() {
    let host = Host::start();
    let operator = host.operator().await;
    let of = |directory: &str| NewAcme {
        authority: Authority { directory: directory.into(), roots_pem: None },
        email: None,
        terms_agreed: true,
    };
    for bad in [
        "http://ca.example/dir",
        "ca.example",
        "https://ca.example/ x",
        &format!("https://{}", "x".repeat(600)),
    ] {
        assert_eq!(operator.put("/v1/acme", &of(bad)).await.code(), "bad-request", "{bad}");
    }
    let bad = NewAcme { email: Some("ops@example.com?cc=x".into()), ..of("https://ca.example/dir") };
    assert_eq!(operator.put("/v1/acme", &bad).await.code(), "bad-request");
    assert_eq!(operator.put("/v1/acme", &of("https://127.0.0.1:1/dir")).await.code(), "acme-failed");
    assert_eq!(operator.get("/v1/acme").await.expect::<Acme>(StatusCode::OK).directory, None);
}
