//! Wildcards, paths, redirects, maintenance and operators' own pages, as visitors and programs see them.

use hyper::{Request, Response};
use kennel_model::SlotId;
use kennel_model::page::Page;
use kennel_model::routes::{Maintenance, Route, RouteTable};
use kennel_proxy::Limits;

use crate::rig::*;

/// Says whose it is, and what it was asked.
async fn telling(slot: SlotId, name: &'static str) -> Program {
    program(slot, move |request| async move {
        let field = |name: &str| request.headers().get(name).map_or("-", |v| v.to_str().unwrap()).to_owned();
        let asked = format!("{name} {} {} {}", request.uri(), field("host"), field("x-forwarded-prefix"));
        Response::new(full(asked))
    })
    .await
}

fn redirect(from: &str, to: &str, permanent: bool, keep_path: bool) -> Route {
    let redirect = kennel_model::redirect::Redirect { to: to.parse().unwrap(), permanent, keep_path };
    Route { redirect: Some(redirect), release: None, ..route(from, SlotId::new(0).unwrap()) }
}

#[tokio::test]
async fn exact_names_go_before_wildcards_and_long_paths_before_short() {
    let mut proxy = proxy(Limits::default()).await;
    let [a, b, c] = [claim(), claim(), claim()];
    let _programs = (telling(a.slot, "a").await, telling(b.slot, "b").await, telling(c.slot, "c").await);
    let stripped = Route { strip: true, ..route("www.a.example/shop/api", c.slot) };
    proxy.publish(vec![route("*.a.example", a.slot), route("www.a.example/shop", b.slot), stripped]).await;
    for (host, path, said) in [
        ("x.a.example", "/shop?q", "a /shop?q x.a.example -"),
        ("X.A.example.:80", "/", "a / X.A.example.:80 -"),
        ("www.a.example", "/", "a / www.a.example -"),
        ("www.a.example", "/shopping", "a /shopping www.a.example -"),
        ("www.a.example", "/shop", "b /shop www.a.example -"),
        ("www.a.example", "/shop/x%2Fy//z;w", "b /shop/x%2Fy//z;w www.a.example -"),
        ("www.a.example", "/shop/api", "c / www.a.example /shop/api"),
        ("www.a.example", "/shop/api/x%20y?q=/shop", "c /x%20y?q=/shop www.a.example /shop/api"),
    ] {
        assert_eq!(proxy.get(host, path).await.text(), said, "{host}{path}");
    }
    for (host, path) in
        [("a.example", "/"), ("x.y.a.example", "/"), ("a;b.a.example", "/"), (".a.example", "/")]
    {
        assert_eq!(proxy.get(host, path).await.code(), Some("unknown-host"), "{host}{path}");
    }
    let request =
        Request::get("/shop/api/x").header("host", "www.a.example").header("x-forwarded-prefix", "/evil");
    assert_eq!(proxy.send(request.body(empty()).unwrap()).await.text(), "c /x www.a.example /shop/api");
}

#[tokio::test]
async fn a_path_that_could_lead_to_another_is_refused_and_where_paths_do_not_matter_passes() {
    let mut proxy = proxy(Limits::default()).await;
    let [a, b] = [claim(), claim()];
    let (whole, part) = (telling(a.slot, "a").await, telling(b.slot, "b").await);
    let stripped = Route { strip: true, ..route("a.example/shop", b.slot) };
    proxy.publish(vec![route("a.example", a.slot), stripped, route("b.example", a.slot)]).await;
    let odd = [
        "/shop/../x",
        "/shop/%2e%2e/x",
        "/shop/..;/x",
        "/shop%2f..%2fx",
        "/%73hop",
        "//shop",
        "/shop%2Fx",
        "/shop;x/y",
        "/shop\\x",
        "/shop//evil.example",
    ];
    for path in odd {
        let raw = format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        let answer = proxy.raw(raw.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("ambiguous-path"), "{path}: {answer}");
    }
    assert_eq!((whole.requests(), part.requests()), (0, 0));
    for path in odd {
        let raw = format!("GET {path} HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n");
        let answer = proxy.raw(raw.as_bytes()).await;
        assert!(answer.ends_with(&format!("a {path} b.example -")), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_redirect_leads_where_the_operator_says_and_wakes_nobody() {
    let mut proxy = proxy(Limits::default()).await;
    proxy
        .publish(vec![
            redirect("www.a.example", "https://a.example", true, true),
            redirect("a.example/old", "https://a.example/new", false, false),
            redirect("*.b.example", "http://www.b.example", false, true),
        ])
        .await;
    for (host, path, status, location) in [
        ("www.a.example", "/x/y?z=%0d%0aset-cookie:a", 308, "https://a.example/x/y?z=%0d%0aset-cookie:a"),
        ("www.a.example", "//evil.example", 308, "https://a.example//evil.example"),
        ("a.example", "/old/x?y", 307, "https://a.example/new"),
        ("c.b.example", "/x", 307, "http://www.b.example/x"),
    ] {
        let answer = proxy.get(host, path).await;
        assert_eq!((answer.status(), answer.field("location")), (status, Some(location)), "{host}{path}");
        assert!(answer.body.is_empty() && answer.code().is_none());
        assert_eq!(answer.field("cache-control").is_some(), status == 307);
    }
    assert_eq!(proxy.get("www.b.example", "/x").await.status(), 508, "it would lead to itself");
    assert_eq!(proxy.get("a.example", "/").await.status(), 404);
    proxy.init.nothing_more();
}

#[tokio::test]
async fn while_a_tenant_is_worked_on_visitors_are_told_and_nobody_is_woken() {
    let mut proxy = proxy(Limits::default()).await;
    let claim = claim();
    let program = telling(claim.slot, "a").await;
    let of = |allow: &str| {
        let allow = allow.split_whitespace().map(|network| network.parse().unwrap()).collect();
        let maintenance = Some(Maintenance { retry_after_s: 900, allow, page: None });
        vec![Route { maintenance, ..route("a.example", claim.slot) }]
    };
    proxy.publish(of("192.0.2.0/24")).await;
    let answer = proxy.get("a.example", "/").await;
    assert_eq!(
        (answer.status(), answer.code(), answer.field("retry-after")),
        (503, Some("maintenance"), Some("900"))
    );
    let check = Request::get("/").header("host", "a.example").header("user-agent", "ELB-HealthChecker/2.0");
    assert_eq!(proxy.send(check.body(empty()).unwrap()).await.text(), "ready\n");
    proxy.init.nothing_more();
    assert_eq!(program.requests(), 0);
    proxy.publish(of("192.0.2.0/24 127.0.0.0/8")).await;
    assert_eq!(proxy.get("a.example", "/").await.text(), "a / a.example -");
}

#[tokio::test]
async fn operators_pages_are_shown_to_browsers_each_for_its_own() {
    let proxy = proxy(Limits::default()).await;
    let slot = claim().slot;
    let page = |text: &str| Page::new(text).unwrap();
    let own = Route { page: Some(1), release: None, ..route("own.example", slot) };
    let maintenance = |page| Some(Maintenance { retry_after_s: 60, allow: vec![], page });
    let routes = vec![
        own.clone(),
        Route { maintenance: maintenance(Some(2)), release: Some(kennel_model::ReleaseId(1)), ..own.clone() },
        Route { release: None, ..route("plain.example", slot) },
    ];
    let [first, mut worked_on, plain] = routes.try_into().unwrap();
    worked_on.domain = "work.example".parse().unwrap();
    let table = RouteTable {
        generation: 1_000,
        routes: vec![first, worked_on, plain],
        pages: vec![
            page("host {{status}}"),
            page("own {{code}} {{request_id}}"),
            page("<p>back soon {{title}}"),
        ],
        page: Some(0),
        ..RouteTable::default()
    };
    proxy.init.say_routes(&serde_json::to_vec(&table).unwrap());
    let get = async |host: &str, accept: &str| {
        let request = Request::get("/").header("host", host).header("accept", accept);
        proxy.send(request.body(empty()).unwrap()).await
    };
    soon(async { while get("own.example", "text/html").await.code() != Some("not-deployed") {} }).await;
    let answer = get("own.example", "text/html").await;
    assert_eq!(answer.text(), format!("own not-deployed {}", answer.field("x-request-id").unwrap()));
    assert!(answer.field("content-security-policy").unwrap().starts_with("default-src 'none'; "));
    assert_eq!(get("work.example", "text/html").await.text(), "<p>back soon Back soon");
    assert_eq!(get("plain.example", "text/html").await.text(), "host 503");
    assert_eq!(get("nobody.example", "text/html").await.text(), "host 404");
    assert!(get("own.example", "application/json").await.text().starts_with("{\"status\":503,"));
    assert!(get("nobody.example", "*/*").await.text().starts_with("404 No site here"));
}
