//! `package.json`: what of it says how a program of Node.js is run. Everything else in it is passed over.

use std::collections::BTreeMap;

use kennel_model::found::{MAX_RANGE_BYTES, in_ranges};
use serde::Deserialize;

/// The parts that matter; npm takes any others.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Package {
    scripts: Option<BTreeMap<String, String>>,
    main: Option<String>,
    engines: Option<Engines>,
}

/// An object, by now; it was a list once, which says nothing to npm either.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Engines {
    Named { node: Option<String> },
    Other(serde::de::IgnoredAny),
}

impl Package {
    /// Reads a `package.json`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| format!("it is not what npm would take: {e}"))
    }

    /// A script by its name, if it says anything.
    pub(super) fn script(&self, name: &str) -> Option<&str> {
        self.scripts.as_ref()?.get(name).map(|script| script.trim()).filter(|script| !script.is_empty())
    }

    /// The file that it begins with; never one that would be taken for an option.
    pub(super) fn main(&self) -> Option<&str> {
        self.main.as_deref().map(str::trim).filter(|main| !main.is_empty() && !main.starts_with('-'))
    }

    /// Which versions of Node.js it asks for, if it is a range at all.
    pub(super) fn node_range(&self) -> Option<String> {
        let Some(Engines::Named { node: Some(range) }) = &self.engines else { return None };
        let range = range.trim();
        let is_range = !range.is_empty() && range.len() <= MAX_RANGE_BYTES && range.chars().all(in_ranges);
        is_range.then(|| range.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_read_and_the_rest_passed_over() {
        let text = r#"{"name": 7, "scripts": {"start": " node a.js ", "test": ""}, "main": "a.js", "x": [{}],
                       "engines": {"npm": "1", "node": " >=20 <25 || ^26 "}, "name": "again"}"#;
        let package = Package::read(text).unwrap();
        assert_eq!((package.script("start"), package.script("test")), (Some("node a.js"), None));
        assert_eq!((package.main(), package.node_range()), (Some("a.js"), Some(">=20 <25 || ^26".into())));
        let empty = Package::read("{}").unwrap();
        assert_eq!((empty.script("start"), empty.main(), empty.node_range()), (None, None, None));
    }

    #[test]
    fn odd_ranges_and_names_say_nothing() {
        for engines in
            [r#"["node"]"#, r#""20""#, r#"{"node": "20; x"}"#, r#"{"node": ""}"#, r#"{"node": null}"#]
        {
            let package = Package::read(&format!(r#"{{"engines": {engines}, "main": "--eval=1"}}"#)).unwrap();
            assert_eq!((package.node_range(), package.main()), (None, None), "{engines}");
        }
    }

    #[test]
    fn what_is_no_package_says_why() {
        for text in ["", "[]", "{", "{\"scripts\": {\"start\": 1}}", "\0", &"[".repeat(100_000)] {
            let error = Package::read(text).unwrap_err();
            assert!(error.starts_with("it is not what npm would take: "), "{error}");
            assert!(error.len() < 200, "{error}");
        }
        let deep = format!("{{\"x\": {}1{}, \"main\": \"a.js\"}}", "[".repeat(50_000), "]".repeat(50_000));
        // Passed over without going down into it; were it refused, that would do as well.
        assert!(Package::read(&deep).map_or(true, |package| package.main() == Some("a.js")));
    }
}
