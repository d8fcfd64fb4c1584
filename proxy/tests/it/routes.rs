//! New tables: in force at once, nothing under way is harmed, and a bad one is no table.

use std::os::fd::AsFd;

use kennel_model::msg::ToProxy;
use kennel_model::routes::{Route, RouteTable};
use kennel_proxy::{Limits, Listeners};
use kennel_sys::Channel;
use tokio::task::JoinSet;

use crate::rig::*;

#[tokio::test]
async fn an_update_drops_no_request() {
    let (mut proxy, claim_a) = proxy_with_a_tenant(Limits::default()).await;
    let claim_b = claim();
    let _programs = (hello(claim_a.slot).await, hello(claim_b.slot).await);
    let mut visitors = JoinSet::new();
    for _ in 0..8 {
        let mut sender = proxy.connect().await;
        visitors.spawn(async move {
            for _ in 0..50 {
                soon(sender.ready()).await.unwrap();
                let request = hyper::Request::get("/").header("host", "a.example").body(empty()).unwrap();
                let answer = Answer::read(sender.send_request(request).await.unwrap()).await;
                assert_eq!(answer.text(), "hello");
            }
        });
    }
    for round in 0..20 {
        let slot = if round % 2 == 0 { claim_b.slot } else { claim_a.slot };
        proxy.publish(vec![route("a.example", slot), route("b.example", slot)]).await;
    }
    while let Some(visited) = soon(visitors.join_next()).await {
        visited.unwrap();
    }
    proxy.publish(vec![]).await;
    assert_eq!(proxy.get("a.example", "/").await.status(), 404);
}

#[tokio::test]
async fn a_bad_table_leaves_the_old_one() {
    let (mut proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let _program = hello(claim.slot).await;
    let duplicate =
        RouteTable { generation: 9, routes: vec![route("x.example", claim.slot); 2], ..RouteTable::default() };
    let of = |domain: &str, slot: u16, more: &str| {
        format!(
            r#"{{"generation":9,"routes":[{{"domain":"{domain}","tenant":"t","slot":{slot},"release":1,"start_timeout_ms":1,"health":null,"crawlers":"wake","https":"redirect","hsts_s":0,"server_timing":false,"traffic":{{}}{more}}}]}}"#
        )
        .into_bytes()
    };
    // Of the same form, and good.
    serde_json::from_slice::<RouteTable>(&of("x.example", 1, "")).unwrap();
    let all_bad = [
        &b""[..],
        b"{}",
        b"[1]",
        br#"{"generation":9,"routes":[],"more":1}"#,
        &of("UPPER.example", 1, ""),
        &of("x.example/", 1, ""),
        &of("x.*.example", 1, ""),
        &of("x.example", 9999, ""),
        &of("x.example", 1, r#","page":0"#),
        &of("x.example", 1, r#","maintenance":{"retry_after_s":1,"page":0}"#),
        &of("x.example", 1, r#","maintenance":{"retry_after_s":1,"allow":[["10.0.0.1",8]]}"#),
        &of("x.example", 1, r#","redirect":{"to":"/x","permanent":false,"keep_path":false}"#),
        &of("x.example", 1, r#","redirect":{"to":"https://a/\r\nx","permanent":false,"keep_path":false}"#),
        br#"{"generation":9,"routes":[],"page":0}"#,
        br#"{"generation":9,"routes":[],"pages":["{{host}}"]}"#,
        &serde_json::to_vec(&duplicate).unwrap(),
        // Older than the one in force.
        br#"{"generation":0,"routes":[]}"#,
    ];
    for bad in all_bad {
        proxy.init.say_routes(bad);
    }
    // Without a descriptor.
    proxy.init.say(&ToProxy::Routes);
    // Who waits for one of them is told, the first table's among them.
    proxy.init.takes(all_bad.len() + 2).await;
    assert_eq!(proxy.get("a.example", "/").await.text(), "hello");
    assert_eq!(proxy.get("x.example", "/").await.status(), 404);
    // And good ones are still taken.
    proxy.publish(vec![route("b.example", claim.slot)]).await;
    assert_eq!(proxy.get("b.example", "/").await.text(), "hello");
}

#[tokio::test]
async fn a_table_that_could_still_change_is_not_taken() {
    let (near, far) = Channel::pair().unwrap();
    let (records, _unread) = Channel::pair().unwrap();
    let listener = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listeners = Listeners { http: listener(), https: listener() };
    let address = listeners.http.local_addr().unwrap();
    let _proxy = tokio::spawn(kennel_proxy::run(near, listeners, vec![], records, Limits::default()));
    let json = serde_json::to_vec(&RouteTable {
        generation: 1,
        routes: vec![Route { release: None, ..route("a.example", claim().slot) }],
        ..RouteTable::default()
    });
    let mut open = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut open, &json.unwrap()).unwrap();
    far.send(&ToProxy::Routes, &[open.as_fd()]).unwrap();
    // Whether it was taken shows after a good one, which comes after it: generation 0 is older than 1.
    far.send(&ToProxy::Routes, &[sealed(br#"{"generation":0,"routes":[]}"#).as_fd()]).unwrap();
    soon(async {
        loop {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let io = hyper_util::rt::TokioIo::new(stream);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            let request = hyper::Request::get("/").header("host", "a.example").body(empty()).unwrap();
            match Answer::read(sender.send_request(request).await.unwrap()).await.code() {
                Some("starting") => (),
                code => return assert_eq!(code, Some("unknown-host")),
            }
        }
    })
    .await;
}
