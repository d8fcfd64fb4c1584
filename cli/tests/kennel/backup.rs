//! `kennel backup` and `kennel restore` against a stand-in that packs and unpacks as a host does.

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use kennel_model::api;
use kennel_model::backup::Backup;
use kennel_unpack::save_release;
use serde_json::{Value, json};

use crate::support::{Answer, FakeHost, Home, at_home, error, json as answered, problem, result};

/// A host that has one tenant, and is told to make another.
#[derive(Clone)]
pub(crate) struct Whole {
    /// With the folders `data`, `new` and `releases`.
    folder: PathBuf,
    /// What came, but the archive of a release.
    told: Arc<Mutex<Vec<(String, Value)>>>,
    /// What is refused.
    refused: Option<&'static str>,
}

fn settings() -> Value {
    json!({
        "format": 1, "taken_at_s": 7, "name": "blog", "runtime": "node-24", "command": [], "limits": {"pids_max": 9},
        "domains": [{"domain": "blog.test", "strip": false}, {"domain": "a.test/b", "strip": true}],
        "redirects": [{"domain": "www.blog.test", "to": "https://blog.test/", "permanent": true, "keep_path": false}],
        "egress": [{"action": "allow", "to": "10.0.5.7:5432"}],
        "env": {"KEY": "hunter2"},
        "jobs": [{"schedule": "@daily", "zone": "UTC", "command": ["node", "x"], "timeout_s": 600, "overlap": false}],
        "page": "<h1>{{title}}</h1>",
        "release": {"id": 7, "runtime": "node-24", "command": ["node", "a b.js"]}
    })
}

impl Whole {
    pub(crate) async fn answer(&self, request: Request<Incoming>, tenant: api::Tenant) -> Answer {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let path = uri.path().to_owned();
        let (_, what) =
            path.trim_start_matches("/v1/tenants").trim_start_matches('/').split_once('/').unwrap_or_default();
        if self.refused == Some(what) {
            return problem(409, "refused", "it was refused");
        }
        match (method, what) {
            (Method::POST, "backup") => answered(200, &serde_json::from_value::<Backup>(settings()).unwrap()),
            (_, "data/save") => crate::data::answer(request, &self.folder.join("data")).await,
            (_, "data") => crate::data::answer(request, &self.folder.join("new")).await,
            (_, "releases/7/save") => {
                let mut said = Vec::new();
                save_release(File::open(self.folder.join("releases")).unwrap().as_fd(), 7, &mut said).unwrap();
                let end = said.iter().position(|byte| *byte == b'\n').unwrap();
                Response::new(Full::from(said.split_off(end + 1)))
            }
            (Method::GET, "") => answered(200, &tenant),
            (_, what) => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let told = if what == "releases" {
                    fs::write(self.folder.join("release.tar"), &body).unwrap();
                    json!(uri.query())
                } else {
                    serde_json::from_slice(&body).unwrap()
                };
                self.told.lock().unwrap().push((what.to_owned(), told.clone()));
                made(what, &told, tenant)
            }
        }
    }
}

/// What a host answers that has made it.
fn made(what: &str, told: &Value, tenant: api::Tenant) -> Answer {
    let tenant = json!(tenant);
    let notes: [&str; 0] = [];
    let mut of = told.clone();
    if let Some(of) = of.as_object_mut() {
        of.insert("tenant".into(), json!("blog"));
    }
    let answer = match what {
        "" => tenant,
        "env" => json!({"variables": [], "tenant": tenant}),
        "egress" => {
            json!({"rule": {"number": 1, "action": told["action"], "to": told["to"]}, "stopped": false})
        }
        "releases" => json!({"release": crate::releases::release(1), "tenant": tenant}),
        "cron" => {
            of["number"] = json!(1);
            of["by"] = json!("x");
            of["created_at_s"] = json!(1);
            of["running"] = json!(0);
            of
        }
        "domains" => json!({"domain": of, "notes": notes}),
        "redirects" => json!({"redirect": of, "notes": notes}),
        _ => Value::Null,
    };
    if answer.is_null() {
        return Response::builder().status(204).body(Full::default()).unwrap();
    }
    answered(201, &answer)
}

/// A host with a tenant, and where its folders are.
fn with_tenant(refused: Option<&'static str>) -> (Home, FakeHost, tempfile::TempDir, Whole) {
    let (home, host) = at_home();
    let dir = tempfile::tempdir().unwrap();
    for folder in ["data/sub", "new", "releases/7"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("data/sub/db"), "rows").unwrap();
    fs::write(dir.path().join("releases/7/a b.js"), "serve()").unwrap();
    let whole = Whole { folder: dir.path().to_owned(), told: Arc::default(), refused };
    host.state.lock().unwrap().whole = Some(whole.clone());
    (home, host, dir, whole)
}

fn names_in(archive: &Path) -> Vec<String> {
    let mut archive = tar::Archive::new(File::open(archive).unwrap());
    archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
}

#[test]
fn a_tenant_becomes_a_file_and_a_file_a_tenant() {
    let (home, _host, dir, whole) = with_tenant(None);
    let kept = result(&home.kennel(&["backup", "blog", "blog.tar", "--json"]).output().unwrap());
    assert_eq!((kept["tenant"].as_str(), kept["release"].as_u64()), (Some("blog"), Some(7)));
    assert_eq!(names_in(&home.path("blog.tar")), ["kennel-backup.json", "data.tar", "release.tar"]);
    let out = home.kennel(&["backup", "blog", "-"]).output().unwrap();
    assert!(out.status.success() && out.stdout == fs::read(home.path("blog.tar")).unwrap());
    assert!(whole.told.lock().unwrap().is_empty(), "nothing is changed for it");

    let words = home.kennel(&["restore", "blog.tar"]).output().unwrap();
    assert!(words.status.success(), "{words:?}");
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.starts_with("blog is restored: "), "{words}");
    let told = whole.told.lock().unwrap().clone();
    let order: Vec<_> = told.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(order, ["", "env", "egress", "page", "releases", "cron", "domains", "domains", "redirects"]);
    let wanted = settings();
    let given = |n: usize| &told[n].1;
    assert_eq!((&given(0)["name"], &given(0)["limits"]["pids_max"]), (&json!("blog"), &json!(9)));
    assert_eq!(given(0)["domains"], json!([]), "nobody comes before it is whole");
    assert_eq!(given(1)["set"], wanted["env"]);
    assert_eq!((given(2), &given(3)["html"]), (&wanted["egress"][0], &wanted["page"]));
    assert_eq!(*given(4), json!("command=node&command=a+b.js&runtime=node-24&build=no"));
    assert_eq!(
        (given(5), given(7), given(8)),
        (&wanted["jobs"][0], &wanted["domains"][1], &wanted["redirects"][0])
    );
    assert_eq!(fs::read_to_string(dir.path().join("new/sub/db")).unwrap(), "rows");
    assert_eq!(names_in(&dir.path().join("release.tar")), ["a b.js"]);
}

#[test]
fn a_copy_has_another_name_and_says_what_it_has_not() {
    let (home, _host, _dir, whole) = with_tenant(None);
    result(&home.kennel(&["backup", "blog", "blog.tar", "--json"]).output().unwrap());
    let args = ["restore", "blog.tar", "--as", "copy", "--domain", "copy.test", "--json"];
    let restored = result(&home.kennel(&args).output().unwrap());
    assert_eq!(restored["left_out"], json!(["2 domains", "1 redirect", "1 job"]));
    let told = whole.told.lock().unwrap();
    assert_eq!(told[0].1["name"], "copy");
    let last: Vec<_> = told.iter().skip(5).cloned().collect();
    assert_eq!(last, [("domains".to_owned(), json!({"domain": "copy.test", "strip": false}))]);
}

#[test]
fn what_was_refused_in_between_says_what_is_there() {
    for (refused, after) in [("data", "page"), ("releases", "page"), ("cron", "releases"), ("env", "")] {
        let (home, _host, _dir, whole) = with_tenant(Some(refused));
        result(&home.kennel(&["backup", "blog", "blog.tar", "--json"]).output().unwrap());
        let failed = home.kennel(&["restore", "blog.tar", "--json"]).output().unwrap();
        let said = error(&failed);
        assert_eq!((said["code"].as_str(), failed.status.code()), (Some("refused"), Some(2)), "{refused}");
        assert_eq!(said["message"], "blog is made, but not whole: it was refused");
        assert!(said["hint"].as_str().unwrap().contains("kennel tenant rm blog"), "{said}");
        assert_eq!(whole.told.lock().unwrap().last().unwrap().0, after, "{refused}");
    }
}

#[test]
fn what_cannot_be_kept_or_read_leaves_nothing() {
    let (home, _host, _dir, whole) = with_tenant(Some("releases/7/save"));
    let failed = home.kennel(&["backup", "blog", "blog.tar", "--json"]).output().unwrap();
    assert_eq!(error(&failed)["code"], "refused");
    let left = home.0.path().read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(left.filter(|name| name.contains("blog") || name.starts_with(".kennel")).count() == 0);
    home.file("other.tar", "no archive");
    for (from, code) in [("absent.tar", "file"), ("other.tar", "no-backup")] {
        let failed = home.kennel(&["restore", from, "--json"]).output().unwrap();
        assert_eq!(error(&failed)["code"], code, "{from}");
    }
    assert!(whole.told.lock().unwrap().is_empty());
    for to in ["other.tar", "."] {
        let failed = home.kennel(&["backup", "blog", to, "--json"]).output().unwrap();
        assert_eq!(error(&failed)["code"], "exists", "{to}");
    }
    let both = home.kennel(&["backup", "blog", "-", "--json"]).output().unwrap();
    assert_eq!((error(&both)["code"].as_str(), both.status.code()), (Some("usage"), Some(64)));
}
