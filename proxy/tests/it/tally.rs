//! What init is told of what went through.

use std::time::Duration;

use hyper::Request;
use kennel_model::counters::Traffic;
use kennel_model::msg::{FromProxy, Rung, ToProxy};
use kennel_proxy::Limits;

use crate::rig::*;

#[tokio::test]
async fn what_went_through_is_told_before_the_lease_is_given_back() {
    let limits = Limits { lease_idle: Duration::from_millis(20), ..Limits::default() };
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let starts = async {
        let (id, slot) = proxy.init.woken().await;
        let program = hello(claim.slot).await;
        proxy.init.say(&ToProxy::Wake { id, slot, result: Ok(Rung::Stopped) });
        program
    };
    let request = Request::post("/").header("host", "a.example").body(full("seven c")).unwrap();
    let (answer, _program) = tokio::join!(proxy.send(request), starts);
    assert_eq!(answer.text(), "hello");
    let FromProxy::Woken { slot, .. } = proxy.init.counts().await else { panic!("it was woken first") };
    assert_eq!(slot, claim.slot);
    let FromProxy::Passed(passed) = proxy.init.counts().await else { panic!("woken twice") };
    let [(slot, Traffic { requests, bytes_in, bytes_out, .. })] = passed[..] else { panic!("{passed:?}") };
    assert_eq!((slot, requests, bytes_in, bytes_out), (claim.slot, 1, 7, 5));
    assert!(matches!(proxy.init.hears().await, FromProxy::Idle { .. }));
}

#[tokio::test]
async fn what_the_proxy_answers_itself_is_nobodys() {
    let (proxy, _claim) = proxy_with_a_tenant(Limits::default()).await;
    assert_eq!(proxy.get("nobody.example", "/").await.head.status, 404);
    let (mut proxy, claim) = (proxy, claim());
    proxy.publish(vec![route("b.example", claim.slot)]).await;
    let _program = hello(claim.slot).await;
    assert_eq!(proxy.get("b.example", "/").await.text(), "hello");
    let FromProxy::Passed(passed) = proxy.init.counts().await else { panic!("it ran already") };
    assert_eq!(passed.iter().map(|(slot, t)| (*slot, t.requests)).collect::<Vec<_>>(), [(claim.slot, 1)]);
}
