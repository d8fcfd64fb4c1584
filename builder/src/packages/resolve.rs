//! From a spec to a lock: read and verify the archive's indexes, solve for each tree, look up npm packages. Also the
//! step before a build: having in the store whatever the lock names.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::PackagesError;
use super::fetch::{FetchError, Fetcher, Wanted};
use super::index::{Candidate, Index, IndexError};
use super::release::Release;
use super::signature::Keyring;
use super::{npm, solve};
use crate::lock::{Change, Lock, LockError, Origin, Package, PackageSet, changes};
use crate::spec::{Npm, Runtime, Spec};
use crate::steps::{self, Step, Steps};

/// An `InRelease` is a few hundred kilobytes.
const RELEASE_LIMIT: u64 = 16 << 20;
/// A package list, unpacked; main has 56 MB.
const LIST_LIMIT: u64 = 1 << 30;

/// What `kennel lock` did.
#[derive(Debug)]
pub struct Locked {
    /// The lock file.
    pub path: PathBuf,
    /// What is in it now.
    pub lock: Lock,
    /// How it differs from before.
    pub changes: Vec<Change>,
}

/// `kennel lock`: resolves what the spec file asks for and writes the lock beside it, if anything changed.
///
/// # Errors
/// [`PackagesError`]; the old lock stays as it was.
pub fn lock_command(
    spec_path: &Path,
    fetcher: &Fetcher,
    spec: &Spec,
    steps: &Steps,
) -> Result<Locked, PackagesError> {
    let path = Lock::path_for(spec_path);
    let before = match Lock::load(&path) {
        Ok(lock) => Some(lock),
        // What cannot be used is replaced.
        Err(LockError::Missing(_) | LockError::Malformed { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let lock = resolve(spec, fetcher, before.as_ref(), steps)?;
    if before.as_ref() != Some(&lock) {
        lock.save(&path)?;
    }
    Ok(Locked { path, changes: changes(before.as_ref(), &lock), lock })
}

/// Resolves a spec. `previous` spares fetching npm packages again that have not changed.
///
/// # Errors
/// [`PackagesError`].
pub fn resolve(
    spec: &Spec,
    fetcher: &Fetcher,
    previous: Option<&Lock>,
    steps: &Steps,
) -> Result<Lock, PackagesError> {
    let index = read_indexes(spec, fetcher, steps)?;
    let mut packages = solve_all(spec, &index, steps)?;
    if spec.runtimes.iter().any(|runtime| !runtime.npm.is_empty()) {
        packages.extend(look_up_npm(spec, fetcher, previous, steps)?);
    }
    Ok(Lock::new(spec, packages))
}

/// Sees to it that everything the lock names is in the store.
///
/// # Errors
/// [`FetchError`]; [`FetchError::LockedFileGone`] when the archive has moved on.
pub fn fetch_locked(lock: &Lock, fetcher: &Fetcher, steps: &Steps) -> Result<(), FetchError> {
    let step = steps.start("fetch");
    let wanted = |package: &Package| Wanted {
        name: format!("{} {}", package.name, package.version),
        url: fetcher.mirrors().url(package.from, &package.path),
        size: package.size,
        sha256: package.sha256,
        locked: true,
    };
    let wanted: Vec<_> = lock.packages.iter().map(wanted).collect();
    let fetched = fetcher.fetch_all(&wanted, &step)?;
    match fetched.files {
        0 => step.done(format!("{} packages, all in the cache", wanted.len())),
        files => step.done(format!("{files} of {} packages, {}", wanted.len(), steps::bytes(fetched.bytes))),
    }
    Ok(())
}

/// The archive's suites: the release, its updates, and security.
fn suites(spec: &Spec) -> [(Origin, String); 3] {
    let suite = &spec.debian.suite;
    [
        (Origin::Debian, suite.clone()),
        (Origin::Debian, format!("{suite}-updates")),
        (Origin::DebianSecurity, format!("{suite}-security")),
    ]
}

fn read_indexes(spec: &Spec, fetcher: &Fetcher, steps: &Steps) -> Result<Index, PackagesError> {
    let step = steps.start("indexes");
    let keyring = Keyring::open(spec.debian.keyring.as_deref())?;
    let mut lists = Vec::new();
    for (origin, suite) in suites(spec) {
        let folder = fetcher.mirrors().url(origin, &format!("dists/{suite}"));
        let release = read_release(&keyring, fetcher, &folder, &suite, &step)?;
        for component in &spec.debian.components {
            lists.push((origin, release.packages_list(component, &folder)?));
        }
    }
    let wanted: Vec<_> = lists.iter().map(|(_, wanted)| wanted.clone()).collect();
    fetcher.fetch_all(&wanted, &step)?;
    let mut index = Index::default();
    for (origin, wanted) in &lists {
        let list = unpack_list(&fetcher.store().verified(&wanted.sha256)?)
            .map_err(|error| IndexError { of: wanted.name.clone(), what: error.to_string() })?;
        index.add(&list, *origin, &wanted.name)?;
    }
    step.done(format!("{} suites verified, {} packages", suites(spec).len(), index.len()));
    Ok(index)
}

fn read_release(
    keyring: &Keyring,
    fetcher: &Fetcher,
    folder: &str,
    suite: &str,
    step: &Step,
) -> Result<Release, PackagesError> {
    let url = format!("{folder}/InRelease");
    let document = fetcher.read(&format!("{suite} InRelease"), &url, RELEASE_LIMIT, step)?;
    let text = keyring.verify(&document, &url)?;
    Ok(Release::parse(&String::from_utf8_lossy(&text), &url, suite, SystemTime::now())?)
}

fn unpack_list(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let xz = liblzma::read::XzDecoder::new(std::fs::File::open(path)?);
    if xz.take(LIST_LIMIT + 1).read_to_string(&mut text)? as u64 > LIST_LIMIT {
        return Err(std::io::Error::other(format!("unpacks to more than {}", steps::bytes(LIST_LIMIT))));
    }
    Ok(text)
}

fn solve_all(spec: &Spec, index: &Index, steps: &Steps) -> Result<Vec<Package>, PackagesError> {
    let step = steps.start("resolve");
    let kernel = std::slice::from_ref(&spec.kernel.package);
    let mut trees = vec![
        (PackageSet::Host, &spec.host.packages[..], &spec.host.without),
        (PackageSet::Kernel, kernel, &spec.kernel.without),
        (PackageSet::Tools, &spec.tools.packages[..], &spec.tools.without),
    ];
    for runtime in &spec.runtimes {
        trees.push((PackageSet::Runtime(runtime.name.clone()), &runtime.packages[..], &runtime.without));
    }
    let mut packages = Vec::new();
    for (set, wanted, without) in trees {
        let chosen = solve::solve(index, &set.to_string(), wanted, without)?;
        packages.extend(chosen.into_iter().map(|id| locked(index.get(id), &set)));
    }
    step.done(format!("{} packages", Lock::new(spec, packages.clone()).packages.len()));
    Ok(packages)
}

fn locked(candidate: &Candidate, set: &PackageSet) -> Package {
    Package {
        name: candidate.name.clone(),
        version: candidate.version.clone(),
        architecture: Some(candidate.architecture.clone()),
        sets: [set.clone()].into(),
        from: candidate.from,
        path: candidate.path.clone(),
        size: candidate.size,
        sha256: candidate.sha256,
        integrity: None,
    }
}

fn look_up_npm(
    spec: &Spec,
    fetcher: &Fetcher,
    previous: Option<&Lock>,
    steps: &Steps,
) -> Result<Vec<Package>, PackagesError> {
    let step = steps.start("npm");
    let look_up = |(runtime, npm): (&Runtime, &Npm)| {
        let before = previous.and_then(|lock| lock.npm_of(&runtime.name, &npm.package));
        let sets = [PackageSet::Runtime(runtime.name.clone())].into();
        npm::lock(fetcher, npm, before, &step).map(|package| Package { sets, ..package })
    };
    let wanted = spec.runtimes.iter().flat_map(|runtime| runtime.npm.iter().map(move |npm| (runtime, npm)));
    let packages = wanted.map(look_up).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<_> =
        packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
    step.done(names.join(", "));
    Ok(packages)
}

#[cfg(test)]
mod tests;
