//! `kennel data` against a stand-in that packs and unpacks as a host does, with `kennel-unpack`'s own library.

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::Path;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use kennel_model::api::DataReplaced;
use kennel_unpack::{Bounds, restore_data, save_data};
use serde_json::Value;

use crate::support::{Answer, FakeHost, Home, at_home, error, json, problem, result};

const BOUNDS: Bounds = Bounds { bytes: 1 << 20, entries: 100 };

/// Answers what is about data, which lies in this folder.
pub(crate) async fn answer(request: Request<Incoming>, data: &Path) -> Answer {
    let folder = File::open(data).unwrap();
    if request.uri().path().ends_with("/save") {
        let mut said = Vec::new();
        // What went wrong is said as well.
        let _ = save_data(folder.as_fd(), &mut said);
        let end = said.iter().position(|byte| *byte == b'\n').unwrap();
        let report: Value = serde_json::from_slice(&said[..end]).unwrap();
        return match report["refused"]["reason"].as_str() {
            Some(reason) => problem(409, "not-saved", reason),
            None => Response::new(Full::from(said.split_off(end + 1))),
        };
    }
    assert_eq!(request.headers()["content-type"], "application/x-tar");
    let Ok(archive) = request.into_body().collect().await else {
        return problem(400, "upload-broken", "it broke off");
    };
    match restore_data(&*archive.to_bytes(), folder.as_fd(), BOUNDS) {
        Ok(done) => json(200, &DataReplaced { bytes: done.bytes, entries: done.entries }),
        Err(cause) => problem(422, "data-refused", &cause.to_string()),
    }
}

/// A host whose tenant has some data.
fn with_data() -> (Home, FakeHost, tempfile::TempDir) {
    let (home, host) = at_home();
    let data = tempfile::tempdir().unwrap();
    fs::create_dir(data.path().join("sub")).unwrap();
    fs::write(data.path().join("sub/db"), "rows").unwrap();
    host.state.lock().unwrap().data = Some(data.path().to_owned());
    (home, host, data)
}

#[test]
fn data_is_fetched_as_an_archive_as_a_folder_and_into_a_pipe() {
    let (home, _host, _data) = with_data();
    let pulled = result(&home.kennel(&["data", "pull", "blog", "blog.tar", "--json"]).output().unwrap());
    let archive = fs::read(home.path("blog.tar")).unwrap();
    assert_eq!(pulled["archive_bytes"], archive.len());
    let out = home.kennel(&["data", "pull", "blog", "-"]).output().unwrap();
    assert!(out.status.success() && out.stdout == archive, "{out:?}");
    let words = home.kennel(&["data", "pull", "blog", "here/"]).output().unwrap();
    assert_eq!(String::from_utf8(words.stdout).unwrap(), "the data of blog is in here/: 2.5K\n");
    assert_eq!(fs::read_to_string(home.path("here/sub/db")).unwrap(), "rows");

    for (to, code) in [("blog.tar", "exists"), ("here", "exists"), ("no/such/x.tar", "file")] {
        let failed = home.kennel(&["data", "pull", "blog", to, "--json"]).output().unwrap();
        assert_eq!(error(&failed)["code"], code, "{to}");
    }
    let both = home.kennel(&["data", "pull", "blog", "-", "--json"]).output().unwrap();
    assert_eq!((error(&both)["code"].as_str(), both.status.code()), (Some("usage"), Some(64)));
}

#[test]
fn what_was_not_saved_leaves_nothing_here() {
    let (home, _host, data) = with_data();
    fs::create_dir_all(data.path().join("d/".repeat(70))).unwrap();
    let failed = home.kennel(&["data", "pull", "blog", "blog.tar", "--json"]).output().unwrap();
    assert_eq!((error(&failed)["code"].as_str(), failed.status.code()), (Some("not-saved"), Some(2)));
    let mut names: Vec<_> = home.0.path().read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [".config", ".local"]);
}

#[test]
fn data_is_replaced_by_a_folder_an_archive_or_what_is_typed() {
    let (home, _host, data) = with_data();
    let held = || fs::read_to_string(data.path().join("sub/db")).ok();
    home.file("new/sub/db", "others");
    let pushed = result(&home.kennel(&["data", "push", "blog", "new", "--json"]).output().unwrap());
    assert_eq!((pushed["bytes"].as_u64(), held().as_deref()), (Some(6), Some("others")));
    result(&home.kennel(&["data", "pull", "blog", "x.tar", "--json"]).output().unwrap());

    home.file("new/sub/db", "third");
    let words = home.kennel(&["data", "push", "blog", "new", "--yes"]).output().unwrap();
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.starts_with("the data of blog is replaced: 5 in "), "{words}");
    let archive = fs::read(home.path("x.tar")).unwrap();
    let mut typed = home.kennel(&["data", "push", "blog", "-", "--json"]);
    assert_eq!(result(&typed.write_stdin(archive).output().unwrap())["bytes"], 6);
    assert_eq!(held().as_deref(), Some("others"));
    home.file("empty.txt", "");
    for (from, code) in [("absent", "file"), ("empty.txt", "data-refused")] {
        let failed = home.kennel(&["data", "push", "blog", from, "--json"]).output().unwrap();
        assert_eq!(error(&failed)["code"], code, "{from}");
    }
}
