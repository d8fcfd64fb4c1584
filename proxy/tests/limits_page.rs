//! Holds `docs/proxy-limits.md` to the limits in the code: each with its value and the reason that stands beside it.
//! `KENNEL_REWRITE=1 cargo test -p kennel-proxy --test limits_page` writes it anew.

#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failed test")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const HEAD: &str = "# Bounds of the proxy

All of them stand in `proxy/src/limits.rs`, of which this page is made. What a tenant may take is set with `kennel limits`
([docs/proxy.md](proxy.md)).

| bound | value | what it is, and why |
|---|---|---|
";

/// Fields with what is written above them, in the order of the source.
fn fields(source: &str) -> Vec<(String, String)> {
    let of = source.split("pub struct Limits {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let (mut fields, mut words) = (Vec::new(), Vec::new());
    for line in of.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("/// ") {
            words.push(doc);
        } else if let Some((name, _)) = line.strip_prefix("pub ").and_then(|field| field.split_once(':')) {
            fields.push((name.to_owned(), std::mem::take(&mut words).join(" ")));
        }
    }
    fields
}

/// Their values, as Debug writes them.
fn value(defaults: &str, name: &str) -> String {
    let line = defaults.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("{name} has no value")).trim_end_matches(',').to_owned()
}

#[test]
fn the_page_says_what_the_code_does() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("src/limits.rs")).unwrap();
    let defaults = format!("{:#?}", kennel_proxy::Limits::default());
    let fields = fields(&source);
    // The first and the last line are the braces.
    assert_eq!(fields.len(), defaults.lines().count() - 2, "every field is on the page");
    let mut page = HEAD.to_owned();
    for (name, reason) in fields {
        assert!(!reason.is_empty(), "{name} has no reason");
        let reason = reason.replace("[`Limits::", "`").replace("`]", "`").replace('|', "\\|");
        writeln!(page, "| `{name}` | {} | {reason} |", value(&defaults, &name)).unwrap();
    }
    let path = root.join("../docs/proxy-limits.md");
    if std::env::var_os("KENNEL_REWRITE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/proxy-limits.md is not what the code says; KENNEL_REWRITE=1 writes it anew");
}
