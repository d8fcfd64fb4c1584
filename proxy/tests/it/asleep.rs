//! What a program that is asleep is not woken for, and what is answered in its place.

use hyper::{Request, Response};
use kennel_model::msg::{FromProxy, Rung, ToProxy};
use kennel_model::routes::{Crawlers, Route};
use kennel_model::{ReleaseId, SlotId};
use kennel_proxy::Limits;

use crate::rig::*;

const CRAWLER: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const ROBOTS: &str = "User-agent: *\nDisallow: /private\n";

/// Leases end at once, so that what the proxy knows of programs is what init tells.
fn quick() -> Limits {
    Limits { lease_idle: std::time::Duration::from_millis(1), ..Limits::default() }
}

async fn ask(proxy: &Proxy, method: &str, host: &str, path: &str, agent: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).header("host", host).header("user-agent", agent);
    proxy.send(request.body(empty()).unwrap()).await
}

/// A program whose usual files can be kept, but for its icon.
async fn site(slot: SlotId) -> Program {
    program(slot, |request| async move {
        let response = Response::builder();
        match request.uri().path() {
            "/robots.txt" => response.header("content-type", "text/plain").body(full(ROBOTS)),
            "/favicon.ico" => response.header("cache-control", "no-store").body(full("icon")),
            _ => Ok(Response::new(full("hello"))),
        }
        .unwrap()
    })
    .await
}

/// Starts the program for a visitor.
async fn visited(proxy: &Proxy, slot: SlotId) -> Program {
    let starts = async {
        proxy.init.grants(Rung::Stopped).await;
        site(slot).await
    };
    let (answer, program) = tokio::join!(proxy.get("a.example", "/"), starts);
    assert_eq!(answer.text(), "hello");
    program
}

/// Init puts it to sleep, once its lease has been given back.
async fn falls_asleep(proxy: &Proxy, slot: SlotId) {
    while !matches!(proxy.init.hears().await, FromProxy::Idle { .. }) {}
    proxy.init.say(&ToProxy::Awake(slot, None));
}

#[tokio::test]
async fn nothing_but_visitors_wakes_a_stopped_program() {
    let (mut proxy, claim) = proxy_with_a_tenant(quick()).await;
    for (method, host, path, agent, status) in [
        ("GET", "a.example", "/", "ELB-HealthChecker/2.0", 200),
        ("HEAD", "a.example", "/health", "kube-probe/1.31", 200),
        ("GET", "10.0.0.7", "/", "GoogleHC/1.0", 200),
        ("GET", "a.example", "/.well-known/acme-challenge/token", "curl/8", 404),
        ("HEAD", "a.example", "/robots.txt", CRAWLER, 503),
        ("GET", "10.0.0.7", "/", "masscan/1.3", 404),
        ("GET", "nobody.example", "/robots.txt", "curl/8", 404),
    ] {
        let answer = ask(&proxy, method, host, path, agent).await;
        assert_eq!(answer.status(), status, "{method} {host} {path} {agent}");
    }
    proxy.publish(vec![Route { crawlers: Crawlers::Wait, ..route("a.example", claim.slot) }]).await;
    let answer = ask(&proxy, "GET", "a.example", "/about", CRAWLER).await;
    assert_eq!(
        (answer.status(), answer.code(), answer.field("retry-after")),
        (503, Some("asleep"), Some("600"))
    );
    proxy.init.nothing_at_all();
}

#[tokio::test]
async fn for_a_program_that_is_awake_they_are_requests_like_any_other() {
    let (mut proxy, claim) = proxy_with_a_tenant(quick()).await;
    proxy.publish(vec![Route { crawlers: Crawlers::Wait, ..route("a.example", claim.slot) }]).await;
    let program = visited(&proxy, claim.slot).await;
    for (path, agent) in
        [("/", CRAWLER), ("/", "ELB-HealthChecker/2.0"), ("/.well-known/acme-challenge/x", "curl/8")]
    {
        assert_eq!(ask(&proxy, "GET", "a.example", path, agent).await.text(), "hello", "{path} {agent}");
    }
    assert_eq!(program.requests(), 4);
}

#[tokio::test]
async fn its_last_answer_is_kept_until_the_next_release() {
    let (mut proxy, claim) = proxy_with_a_tenant(quick()).await;
    let program = visited(&proxy, claim.slot).await;
    assert_eq!(proxy.get("a.example", "/robots.txt").await.text(), ROBOTS);
    drop(program);
    proxy.init.say(&ToProxy::Down(claim.slot));
    // Heard once a health check is answered in its place.
    while ask(&proxy, "GET", "a.example", "/", "kube-probe/1").await.field("kennel-asleep").is_none() {}
    proxy.init.nothing_more();
    let answer = ask(&proxy, "GET", "a.example", "/robots.txt", CRAWLER).await;
    assert_eq!((answer.text(), answer.field("kennel-asleep")), (ROBOTS, Some("kept")));
    assert_eq!((answer.field("content-type"), answer.field("age")), (Some("text/plain"), Some("0")));
    let answer = ask(&proxy, "HEAD", "a.example", "/robots.txt", CRAWLER).await;
    assert_eq!((answer.status(), answer.text()), (200, ""));
    proxy.init.nothing_at_all();

    let next = Route { release: Some(ReleaseId(2)), ..route("a.example", claim.slot) };
    proxy.publish(vec![next]).await;
    let starts = async {
        assert_eq!(proxy.init.grants(Rung::Stopped).await.as_str(), "GET /robots.txt from 127.0.0.1");
        site(claim.slot).await
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/robots.txt"), starts);
    assert_eq!(answer.field("kennel-asleep"), None);
}

#[tokio::test]
async fn what_cannot_be_kept_wakes_once() {
    let (proxy, claim) = proxy_with_a_tenant(quick()).await;
    let starts = async {
        proxy.init.grants(Rung::Stopped).await;
        site(claim.slot).await
    };
    let (answer, _program) = tokio::join!(proxy.get("a.example", "/favicon.ico"), starts);
    assert_eq!(answer.text(), "icon");
    falls_asleep(&proxy, claim.slot).await;
    while ask(&proxy, "GET", "a.example", "/", "kube-probe/1").await.field("kennel-asleep").is_none() {}
    let answer = proxy.get("a.example", "/favicon.ico").await;
    assert_eq!((answer.status(), answer.code()), (503, Some("asleep")));
}

#[tokio::test]
async fn a_health_check_is_told_of_a_start_that_failed() {
    let (proxy, claim) = proxy_with_a_tenant(quick()).await;
    let dies = async {
        proxy.init.grants(Rung::Stopped).await;
        proxy.init.say(&ToProxy::Down(claim.slot));
    };
    let (answer, ()) = tokio::join!(proxy.get("a.example", "/"), dies);
    assert_eq!(answer.code(), Some("died"));
    assert_eq!(ask(&proxy, "GET", "a.example", "/", "ELB-HealthChecker/2.0").await.status(), 503);
}

#[tokio::test]
async fn init_is_told_why() {
    let (proxy, claim) = proxy_with_a_tenant(quick()).await;
    let starts = async {
        let cause = proxy.init.grants(Rung::Stopped).await;
        (cause, hello(claim.slot).await)
    };
    let secret = proxy.get("a.example", "/about?token=secret");
    let (_, (cause, _program)) = tokio::join!(secret, starts);
    assert_eq!(cause.as_str(), "GET /about from 127.0.0.1");
}
