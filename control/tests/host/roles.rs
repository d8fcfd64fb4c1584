//! The matrix of roles: every operation of `openapi.json`, asked for by everybody there can be, about a tenant that is theirs and
//! one that is not. What is to be answered stands here once more, apart from the table that control decides by.

use std::collections::BTreeMap;

use http_body_util::{BodyExt, Empty};
use hyper::{Method, StatusCode};
use kennel_control::http::ROUTES;
use kennel_control::people::rights::Right;
use kennel_model::account::Role;
use kennel_model::api::Problem;
use kennel_model::token::TokenMade;
use serde_json::json;

use crate::support::client::{Client, key};
use crate::support::{Host, openapi, two_tenants};

/// The least that each operation takes.
const LEAST: &[(&str, &str)] = &[
    ("anybody", "ping challenge signIn"),
    ("viewer", "openapi whoami tenants tenant releases logs tenantAccess tenantTraffic tenantDenials"),
    ("viewer", "egress usage tenantUsage timeline domains redirects pageOfTenant"),
    ("viewer", "processes timetable runtimes jobs job jobEvents"),
    (
        "deployer",
        "deploy releaseFiles rollback promote moveTenant env changeEnv exec scale addJob removeJob runJob",
    ),
    ("deployer", "saveData replaceData saveRelease backup"),
    ("owner", "start stop sleep beginMaintenance endMaintenance setPageOfTenant removePageOfTenant audit"),
    ("in person", "tokens addToken removeToken"),
    (
        "operator",
        "doctor repair host powerOff reboot attest prove addTenant removeTenant setLimits addEgress removeEgress",
    ),
    (
        "operator",
        "access traffic denials top certificates addCertificate removeCertificate addDomain removeDomain",
    ),
    ("operator", "addRedirect removeRedirect page setPage removePage acme acmeOn acmeOff acmeRetry"),
    ("operator", "accounts addAccount setAccount removeAccount addAccountKey removeAccountKey"),
    ("metrics", "metrics"),
];

/// Somebody who asks.
struct Person {
    title: &'static str,
    client: Client,
    /// What their account may; nothing of who has none.
    role: Option<Role>,
    /// The most that their token gives, if it is one.
    token: Option<Option<Role>>,
}

fn level(word: &str) -> Role {
    Role::ALL.into_iter().find(|role| role.as_str() == word).unwrap()
}

impl Person {
    /// The code of the refusal; nothing, where they are let in.
    fn expected(&self, least: &str, theirs: bool) -> Option<&'static str> {
        let Some(role) = self.role else {
            return match (least, self.token) {
                ("anybody", _) | ("metrics", Some(_)) => None,
                (_, Some(_)) => Some("out-of-scope"),
                (_, None) => Some("sign-in-required"),
            };
        };
        let (needed, in_person) = match least {
            "anybody" => return None,
            "in person" => (Role::Viewer, true),
            "metrics" => (Role::Operator, false),
            word => (level(word), false),
        };
        match self.token {
            Some(most) if in_person || most < Some(needed) => Some("out-of-scope"),
            _ if role < needed => Some("role-too-low"),
            _ if !theirs && role < Role::Operator => Some("not-your-tenant"),
            _ => None,
        }
    }
}

/// Everybody there can be; those below an operator have the tenant `blog`.
async fn everybody(host: &Host, operator: &Client) -> Vec<Person> {
    let mut people = vec![
        Person { title: "nobody", client: host.stranger(), role: None, token: None },
        Person { title: "user-data", client: operator.clone(), role: Some(Role::Operator), token: None },
    ];
    for (seed, role) in (10..).zip(Role::ALL) {
        let tenants: &[&str] = if role == Role::Operator { &[] } else { &["blog"] };
        let keys = [key(seed).public_key().to_openssh().unwrap()];
        let wish = json!({"name": role.as_str(), "role": role, "tenants": tenants, "keys": keys});
        assert_eq!(operator.post("/v1/accounts", &wish).await.status, StatusCode::CREATED);
        let mut client = host.stranger();
        assert_eq!(client.sign_in(&key(seed)).await.status, StatusCode::CREATED);
        people.push(Person { title: role.as_str(), client, role: Some(role), token: None });
    }
    for (title, scope, account, role, most) in [
        ("owner's, to read", "read", Some("owner"), Some(Role::Owner), Some(Role::Viewer)),
        ("owner's, to deploy", "deploy", Some("owner"), Some(Role::Owner), Some(Role::Deployer)),
        ("owner's, to manage", "manage", Some("owner"), Some(Role::Owner), Some(Role::Owner)),
        ("viewer's, to manage", "manage", Some("viewer"), Some(Role::Viewer), Some(Role::Owner)),
        ("operator's, to manage", "manage", Some("operator"), Some(Role::Operator), Some(Role::Owner)),
        ("for metrics", "metrics", None, None, None),
    ] {
        let wish = json!({"name": format!("t{}", people.len()), "scope": scope, "account": account});
        let made: TokenMade = operator.post("/v1/tokens", &wish).await.expect(StatusCode::CREATED);
        let mut client = host.stranger();
        client.token = Some(made.secret);
        people.push(Person { title, client, role, token: Some(most) });
    }
    people
}

/// Whether they were let in, and the code if not. What is answered else is no matter here.
async fn asked(client: &Client, method: &Method, path: &str) -> Option<String> {
    let answer = client.begin(method.clone(), path, "", Empty::new()).await.unwrap();
    if !matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return None;
    }
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    Some(serde_json::from_slice::<Problem>(&body).unwrap().code)
}

#[tokio::test]
async fn every_operation_asked_for_by_everybody() {
    let (host, operator) = two_tenants().await;
    let people = everybody(&host, &operator).await;
    let least: BTreeMap<&str, &str> =
        LEAST.iter().flat_map(|(least, names)| names.split(' ').map(|name| (name, *least))).collect();
    let (mut asked_for, mut wrong) = (0, Vec::new());
    for (method, pattern, _) in ROUTES {
        let item = &openapi::document()["paths"][pattern][method.as_str().to_lowercase()];
        let id = item["operationId"].as_str().unwrap();
        let least = least.get(id).unwrap_or_else(|| panic!("what does {id} take?"));
        let path = pattern.replace("{number}", "9").replace("{domain}", "none.test");
        let path =
            path.replace("{token}", "none").replace("{account}", "none").replace("{certificate}", "none.test");
        for person in &people {
            // An operator who is let in would remove what the others are still to ask for.
            let own = if person.role == Some(Role::Operator) { "ghost" } else { "blog" };
            let tenants: &[&str] = if path.contains("{name}") { &[own, "shop"] } else { &[own] };
            let harmful = person.role == Some(Role::Operator) && *method == Method::DELETE;
            for tenant in tenants.iter().filter(|tenant| !(harmful && **tenant == "shop")) {
                let expected = person.expected(least, *tenant == own);
                let seen = asked(&person.client, method, &path.replace("{name}", tenant)).await;
                asked_for += 1;
                if seen.as_deref() != expected {
                    wrong.push(format!(
                        "{} {method} {path} of {tenant}: {seen:?}, not {expected:?}",
                        person.title
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked_for > ROUTES.len() * people.len(), "{asked_for}");
}

/// The table of docs/accounts.md, from the one that control decides by.
#[test]
fn the_documented_table_is_the_one_that_decides() {
    let mut rows = String::from("| operation | takes |\n|---|---|\n");
    for (method, path, endpoint) in ROUTES {
        let takes = match endpoint.right().unwrap() {
            Right::Anybody => "nothing".to_owned(),
            Right::From(role) => role.as_str().to_owned(),
            Right::InPerson(role) => format!("{}, signed in with a key", role.as_str()),
            Right::Scraped => "operator, or a token for metrics".to_owned(),
        };
        rows += &format!("| `{method} {path}` | {takes} |\n");
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/accounts.md");
    let page = std::fs::read_to_string(file).unwrap();
    let (begin, end) = ("<!-- rights: made by a test -->\n", "<!-- end of rights -->\n");
    let (head, rest) = page.split_once(begin).unwrap();
    let (table, tail) = rest.split_once(end).unwrap();
    if std::env::var_os("KENNEL_REWRITE").is_some() {
        std::fs::write(file, format!("{head}{begin}{rows}{end}{tail}")).unwrap();
        return;
    }
    assert_eq!(table, rows, "KENNEL_REWRITE=1 writes it anew");
}
