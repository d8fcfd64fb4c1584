//! `kennel keys`: made once, never overwritten, and told again from the certificates alone.

use std::fs;

use crate::support::{Home, error, result};

#[test]
fn keys_are_made_once_and_told_again_without_their_private_halves() {
    let home = Home::new();
    let made = result(&home.kennel(&["--json", "keys", "new", "mine"]).output().unwrap());
    let names: Vec<_> = made["keys"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["PK", "KEK", "db"]);
    let told = fs::read_to_string(home.path(made["uefi_data"].as_str().unwrap())).unwrap();
    for key in made["keys"].as_array().unwrap() {
        fs::remove_file(home.path(key["key"].as_str().unwrap())).unwrap();
    }
    let again = home.kennel(&["keys", "uefi-data", "mine"]).output().unwrap();
    assert_eq!(String::from_utf8(again.stdout).unwrap().trim_end(), told);

    let refused = home.kennel(&["--json", "keys", "new", "mine"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let error = error(&refused);
    assert_eq!(error["code"], "keys");
    assert!(error["hint"].as_str().unwrap().contains("never overwritten"), "{error}");
}
