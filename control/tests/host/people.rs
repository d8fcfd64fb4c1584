//! Accounts, the tokens of accounts, and the log of who did what.

use http_body_util::{BodyExt, Empty};
use hyper::{Method, StatusCode};
use kennel_model::SlotId;
use kennel_model::account::{Account, Role, Whoami};
use kennel_model::api::{Deployed, Release, Tenant};
use kennel_model::audit::{Audit, AuditEntry};
use kennel_model::msg::{Cause, ControlRequest};
use kennel_model::routing::DomainOf;
use kennel_model::seeing::Transition;
use kennel_model::token::{Token, TokenMade};
use serde_json::json;

use crate::support::client::{Client, key};
use crate::support::{Host, archive, two_tenants, wish};

fn public(seed: u8) -> String {
    key(seed).public_key().to_openssh().unwrap()
}

fn fingerprint(seed: u8) -> String {
    key(seed).public_key().fingerprint(ssh_key::HashAlg::Sha256).to_string()
}

/// Makes an account with the key of this seed, and signs in with it.
async fn account(host: &Host, operator: &Client, name: &str, role: Role, tenants: &[&str], seed: u8) -> Client {
    let wish = json!({"name": name, "role": role, "tenants": tenants, "keys": [public(seed)]});
    operator.post("/v1/accounts", &wish).await.expect::<Account>(StatusCode::CREATED);
    let mut client = host.stranger();
    assert_eq!(client.sign_in(&key(seed)).await.status, StatusCode::CREATED);
    client
}

async fn token(of: &Client, wish: serde_json::Value) -> TokenMade {
    of.post("/v1/tokens", &wish).await.expect(StatusCode::CREATED)
}

fn with(host: &Host, secret: &str) -> Client {
    let mut client = host.stranger();
    client.token = Some(secret.to_owned());
    client
}

async fn entries(of: &Client, query: &str) -> Vec<AuditEntry> {
    of.get(&format!("/v1/audit{query}")).await.expect::<Audit>(StatusCode::OK).entries
}

/// Every operation about accounts and the audit log, with success.
pub(crate) async fn each_operation(operator: &Client) {
    let wish = json!({"name": "eve", "role": "operator", "keys": [public(90)]});
    operator.post("/v1/accounts", &wish).await.expect::<Account>(StatusCode::CREATED);
    operator.get("/v1/accounts").await.expect::<Vec<Account>>(StatusCode::OK);
    let rights = json!({"role": "operator"});
    operator.put("/v1/accounts/eve", &rights).await.expect::<Account>(StatusCode::OK);
    let more = json!({"key": public(91)});
    operator.post("/v1/accounts/eve/keys", &more).await.expect::<Account>(StatusCode::CREATED);
    let path = format!("/v1/accounts/eve/keys?fingerprint={}", fingerprint(91));
    operator.delete(&path).await.expect::<Account>(StatusCode::OK);
    assert_eq!(operator.delete("/v1/accounts/eve").await.status, StatusCode::NO_CONTENT);
    operator.get("/v1/session").await.expect::<Whoami>(StatusCode::OK);
    assert!(!entries(operator, "").await.is_empty());
}

#[tokio::test]
async fn an_account_does_what_its_role_says_under_its_name() {
    let (host, operator) = two_tenants().await;
    let ada = account(&host, &operator, "ada", Role::Deployer, &["blog"], 20).await;
    let whoami: Whoami = ada.get("/v1/session").await.expect(StatusCode::OK);
    assert_eq!((whoami.by.as_str(), whoami.role), ("ada", Role::Deployer));
    assert_eq!(whoami.tenants, Some(vec!["blog".parse().unwrap()]));
    let listed: Vec<Tenant> = ada.get("/v1/tenants").await.expect(StatusCode::OK);
    assert_eq!(listed.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["blog"]);
    let routed: Vec<DomainOf> = ada.get("/v1/domains").await.expect(StatusCode::OK);
    assert!(!routed.is_empty() && routed.iter().all(|of| of.tenant.as_str() == "blog"));
    for n in 1..=2 {
        let deployed: Deployed =
            ada.deploy("blog", archive(&[("server.js", n)])).await.expect(StatusCode::CREATED);
        assert_eq!(deployed.release.by, "ada");
    }
    assert_eq!(ada.post("/v1/tenants/blog/rollback", &json!({})).await.status, StatusCode::OK);
    let timeline: Vec<Transition> = ada.get("/v1/tenants/blog/timeline").await.expect(StatusCode::OK);
    assert!(timeline.iter().any(|t| t.reason == "rolled back from r2 to r1 by ada"), "{timeline:?}");
    let refused = ada.deploy("shop", archive(&[("server.js", 1)])).await;
    assert_eq!(
        refused.expect::<serde_json::Value>(StatusCode::FORBIDDEN)["message"],
        "ada has nothing to do with the tenant shop"
    );
    let refused = ada.put("/v1/tenants/blog/limits", &wish("x").limits).await;
    let problem: serde_json::Value = refused.expect(StatusCode::FORBIDDEN);
    assert_eq!(problem["message"], "ada is a deployer, and this takes an operator");
    let releases: Vec<Release> = operator.get("/v1/tenants/shop/releases").await.expect(StatusCode::OK);
    assert!(releases.is_empty());
}

#[tokio::test]
async fn what_is_taken_away_is_gone_at_once() {
    let (host, operator) = two_tenants().await;
    let ada = account(&host, &operator, "ada", Role::Owner, &["blog", "shop"], 20).await;
    assert_eq!(ada.post("/v1/tenants/shop/stop", &()).await.status, StatusCode::OK);
    ada.deploy("shop", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    assert_eq!(ada.post("/v1/tenants/shop/start", &()).await.status, StatusCode::OK);
    let started = ControlRequest::Start(SlotId::new(1).unwrap(), Cause::from("ada".to_owned()));
    assert!(host.world.lock().requests.contains(&started), "woken by her, and not by an operator");
    let made = token(&ada, json!({"name": "ci", "scope": "manage"})).await;
    let ci = with(&host, &made.secret);
    let follow = "/v1/tenants/shop/logs?follow=true";
    let mut streams = Vec::new();
    for client in [&ada, &ci] {
        streams.push(client.begin(Method::GET, follow, "", Empty::new()).await.unwrap());
    }
    let rights = json!({"role": "viewer", "tenants": ["blog"]});
    operator.put("/v1/accounts/ada", &rights).await.expect::<Account>(StatusCode::OK);
    for stream in streams {
        assert!(stream.into_body().collect().await.is_err(), "it breaks off");
    }
    for client in [&ada, &ci] {
        assert_eq!(client.get("/v1/tenants/blog").await.status, StatusCode::OK);
        assert_eq!(client.get("/v1/tenants/shop").await.code(), "not-your-tenant");
        assert_eq!(client.post("/v1/tenants/blog/stop", &()).await.code(), "role-too-low");
    }
    let path = format!("/v1/accounts/ada/keys?fingerprint={}", fingerprint(20));
    operator.delete(&path).await.expect::<Account>(StatusCode::OK);
    assert_eq!(ada.get("/v1/tenants/blog").await.code(), "sign-in-required");
    assert_eq!(ada.clone().sign_in(&key(20)).await.code(), "sign-in-refused");
    assert_eq!(ci.get("/v1/tenants/blog").await.status, StatusCode::OK, "its token has no part in the key");
    operator
        .post("/v1/accounts/ada/keys", &json!({"key": public(20)}))
        .await
        .expect::<Account>(StatusCode::CREATED);
    assert_eq!(
        ada.get("/v1/tenants/blog").await.code(),
        "sign-in-required",
        "what has ended does not come back"
    );
    let mut ada = ada.clone();
    assert_eq!(ada.sign_in(&key(20)).await.status, StatusCode::CREATED);
    assert_eq!(ada.get("/v1/tenants/blog").await.status, StatusCode::OK);
    assert_eq!(operator.delete("/v1/accounts/ada").await.status, StatusCode::NO_CONTENT);
    assert_eq!(ada.get("/v1/tenants/blog").await.code(), "sign-in-required");
    assert_eq!(ci.get("/v1/tenants/blog").await.code(), "token-revoked");
    assert_eq!(ada.clone().sign_in(&key(20)).await.code(), "sign-in-refused");
}

#[tokio::test]
async fn a_token_says_whether_it_was_revoked_or_has_expired() {
    let (mut host, operator) = two_tenants().await;
    let ada = account(&host, &operator, "ada", Role::Deployer, &["blog", "shop"], 20).await;
    let wish = json!({"name": "ci", "scope": "deploy", "tenants": ["blog"], "expires_in_s": 3600});
    let made = token(&ada, wish).await;
    let secret: kennel_model::token::Secret = made.secret.parse().unwrap();
    let pin = kennel_control::certificate::Certificate::load_or_make(&host.config.certificate_file()).unwrap();
    assert_eq!(secret.certificate(), pin.digest(), "it names its host");
    let later = token(&ada, json!({"name": "later", "scope": "read"})).await;
    assert_eq!(later.token.expires_at_s, Some(later.token.created_at_s + 90 * 86_400));
    let ci = with(&host, &made.secret);
    let deployed: Deployed = ci.deploy("blog", archive(&[("server.js", 1)])).await.expect(StatusCode::CREATED);
    assert_eq!(deployed.release.by, "ada");
    assert_eq!(ci.deploy("shop", vec![]).await.code(), "not-your-tenant");
    assert_eq!(ci.post("/v1/tenants/blog/stop", &()).await.code(), "out-of-scope");
    let listed: Vec<Token> = ada.get("/v1/tokens").await.expect(StatusCode::OK);
    assert!(listed[0].name.as_str() == "ci" && listed[0].used_at_s.is_some() && listed[1].used_at_s.is_none());
    assert_eq!(ci.get("/v1/tokens").await.code(), "out-of-scope", "only who has signed in sees tokens");

    host.stop();
    let registry = rusqlite::Connection::open(host.config.registry_file()).unwrap();
    registry.execute("UPDATE tokens SET expires_at_s = 1 WHERE name = 'ci'", []).unwrap();
    drop(registry);
    host.restart();
    let ci = with(&host, &made.secret);
    let expired: serde_json::Value = ci.get("/v1/tenants").await.expect(StatusCode::UNAUTHORIZED);
    assert_eq!(
        (&expired["code"], &expired["message"]),
        (&json!("token-expired"), &json!("the token ci has expired"))
    );
    let operator = host.operator().await;
    assert_eq!(operator.delete("/v1/tokens/ci").await.status, StatusCode::NO_CONTENT);
    let revoked: serde_json::Value = ci.get("/v1/tenants").await.expect(StatusCode::UNAUTHORIZED);
    assert_eq!(
        (&revoked["code"], &revoked["message"]),
        (&json!("token-revoked"), &json!("the token ci was revoked"))
    );
    assert_eq!(operator.get("/v1/tokens").await.expect::<Vec<Token>>(StatusCode::OK).len(), 1);
}

#[tokio::test]
async fn nobody_makes_a_token_for_more_than_is_theirs() {
    let (host, operator) = two_tenants().await;
    let ada = account(&host, &operator, "ada", Role::Owner, &["blog"], 20).await;
    let ben = account(&host, &operator, "ben", Role::Viewer, &["shop"], 21).await;
    for (wish, code) in [
        (json!({"name": "x", "scope": "read", "account": "ben"}), "role-too-low"),
        (json!({"name": "x", "scope": "metrics"}), "role-too-low"),
        (json!({"name": "x", "scope": "read", "tenants": ["shop"]}), "not-your-tenant"),
        (json!({"name": "x", "scope": "read", "expires_in_s": 0}), "invalid-token"),
        (json!({"name": "x", "scope": "read", "expires_in_s": 367 * 86_400}), "invalid-token"),
    ] {
        assert_eq!(ada.post("/v1/tokens", &wish).await.code(), code, "{wish}");
    }
    for (wish, code) in [
        (json!({"name": "x", "scope": "read"}), "invalid-token"),
        (json!({"name": "x", "scope": "read", "account": "eve"}), "no-such-account"),
        (json!({"name": "x", "scope": "metrics", "account": "ada"}), "invalid-token"),
        (json!({"name": "x", "scope": "everything"}), "bad-request"),
    ] {
        assert_eq!(operator.post("/v1/tokens", &wish).await.code(), code, "{wish}");
    }
    token(&ada, json!({"name": "adas", "scope": "read"})).await;
    assert_eq!(ben.get("/v1/tokens").await.expect::<Vec<Token>>(StatusCode::OK).len(), 0);
    assert_eq!(ben.delete("/v1/tokens/adas").await.code(), "no-such-token");
    assert_eq!(ada.delete("/v1/tokens/adas").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn accounts_that_make_no_sense_are_not_made() {
    let (_host, operator) = two_tenants().await;
    for (wish, code) in [
        (json!({"name": "ada", "role": "viewer"}), "invalid-account"),
        (json!({"name": "ada", "role": "operator", "tenants": ["blog"]}), "invalid-account"),
        (json!({"name": "ada", "role": "viewer", "tenants": ["nope"]}), "no-such-tenant"),
        (json!({"name": "ada", "role": "viewer", "tenants": ["blog"], "keys": ["ssh-rsa AAAA"]}), "bad-key"),
        (json!({"name": "ada", "role": "owner", "tenants": ["blog"], "keys": [public(1)]}), "key-taken"),
        (json!({"name": "Ada", "role": "operator"}), "bad-request"),
        (json!({"name": "ada", "role": "root"}), "bad-request"),
    ] {
        assert_eq!(operator.post("/v1/accounts", &wish).await.code(), code, "{wish}");
    }
    for path in ["/v1/accounts/ada", "/v1/accounts/NO"] {
        assert_eq!(operator.delete(path).await.code(), "no-such-account");
    }
    assert_eq!(operator.get("/v1/accounts").await.expect::<Vec<Account>>(StatusCode::OK), []);
    let named = json!({"name": "ada", "role": "operator", "keys": [public(1)]});
    operator.post("/v1/accounts", &named).await.expect::<Account>(StatusCode::CREATED);
    assert_eq!(operator.post("/v1/accounts", &named).await.code(), "account-exists");
    let whoami: Whoami = operator.get("/v1/session").await.expect(StatusCode::OK);
    assert!(whoami.by.starts_with("SHA256:"), "known by the key until the next sign-in");
    let mut again = operator.clone();
    again.sign_in(&key(1)).await;
    let whoami: Whoami = again.get("/v1/session").await.expect(StatusCode::OK);
    assert_eq!((whoami.by.as_str(), whoami.role, whoami.tenants), ("ada", Role::Operator, None));
}

#[tokio::test]
async fn nothing_in_the_registry_keeps_an_operator_out() {
    for damage in [
        "UPDATE accounts SET role = 'nonsense'",
        "INSERT INTO accounts VALUES ('', 'viewer', '', 0); UPDATE account_keys SET account = ''",
        "PRAGMA foreign_keys = OFF; DROP TABLE accounts",
        "PRAGMA foreign_keys = OFF; DROP TABLE account_keys; DROP TABLE tokens; DROP TABLE revoked_tokens",
        "DROP TABLE audit",
    ] {
        let mut host = Host::start();
        let operator = host.operator().await;
        let wish = json!({"name": "ada", "role": "operator", "keys": [public(1), public(20)]});
        operator.post("/v1/accounts", &wish).await.expect::<Account>(StatusCode::CREATED);
        host.stop();
        let registry = rusqlite::Connection::open(host.config.registry_file()).unwrap();
        registry.execute_batch(damage).unwrap();
        drop(registry);
        host.restart();
        let operator = host.operator().await;
        assert_eq!(operator.get("/v1/tenants").await.status, StatusCode::OK, "{damage}");
        let made = operator.post("/v1/tenants", &super::support::wish("blog")).await;
        assert_eq!(made.status, StatusCode::CREATED, "{damage}");
        assert_eq!(operator.post("/v1/host/reboot", &()).await.status, StatusCode::ACCEPTED, "{damage}");
        let mut ada = host.stranger();
        let signed_in = ada.sign_in(&key(20)).await.status.is_success();
        assert!(!signed_in || damage.contains("audit"), "{damage}: others are kept out");
    }
}

#[tokio::test]
async fn the_log_says_who_did_what_and_no_secret() {
    let (host, operator) = two_tenants().await;
    let ada = account(&host, &operator, "ada", Role::Owner, &["blog"], 20).await;
    let made = token(&ada, json!({"name": "ci", "scope": "deploy"})).await;
    let ci = with(&host, &made.secret);
    ci.deploy("blog", archive(&[("server.js", 1)])).await.expect::<Deployed>(StatusCode::CREATED);
    let env = json!({"set": {"PASSWORD": "hunter2"}});
    assert_eq!(ci.post("/v1/tenants/blog/env", &env).await.status, StatusCode::OK);
    assert_eq!(ci.delete("/v1/tenants/shop").await.code(), "out-of-scope");
    assert_eq!(ada.post("/v1/tenants/blog/rollback", &json!({"to": 9})).await.code(), "no-such-release");
    assert_eq!(operator.post("/v1/tenants/shop/stop", &()).await.status, StatusCode::OK);
    assert_eq!(ada.get("/v1/tenants/blog").await.status, StatusCode::OK, "who looks is not written down");
    assert_eq!(ada.get("/v1/tenants/shop").await.code(), "not-your-tenant", "who may not look is");

    let all = entries(&operator, "").await;
    let told: Vec<_> = all
        .iter()
        .map(|e| {
            let who = e.account.as_ref().map(ToString::to_string).unwrap_or_default();
            let token = e.token.as_ref().map(ToString::to_string).unwrap_or_default();
            let tenant = e.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{who} {token} {} {tenant} {} {}", e.act, e.result, e.detail)
        })
        .collect();
    assert_eq!(
        told,
        [
            "  sign-in  done ",
            "  add-tenant blog done node-24, blog.test",
            "  add-tenant shop done node-24, shop.test",
            "  add-account  done ada, owner of blog, 1 key",
            "ada  sign-in  done ",
            "ada  add-token  done ci for deploy",
            "ada ci deploy blog done r1",
            "ada ci change-env blog done set PASSWORD",
            "ada ci remove-tenant shop out-of-scope ",
            "ada  rollback blog no-such-release to r9",
            "  stop shop done ",
            "ada  tenant shop not-your-tenant ",
        ]
    );
    assert!(all.iter().all(|e| e.from == "127.0.0.1" && (e.key.is_some() != e.token.is_some())));
    let text = serde_json::to_string(&all).unwrap();
    assert!(!text.contains("hunter2") && !text.contains(&made.secret) && !text.contains("ssh-ed25519"));
    assert_eq!(entries(&operator, "?tenant=shop&lines=1").await[0].act, "tenant");
    let theirs = entries(&ada, "").await;
    assert!(
        theirs.len() == 4 && theirs.iter().all(|e| e.tenant == Some("blog".parse().unwrap())),
        "{theirs:?}"
    );
    assert_eq!(operator.get("/v1/audit?follow=true").await.code(), "bad-request");
    // What was done to a tenant is no business of whoever has another of its name.
    assert_eq!(operator.delete("/v1/tenants/blog").await.status, StatusCode::NO_CONTENT);
    assert_eq!(entries(&ada, "").await, []);
}

#[tokio::test]
async fn who_tries_to_get_in_is_counted_and_fills_no_log() {
    let host = Host::start();
    let operator = host.operator().await;
    let mut stranger = host.stranger();
    for _ in 0..20 {
        assert_eq!(stranger.sign_in(&key(66)).await.code(), "sign-in-refused");
    }
    assert_eq!(with(&host, "kennel_deploy_x").get("/v1/tenants").await.code(), "sign-in-required");
    assert_eq!(host.stranger().get("/v1/tenants").await.code(), "sign-in-required");
    let audit: Audit = operator.get("/v1/audit").await.expect(StatusCode::OK);
    assert_eq!(audit.refused, Some(21), "who shows nothing tries nothing");
    let refused: Vec<_> = audit.entries.iter().filter(|e| e.result == "sign-in-refused").collect();
    assert_eq!((refused.len(), audit.entries.len()), (1, 2));
    assert_eq!((refused[0].act.as_str(), refused[0].from.as_str()), ("sign-in", "127.0.0.1"));
    assert!(refused[0].account.is_none() && refused[0].key.is_none());
}

#[tokio::test]
async fn accounts_leave_connections_to_operators() {
    let (host, operator) = two_tenants().await;
    let ada = account(&host, &operator, "ada", Role::Viewer, &["blog"], 20).await;
    let follow = "/v1/tenants/blog/logs?follow=true";
    let mut streams = Vec::new();
    for _ in 0..16 {
        let answer = ada.begin(Method::GET, follow, "", Empty::new()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        streams.push(answer);
    }
    assert_eq!(ada.get(follow).await.code(), "too-many-streams");
    assert_eq!(ada.get("/v1/tenants/blog").await.status, StatusCode::OK);
    let theirs = operator.begin(Method::GET, follow, "", Empty::new()).await.unwrap();
    assert_eq!(theirs.status(), StatusCode::OK);
    drop(streams);
    // The host sees that they hung up when it sees it.
    loop {
        let answer = ada.begin(Method::GET, follow, "", Empty::new()).await.unwrap();
        if answer.status() == StatusCode::OK {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
