//! `kennel env` against the stand-in for a host.

use kennel_model::ReleaseId;
use kennel_model::api::{Release, ReleaseState, Tenant};
use kennel_model::env::{ChangeEnv, EnvChanged, EnvVariable};
use serde_json::{Value, json};

use crate::releases::release;
use crate::support::{at_home, error, result};

const SECRET: &str = "hunter2";

/// The stand-in's answers. It has A, set before the first release; what is set is checked by its value.
pub(crate) fn answer(
    method: &str,
    path: &str,
    body: &[u8],
    tenant: Tenant,
) -> Result<Value, (u16, &'static str)> {
    let variable = |name: &str, since| EnvVariable { name: name.parse().unwrap(), since };
    match (method, path) {
        ("GET", "/v1/tenants/blog/env") => {
            Ok(json!([variable("A", None), variable("DATABASE_URL", Some(ReleaseId(3)))]))
        }
        ("POST", "/v1/tenants/blog/env") => {
            let ChangeEnv { set, unset } = serde_json::from_slice(body).unwrap();
            if unset.iter().any(|name| name.as_str() != "A") {
                return Err((404, "no-such-variable"));
            }
            if set.values().any(|value| !value.expose().starts_with(SECRET)) {
                return Err((422, "invalid-env"));
            }
            let variables = set.keys().map(|name| variable(name.as_str(), Some(ReleaseId(3)))).collect();
            let made = Release { files: Some(ReleaseId(2)), state: ReleaseState::Serving, ..release(3) };
            Ok(json!(EnvChanged { variables, release: Some(made), tenant }))
        }
        _ => Err((404, "no-such-tenant")),
    }
}

#[test]
fn variables_are_set_from_everywhere_and_no_value_is_printed() {
    let (home, _host) = at_home();
    home.file(".env", "# mine\nB=hunter2 from a file\nexport C=\"hunter2\\nx\"\nD=overruled\n");
    let set = ["env", "set", "blog", "A=hunter2", "IN=-", "D=hunter2", "--from-file", ".env"];
    let output = home.kennel(&set).write_stdin("hunter2 from a pipe\n").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("release r3 of blog serves, with 5 variables"), "{text}");
    assert!(!text.contains(SECRET), "{text}");
    let unset = home.kennel(&["env", "unset", "blog", "A", "--json"]).output().unwrap();
    assert_eq!(result(&unset)["release"]["files"], 2);
    let unset = home.kennel(&["env", "unset", "blog", "B", "--json"]).output().unwrap();
    assert_eq!((unset.status.code(), error(&unset)["code"].as_str()), (Some(2), Some("no-such-variable")));
}

#[test]
fn a_list_has_names_only() {
    let (home, _host) = at_home();
    let listed = home.kennel(&["env", "ls", "blog"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["A", "********", "the", "first"]);
    assert_eq!(lines[2], ["DATABASE_URL", "********", "r3"]);
    let document = result(&home.kennel(&["env", "ls", "blog", "--json"]).output().unwrap());
    assert_eq!(document, json!([{"name": "A"}, {"name": "DATABASE_URL", "since": 3}]));
}

#[test]
fn what_is_wrong_is_told_here_without_its_value() {
    let (home, host) = at_home();
    home.file("bad.env", "A=hunter2 # a comment\n");
    let asked = host.requests().len();
    for (args, words) in [
        (&["hunter2"][..], "variable 1: it has no `=`"),
        (&["A=1", "9B=hunter2"], "variable 2: variable \"9B\" is not valid"),
        (&["A=-", "B=-"], "B: standard input is another's value already"),
        (&["--from-file", "bad.env"], "bad.env, line 1: A: what has quotes"),
        (&[], "required"),
    ] {
        let output = home.kennel(&["env", "set", "blog"]).args(args).write_stdin("").output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(text.contains(words) && !text.contains(SECRET), "{text}");
    }
    let missing = home.kennel(&["env", "set", "blog", "--from-file", "none.env"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(host.requests().len(), asked);
}
