//! Holds answers against `openapi.json`: the path and status must be described there, and the body must fit its schema.
//! Knows the part of JSON Schema that the document uses, and refuses to pass over any other.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex};

use hyper::Method;
use serde_json::Value;

use super::client::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../openapi.json")).expect("openapi.json is JSON")
});
static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The document.
pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}

/// Operations that have been answered with success in this process.
pub(crate) fn seen() -> BTreeSet<String> {
    SEEN.lock().unwrap().clone()
}

/// Panics when an answer is not as described.
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    let operation = operation(method, path.split('?').next().unwrap());
    let status = answer.status.as_str();
    let described = match (&operation, answer.status.is_success()) {
        (Some((_, operation)), true) => &operation["responses"][status],
        _ => &DOCUMENT["components"]["responses"]["Problem"],
    };
    assert!(described.is_object(), "{method} {path}: {status} is not described");
    if let (Some((id, _)), true) = (&operation, answer.status.is_success()) {
        SEEN.lock().unwrap().insert(id.clone());
    }
    let Some((_, content)) = described["content"].as_object().and_then(|c| c.iter().next()) else {
        assert!(answer.body.is_empty(), "{method} {path}: a body is not described");
        return;
    };
    if content["schema"]["type"] != "string" {
        let errors = errors(&content["schema"], &answer.json(), "answer");
        assert_eq!(errors, [""; 0], "{method} {path}");
    }
}

/// The operation that the document has for a request.
fn operation(method: &Method, path: &str) -> Option<(String, &'static Value)> {
    let fits = |pattern: &str| {
        pattern.split('/').count() == path.split('/').count()
            && pattern.split('/').zip(path.split('/')).all(|(p, given)| p == given || p.starts_with('{'))
    };
    let (_, item) = DOCUMENT["paths"].as_object()?.iter().find(|(pattern, _)| fits(pattern))?;
    let operation = item.get(method.as_str().to_lowercase())?;
    Some((operation["operationId"].as_str()?.to_owned(), operation))
}

/// Where a reference leads.
pub(crate) fn resolve(schema: &'static Value) -> &'static Value {
    match schema["$ref"].as_str() {
        Some(target) => DOCUMENT.pointer(&target[1..]).unwrap_or_else(|| panic!("{target} leads nowhere")),
        None => schema,
    }
}

/// What does not fit the schema.
pub(crate) fn errors(schema: &'static Value, value: &Value, place: &str) -> Vec<String> {
    let schema = resolve(schema);
    let mut found = Vec::new();
    for (keyword, wanted) in schema.as_object().expect("a schema is an object") {
        let bad = match keyword.as_str() {
            "type" => match wanted.as_array() {
                Some(types) => !types.iter().any(|t| has_type(value, t.as_str().unwrap())),
                None => !has_type(value, wanted.as_str().unwrap()),
            },
            "enum" => !wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_i64().is_some_and(|n| n < wanted.as_i64().unwrap()),
            "maximum" => value.as_i64().is_some_and(|n| n > wanted.as_i64().unwrap()),
            "maxLength" => value.as_str().is_some_and(|s| s.len() as u64 > wanted.as_u64().unwrap()),
            "maxItems" => value.as_array().is_some_and(|a| a.len() as u64 > wanted.as_u64().unwrap()),
            "required" => {
                wanted.as_array().unwrap().iter().any(|name| value.get(name.as_str().unwrap()).is_none())
            }
            // What a map holds, by whatever names.
            "additionalProperties" if wanted.is_object() => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    found.extend(errors(wanted, value, &format!("{place}.{name}")));
                }
                false
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object().unwrap();
                value.as_object().is_some_and(|o| o.keys().any(|name| !known.contains_key(name)))
            }
            "oneOf" => {
                let fits = |s: &&'static Value| errors(s, value, place).is_empty();
                wanted.as_array().unwrap().iter().filter(fits).count() != 1
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        found.extend(errors(schema, value, &format!("{place}.{name}")));
                    }
                }
                false
            }
            "items" => {
                for (i, value) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(errors(wanted, value, &format!("{place}[{i}]")));
                }
                false
            }
            // Patterns are the model's; the types that answers are made of have checked them.
            "pattern" | "description" | "examples" | "default" | "format" => false,
            other => panic!("the schema's {other} is not understood here"),
        };
        if bad {
            found.push(format!("{place}: {keyword} {wanted} against {value}"));
        }
    }
    found
}

fn has_type(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the schema type {other} is not understood here"),
    }
}
