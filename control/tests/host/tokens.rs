//! Programs that cannot sign in show a token: good for its scope and nothing else, until it is revoked.

use hyper::StatusCode;
use kennel_model::token::{NewToken, Scope, Token, TokenMade};

use crate::support::client::Client;
use crate::support::{Host, openapi};

fn wish(name: &str) -> NewToken {
    NewToken {
        name: name.parse().unwrap(),
        scope: Scope::Metrics,
        account: None,
        tenants: vec![],
        expires_in_s: None,
    }
}

/// Somebody who shows this, and nothing else.
fn with(host: &Host, secret: &str) -> Client {
    let mut stranger = host.stranger();
    stranger.token = Some(secret.to_owned());
    stranger
}

#[tokio::test]
async fn a_token_reads_metrics_and_nothing_else_until_it_is_removed() {
    let mut host = Host::start();
    let operator = host.operator().await;
    let made: TokenMade = operator.post("/v1/tokens", &wish("prometheus")).await.expect(StatusCode::CREATED);
    assert!(made.secret.starts_with("kennel_metrics_") && made.secret.len() > 50, "{}", made.secret);
    assert!(made.token.by.starts_with("SHA256:"));
    assert_eq!(operator.post("/v1/tokens", &wish("prometheus")).await.code(), "token-exists");
    let scraper = with(&host, &made.secret);
    let page = scraper.get("/v1/metrics").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(String::from_utf8_lossy(&page.body).contains("kennel_"));
    for path in ["/v1/host", "/v1/tenants", "/v1/tokens", "/v1/top"] {
        assert_eq!(scraper.get(path).await.code(), "out-of-scope", "{path}");
    }
    assert_eq!(scraper.post("/v1/tokens", &wish("more")).await.code(), "out-of-scope");
    assert_eq!(scraper.delete("/v1/tokens/prometheus").await.code(), "out-of-scope");

    host.stop();
    host.restart();
    let scraper = with(&host, &made.secret);
    assert_eq!(scraper.get("/v1/metrics").await.status, StatusCode::OK, "it outlives control");
    let operator = host.operator().await;
    let known = operator.get("/v1/tokens").await;
    assert!(!String::from_utf8_lossy(&known.body).contains(&made.secret));
    let [known] = &known.expect::<Vec<Token>>(StatusCode::OK)[..] else { panic!("{known:?}") };
    assert_eq!(Token { used_at_s: None, ..known.clone() }, made.token);
    assert!(known.used_at_s.is_some());
    assert_eq!(operator.delete("/v1/tokens/prometheus").await.status, StatusCode::NO_CONTENT);
    assert_eq!(scraper.get("/v1/metrics").await.code(), "token-revoked");
    for name in ["prometheus", "no%20name"] {
        assert_eq!(operator.delete(&format!("/v1/tokens/{name}")).await.code(), "no-such-token");
    }
    assert!(openapi::seen().contains("removeToken"));
}

#[tokio::test]
async fn who_guesses_is_slowed_down_and_operators_are_not() {
    let host = Host::start();
    let operator = host.operator().await;
    let made: TokenMade = operator.post("/v1/tokens", &wish("prometheus")).await.expect(StatusCode::CREATED);
    let guesser = with(&host, "kennel_metrics_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for _ in 0..10 {
        assert_eq!(guesser.get("/v1/metrics").await.code(), "sign-in-required");
    }
    for secret in [guesser.token.as_deref().unwrap(), &made.secret] {
        let answer = with(&host, secret).get("/v1/metrics").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "too-many-wrong"));
        let after: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=60).contains(&after));
    }
    assert_eq!(operator.get("/v1/metrics").await.status, StatusCode::OK);
}
