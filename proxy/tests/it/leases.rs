//! Who is held awake: every request, for as long as it lasts, and nobody longer than that and a moment.

use std::sync::Arc;
use std::time::Duration;

use kennel_model::msg::{FromProxy, Rung, ToProxy};
use kennel_proxy::Limits;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use crate::rig::*;

fn quick() -> Limits {
    Limits { lease_idle: Duration::from_millis(20), ..Limits::default() }
}

#[tokio::test]
async fn a_lease_is_given_back_once_and_asked_for_anew() {
    let (proxy, claim) = proxy_with_a_tenant(quick()).await;
    let starts = async {
        let (id, slot) = proxy.init.woken().await;
        let program = hello(claim.slot).await;
        proxy.init.say(&ToProxy::Wake { id, slot, result: Ok(Rung::Stopped) });
        (id, program)
    };
    let (answer, (id, program)) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!(answer.text(), "hello");
    let FromProxy::Idle { slot, lease, idle_ms } = proxy.init.hears().await else { panic!("woken twice") };
    assert_eq!((slot, lease), (claim.slot, id));
    assert!(idle_ms >= 20, "{idle_ms}");
    // The program is asleep, as far as the proxy can know: its connection is not used before init has been asked.
    assert_eq!(proxy.get("a.example", "/").await.text(), "hello");
    let FromProxy::Idle { lease: second, .. } = proxy.init.hears().await else {
        panic!("woken, though it listens")
    };
    assert_ne!(second, id);
    assert_eq!(program.requests(), 2);
    proxy.init.nothing_more();
}

#[tokio::test]
async fn a_response_that_takes_its_time_keeps_the_lease() {
    let (proxy, claim) = proxy_with_a_tenant(quick()).await;
    let go = Arc::new(Notify::new());
    let wait = go.clone();
    let _program = raw_program(claim.slot, move |_, mut stream| {
        let wait = wait.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhi").await.unwrap();
            wait.notified().await;
            stream.write_all(b"ho").await.unwrap();
        }
    })
    .await;
    let answer = proxy.get("a.example", "/");
    let later = async {
        // Many times as long as an idle program keeps its lease.
        tokio::time::sleep(quick().lease_idle * 20).await;
        proxy.init.nothing_at_all();
        go.notify_one();
    };
    let (answer, ()) = tokio::join!(answer, later);
    assert_eq!(answer.text(), "hiho");
    assert!(matches!(proxy.init.hears().await, FromProxy::Idle { .. }));
}

#[tokio::test]
async fn with_the_program_its_lease_has_ended() {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let program = hello(claim.slot).await;
    assert_eq!(proxy.get("a.example", "/").await.text(), "hello");
    drop(program);
    proxy.init.say(&ToProxy::Down(claim.slot));
    let starts = async {
        assert_eq!(proxy.init.woken_and(Ok(())).await, claim.slot);
        hello(claim.slot).await
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!(answer.text(), "hello");
}
