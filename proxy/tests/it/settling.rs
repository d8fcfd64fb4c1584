//! A program that has only just begun to listen may close its port and bind it anew; whoever was started for it is not to see
//! that. What may have been done is not done again, and what ends a program does not end its next life too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Request;
use kennel_model::SlotId;
use kennel_model::msg::ToProxy;
use kennel_proxy::Limits;
use tokio::io::AsyncWriteExt;

use crate::rig::*;

/// Breaks the first connections off when a request has come: with an end and with a reset in turns. The next are answered.
async fn settles_after(slot: SlotId, broken: usize) -> Program {
    raw_program(slot, move |n, mut stream| async move {
        read_head(&mut stream).await;
        if n >= broken {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await.unwrap();
        } else if n % 2 == 0 {
            stream.set_zero_linger().unwrap();
        }
    })
    .await
}

/// Asks for a page of a program that is started for it and breaks so many connections off; with how many it saw.
async fn ask(limits: Limits, request: Request<&'static str>, broken: usize) -> (Answer, usize) {
    let (proxy, claim) = proxy_with_a_tenant(limits).await;
    let starts = async {
        proxy.init.woken_and(Ok(())).await;
        settles_after(claim.slot, broken).await
    };
    let (answer, program) = tokio::join!(proxy.send(request.map(full)), starts);
    (answer, program.connections())
}

fn get() -> Request<&'static str> {
    Request::get("/").header("host", "a.example").body("").unwrap()
}

#[tokio::test]
async fn a_reader_waits_until_the_port_is_bound_for_good() {
    for broken in [1, 2, 5] {
        let (answer, connections) = ask(Limits::default(), get(), broken).await;
        assert_eq!((answer.text(), connections), ("hi", broken + 1));
    }
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again() {
    for body in ["", "12345"] {
        let request = Request::post("/buy").header("host", "a.example").body(body).unwrap();
        let (answer, connections) = ask(Limits::default(), request, 1).await;
        assert_eq!((answer.code(), connections), (Some("broke"), 1));
    }
}

#[tokio::test]
async fn a_program_that_never_settles_is_told_after_a_while() {
    let limits = Limits { settling: Duration::from_millis(200), ..Limits::default() };
    let (answer, connections) = ask(limits, get(), usize::MAX).await;
    assert_eq!(answer.code(), Some("broke"));
    assert!((2..20).contains(&connections), "{connections}");
}

#[tokio::test]
async fn who_has_listened_for_long_is_asked_no_more_than_twice() {
    let limits = Limits { settling: Duration::ZERO, ..Limits::default() };
    let (answer, connections) = ask(limits, get(), usize::MAX).await;
    // Over the connection that was kept from the start, and a new one.
    assert_eq!((answer.code(), connections), (Some("broke"), 2));
}

/// Two lives of a program that ends whenever it is asked: what the visitor gets, and how often it was asked. `told` is whether
/// init's word of the second end comes before the connection breaks, or after.
async fn ends_when_asked(told: bool) -> (Answer, usize) {
    let (proxy, claim) = proxy_with_a_tenant(Limits::default()).await;
    let asked = AtomicUsize::new(0);
    let down = || proxy.init.say(&ToProxy::Down(claim.slot));
    let ends = async |told: bool| {
        let listener = listen(claim.slot).await;
        let mut stream = soon(listener.accept()).await.unwrap().0;
        read_head(&mut stream).await;
        asked.fetch_add(1, Ordering::Relaxed);
        if told {
            down();
        }
    };
    let lives = async {
        for told in [true, told] {
            proxy.init.woken_and(Ok(())).await;
            ends(told).await;
        }
        down();
    };
    let (answer, ()) = tokio::join!(proxy.get("a.example", "/"), lives);
    proxy.init.nothing_more();
    (answer, asked.load(Ordering::Relaxed))
}

#[tokio::test]
async fn what_ends_a_program_is_not_asked_of_life_after_life() {
    for told in [true, false] {
        let (answer, asked) = ends_when_asked(told).await;
        // Once more, as over any connection that was kept.
        assert_eq!((answer.code(), asked), (Some("broke"), 2), "told: {told}");
    }
}
