//! The pages under docs/ that are made of the policy are what they would be now, and the policy's claims have their rows.

#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failed test")]

use kennel_policy::{docs, isolation, proof, render, report};

const REWRITE: &str = "look at the change and write it: cargo run -p kennel-policy --example docs";

fn kept(name: &str) -> String {
    let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}; {REWRITE}"))
}

#[test]
fn the_table_of_forbidden_acts_is_in_the_docs() {
    let old = kept("isolation.md");
    let now = docs::isolation_page(&isolation::table().unwrap(), &proof::intermediaries().unwrap(), &old);
    assert!(old == now, "docs/isolation.md is out of date; {REWRITE}");
}

#[test]
fn who_may_do_what_is_in_the_docs() {
    let now = docs::access_page(&report(&render(1, &[]).unwrap()).unwrap());
    assert!(kept("access.md") == now, "docs/access.md is out of date; {REWRITE}");
}

#[test]
fn every_claim_of_the_policy_names_its_rows() {
    isolation::check(&render(4, &[]).unwrap()).unwrap_or_else(|error| panic!("{error}"));
}
