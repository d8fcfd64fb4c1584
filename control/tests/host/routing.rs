//! Domains, redirects, maintenance and pages through the API, up to the table that the proxy gets.

use hyper::StatusCode;
use kennel_model::api::Tenant;
use kennel_model::routes::{Route, RouteTable};
use kennel_model::routing::{DomainChange, DomainOf, PageText, RedirectChange, RedirectOf};
use serde_json::{Value, json};

use crate::support::{Host, two_tenants};

fn table(host: &Host) -> RouteTable {
    host.world.lock().routes.clone().unwrap()
}

fn route(host: &Host, domain: &str) -> Option<Route> {
    table(host).routes.into_iter().find(|route| route.domain.as_str() == domain)
}

#[tokio::test]
async fn domains_are_routed_and_others_are_told_what_it_changes() {
    let (host, operator) = two_tenants().await;
    let add =
        async |name: &str, body: Value| operator.post(&format!("/v1/tenants/{name}/domains"), &body).await;
    let wild: DomainChange = add("blog", json!({"domain": "*.shop.test"})).await.expect(StatusCode::CREATED);
    assert_eq!((wild.domain.tenant.as_str(), wild.notes), ("blog", vec![]));
    let part = json!({"domain": "blog.test/shop", "strip": true});
    let part: DomainChange = add("shop", part).await.expect(StatusCode::CREATED);
    assert_eq!(part.notes, ["requests to blog.test/shop no longer go to blog, which has blog.test"]);
    let told = route(&host, "blog.test/shop").unwrap();
    assert_eq!((told.tenant.as_str(), told.strip), ("shop", true));
    assert!(route(&host, "*.shop.test").is_some_and(|route| route.tenant.as_str() == "blog" && !route.strip));

    for (name, body, code) in [
        ("shop", json!({"domain": "*.shop.test"}), "domain-taken"),
        ("blog", json!({"domain": "blog.test/shop"}), "domain-taken"),
        ("nobody", json!({"domain": "x.test"}), "no-such-tenant"),
        ("blog", json!({"domain": "x.test", "strip": true}), "bad-request"),
        ("blog", json!({"domain": "x.test/"}), "bad-request"),
        ("blog", json!({"domain": "https://x.test"}), "bad-request"),
        ("blog", json!({"domain": "x.test/a/../b"}), "bad-request"),
    ] {
        assert_eq!(add(name, body.clone()).await.code(), code, "{body}");
    }
    let all: Vec<DomainOf> = operator.get("/v1/domains").await.expect(StatusCode::OK);
    let all: Vec<_> = all.iter().map(|of| (of.domain.as_str(), of.tenant.as_str(), of.strip)).collect();
    assert_eq!(
        all,
        [
            ("blog.test", "blog", false),
            ("blog.test/shop", "shop", true),
            ("shop.test", "shop", false),
            ("*.shop.test", "blog", false)
        ]
    );
    let remove = async |name: &str, domain: &str| {
        operator.delete(&format!("/v1/tenants/{name}/domains?domain={domain}")).await
    };
    assert_eq!(remove("blog", "blog.test/shop").await.code(), "no-such-domain");
    assert_eq!(remove("shop", "").await.code(), "bad-request");
    assert_eq!(operator.delete("/v1/tenants/shop/domains").await.code(), "bad-request");
    let gone: DomainChange = remove("shop", "blog.test/shop").await.expect(StatusCode::OK);
    assert_eq!(gone.notes, ["requests to blog.test/shop go to blog now, which has blog.test"]);
    assert!(route(&host, "blog.test/shop").is_none());
    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
    assert!(route(&host, "*.shop.test").is_none());
}

#[tokio::test]
async fn redirects_are_routed_and_circles_refused() {
    let (host, operator) = two_tenants().await;
    let add = async |body: Value| operator.post("/v1/tenants/blog/redirects", &body).await;
    let www =
        json!({"domain": "www.blog.test", "to": "https://blog.test", "keep_path": true, "permanent": true});
    let made: RedirectChange = add(www).await.expect(StatusCode::CREATED);
    assert_eq!((made.redirect.to.as_str(), made.redirect.permanent), ("https://blog.test/", true));
    let told = route(&host, "www.blog.test").and_then(|route| route.redirect).unwrap();
    assert!(told.keep_path && told.permanent && told.to.as_str() == "https://blog.test/");
    let before = table(&host);
    for (body, code) in [
        (json!({"domain": "blog.test", "to": "https://x.test"}), "domain-taken"),
        (json!({"domain": "blog.test/a", "to": "https://blog.test/a"}), "invalid-redirect"),
        (json!({"domain": "x.test", "to": "https://y.test/?q", "keep_path": true}), "invalid-redirect"),
        (json!({"domain": "x.test", "to": "//y.test"}), "bad-request"),
        (json!({"domain": "x.test", "to": "https://y.test/\r\nx: y"}), "bad-request"),
        (json!({"domain": "x.test", "to": "javascript:alert(1)"}), "bad-request"),
    ] {
        assert_eq!(add(body.clone()).await.code(), code, "{body}");
    }
    assert_eq!(table(&host), before);
    let all: Vec<RedirectOf> = operator.get("/v1/redirects").await.expect(StatusCode::OK);
    assert_eq!(all, [made.redirect]);
    let blog: Tenant = operator.get("/v1/tenants/blog").await.expect(StatusCode::OK);
    assert_eq!(blog.domains.len(), 1, "a redirect is no domain of its program");
    let gone = operator.delete("/v1/tenants/blog/redirects?domain=blog.test").await;
    assert_eq!(gone.code(), "no-such-domain");
    operator
        .delete("/v1/tenants/blog/redirects?domain=www.blog.test")
        .await
        .expect::<RedirectChange>(StatusCode::OK);
    assert!(route(&host, "www.blog.test").is_none());
}

#[tokio::test]
async fn maintenance_begins_changes_and_ends() {
    let (host, operator) = two_tenants().await;
    let path = "/v1/tenants/blog/maintenance";
    let begun: Tenant = operator.put(path, &json!({})).await.expect(StatusCode::OK);
    let told = begun.maintenance.unwrap();
    assert_eq!((told.retry_after_s, told.allow.len()), (600, 0));
    let wish = json!({"retry_after_s": 60, "allow": ["203.0.113.7", "2001:db8::/32"], "page": "<p>{{title}}"});
    let changed: Tenant = operator.put(path, &wish).await.expect(StatusCode::OK);
    let changed = changed.maintenance.unwrap();
    assert_eq!((changed.since_s, changed.retry_after_s), (told.since_s, 60));
    assert_eq!(changed.allow, ["203.0.113.7/32", "2001:db8::/32"]);
    let of_route = route(&host, "blog.test").unwrap().maintenance.unwrap();
    assert_eq!((of_route.retry_after_s, of_route.allow.len(), of_route.page), (60, 2, Some(0)));
    assert_eq!(table(&host).pages[0].as_str(), "<p>{{title}}");
    assert!(route(&host, "shop.test").unwrap().maintenance.is_none());
    for (wish, code) in [
        (json!({"retry_after_s": 0}), "invalid-maintenance"),
        (json!({"allow": ["example.com"]}), "invalid-maintenance"),
        (json!({"allow": vec!["::1"; 33]}), "invalid-maintenance"),
        (json!({"page": "{{host}}"}), "invalid-page"),
        (json!({"pages": "x"}), "bad-request"),
    ] {
        assert_eq!(operator.put(path, &wish).await.code(), code, "{wish}");
    }
    let ended: Tenant = operator.delete(path).await.expect(StatusCode::OK);
    assert!(ended.maintenance.is_none() && route(&host, "blog.test").unwrap().maintenance.is_none());
    assert!(table(&host).pages.is_empty());
}

#[tokio::test]
async fn pages_are_kept_once_and_survive_a_restart() {
    let (mut host, operator) = two_tenants().await;
    let page = |html: &str| PageText { html: html.to_owned() };
    assert_eq!(operator.get("/v1/page").await.code(), "no-page");
    for path in ["/v1/tenants/blog/page", "/v1/tenants/shop/page", "/v1/page"] {
        assert_eq!(operator.put(path, &page("<h1>{{title}}")).await.status, StatusCode::NO_CONTENT);
        assert_eq!(operator.get(path).await.expect::<PageText>(StatusCode::OK), page("<h1>{{title}}"));
    }
    let published = table(&host);
    assert_eq!((published.pages.len(), published.page), (1, Some(0)));
    assert!(published.routes.iter().all(|route| route.page == Some(0)));
    assert_eq!(operator.put("/v1/page", &page("<p>{{secret}}")).await.code(), "invalid-page");
    assert_eq!(operator.put("/v1/page", &page(&"x".repeat((32 << 10) + 1))).await.code(), "invalid-page");
    assert_eq!(operator.put("/v1/tenants/nobody/page", &page("x")).await.code(), "no-such-tenant");
    assert_eq!(operator.get("/v1/tenants/nobody/page").await.code(), "no-such-tenant");
    host.restart();
    let again = table(&host);
    assert_eq!((again.pages, again.routes, again.page), (published.pages, published.routes, published.page));
    let operator = host.operator().await;
    for path in ["/v1/tenants/blog/page", "/v1/page", "/v1/tenants/shop/page"] {
        assert_eq!(operator.delete(path).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!((table(&host).pages.len(), table(&host).page), (0, None));
}
