//! The crates that Kennel's programs are made of, from the Cargo.lock that this builder was compiled with.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::BuildError;

const LOCK: &str = include_str!("../../../Cargo.lock");

#[derive(Deserialize)]
struct CargoLock {
    package: Vec<Crate>,
}

/// One crate.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file in the registry; none for Kennel's own.
    pub checksum: Option<String>,
    /// `name`, or `name version` where there are several of one name.
    #[serde(default)]
    dependencies: Vec<String>,
}

/// All crates of the workspace's lock file.
///
/// # Errors
/// When the lock is not as Cargo writes it.
pub(super) fn all() -> Result<Vec<Crate>, BuildError> {
    let lock: CargoLock =
        toml::from_str(LOCK).map_err(|error| BuildError::io("Cargo.lock")(std::io::Error::other(error)))?;
    Ok(lock.package)
}

/// All crates that a crate is made of, with itself, by name and version.
pub(super) fn below<'a>(all: &'a [Crate], name: &str) -> Vec<&'a Crate> {
    let mut by_name: BTreeMap<&str, Vec<&Crate>> = BTreeMap::new();
    for one in all {
        by_name.entry(&one.name).or_default().push(one);
    }
    let find = |text: &str| {
        let (name, version) = text.split_once(' ').unwrap_or((text, ""));
        let named = by_name.get(name).into_iter().flatten().copied();
        named.filter(|one| version.is_empty() || one.version == version).collect::<Vec<_>>()
    };
    let mut found = BTreeMap::new();
    let (mut waiting, mut seen) = (find(name), BTreeSet::new());
    while let Some(one) = waiting.pop() {
        let key = (one.name.as_str(), one.version.as_str());
        if seen.insert(key) {
            found.insert(key, one);
            waiting.extend(one.dependencies.iter().flat_map(|text| find(text)));
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_in_the_lock_with_what_it_is_made_of() {
        let all = all().unwrap();
        for program in super::super::guests::NAMES {
            let names: Vec<_> = below(&all, program).iter().map(|one| one.name.as_str()).collect();
            assert!(names.contains(&program) && names.contains(&"kennel-model"), "{program}: {names:?}");
            assert!(names.contains(&"serde"), "{program}: {names:?}");
        }
        for program in super::super::guests::FOR_RUNTIMES {
            let names: Vec<_> = below(&all, program).iter().map(|one| one.name.as_str()).collect();
            assert!(names.contains(&program) && names.contains(&"hyper"), "{program}: {names:?}");
        }
        assert!(below(&all, "no-such-crate").is_empty());
    }
}
