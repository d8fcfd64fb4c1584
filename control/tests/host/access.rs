//! Requests, as the proxy tells of them and as the API shows them: whose they are, what is left of them after a kill, and
//! what strangers can put into them.

use http_body_util::{BodyExt, Empty};
use hyper::{Method, StatusCode};
use kennel_model::SlotId;
use kennel_model::access::{
    Ended, HostCounts, Id, LeftOut, Line, MAX_PACKET_BYTES, Part, Protocol, Record, SlotCounts, Took, Visit,
    push,
};
use kennel_model::api::Tenant;
use serde_json::Value;

use crate::support::client::Client;
use crate::support::openapi::{document, errors};
use crate::support::{Host, two_tenants, wish};

fn slot(n: u16) -> SlotId {
    SlotId::new(n).unwrap()
}

fn record<'a>(tenant: Option<(SlotId, &'a str)>, target: &'a str) -> Record<'a> {
    Record {
        tenant,
        host: "blog.test",
        client: "192.0.2.7".parse().unwrap(),
        method: "GET",
        target,
        protocol: Protocol::Http11,
        status: 200,
        bytes_in: 1,
        bytes_out: 2,
        referer: "",
        agent: "curl \"8\"",
        id: Id([7; 16]),
        trace: Id([8; 16]),
        fault: "",
        ended: Ended::Whole,
        at_ms: 1_793_491_200_000,
        took: Took { total_us: 9000, queue_us: Some(5000), upstream_us: Some(3000), own_us: 100 },
    }
}

fn tell(host: &Host, parts: &[Part<'_>]) {
    let mut packet = Vec::new();
    parts.iter().for_each(|part| push(part, &mut packet).unwrap());
    host.records.send_packet(&packet).unwrap();
}

fn visits(host: &Host, tenant: Option<(SlotId, &str)>, targets: &[&str]) {
    let parts: Vec<_> = targets.iter().map(|target| Part::Record(record(tenant, target))).collect();
    tell(host, &parts);
}

/// The lines of an answer, each of which fits its schema.
fn lines(text: &[u8]) -> Vec<Line<'static>> {
    let schemas = &document()["components"]["schemas"];
    let text = std::str::from_utf8(text).unwrap();
    let lines = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        let schema = if value.get("left_out").is_some() { "LeftOut" } else { "Visit" };
        assert_eq!(errors(&schemas[schema], &value, "line"), [""; 0], "{line}");
        serde_json::from_value(value).unwrap()
    });
    lines.collect()
}

/// The targets of a log, once it has so many lines.
async fn targets(operator: &Client, path: &str, count: usize) -> Vec<String> {
    for _ in 0..500 {
        let answer = operator.get(path).await;
        assert_eq!(answer.status, StatusCode::OK);
        let lines = lines(&answer.body);
        if lines.len() >= count {
            return lines.into_iter().map(target).collect();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{path} has no {count} lines");
}

fn target(line: Line<'_>) -> String {
    match line {
        Line::Visit(visit) => visit.target.into_owned(),
        Line::LeftOut(LeftOut { left_out, .. }) => format!("{left_out} left out"),
    }
}

#[tokio::test]
async fn each_request_is_written_down_for_whom_it_belongs_to() {
    let (host, operator) = two_tenants().await;
    visits(&host, Some((slot(0), "blog")), &["/one", "/two"]);
    visits(&host, Some((slot(1), "shop")), &["/shop"]);
    visits(&host, None, &["/scan"]);
    // What a proxy says that has not heard of a change yet, or that was taken over.
    visits(&host, Some((slot(1), "blog")), &["/wrong-slot"]);
    visits(&host, Some((slot(3), "gone")), &["/gone"]);
    assert_eq!(targets(&operator, "/v1/tenants/blog/access", 2).await, ["/one", "/two"]);
    assert_eq!(targets(&operator, "/v1/tenants/blog/access?lines=1", 1).await, ["/two"]);
    assert_eq!(targets(&operator, "/v1/tenants/shop/access", 1).await, ["/shop"]);
    assert_eq!(targets(&operator, "/v1/access", 3).await, ["/scan", "/wrong-slot", "/gone"]);
    let shown = lines(&operator.get("/v1/tenants/blog/access").await.body).remove(0);
    assert_eq!(
        shown,
        Line::Visit(Box::new(Visit::of(&record(Some((slot(0), "blog")), "/one"), Some("blog")))),
        "as it was told"
    );
    assert_eq!(operator.get("/v1/tenants/nobody/access").await.code(), "no-such-tenant");
    assert_eq!(operator.get("/v1/tenants/blog/access?since_s=1h").await.code(), "bad-request");
    assert_eq!(operator.get("/v1/tenants/blog/traffic?since_s=1").await.code(), "bad-request");
    let since = |seconds: u32| format!("/v1/tenants/blog/access?since_s={seconds}");
    assert_eq!(lines(&operator.get(&since(60)).await.body).len(), 0, "2026-11-01 is long ago");
    let recent = Record { at_ms: u64::MAX, ..record(Some((slot(0), "blog")), "/recent") };
    tell(&host, &[Part::Record(recent)]);
    assert_eq!(targets(&operator, &since(60), 1).await, ["/recent"]);
}

#[tokio::test]
async fn what_was_told_while_control_was_away_is_not_lost() {
    let (mut host, operator) = two_tenants().await;
    visits(&host, Some((slot(0), "blog")), &["/before"]);
    assert_eq!(targets(&operator, "/v1/tenants/blog/access", 1).await, ["/before"]);
    host.stop();
    visits(&host, Some((slot(0), "blog")), &["/meanwhile"]);
    host.restart();
    let operator = host.operator().await;
    assert_eq!(targets(&operator, "/v1/tenants/blog/access", 2).await, ["/before", "/meanwhile"]);
}

#[tokio::test]
async fn with_a_tenant_its_visitors_are_forgotten() {
    let (host, operator) = two_tenants().await;
    visits(&host, Some((slot(0), "blog")), &["/secret"]);
    targets(&operator, "/v1/tenants/blog/access", 1).await;
    let path = "/v1/tenants/blog/access?follow=true";
    let answer = operator.begin(Method::GET, path, "", Empty::new()).await.unwrap();
    let rest = tokio::spawn(answer.into_body().collect());
    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
    assert!(rest.await.unwrap().is_ok(), "whoever followed is told the end");
    // One that was still under way.
    visits(&host, Some((slot(0), "blog")), &["/late"]);
    let next: Tenant = operator.post("/v1/tenants", &wish("next")).await.expect(StatusCode::CREATED);
    assert_eq!(next.slot, slot(0));
    visits(&host, Some((slot(0), "next")), &["/mine"]);
    assert_eq!(targets(&operator, "/v1/tenants/next/access", 1).await, ["/mine"]);
    assert_eq!(targets(&operator, "/v1/access", 1).await, ["/late"]);
}

#[tokio::test]
async fn traffic_is_seen_as_it_comes() {
    let (host, operator) = two_tenants().await;
    visits(&host, Some((slot(0), "blog")), &["/one"]);
    targets(&operator, "/v1/tenants/blog/access", 1).await;
    assert_eq!(targets(&operator, "/v1/traffic", 1).await, ["/one"]);
    let path = "/v1/tenants/blog/traffic?follow=true";
    let mut answer = operator.begin(Method::GET, path, "", Empty::new()).await.unwrap();
    let mut text = Vec::new();
    for wanted in [&["/one"][..], &["/one", "/two", "7 left out"]] {
        while text.iter().filter(|b| **b == b'\n').count() < wanted.len() {
            text.extend(answer.frame().await.expect("more").unwrap().into_data().unwrap());
        }
        assert_eq!(lines(&text).into_iter().map(target).collect::<Vec<_>>(), wanted);
        visits(&host, Some((slot(1), "shop")), &["/elsewhere"]);
        visits(&host, Some((slot(0), "blog")), &["/two"]);
        tell(&host, &[Part::Slot(SlotCounts { slot: Some(slot(0)), left_out: 7, ..SlotCounts::default() })]);
    }
}

#[tokio::test]
async fn all_are_counted_also_those_without_a_record() {
    let (host, operator) = two_tenants().await;
    let counts = SlotCounts { slot: Some(slot(0)), statuses: [0, 40, 0, 2, 0], left_out: 41 };
    let mut all = HostCounts { records: 1, flooded: 41, ..HostCounts::default() };
    all.durations.observe(&record(None, "/").took);
    tell(&host, &[Part::Slot(counts), Part::Host(Box::new(all))]);
    tell(&host, &[Part::Slot(SlotCounts { slot: None, ..counts })]);
    assert_eq!(targets(&operator, "/v1/tenants/blog/access", 1).await, ["41 left out"]);
    assert_eq!(targets(&operator, "/v1/access", 1).await, ["41 left out"]);
    let metrics = String::from_utf8(operator.get("/v1/metrics").await.body.to_vec()).unwrap();
    for line in [
        "kennel_tenant_responses_total{tenant=\"blog\",class=\"2xx\"} 40\n",
        "kennel_unrouted_responses_total{class=\"4xx\"} 2\n",
        "kennel_request_seconds_bucket{part=\"total\",le=\"0.01\"} 1\n",
        "kennel_request_seconds_sum{part=\"queue\"} 0.005000\n",
        "kennel_access_records_left_out_total{reason=\"flood\"} 41\n",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn a_proxy_that_was_taken_over_does_no_harm() {
    let (host, operator) = two_tenants().await;
    for packet in [&[255; 40][..], &[0], &[0; 7], &[1, 1, 200, 200, 200], &[2; 3000]] {
        host.records.send_packet(packet).unwrap();
    }
    // Longer than any packet may be.
    host.records.send_packet(&vec![0; MAX_PACKET_BYTES + 1]).unwrap();
    let odd = "/\n\u{1b}[31m\",\"status\":200}\n{\"at_ms\":1\u{2028}";
    visits(&host, Some((slot(0), "blog")), &[odd, "/next"]);
    let seen = targets(&operator, "/v1/tenants/blog/access", 2).await;
    assert_eq!(seen, [odd, "/next"], "one line each");
}
