//! What a tenant is comes out whole, and what comes out makes it again by the operations that there are for each part.

use bytes::Bytes;
use hyper::{Method, StatusCode};
use kennel_model::Limits;
use kennel_model::api::{Deployed, NewTenant, Tenant};
use kennel_model::backup::{Backup, FORMAT};
use kennel_model::data::ARCHIVE;
use kennel_model::env::ChangeEnv;
use serde::Serialize;
use serde_json::json;

use crate::support::client::{Answer, Client};
use crate::support::{archive, deployed, wish};

async fn backup(operator: &Client, name: &str) -> Backup {
    operator.post(&format!("/v1/tenants/{name}/backup"), &()).await.expect(StatusCode::OK)
}

async fn save_release(operator: &Client, name: &str, number: &str) -> Answer {
    let path = format!("/v1/tenants/{name}/releases/{number}/save");
    operator.ask(Method::POST, &path, "application/json", Bytes::new()).await
}

/// For the test of every operation.
pub(crate) async fn each_operation(operator: &Client, name: &str) {
    let tenant: Tenant = operator.get(&format!("/v1/tenants/{name}")).await.expect(StatusCode::OK);
    let told = backup(operator, name).await;
    let serves = told.release.unwrap().id;
    assert_eq!((told.name.as_str(), told.format, Some(serves)), (name, FORMAT, tenant.current));
    let saved = save_release(operator, name, &serves.0.to_string()).await;
    assert_eq!((saved.status, &saved.headers["content-type"]), (StatusCode::OK, &ARCHIVE.parse().unwrap()));
    assert!(!saved.headers.contains_key("content-length"));
    assert_eq!(saved.body, format!("the files of release {}", serves.0));
}

async fn done(operator: &Client, path: &str, body: &impl Serialize) {
    let answer = operator.post(path, body).await;
    assert!(answer.status.is_success(), "{path}: {answer:?}");
}

/// Makes a tenant by what a backup says, under another name.
async fn restore(operator: &Client, kept: &Backup, name: &str) {
    let Backup { runtime, command, limits, .. } = kept.clone();
    let wish =
        NewTenant { name: name.parse().unwrap(), runtime, domains: vec![], command, limits: Limits::default() };
    operator.post("/v1/tenants", &wish).await.expect::<Tenant>(StatusCode::CREATED);
    let path = format!("/v1/tenants/{name}");
    let env = ChangeEnv { set: kept.env.clone(), unset: vec![] };
    done(operator, &format!("{path}/env"), &env).await;
    let release = kept.release.as_ref().unwrap();
    let words: String = release.command.iter().map(|word| format!("&command={word}")).collect();
    let query = format!("runtime={}{words}", release.runtime);
    let deployed = operator.deploy_with(name, &query, archive(&[("index.js", 4)])).await;
    deployed.expect::<Deployed>(StatusCode::CREATED);
    operator.put(&format!("{path}/limits"), &limits).await.expect::<Tenant>(StatusCode::OK);
    for rule in &kept.egress {
        done(operator, &format!("{path}/egress"), rule).await;
    }
    for job in &kept.jobs {
        done(operator, &format!("{path}/cron"), job).await;
    }
    let page = json!({ "html": kept.page });
    assert_eq!(operator.put(&format!("{path}/page"), &page).await.status, StatusCode::NO_CONTENT);
    for domain in &kept.domains {
        done(operator, &format!("{path}/domains"), domain).await;
    }
    for redirect in &kept.redirects {
        done(operator, &format!("{path}/redirects"), redirect).await;
    }
}

#[tokio::test]
async fn what_comes_out_makes_the_same_tenant_again() {
    let (_host, operator) = deployed().await;
    let path = "/v1/tenants/blog";
    for (what, body) in [
        ("env", json!({"set": {"KEY": "hunter2", "EMPTY": ""}})),
        ("egress", json!({"action": "allow", "to": "10.0.5.7:5432"})),
        ("egress", json!({"action": "deny", "to": "203.0.113.0/24"})),
        ("cron", json!({"schedule": "5 4 * * *", "zone": "Europe/Berlin", "command": ["node", "job.js"]})),
        ("domains", json!({"domain": "shop.test/blog", "strip": true})),
        ("redirects", json!({"domain": "www.blog.test", "to": "https://blog.test/", "permanent": true})),
    ] {
        done(&operator, &format!("{path}/{what}"), &body).await;
    }
    let page = json!({"html": "<h1>{{title}}</h1>"});
    assert_eq!(operator.put(&format!("{path}/page"), &page).await.status, StatusCode::NO_CONTENT);
    let limits = Limits { pids_max: 7, trial: false, ..Limits::default() };
    operator.put(&format!("{path}/limits"), &limits).await.expect::<Tenant>(StatusCode::OK);
    let again =
        operator.deploy_with("blog", "command=node&command=other.js", archive(&[("other.js", 1)])).await;
    again.expect::<Deployed>(StatusCode::CREATED);

    let kept = backup(&operator, "blog").await;
    assert_eq!(
        kept.env.iter().map(|(k, v)| (k.as_str(), v.expose())).collect::<Vec<_>>(),
        [("EMPTY", ""), ("KEY", "hunter2")]
    );
    assert_eq!((kept.domains.len(), kept.redirects.len(), kept.egress.len(), kept.jobs.len()), (2, 1, 2, 1));
    assert_eq!(kept.release.as_ref().unwrap().command, ["/usr/bin/node", "other.js"]);
    // It says who asked, and nothing of what was answered.
    let audit = String::from_utf8(operator.get("/v1/audit").await.body.to_vec()).unwrap();
    assert!(audit.contains("\"backup\"") && !audit.contains("hunter2"), "{audit}");

    assert_eq!(operator.delete(path).await.status, StatusCode::NO_CONTENT);
    restore(&operator, &kept, "copy").await;
    let copy = backup(&operator, "copy").await;
    let mut wanted = kept;
    wanted.release.as_mut().unwrap().id = copy.release.as_ref().unwrap().id;
    (wanted.name, wanted.taken_at_s) = (copy.name.clone(), copy.taken_at_s);
    assert_eq!(copy, wanted);
}

#[tokio::test]
async fn what_was_found_is_found_again_and_before_a_deploy_there_is_no_release() {
    let (_host, operator) = deployed().await;
    let kept = backup(&operator, "blog").await;
    assert!(kept.release.unwrap().command.is_empty());
    assert_eq!(save_release(&operator, "blog", "9").await.code(), "no-such-release");
    assert_eq!(save_release(&operator, "blog", "x").await.code(), "bad-request");
    let wish = wish("new");
    operator.post("/v1/tenants", &wish).await.expect::<Tenant>(StatusCode::CREATED);
    let kept = backup(&operator, "new").await;
    assert_eq!((kept.release, kept.command, kept.runtime), (None, wish.command, wish.runtime));
    assert_eq!(operator.post("/v1/tenants/nobody/backup", &()).await.code(), "no-such-tenant");
}
