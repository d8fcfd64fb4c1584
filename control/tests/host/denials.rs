//! Denied acts through the API: what init tells is kept, said in words, followed, and a warning where it is ours.

use http_body_util::{BodyExt, Empty};
use hyper::{Method, StatusCode};
use kennel_model::SlotId;
use kennel_model::api::{self, Tenant};
use kennel_model::denial::{Act, Actor, Batch, Counted, Denial, Packet};
use kennel_model::msg::ToControl;

use crate::support::openapi::{document, errors};
use crate::support::{Host, wish};

fn batch(actor: Actor, to: &str, count: u64) -> Batch {
    let packet = Packet { protocol: "tcp".into(), to: to.parse().unwrap(), port: Some(80) };
    let denial = Denial { actor, program: String::new(), act: Act::Packet(packet) };
    Batch { counted: vec![Counted { denial, count }], lost: 0 }
}

fn tell(host: &Host, batch: Batch) {
    host.world.tell(&ToControl::Denials(batch));
}

fn lines(body: &[u8]) -> Vec<api::Denial> {
    let text = std::str::from_utf8(body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asks until there are so many kinds with so many tries; init's messages come when they come.
async fn known(operator: &crate::support::client::Client, path: &str, tries: u64) -> Vec<api::Denial> {
    for _ in 0..2000 {
        let seen = lines(&operator.get(path).await.body);
        if seen.iter().map(|d| d.count).sum::<u64>() == tries {
            return seen;
        }
        tokio::task::yield_now().await;
    }
    panic!("never: {tries} tries at {path}");
}

#[tokio::test]
async fn a_denied_act_is_a_sentence_with_a_count_and_survives_control() {
    let mut host = Host::start();
    let operator = host.operator().await;
    let tenant: Tenant = operator.post("/v1/tenants", &wish("blog")).await.expect(StatusCode::CREATED);
    operator.post("/v1/tenants", &wish("shop")).await.expect::<Tenant>(StatusCode::CREATED);
    for count in [1, 9999] {
        tell(&host, batch(Actor::Tenant(tenant.slot), "169.254.169.254", count));
    }
    let seen = known(&operator, "/v1/tenants/blog/denials", 10_000).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].sentence,
        "blog tried to connect to 169.254.169.254:80: metadata service; refused by iptables (SELinux refuses it too)"
    );
    let schema = &document()["components"]["schemas"]["Denial"];
    assert_eq!(errors(schema, &serde_json::to_value(&seen[0]).unwrap(), "denial"), [""; 0]);
    assert_eq!(operator.get("/v1/tenants/shop/denials").await.body, "");
    assert_eq!(operator.get("/v1/tenants/nobody/denials").await.code(), "no-such-tenant");
    assert_eq!(operator.get("/v1/denials?since=1").await.code(), "bad-request");
    host.stop();
    host.restart();
    let operator = host.operator().await;
    assert_eq!(lines(&operator.get("/v1/denials").await.body), seen);
    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
    assert_eq!(operator.get("/v1/denials").await.body, "");
}

#[tokio::test]
async fn a_follower_is_told_what_is_new_about_its_tenant_only() {
    let host = Host::start();
    let operator = host.operator().await;
    let tenant: Tenant = operator.post("/v1/tenants", &wish("blog")).await.expect(StatusCode::CREATED);
    let path = "/v1/tenants/blog/denials?follow=true";
    tell(&host, batch(Actor::Tenant(tenant.slot), "10.0.0.1", 1));
    known(&operator, "/v1/denials", 1).await;
    let mut answer = operator.begin(Method::GET, path, "", Empty::new()).await.unwrap();
    let mut next = async || {
        let piece = answer.frame().await.expect("more").unwrap().into_data().unwrap();
        lines(&piece).into_iter().map(|d| d.count).collect::<Vec<_>>()
    };
    assert_eq!(next().await, [1]);
    tell(&host, batch(Actor::Tenant(SlotId::new(3).unwrap()), "10.0.0.1", 7));
    tell(&host, batch(Actor::Tenant(tenant.slot), "10.0.0.1", 2));
    assert_eq!(next().await, [2]);
}

#[tokio::test]
async fn a_denial_of_our_own_is_a_warning_once() {
    let host = Host::start();
    let operator = host.operator().await;
    let quiet: api::Host = operator.get("/v1/host").await.expect(StatusCode::OK);
    assert_eq!(quiet.warnings, []);
    for _ in 0..3 {
        tell(&host, batch(Actor::Host("proxy_t".into()), "10.0.0.1", 1));
    }
    known(&operator, "/v1/denials", 3).await;
    let seen: api::Host = operator.get("/v1/host").await.expect(StatusCode::OK);
    assert_eq!(seen.warnings.len(), 1);
    assert_eq!((seen.warnings[0].count, &seen.warnings[0].tenant), (3, &None));
    assert!(seen.warnings[0].sentence.starts_with("the host's proxy tried to connect to 10.0.0.1:80"));
}
