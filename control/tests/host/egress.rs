//! Tenants' egress lists through the API: in force before they are on disk, kept over restarts and power cuts.

use hyper::StatusCode;
use kennel_model::SlotId;
use kennel_model::api::{EgressChange, EgressReport, Tenant, Traffic};
use kennel_model::msg::{ControlRequest, Refusal};
use serde_json::{Value, json};

use crate::support::{Host, archive, wish};

fn slot() -> SlotId {
    SlotId::new(0).unwrap()
}

fn allow(to: &str) -> Value {
    json!({"action": "allow", "to": to})
}

fn deny(to: &str) -> Value {
    json!({"action": "deny", "to": to})
}

/// The list that the host holds for the only tenant.
fn in_force(host: &Host) -> Vec<String> {
    let world = host.world.lock();
    let list = world.slots[&slot()].egress.as_ref().expect("a list was sent");
    list.rules().iter().map(ToString::to_string).collect()
}

const EGRESS: &str = "/v1/tenants/blog/egress";

#[tokio::test]
async fn rules_come_and_go_and_are_numbered() {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    assert!(in_force(&host).is_empty());
    for (n, rule) in [(1, allow("10.0.5.7:5432")), (2, deny("203.0.113.0/24")), (3, allow("[2600::/16]:22"))] {
        let change: EgressChange = operator.post(EGRESS, &rule).await.expect(StatusCode::CREATED);
        assert_eq!((change.rule.number, change.stopped), (n, false));
    }
    let all = ["allow 10.0.5.7/32:5432/tcp", "deny 203.0.113.0/24", "allow [2600::/16]:22/tcp"];
    assert_eq!(in_force(&host), all);
    let gone: EgressChange = operator.delete(&format!("{EGRESS}/2")).await.expect(StatusCode::OK);
    assert_eq!((gone.rule.number, gone.rule.to.as_str()), (2, "203.0.113.0/24"));
    assert_eq!(in_force(&host), [all[0], all[2]]);
    assert_eq!(operator.delete(&format!("{EGRESS}/2")).await.code(), "no-such-rule");
    assert_eq!(operator.delete(&format!("{EGRESS}/x")).await.code(), "bad-request");
    // The lowest number that is free.
    let change: EgressChange = operator.post(EGRESS, &deny("1.1.1.1")).await.expect(StatusCode::CREATED);
    assert_eq!(change.rule.number, 2);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_reason_and_changes_nothing() {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    operator.post(EGRESS, &allow("10.0.0.1:80")).await.expect::<EgressChange>(StatusCode::CREATED);
    for (rule, reason) in [
        (allow("169.254.169.254:80"), "metadata"),
        (allow("[fd00:ec2::254]:80"), "metadata"),
        (allow("127.0.0.1:20008"), "other slots"),
        (allow("10.0.2.15:20008"), "slots"),
        (allow("10.0.0.1:8443"), "API"),
        (allow("10.0.0.1"), "no port"),
        (allow("db.example.com:5432"), "a name"),
        (allow("10.0.0.1:80"), "already"),
        (deny("10.0.0.0/33"), "prefix"),
    ] {
        let answer = operator.post(EGRESS, &rule).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid-rule"),
            "{rule}"
        );
        assert!(
            answer.json::<Value>()["message"].as_str().unwrap().contains(reason),
            "{rule}: {}",
            answer.json::<Value>()
        );
    }
    assert_eq!(in_force(&host), ["allow 10.0.0.1/32:80/tcp"]);
    for n in 2..=20 {
        let rule = deny(&format!("10.1.0.{n}"));
        operator.post(EGRESS, &rule).await.expect::<EgressChange>(StatusCode::CREATED);
    }
    let answer = operator.post(EGRESS, &deny("10.1.1.1")).await;
    assert!(answer.json::<Value>()["message"].as_str().unwrap().contains("at most 20 rules"));
}

#[tokio::test]
async fn what_the_host_could_not_load_is_not_kept() {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    host.world.lock().refuse =
        Some(("SetEgress", Refusal::Failed("iptables-restore exited with code 4".into())));
    let answer = operator.post(EGRESS, &deny("10.0.0.0/8")).await;
    assert_eq!(answer.code(), "host-failed");
    assert!(answer.json::<Value>()["message"].as_str().unwrap().contains("exited with code 4"));
    host.world.lock().refuse = None;
    let report: EgressReport = operator.get(EGRESS).await.expect(StatusCode::OK);
    assert!(report.rules.is_empty());
}

#[tokio::test]
async fn lists_are_in_force_before_anything_may_start_after_a_power_cut() {
    let mut host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    operator.post(EGRESS, &deny("10.0.0.0/8")).await.expect::<EgressChange>(StatusCode::CREATED);
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Value>(StatusCode::CREATED);
    host.stop();
    host.world.cut_power();
    host.restart();
    let operator = host.operator().await;
    assert_eq!(in_force(&host), ["deny 10.0.0.0/8"]);
    let requests = host.world.lock().requests.clone();
    let place = |wanted: fn(&ControlRequest) -> bool| requests.iter().rposition(wanted).unwrap();
    let set = place(|request| matches!(request, ControlRequest::SetEgress(..)));
    let configured = place(|request| matches!(request, ControlRequest::Configure(..)));
    assert!(set < configured, "{requests:?}");
    operator.post("/v1/tenants/blog/start", &()).await.expect::<Tenant>(StatusCode::OK);
}

#[tokio::test]
async fn a_tenant_whose_list_is_not_in_force_is_not_configured() {
    let mut host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Value>(StatusCode::CREATED);
    host.world.lock().refuse = Some(("SetEgress", Refusal::Failed("no".into())));
    host.stop();
    host.world.cut_power();
    host.restart();
    host.operator().await;
    assert!(host.world.lock().slots[&slot()].spec.is_none());
}

#[tokio::test]
async fn a_running_program_that_gets_more_ports_is_stopped_and_one_that_gets_fewer_is_not() {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    operator.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Value>(StatusCode::CREATED);
    let ports = |host: &Host| {
        let world = host.world.lock();
        let spec = world.slots[&slot()].spec.clone().unwrap();
        spec.connect_ports.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for (rule, stopped) in [
        (deny("10.0.0.0/8"), false),
        (allow("10.0.5.7:5432"), true),
        (allow("10.0.5.8:5432"), false),
        (allow("10.0.5.7:53/udp"), false),
    ] {
        operator.post("/v1/tenants/blog/start", &()).await.expect::<Tenant>(StatusCode::OK);
        let change: EgressChange = operator.post(EGRESS, &rule).await.expect(StatusCode::CREATED);
        assert_eq!(change.stopped, stopped, "{rule}");
    }
    assert_eq!(ports(&host), ["5432", "5432"]);
    for number in [2, 3] {
        let change: EgressChange = operator.delete(&format!("{EGRESS}/{number}")).await.expect(StatusCode::OK);
        assert!(!change.stopped);
    }
    assert!(ports(&host).is_empty());
}

#[tokio::test]
async fn counters_are_shown_with_their_rules() {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    operator.post(EGRESS, &allow("10.0.5.7:5432")).await.expect::<EgressChange>(StatusCode::CREATED);
    let v4 = "-A slot0000 -c 9 900 -j egress\n\
              -A slot0000 -d 10.0.5.7/32 -p tcp -m tcp --dport 5432 -c 2 120 -g allowed\n\
              -A slot0000 -c 3 180 -g refuse\n";
    host.world.lock().counters = (v4.into(), "-A slot0000 -c 1 80 -g refuse\n".into());
    let report: EgressReport = operator.get(EGRESS).await.expect(StatusCode::OK);
    assert_eq!(report.rules[0].traffic, Traffic { packets: 2, bytes: 120 });
    // What is before the default in a chain is a rule of the list; there is no such `deny`.
    assert_eq!(report.refused_by_default.packets, 3);
    assert_eq!(report.accepted_by_default.packets, 4);
}

#[tokio::test]
async fn the_next_tenant_of_a_slot_begins_with_the_default() {
    let host = Host::start();
    let operator = host.operator().await;
    operator.post("/v1/tenants", &wish("blog")).await.expect::<Tenant>(StatusCode::CREATED);
    operator.post(EGRESS, &allow("10.0.5.7:5432")).await.expect::<EgressChange>(StatusCode::CREATED);
    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
    operator.post("/v1/tenants", &wish("shop")).await.expect::<Tenant>(StatusCode::CREATED);
    assert!(in_force(&host).is_empty());
}
