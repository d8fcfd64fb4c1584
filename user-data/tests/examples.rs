//! The examples that people begin with hold what a host takes, and judge by the same patterns.

#![allow(clippy::unwrap_used, reason = "a failure in a helper is a failed test")]

use kennel_user_data::{UserData, schema};
use serde_json::Value;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

fn text(path: &str) -> String {
    let path = format!("{EXAMPLES}/{path}");
    std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{path}: {cause}"))
}

fn patterns() -> (String, String) {
    let schema = schema();
    let of = |value: &Value| value["pattern"].as_str().unwrap().to_owned();
    let properties = |section: &str, key: &str| schema["properties"][section]["properties"][key].clone();
    (of(&properties("host", "name")), of(&properties("operator", "ssh_keys")["items"]))
}

#[test]
fn the_example_holds_every_key_there_is() {
    let text = text("user-data.toml");
    let data = UserData::from_bytes(text.as_bytes()).unwrap();
    assert!(data.host_name.is_some() && data.ssh_keys.len() == 1 && data.time_servers.len() == 2);
    assert!(data.front.proxy_protocol && data.front.trusted.len() == 2);
    for (section, inner) in schema()["properties"].as_object().unwrap() {
        assert!(text.contains(&format!("[{section}]\n")), "{section}");
        for key in inner["properties"].as_object().unwrap().keys() {
            assert!(text.contains(&format!("\n{key} = ")), "{section}.{key}");
        }
    }
}

#[test]
fn terraform_judges_by_the_schemas_patterns() {
    let module = text("terraform/user-data/main.tf");
    let (name, key) = patterns();
    for pattern in [name, key] {
        let quoted = pattern.replace('\\', r"\\");
        assert!(module.contains(&format!("regex(\"{quoted}\"")), "{pattern}");
    }
    assert!(module.contains(&format!("<= {}", kennel_user_data::MAX_BYTES)));
}

#[test]
fn cloudformation_judges_by_the_schemas_patterns() {
    let template = text("cloudformation/kennel.yaml");
    let (name, key) = patterns();
    assert!(template.contains(&format!("AllowedPattern: {name}\n")), "{name}");
    // There the keys become texts by themselves: nothing in them may end one.
    let inner = key.trim_start_matches('^').replace(r"(\s.*)?\s*$", r#"(\s[^"\\]*)?\s*"#);
    assert!(template.contains(&format!("AllowedPattern: ^({inner})?$\n")), "{inner}");
}
