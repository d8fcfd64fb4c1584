//! `kennel domain`, `redirect`, `maintenance` and `pages` against the stand-in for a host.

use hyper::Method;
use kennel_model::api::Tenant;
use kennel_model::routing::{
    DomainChange, DomainOf, Maintenance, NewDomain, NewMaintenance, NewRedirect, PageText, RedirectChange,
    RedirectOf,
};
use serde_json::{Value, json};

use crate::support::{at_home, error, result};

/// Whether a path is about this.
pub(crate) fn is(path: &str) -> bool {
    ["domains", "redirects", "maintenance", "page"].iter().any(|last| path.rsplit('/').next() == Some(last))
}

/// The stand-in's answers.
pub(crate) fn answer(method: &Method, path: &str, body: &[u8], tenant: Tenant) -> (u16, Option<Value>) {
    let domain = |domain: &str, tenant: &str, strip| DomainOf {
        domain: domain.parse().unwrap(),
        tenant: tenant.parse().unwrap(),
        strip,
    };
    let redirect = || RedirectOf {
        domain: "www.blog.localhost".parse().unwrap(),
        tenant: "blog".parse().unwrap(),
        to: "https://blog.localhost/".parse().unwrap(),
        permanent: true,
        keep_path: true,
    };
    let (status, value) = match (method.as_str(), path) {
        ("GET", "/v1/domains") => {
            (200, json!([domain("blog.localhost", "blog", false), domain("blog.localhost/api", "shop", true)]))
        }
        ("POST", "/v1/tenants/blog/domains") => {
            let NewDomain { domain: new, strip } = serde_json::from_slice(body).unwrap();
            let notes = vec!["x.blog.localhost stays with shop".to_owned()];
            (201, json!(DomainChange { domain: domain(new.as_str(), "blog", strip), notes }))
        }
        ("DELETE", "/v1/tenants/blog/domains") => {
            (200, json!(DomainChange { domain: domain("*.blog.localhost", "blog", false), notes: vec![] }))
        }
        ("GET", "/v1/redirects") => (200, json!([redirect()])),
        ("POST", "/v1/tenants/blog/redirects") => {
            let NewRedirect { domain, to, permanent, keep_path } = serde_json::from_slice(body).unwrap();
            let redirect = RedirectOf { domain, to, permanent, keep_path, ..redirect() };
            (201, json!(RedirectChange { redirect, notes: vec![] }))
        }
        ("DELETE", "/v1/tenants/blog/redirects") => {
            (200, json!(RedirectChange { redirect: redirect(), notes: vec![] }))
        }
        ("PUT", "/v1/tenants/blog/maintenance") => {
            let NewMaintenance { retry_after_s, allow, page } = serde_json::from_slice(body).unwrap();
            assert!(page.is_none_or(|page| page == "<p>{{title}}\n"));
            let maintenance = Some(Maintenance { since_s: 1, retry_after_s, allow });
            (200, json!(Tenant { maintenance, ..tenant }))
        }
        ("DELETE", "/v1/tenants/blog/maintenance") => (200, json!(tenant)),
        ("GET", "/v1/page" | "/v1/tenants/blog/page") => {
            (200, json!(PageText { html: format!("<p>{path}\n") }))
        }
        ("PUT" | "DELETE", "/v1/page" | "/v1/tenants/blog/page") => return (204, None),
        other => panic!("{other:?}"),
    };
    (status, Some(value))
}

#[test]
fn domains_are_added_listed_and_removed() {
    let (home, host) = at_home();
    let added = home.kennel(&["domain", "add", "blog", "*.blog.localhost"]).output().unwrap();
    assert_eq!(String::from_utf8(added.stdout).unwrap(), "*.blog.localhost leads to blog\n");
    assert!(String::from_utf8(added.stderr).unwrap().contains("x.blog.localhost stays with shop"));
    let stripped =
        home.kennel(&["domain", "add", "blog", "blog.localhost/a", "--strip", "--json"]).output().unwrap();
    assert_eq!(result(&stripped)["domain"]["strip"], true);
    let listed = home.kennel(&["domain", "ls"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("blog.localhost/api  shop    without /api"), "{listed}");
    let own = result(&home.kennel(&["domain", "ls", "blog", "--json"]).output().unwrap());
    assert_eq!(own.as_array().map(Vec::len), Some(1));
    home.kennel(&["domain", "rm", "blog", "*.blog.localhost"]).assert().success();
    assert_eq!(host.requests().last().unwrap(), "DELETE /v1/tenants/blog/domains?domain=*.blog.localhost");
}

#[test]
fn redirects_are_added_listed_and_removed() {
    let (home, host) = at_home();
    let add = ["redirect", "add", "blog", "www.blog.localhost", "https://blog.localhost", "--keep-path"];
    let added = String::from_utf8(home.kennel(&add).output().unwrap().stdout).unwrap();
    assert_eq!(added, "www.blog.localhost is sent to https://blog.localhost/, with what follows it (307)\n");
    let listed = String::from_utf8(home.kennel(&["redirect", "ls"]).output().unwrap().stdout).unwrap();
    assert!(listed.contains("permanent  kept  https://blog.localhost/"), "{listed}");
    home.kennel(&["redirect", "rm", "blog", "www.blog.localhost"]).assert().success();
    assert_eq!(host.requests().last().unwrap(), "DELETE /v1/tenants/blog/redirects?domain=www.blog.localhost");
}

#[test]
fn maintenance_and_pages_take_files() {
    let (home, host) = at_home();
    home.file("soon.html", "<p>{{title}}\n");
    let on =
        ["maintenance", "on", "blog", "--page", "soon.html", "--retry-after", "30m", "--allow", "10.0.0.0/8"];
    let on = result(&home.kennel(&[&on[..], &["--json"]].concat()).output().unwrap());
    assert_eq!(on["maintenance"], json!({"since_s": 1, "retry_after_s": 1800, "allow": ["10.0.0.0/8"]}));
    home.kennel(&["maintenance", "off", "blog"]).assert().success();
    home.kennel(&["pages", "set", "blog", "soon.html"]).assert().success();
    home.kennel(&["pages", "default", "soon.html"]).assert().success();
    home.kennel(&["pages", "show", "blog"]).assert().success().stdout("<p>/v1/tenants/blog/page\n");
    home.kennel(&["pages", "show"]).assert().success().stdout("<p>/v1/page\n");
    home.kennel(&["pages", "rm"]).assert().success();
    assert_eq!(host.requests().last().unwrap(), "DELETE /v1/page");
}

#[test]
fn what_makes_no_sense_is_told_before_anything_is_sent() {
    let (home, host) = at_home();
    home.file("bad.html", "<p>\n{{host}}");
    for (args, message) in [
        (&["domain", "add", "blog", "blog.localhost", "--strip"][..], "has no path"),
        (&["pages", "set", "blog", "bad.html"], "{{host}} in line 2 of the page is no placeholder"),
        (&["maintenance", "on", "blog", "--page", "bad.html"], "is no placeholder"),
        (&["maintenance", "on", "blog", "--retry-after", "never"], "takes a time"),
    ] {
        let output = home.kennel(args).arg("--json").output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{args:?}");
        assert!(error(&output)["message"].as_str().unwrap().contains(message), "{args:?}");
    }
    for args in [
        &["domain", "add", "blog", "https://blog.localhost"][..],
        &["domain", "add", "blog", "Blog.localhost"],
        &["domain", "add", "blog", "blog.localhost/a/"],
        &["redirect", "add", "blog", "a.localhost", "b.localhost"],
        &["redirect", "add", "blog", "a.localhost", "https://b.localhost/", "--permanent", "--temporary"],
        &["maintenance", "on", "blog", "--allow", "example.com"],
    ] {
        assert_eq!(home.kennel(args).output().unwrap().status.code(), Some(64), "{args:?}");
    }
    assert!(host.requests().is_empty());
}
