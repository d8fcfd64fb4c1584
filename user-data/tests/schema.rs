//! The published schema is the one that the code has, and says of values what reading them says.
//! `KENNEL_REWRITE=1 cargo test -p kennel-user-data --test schema` writes it anew.

#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failed test")]

use kennel_user_data::{UserData, schema};
use regex_lite::Regex;
use serde_json::Value;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/user-data.schema.json");

#[test]
fn the_published_schema_is_this_one() {
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("KENNEL_REWRITE").is_some() {
        std::fs::write(PAGE, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(PAGE).unwrap(), text, "see the head of this test");
}

/// The schema of one value.
fn of<'a>(schema: &'a Value, section: &str, key: &str) -> &'a Value {
    &schema["properties"][section]["properties"][key]
}

/// Whether the schema takes this text, as far as texts go.
fn takes(schema: &Value, text: &str) -> bool {
    let length = |name: &str, or: u64| schema.get(name).and_then(Value::as_u64).unwrap_or(or);
    let count = text.chars().count() as u64;
    let pattern = Regex::new(schema["pattern"].as_str().unwrap()).unwrap();
    (length("minLength", 0)..=length("maxLength", u64::MAX)).contains(&count) && pattern.is_match(text)
}

fn is_read(document: &str) -> bool {
    UserData::from_bytes(document.as_bytes()).is_ok()
}

#[test]
fn names_are_judged_as_they_are_read() {
    let schema = schema();
    let name = of(&schema, "host", "name");
    let (most, more) = (format!("{}.{}", "a".repeat(60), "b".repeat(3)), format!("{}.bbbb", "a".repeat(60)));
    let long = "a".repeat(64);
    let all = [
        "edge1",
        "a",
        "9",
        "edge-1.example.org",
        "",
        "-a",
        "a-",
        "a..b",
        ".a",
        "a.",
        "Edge",
        "a b",
        "é",
        "a_b",
    ];
    let mut good = 0;
    for text in all.into_iter().chain([most.as_str(), more.as_str(), long.as_str()]) {
        assert_eq!(takes(name, text), is_read(&format!("[host]\nname = \"{text}\"")), "{text:?}");
        good += usize::from(takes(name, text));
    }
    assert_eq!(good, 5);
}

#[test]
fn keys_that_are_read_are_taken_and_those_of_other_kinds_are_not() {
    let schema = schema();
    let keys = of(&schema, "operator", "ssh_keys");
    let line = keys["examples"][0][0].as_str().unwrap();
    let bare = line.trim_end_matches(" ada");
    for text in [line, bare, &format!("{line}\\n")] {
        assert!(
            takes(&keys["items"], text) && is_read(&format!("[operator]\nssh_keys = [\"{text}\"]")),
            "{text}"
        );
    }
    let cut = &line[..60];
    for text in ["", "ssh-rsa AAAAB3Nz ada", cut, "restrict ssh-ed25519 AAAA"] {
        assert!(
            !takes(&keys["items"], text) && !is_read(&format!("[operator]\nssh_keys = [\"{text}\"]")),
            "{text}"
        );
    }
}

#[test]
fn what_the_schema_does_not_name_is_refused_by_both() {
    let schema = schema();
    assert_eq!(schema["additionalProperties"], false);
    for (section, inner) in schema["properties"].as_object().unwrap() {
        assert_eq!(inner["additionalProperties"], false, "{section}");
        assert!(is_read(&format!("[{section}]")), "{section}");
        assert!(!is_read(&format!("[{section}]\nwhatever = 1")), "{section}");
        for (key, value) in inner["properties"].as_object().unwrap() {
            for example in value["examples"].as_array().unwrap() {
                // Texts and lists of texts are written alike in JSON and in TOML.
                assert!(is_read(&format!("[{section}]\n{key} = {example}")), "{section}.{key} = {example}");
            }
        }
    }
}
