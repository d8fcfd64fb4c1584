//! The table of keys as JSON Schema (draft 2020-12), for editors and for the tools that start hosts. It is no stricter than
//! a host and a little laxer: whether a key's bytes are one, and a server's address can be
//! one, is seen by reading it.

use kennel_model::clock::MAX_SERVERS;
use kennel_model::routes::MAX_TRUSTED;
use serde_json::{Map, Value, json};

use crate::shape::{Kind, SECTIONS, Section};

/// One label of DNS, as `kennel_model` has it.
const LABEL: &str = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";
/// A line of OpenSSH: of the 51 bytes of such a key the first 19 are always the same.
const KEY: &str = r"^\s*ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-Za-z0-9+/]{43}(\s.*)?\s*$";

/// An address of IPv4 or IPv6, with or without a port.
const SERVER: &str = r"^([0-9.]+(:[0-9]{1,5})?|[0-9A-Fa-f:.]+|\[[0-9A-Fa-f:.]+\]:[0-9]{1,5})$";

/// A network of IPv4 or IPv6.
const NETWORK: &str = r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$";

/// The schema, as `docs/user-data.schema.json` has it.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Kennel user-data",
        "description": "What a Kennel host is started with: TOML of at most 16384 bytes, before base64. \
                        `kennel user-data check FILE` checks it as a host does.",
        "type": "object",
        "additionalProperties": false,
        "properties": SECTIONS.iter().map(|s| (s.name.to_owned(), section(s))).collect::<Map<_, _>>(),
    })
}

fn section(section: &Section) -> Value {
    let keys = section.keys.iter().map(|key| {
        let mut value = kind(key.kind);
        value["description"] = key.about.into();
        (key.name.to_owned(), value)
    });
    json!({
        "description": section.about,
        "type": "object",
        "additionalProperties": false,
        "properties": keys.collect::<Map<_, _>>(),
    })
}

fn kind(kind: Kind) -> Value {
    match kind {
        Kind::NodeName => json!({
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "pattern": format!(r"^{LABEL}(\.{LABEL})*$"),
            "examples": ["edge1", "edge1.example.org"],
        }),
        Kind::SshKeys => json!({
            "type": "array",
            "items": { "type": "string", "pattern": KEY },
            "examples": [["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEPGo02wNjd8wWRqyeMFFJJ1XYpOjsfyFHuMNmTGGHI8 ada"]],
        }),
        Kind::TimeServers => json!({
            "type": "array",
            "maxItems": MAX_SERVERS,
            "items": { "type": "string", "pattern": SERVER },
            "examples": [["192.0.2.1", "192.0.2.2:4123", "[2001:db8::1]:123"]],
        }),
        Kind::Trusted => json!({
            "type": "array",
            "maxItems": MAX_TRUSTED,
            "items": { "type": "string", "pattern": NETWORK },
            "examples": [["10.0.0.0/16", "2001:db8::/56"]],
        }),
        Kind::ProxyProtocol => json!({ "type": "boolean", "default": false, "examples": [false] }),
    }
}
