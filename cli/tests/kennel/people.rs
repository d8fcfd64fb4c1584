//! Accounts, the audit log, and what is shown instead of a key.

use std::process::Output;

use kennel_model::account::{Account, AccountKey, Role, Whoami};
use kennel_model::audit::{Audit, AuditEntry};
use kennel_model::token::{Scope, Secret};
use serde_json::{Value, json};

use crate::support::{FakeHost, Home, at_home};

/// What the stand-in answers about people; nothing, where it is about something else.
pub(crate) fn answer(method: &str, path: &str) -> Option<(u16, Value)> {
    let account = || Account {
        name: "ada".parse().unwrap(),
        role: Role::Deployer,
        tenants: vec!["blog".parse().unwrap()],
        keys: vec![AccountKey { fingerprint: "SHA256:k".into(), comment: "ada\u{1b}[2J".into() }],
        by: "SHA256:x".into(),
        created_at_s: 1,
    };
    let entry = || AuditEntry {
        at_ms: 1_700_000_000_000,
        account: Some("ada".parse().unwrap()),
        key: None,
        token: Some("ci".parse().unwrap()),
        from: "192.0.2.1".into(),
        act: "deploy".into(),
        tenant: Some("blog".parse().unwrap()),
        detail: "r7".into(),
        result: "done".into(),
    };
    Some(match (method, path) {
        ("GET", "/v1/session") => {
            let tenants = Some(vec!["blog".parse().unwrap()]);
            let account = Some("ada".parse().unwrap());
            (200, json!(Whoami { by: "ada".into(), account, role: Role::Deployer, tenants, token: None }))
        }
        ("GET", "/v1/accounts") => (200, json!([account()])),
        ("POST", "/v1/accounts" | "/v1/accounts/ada/keys") => (201, json!(account())),
        ("PUT", "/v1/accounts/ada") | ("DELETE", "/v1/accounts/ada/keys") => (200, json!(account())),
        ("GET", "/v1/audit") => (200, json!(Audit { entries: vec![entry()], forgotten: 3, refused: Some(2) })),
        _ => return None,
    })
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn secret_of(host: &FakeHost) -> Secret {
    let secret = Secret::new(Scope::Deploy, &[5; 32], *host.fingerprint.bytes());
    host.state.lock().unwrap().tokens.push(secret.expose().to_owned());
    secret
}

#[test]
fn accounts_are_made_changed_listed_and_told() {
    let (home, host) = at_home();
    let run = |args: &[&str]| home.kennel(args).output().unwrap();
    let key = home.path(".config/kennel/id_ed25519").display().to_string();
    let made = run(&["account", "add", "ada", "--role", "deployer", "--tenant", "blog", "--key", &key]);
    assert_eq!(out(&made), "ada is a deployer of blog\n  SHA256:k ada\n", "{}", err(&made));
    assert!(run(&["account", "set", "ada", "--role", "owner", "--tenant", "blog"]).status.success());
    assert!(run(&["account", "key", "add", "ada", &key]).status.success());
    assert!(run(&["account", "key", "rm", "ada", "SHA256:k/+"]).status.success());
    assert!(run(&["account", "key", "rm", "ada", &key]).status.success());
    let listed = out(&run(&["account", "ls"]));
    assert!(listed.contains("ada   deployer  blog") && !listed.contains('\u{1b}'), "{listed:?}");
    assert_eq!(out(&run(&["login"])), "local knows you as ada: a deployer of blog\n");
    let log = run(&["audit", "--tenant", "blog", "--since", "2h", "-n", "7"]);
    assert!(out(&log).contains("ada (token ci)  192.0.2.1  deploy  blog    done    r7"), "{}", out(&log));
    assert!(err(&log).contains("3 older entries") && err(&log).contains("2 attempts"), "{}", err(&log));
    let asked = host.requests();
    for request in [
        "POST /v1/accounts",
        "PUT /v1/accounts/ada",
        "DELETE /v1/accounts/ada/keys?fingerprint=SHA256:k/+",
        "GET /v1/audit?lines=7&tenant=blog&since_s=7200",
    ] {
        assert!(asked.iter().any(|r| r == request), "{asked:?}");
    }
    assert_eq!(host.state.lock().unwrap().sign_ins, 2, "the first command, and the login");
    assert_eq!(run(&["account", "add", "ada"]).status.code(), Some(64), "a role is chosen");
}

#[test]
fn an_address_and_a_token_are_enough() {
    let home = Home::new();
    let host = FakeHost::start(vec![]);
    let secret = secret_of(&host);
    home.file("site/server.js", "1");
    let url = format!("https://{}", host.address);
    let run = |token: &str, args: &[&str]| home.kennel(args).env("KENNEL_TOKEN", token).output().unwrap();
    let args = ["--host", &url, "deploy", "blog", "site"];
    let deployed = run(&format!("{}\n", secret.expose()), &args);
    assert!(deployed.status.success(), "{}", err(&deployed));
    assert_eq!(host.state.lock().unwrap().sign_ins, 0);
    assert!(!home.path(".local/state/kennel/sessions").exists(), "it is kept nowhere");

    host.state.lock().unwrap().tokens.clear();
    let refused = run(secret.expose(), &args);
    assert_eq!(refused.status.code(), Some(2));
    let asked = host.requests().len();
    let other = Secret::new(Scope::Deploy, &[5; 32], [1; 32]);
    let refused = run(other.expose(), &args);
    assert!(err(&refused).contains("shows the certificate"), "{}", err(&refused));
    home.know(&host);
    let refused = run(other.expose(), &args[2..]);
    assert!(err(&refused).contains("KENNEL_TOKEN is for another host than local"), "{}", err(&refused));
    assert_eq!(host.requests().len(), asked, "nobody was shown it");
    let wrong = run("kennel_deploy_hunter2", &args);
    assert_eq!(wrong.status.code(), Some(64));
    assert!(err(&wrong).contains("is no token") && !err(&wrong).contains("hunter2"), "{}", err(&wrong));
    let alone = home.kennel(&args).output().unwrap();
    assert_eq!(alone.status.code(), Some(64));
    assert!(err(&alone).contains("does not say which certificate to trust"), "{}", err(&alone));
}

#[test]
fn the_host_that_is_spoken_to_can_be_chosen() {
    let (home, host) = at_home();
    let known = std::fs::read_to_string(home.path(".config/kennel/hosts.toml")).unwrap();
    home.file(".config/kennel/hosts.toml", &known.replace("local", "edge").replace("current = \"edge\"\n", ""));
    let more = known.lines().skip(1).collect::<Vec<_>>().join("\n").replace("local", "berlin");
    let both = std::fs::read_to_string(home.path(".config/kennel/hosts.toml")).unwrap() + &more;
    home.file(".config/kennel/hosts.toml", &both);
    let several = home.kennel(&["tenant", "ls"]).output().unwrap();
    assert!(err(&several).contains("kennel host use NAME"), "{}", err(&several));
    let chosen = home.kennel(&["host", "use", "berlin"]).output().unwrap();
    assert!(out(&chosen).contains("commands speak to berlin from now on"), "{}", err(&chosen));
    assert!(home.kennel(&["tenant", "ls"]).output().unwrap().status.success());
    assert!(out(&home.kennel(&["host", "ls"]).output().unwrap()).contains("berlin*"));
    assert!(!home.kennel(&["host", "use", "paris"]).output().unwrap().status.success());
    drop(host);
}
