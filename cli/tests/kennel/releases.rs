//! `kennel releases` and `kennel rollback` against the stand-in for a host.

use kennel_model::ReleaseId;
use kennel_model::api::{Release, ReleaseState, Rollback, RolledBack, Tenant};
use kennel_model::found::Origin;
use serde_json::{Value, json};

use crate::support::{at_home, error, result};

/// Whether a path is about this.
pub(crate) fn is(path: &str) -> bool {
    ["/releases", "/rollback", "/env"].iter().any(|last| path.ends_with(last))
}

/// A release of the stand-in's; the second of two serves.
pub(crate) fn release(id: u32) -> Release {
    Release {
        id: ReleaseId(id),
        bytes: 2048,
        entries: 2,
        created_at_s: 1,
        by: "SHA256:x".into(),
        command: vec!["/usr/bin/node".into(), "server.js".into()],
        files: None,
        origin: Some(Origin::PackageStart),
        beta: None,
        runtime: Some("node-24".parse().unwrap()),
        source: None,
        state: if id == 2 { ReleaseState::Serving } else { ReleaseState::Kept },
    }
}

/// The stand-in's answers.
pub(crate) fn answer(
    method: &str,
    path: &str,
    body: &[u8],
    tenant: Tenant,
) -> Result<Value, (u16, &'static str)> {
    match (method, path) {
        ("GET", "/v1/tenants/blog/releases") => Ok(json!([release(2), release(1)])),
        ("POST", "/v1/tenants/blog/rollback") => {
            let wish: Rollback = serde_json::from_slice(body).unwrap();
            match wish.to.unwrap_or(ReleaseId(1)) {
                ReleaseId(1) => {
                    let release = Release { state: ReleaseState::Serving, ..release(1) };
                    Ok(json!(RolledBack { from: ReleaseId(2), release, tenant }))
                }
                ReleaseId(2) => Err((409, "already-serves")),
                _ => Err((404, "no-such-release")),
            }
        }
        (method, path) => crate::env::answer(method, path, body, tenant),
    }
}

#[test]
fn releases_are_a_table_and_a_document() {
    let (home, _host) = at_home();
    let table = home.kennel(&["releases", "blog"]).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].starts_with("r2       serving  ") && lines[2].starts_with("r1       kept "), "{table}");
    assert!(lines[1].ends_with("SHA256:x  2K    node-24  -       /usr/bin/node server.js"), "{table}");
    let document = result(&home.kennel(&["releases", "blog", "--json"]).output().unwrap());
    assert_eq!((&document[1]["id"], &document[1]["state"]), (&json!(1), &json!("kept")));
    let missing = home.kennel(&["releases", "other", "--json"]).output().unwrap();
    assert_eq!((missing.status.code(), error(&missing)["code"].as_str()), (Some(2), Some("no-such-tenant")));
}

#[test]
fn a_rollback_says_what_serves_and_the_way_back() {
    let (home, host) = at_home();
    for args in [&["rollback", "blog"][..], &["rollback", "blog", "--to", "r1"]] {
        let said = home.kennel(args).output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let way_back = "r2 is kept: `kennel rollback blog --to 2` leads back to it";
        assert!(said.starts_with("release r1 of blog serves: 2K\n") && said.contains(way_back), "{said}");
    }
    let document = result(&home.kennel(&["rollback", "blog", "--json"]).output().unwrap());
    assert_eq!((&document["from"], &document["release"]["id"]), (&json!(2), &json!(1)));
    for (to, code) in [("2", "already-serves"), ("9", "no-such-release")] {
        let refused = home.kennel(&["rollback", "blog", "--to", to, "--json"]).output().unwrap();
        assert_eq!((refused.status.code(), error(&refused)["code"].as_str()), (Some(2), Some(code)));
    }
    let asked = host.requests().len();
    let wrong = home.kennel(&["rollback", "blog", "--to", "yesterday"]).output().unwrap();
    assert_eq!((wrong.status.code(), host.requests().len()), (Some(64), asked));
}
