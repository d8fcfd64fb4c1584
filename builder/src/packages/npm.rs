//! The npm registry, as far as an interpreter's binary package needs it: the newest version below a prefix, its tarball,
//! checked against the registry's integrity hash. Dependencies of npm packages are not followed.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use sha2::{Digest, Sha512};

use super::fetch::{FetchError, Fetcher};
use crate::lock::{Origin, Package};
use crate::spec::Npm;
use crate::steps::{self, Step};
use crate::store::StoreError;

/// The registry's document on one package; ours is half a megabyte.
const DOCUMENT_LIMIT: u64 = 32 << 20;
/// A tarball.
const TARBALL_LIMIT: u64 = 512 << 20;
/// Where tarball addresses point, even in documents that came from a mirror.
const REGISTRY: &str = "https://registry.npmjs.org/";

/// Why an npm package cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum NpmError {
    /// It cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry says something that we do not understand.
    #[error("npm package {package}: {what}")]
    Malformed {
        /// Its name.
        package: String,
        /// What is wrong.
        what: String,
    },
    /// No version begins like this.
    #[error("npm package {package} has no version {version}")]
    NoVersion {
        /// Its name.
        package: String,
        /// The prefix in the spec.
        version: String,
    },
    /// The tarball is not the one that the registry lists.
    #[error("npm package {package} {version}: the tarball does not match its integrity hash")]
    Integrity {
        /// Its name.
        package: String,
        /// Its version.
        version: String,
    },
}

impl NpmError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Fetch(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::NoVersion { .. } => Some("version in kennel.toml is a prefix such as \"24\" or \"24.11\""),
            Self::Malformed { .. } | Self::Integrity { .. } => {
                Some("try again; if it stays, the registry or something on the way is broken")
            }
        }
    }
}

#[derive(Deserialize)]
struct Document {
    versions: BTreeMap<String, Listed>,
}

#[derive(Deserialize)]
struct Listed {
    dist: Dist,
}

#[derive(Deserialize)]
struct Dist {
    tarball: String,
    integrity: String,
}

/// Finds the package that the spec wants. What was locked before is kept if the registry still says the same of it;
/// otherwise the tarball is fetched into the store. The result belongs to no set yet.
///
/// # Errors
/// [`NpmError`].
pub(super) fn lock(
    fetcher: &Fetcher,
    wanted: &Npm,
    previous: Option<&Package>,
    step: &Step,
) -> Result<Package, NpmError> {
    let package = &wanted.package;
    let malformed = |what: String| NpmError::Malformed { package: package.clone(), what };
    let url = fetcher.mirrors().url(Origin::Npm, package);
    let bytes = fetcher.read(package, &url, DOCUMENT_LIMIT, step)?;
    let document: Document = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    let (version, listed) = newest(document.versions, &wanted.version)
        .ok_or_else(|| NpmError::NoVersion { package: package.clone(), version: wanted.version.clone() })?;
    if let Some(same) = previous.filter(|old| old.integrity.as_deref() == Some(&listed.dist.integrity)) {
        return Ok(same.clone());
    }
    let base = format!("{}/", fetcher.mirrors().base(Origin::Npm));
    let path = [REGISTRY, &base].iter().find_map(|base| listed.dist.tarball.strip_prefix(base));
    let path = path.ok_or_else(|| malformed(format!("its tarball is elsewhere: {}", listed.dist.tarball)))?;
    step.note(&format!("{package} {version} from npm"));
    let tarball = fetcher.read(package, &fetcher.mirrors().url(Origin::Npm, path), TARBALL_LIMIT, step)?;
    let integrity = format!("sha512-{}", BASE64.encode(Sha512::digest(&tarball)));
    if integrity != listed.dist.integrity {
        return Err(NpmError::Integrity { package: package.clone(), version });
    }
    step.note(&format!("{package} {version}: {}", steps::bytes(tarball.len() as u64)));
    Ok(Package {
        name: package.clone(),
        version,
        architecture: None,
        sets: std::iter::empty().collect(),
        from: Origin::Npm,
        path: path.to_owned(),
        size: tarball.len() as u64,
        sha256: fetcher.store().insert(&tarball)?,
        integrity: Some(integrity),
    })
}

/// The highest `x.y.z` whose first parts are those of `prefix`; pre-releases do not count.
fn newest(versions: BTreeMap<String, Listed>, prefix: &str) -> Option<(String, Listed)> {
    let numbers = |text: &str| text.split('.').map(|part| part.parse::<u64>().ok()).collect::<Option<Vec<_>>>();
    let prefix = numbers(prefix)?;
    let parsed = versions.into_iter().filter_map(|(text, listed)| Some((numbers(&text)?, text, listed)));
    let fitting = parsed.filter(|(parts, ..)| parts.len() == 3 && parts.starts_with(&prefix));
    fitting.max_by(|a, b| a.0.cmp(&b.0)).map(|(_, text, listed)| (text, listed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::fetch::Mirrors;
    use crate::packages::fetch::test_server::{Answer, TestServer};
    use crate::steps::Steps;
    use crate::store::Store;

    struct Registry {
        server: TestServer,
        fetcher: Fetcher,
        _folder: tempfile::TempDir,
    }

    fn registry(versions: &[&str], tarball: &[u8], integrity_of: &[u8]) -> Registry {
        let (folder, server) = (tempfile::tempdir().unwrap(), TestServer::new());
        let integrity = format!("sha512-{}", BASE64.encode(Sha512::digest(integrity_of)));
        let versions: serde_json::Map<_, _> = versions
            .iter()
            .map(|version| {
                let dist = serde_json::json!({ "tarball": format!("{REGISTRY}n/-/n-{version}.tgz"), "integrity": integrity, "x": 1 });
                (version.to_string(), serde_json::json!({ "dist": dist, "name": "n" }))
            })
            .collect();
        for version in versions.keys() {
            server.serve(&format!("/npm/n/-/n-{version}.tgz"), [Answer::File(tarball.to_vec())]);
        }
        let document = serde_json::json!({ "versions": versions, "dist-tags": {} }).to_string();
        server.serve("/npm/n", [Answer::File(document.into_bytes())]);
        let fetcher = Fetcher::direct(Store::at(folder.path()), Mirrors::all_at(&server.base()));
        Registry { server, fetcher, _folder: folder }
    }

    impl Registry {
        fn lock(&self, version: &str, previous: Option<&Package>) -> Result<Package, NpmError> {
            let wanted = Npm { package: "n".into(), version: version.into(), files: BTreeMap::new() };
            lock(&self.fetcher, &wanted, previous, &Steps::silent().start("npm"))
        }
    }

    #[test]
    fn the_newest_fitting_version_is_checked_and_kept() {
        let registry = registry(&["24.9.0", "24.11.1", "24.12.0-rc.1", "25.0.0", "2.4.0"], b"tgz", b"tgz");
        let package = registry.lock("24", None).unwrap();
        assert_eq!((package.version.as_str(), package.path.as_str()), ("24.11.1", "n/-/n-24.11.1.tgz"));
        assert!(registry.fetcher.store().holds(&package.sha256, 3));
        assert_eq!(registry.lock("24.9", None).unwrap().version, "24.9.0");
        let error = registry.lock("26", None).unwrap_err();
        assert_eq!(error.to_string(), "npm package n has no version 26");
    }

    #[test]
    fn what_is_locked_already_is_not_fetched_again() {
        let registry = registry(&["24.1.0"], b"tgz", b"tgz");
        let first = registry.lock("24", None).unwrap();
        assert_eq!(registry.lock("24", Some(&first)).unwrap(), first);
        let tarballs = registry.server.requests().iter().filter(|path| path.ends_with(".tgz")).count();
        assert_eq!(tarballs, 1);
    }

    #[test]
    fn another_tarball_than_listed_is_refused() {
        let registry = registry(&["24.1.0"], b"tgz", b"other");
        assert!(matches!(registry.lock("24", None), Err(NpmError::Integrity { .. })));
    }
}
