//! `kennel.lock`: every file the image is made of, by place, size and digest, in a stable order, and a digest of what
//! `kennel.toml` asked for. How it is found out is `packages::resolve`'s business; this is the document itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kennel_model::RuntimeName;
use serde::{Deserialize, Serialize};

use crate::digest::{Hasher, Sha256};
use crate::spec::{Runtime, Spec};

mod changes;

pub use changes::{Change, changes};

/// Number of the format; another one is refused.
const FORMAT: u32 = 1;

/// First lines of the file.
const HEADER: &str = "\
# Written by `kennel lock` from kennel.toml; do not edit. Every file that the image is made of, by digest.
# Paths are below the mirror of `from`. Commit it: the same lock gives the same image, byte for byte.

";

/// The whole of `kennel.lock`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Number of the format.
    pub format: u32,
    /// Digest of those parts of the spec that decide what is in the lock.
    pub spec: Sha256,
    /// Every file, ordered by name and version.
    #[serde(default, rename = "package")]
    pub packages: Vec<Package>,
}

/// One file to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Its name in its registry.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Debian's architecture (`amd64` or `all`); absent for npm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Which trees take it.
    pub sets: BTreeSet<PackageSet>,
    /// Which registry it is from.
    pub from: Origin,
    /// Path below the registry's mirror.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Digest of the file.
    pub sha256: Sha256,
    /// npm's own digest, as the registry writes it (`sha512-…`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integrity: Option<String>,
}

/// Where a package's file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Debian's main archive.
    Debian,
    /// Debian's security archive.
    DebianSecurity,
    /// The npm registry.
    Npm,
}

/// A tree that packages are unpacked into. Written `host`, `kernel`, `tools` or `runtime/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PackageSet {
    /// The host's own root.
    Host,
    /// The kernel and its modules.
    Kernel,
    /// One runtime.
    Runtime(RuntimeName),
    /// Programs that the builder runs.
    Tools,
}

impl fmt::Display for PackageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Kernel => f.write_str("kernel"),
            Self::Runtime(name) => write!(f, "runtime/{name}"),
            Self::Tools => f.write_str("tools"),
        }
    }
}

impl From<PackageSet> for String {
    fn from(set: PackageSet) -> Self {
        set.to_string()
    }
}

impl TryFrom<String> for PackageSet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "host" => Ok(Self::Host),
            "kernel" => Ok(Self::Kernel),
            "tools" => Ok(Self::Tools),
            _ => text
                .strip_prefix("runtime/")
                .and_then(|name| RuntimeName::new(name).ok())
                .map(Self::Runtime)
                .ok_or_else(|| format!("{text:?} is not host, kernel, tools or runtime/<name>")),
        }
    }
}

/// Why a lock file was refused.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// There is none.
    #[error("{path} is not there", path = .0.display())]
    Missing(PathBuf),
    /// It cannot be read or written.
    #[error("{path}: {cause}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// It was edited, or written by another version.
    #[error("{path}: {cause}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// The spec asks for something else than what was locked.
    #[error("{lock} does not match {spec}", lock = lock.display(), spec = spec.display())]
    Stale {
        /// The lock file.
        lock: PathBuf,
        /// The spec file.
        spec: PathBuf,
    },
}

impl LockError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { .. } => None,
            Self::Missing(_) | Self::Malformed { .. } | Self::Stale { .. } => Some("run `kennel lock`"),
        }
    }
}

impl Lock {
    /// A lock for this spec. Packages of the same file are joined, and ordered by name, version and origin.
    pub fn new(spec: &Spec, packages: impl IntoIterator<Item = Package>) -> Self {
        let mut joined: BTreeMap<(String, String, Origin), Package> = BTreeMap::new();
        for package in packages {
            let key = (package.name.clone(), package.version.clone(), package.from);
            match joined.get_mut(&key) {
                Some(same) => same.sets.extend(package.sets),
                None => drop(joined.insert(key, package)),
            }
        }
        Self { format: FORMAT, spec: asked_for(spec), packages: joined.into_values().collect() }
    }

    /// Packages of one tree, in the lock's order.
    pub fn of<'a>(&'a self, set: &'a PackageSet) -> impl Iterator<Item = &'a Package> {
        self.packages.iter().filter(move |package| package.sets.contains(set))
    }

    /// An npm package of a runtime.
    pub fn npm_of(&self, runtime: &RuntimeName, name: &str) -> Option<&Package> {
        let set = PackageSet::Runtime(runtime.clone());
        let is_it = |package: &&Package| package.from == Origin::Npm && package.name == name;
        self.packages.iter().filter(is_it).find(|package| package.sets.contains(&set))
    }

    /// Where the lock of a spec file is: beside it, as `.lock`.
    pub fn path_for(spec: &Path) -> PathBuf {
        spec.with_extension("lock")
    }

    /// Reads the lock of a spec, which must be of this very spec.
    ///
    /// # Errors
    /// When it is missing or malformed, or the spec has changed since in what it asks for.
    pub fn load_for(spec: &Spec, spec_path: &Path) -> Result<Self, LockError> {
        let path = Self::path_for(spec_path);
        let lock = Self::load(&path)?;
        if lock.spec != asked_for(spec) {
            return Err(LockError::Stale { lock: path, spec: spec_path.to_owned() });
        }
        Ok(lock)
    }

    /// Reads a lock file.
    ///
    /// # Errors
    /// When it is missing, unreadable or not a lock file of this format.
    pub fn load(path: &Path) -> Result<Self, LockError> {
        let text = std::fs::read_to_string(path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => LockError::Missing(path.to_owned()),
            _ => LockError::Io { path: path.to_owned(), cause },
        })?;
        Self::parse(&text).map_err(|cause| LockError::Malformed { path: path.to_owned(), cause })
    }

    /// Writes a lock file, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), LockError> {
        let failed = |cause| LockError::Io { path: path.to_owned(), cause };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(failed)?;
        let text = self.render().map_err(|cause| LockError::Malformed { path: path.to_owned(), cause })?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.persist(path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The text of the file.
    ///
    /// # Errors
    /// None for a lock that this type can hold; what TOML says otherwise.
    pub fn render(&self) -> Result<String, String> {
        toml::to_string(self).map(|text| format!("{HEADER}{text}")).map_err(|error| error.to_string())
    }

    /// Reads the text of a lock file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lock: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        match lock.format {
            FORMAT => Ok(lock),
            other => Err(format!("format {other} is not the one this kennel reads ({FORMAT})")),
        }
    }
}

/// What of a spec decides which packages are locked, and nothing else: changing a mirror, what is kept of a tree or the
/// number of slots does not ask for a new lock. Its JSON is hashed, so the order of the fields is part of the format.
#[derive(Serialize)]
struct AskedFor<'a> {
    suite: &'a str,
    components: &'a [String],
    trees: Vec<Tree<'a>>,
}

#[derive(Serialize)]
struct Tree<'a> {
    set: PackageSet,
    packages: &'a [String],
    without: &'a [String],
    /// Names and version prefixes.
    npm: Vec<[&'a str; 2]>,
}

fn asked_for(spec: &Spec) -> Sha256 {
    let tree = |set, packages, without| Tree { set, packages, without, npm: vec![] };
    let runtime = |runtime: &Runtime| PackageSet::Runtime(runtime.name.clone());
    let mut trees = vec![
        tree(PackageSet::Host, &spec.host.packages[..], &spec.host.without[..]),
        tree(PackageSet::Kernel, std::slice::from_ref(&spec.kernel.package), &spec.kernel.without),
        tree(PackageSet::Tools, &spec.tools.packages, &spec.tools.without),
    ];
    trees.extend(spec.runtimes.iter().map(|r| Tree {
        npm: r.npm.iter().map(|npm| [npm.package.as_str(), npm.version.as_str()]).collect(),
        ..tree(runtime(r), &r.packages, &r.without)
    }));
    let asked = AskedFor { suite: &spec.debian.suite, components: &spec.debian.components, trees };
    let mut hasher = Hasher::default();
    // Neither a hasher nor these types can fail to take or give JSON.
    let _ = serde_json::to_writer(&mut hasher, &asked);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "[host]\npackages = [\"a\"]\n[tools]\npackages = []\n[[runtime]]\nname = \"node-24\"\n";

    fn spec(text: &str) -> Spec {
        Spec::parse(text, Path::new("kennel.toml")).unwrap()
    }

    pub(super) fn package(name: &str, version: &str, sets: &[PackageSet]) -> Package {
        Package {
            name: name.into(),
            version: version.into(),
            architecture: Some("amd64".into()),
            sets: sets.iter().cloned().collect(),
            from: Origin::Debian,
            path: format!("pool/{name}.deb"),
            size: 1,
            sha256: Sha256::of(name.as_bytes()),
            integrity: None,
        }
    }

    fn node() -> PackageSet {
        PackageSet::Runtime(RuntimeName::new("node-24").unwrap())
    }

    #[test]
    fn the_same_file_in_two_trees_is_one_entry_and_the_text_is_stable() {
        let tools = [PackageSet::Tools];
        let packages =
            [package("b", "1", &tools), package("a", "2", &[node()]), package("b", "1", &[PackageSet::Host])];
        let lock = Lock::new(&spec(SPEC), packages.clone());
        let names: Vec<_> = lock.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(lock.of(&PackageSet::Host).count(), 1);
        let text = lock.render().unwrap();
        assert!(text.contains("sets = [\"host\", \"tools\"]") && text.contains("runtime/node-24"), "{text}");
        assert_eq!(Lock::parse(&text).unwrap(), lock);
        assert_eq!(Lock::new(&spec(SPEC), packages.into_iter().rev()).render().unwrap(), text);
    }

    #[test]
    fn a_lock_belongs_to_what_the_spec_asks_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kennel.toml");
        assert!(matches!(Lock::load_for(&spec(SPEC), &path), Err(LockError::Missing(_))));
        Lock::new(&spec(SPEC), []).save(&folder.path().join("kennel.lock")).unwrap();
        let harmless = format!("[image]\nslots = 7\n[debian]\nmirror = \"http://m\"\n{SPEC}");
        for same in [SPEC, &harmless] {
            assert!(Lock::load_for(&spec(same), &path).is_ok());
        }
        for other in [
            SPEC.replace("\"a\"", "\"b\""),
            SPEC.replace("node-24", "node-26"),
            format!("{SPEC}without = [\"x\"]"),
        ] {
            let error = Lock::load_for(&spec(&other), &path).unwrap_err();
            assert!(error.to_string().ends_with("kennel.toml") && matches!(error, LockError::Stale { .. }));
            assert_eq!(error.hint(), Some("run `kennel lock`"));
        }
    }

    #[test]
    fn another_format_and_unknown_keys_are_refused() {
        let text = Lock::new(&spec(SPEC), []).render().unwrap();
        assert!(Lock::parse(&text.replace("format = 1", "format = 2")).unwrap_err().contains("format 2"));
        assert!(Lock::parse(&format!("{text}\nx = 1\n")).is_err());
    }
}
