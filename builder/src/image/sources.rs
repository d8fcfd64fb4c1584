//! All packages of the lock, unpacked, and the trees that they make: one for each set of packages.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use super::BuildError;
use super::cache::Cache;
use super::merge;
use super::tree::{Node, Tree};
use super::unpack::{Unpacked, What};
use crate::lock::{Lock, Origin, Package, PackageSet};
use crate::spec::Npm;
use crate::steps::Step;
use crate::store::Store;

/// Packages beside what is in them.
pub(super) struct Sources<'a> {
    packages: Vec<(&'a Package, Unpacked)>,
}

/// How much of a tree came from one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Share {
    /// The package's name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Bytes of the files taken from it.
    pub bytes: u64,
}

/// A tree and where it came from.
pub(super) struct Sourced {
    /// The tree.
    pub tree: Tree,
    /// The packages that gave something.
    pub shares: Vec<Share>,
}

impl<'a> Sources<'a> {
    /// Unpacks what the cache has not unpacked yet, by as many threads as there are cores.
    ///
    /// # Errors
    /// When a package is missing, damaged or refused.
    pub(super) fn open(lock: &'a Lock, store: &Store, cache: &Cache, step: &Step) -> Result<Self, BuildError> {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let total = lock.packages.len();
        let work = || {
            let mut unpacked = Vec::new();
            while let Some((index, package)) = take(&next, &lock.packages) {
                unpacked.push((index, package, Unpacked::open(package, store, cache)?));
                step.progress(done.fetch_add(1, Ordering::Relaxed) as u64 + 1, total as u64);
            }
            Ok(unpacked)
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let parts = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let parts = workers.into_iter().map(|worker| worker.join());
            parts
                .map(|part| part.unwrap_or_else(|_| Err(BuildError::Panicked("unpack".into()))))
                .collect::<Result<Vec<_>, _>>()
        })?;
        let mut packages: Vec<_> = parts.into_iter().flatten().collect();
        packages.sort_by_key(|(index, ..)| *index);
        Ok(Self { packages: packages.into_iter().map(|(_, package, unpacked)| (package, unpacked)).collect() })
    }

    /// The tree of the Debian packages of a set.
    ///
    /// # Errors
    /// When two packages disagree.
    pub(super) fn tree(&self, set: &PackageSet, take: impl Fn(&Path) -> bool) -> Result<Sourced, BuildError> {
        let mut sourced = Sourced { tree: Tree::default(), shares: Vec::new() };
        let wanted = |package: &Package| package.from != Origin::Npm && package.sets.contains(set);
        for (package, unpacked) in self.packages.iter().filter(|(package, _)| wanted(package)) {
            let bytes = merge::add_package(&mut sourced.tree, unpacked, &take)
                .map_err(|cause| BuildError::Tree { tree: set.to_string(), cause })?;
            sourced.note(package, bytes);
        }
        Ok(sourced)
    }

    /// The Debian package of a set that has this file.
    pub(super) fn bringer(&self, set: &PackageSet, path: &str) -> Option<&Package> {
        let brings = |(package, unpacked): &&(&Package, Unpacked)| {
            let is_file = |unit: &super::unpack::Unit| unit.path == path && matches!(unit.what, What::File(_));
            package.from != Origin::Npm && package.sets.contains(set) && unpacked.entries.iter().any(is_file)
        };
        self.packages.iter().find(brings).map(|(package, _)| *package)
    }

    /// Adds those files of a set's npm package that the spec names.
    ///
    /// # Errors
    /// When the package has no such file, or something is in its place.
    pub(super) fn add_npm(&self, sourced: &mut Sourced, set: &PackageSet, npm: &Npm) -> Result<(), BuildError> {
        let wanted = |package: &Package| {
            package.from == Origin::Npm && package.name == npm.package && package.sets.contains(set)
        };
        let missing = |path: &str| BuildError::NotBrought { set: set.to_string(), path: path.to_owned() };
        let found = self.packages.iter().find(|(package, _)| wanted(package));
        let (package, unpacked) = found.ok_or_else(|| missing(&npm.package))?;
        let mut bytes = 0;
        for (from, to) in &npm.files {
            let mut taken = 0;
            for unit in &unpacked.entries {
                let below = unit.path.strip_prefix(from.as_str());
                let below = below.filter(|below| below.is_empty() || from.ends_with('/'));
                let (Some(below), What::File(place)) = (below, &unit.what) else { continue };
                // Who owned it on the computer of whoever published it says nothing.
                let mode = if unit.mode & 0o111 == 0 { 0o644 } else { 0o755 };
                let node = Node::file(mode, unpacked.content(place));
                let added = sourced.tree.add(&format!("{to}{below}"), node);
                added.map_err(|cause| BuildError::Tree { tree: set.to_string(), cause })?;
                taken += 1;
                bytes += place.size();
            }
            if taken == 0 {
                return Err(missing(&format!("{from} (of {})", unpacked.name)));
            }
        }
        sourced.note(package, bytes);
        Ok(())
    }
}

impl Sourced {
    fn note(&mut self, package: &Package, bytes: u64) {
        if bytes > 0 {
            let (package, version) = (package.name.clone(), package.version.clone());
            self.shares.push(Share { package, version, bytes });
        }
    }
}

/// The next package that no thread has taken.
fn take<'a>(next: &AtomicUsize, packages: &'a [Package]) -> Option<(usize, &'a Package)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    packages.get(index).map(|package| (index, package))
}
