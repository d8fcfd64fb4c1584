//! `kennel user-data`: what people are told before a host is started.

use std::fs;

use crate::support::{Home, result};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEPGo02wNjd8wWRqyeMFFJJ1XYpOjsfyFHuMNmTGGHI8 ada";

#[test]
fn a_good_file_is_good_and_one_without_operators_is_warned_of() {
    let home = Home::new();
    let text = format!("[host]\nname = \"edge1\"\n[operator]\nssh_keys = [\"{KEY}\"]\n");
    fs::write(home.path("good.toml"), &text).unwrap();
    let output = home.kennel(&["user-data", "check", "good.toml"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let size = text.len();
    assert_eq!(
        said,
        format!("good.toml is good: 1 operator key, for a host called edge1, {size} of 16384 bytes\n")
    );
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));

    let told = result(&home.kennel(&["user-data", "check", "-", "--json"]).write_stdin(text).output().unwrap());
    assert_eq!((told["valid"].as_bool(), told["host_name"].as_str()), (Some(true), Some("edge1")));

    let nobody = home.kennel(&["user-data", "check", "-"]).write_stdin("[host]").output().unwrap();
    assert_eq!(nobody.status.code(), Some(0));
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("names no operator"));
}

#[test]
fn faults_are_told_with_line_key_and_remedy() {
    let home = Home::new();
    fs::write(home.path("bad.toml"), "[host]\nname = \"Edge\"\n[operator]\nssh_key = \"hunter2\"\n").unwrap();
    let output = home.kennel(&["user-data", "check", "bad.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = lines.lines().collect();
    assert!(lines[0].starts_with("user-data, line 2, host.name: it cannot be a host's name; hint: use labels"));
    assert_eq!(lines[1], "user-data, line 4, operator.ssh_key: no such key; hint: did you mean `ssh_keys`?");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("a host would use nothing of bad.toml: it has 2 faults"), "{error}");

    let output = home.kennel(&["user-data", "check", "bad.toml", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["valid"], &told["faults"][1]["line"]), (&false.into(), &4.into()));
    assert_eq!(told["faults"][1]["key"], "operator.ssh_key");
}

#[test]
fn the_schema_is_printed_and_a_missing_file_named() {
    let home = Home::new();
    let schema = result(&home.kennel(&["user-data", "schema"]).output().unwrap());
    assert_eq!(schema, kennel_user_data::schema());
    let missing = home.kennel(&["user-data", "check", "nowhere.toml"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("cannot read nowhere.toml"));
}
