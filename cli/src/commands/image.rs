//! `kennel lock` and `kennel build`: the builder's work, shown to a person.

use kennel_builder::lock::{Change, LockError};
use kennel_builder::packages::{FetchError, Fetcher, Mirrors, PackagesError, fetch_locked, lock_command};
use kennel_builder::{Spec, Store};
use serde::Serialize;

use super::Context;
use crate::args::{Build, Lock};
use crate::exit::{Explain, Failure};

impl Explain for PackagesError {
    fn hint(&self) -> Option<String> {
        self.hint()
    }

    fn code(&self) -> String {
        match self {
            Self::Spec(_) => "spec",
            Self::Lock(LockError::Missing(_)) => "no-lock",
            Self::Lock(LockError::Stale { .. }) => "stale-lock",
            Self::Lock(_) => "lock",
            Self::Fetch(FetchError::LockedFileGone { .. }) => "locked-file-gone",
            Self::Fetch(FetchError::Offline(_)) => "offline",
            Self::Fetch(_) | Self::Npm(_) => "fetch",
            Self::Store(_) => "cache",
            Self::Signature(_) | Self::Release(_) | Self::Index(_) => "archive",
            Self::Solve(_) => "dependencies",
        }
        .to_owned()
    }
}

/// What `kennel lock --json` prints.
#[derive(Serialize)]
struct Locked {
    lock: std::path::PathBuf,
    packages: usize,
    changes: Vec<Change>,
}

pub(super) fn lock(context: &Context, args: &Lock) -> Result<(), Failure> {
    let spec = Spec::load(&args.spec).map_err(PackagesError::from)?;
    let fetcher = fetcher(&spec, args.offline)?;
    let done = lock_command(&args.spec, &fetcher, &spec, &context.ui.steps())?;
    let locked = Locked { lock: done.path, packages: done.lock.packages.len(), changes: done.changes };
    Ok(context.ui.result(&locked, |locked| {
        let mut text: String = locked.changes.iter().map(|change| format!("{change}\n")).collect();
        let news = if locked.changes.is_empty() { ", nothing changed" } else { "" };
        text.push_str(&format!("{}: {} packages{news}\n", locked.lock.display(), locked.packages));
        text
    })?)
}

fn fetcher(spec: &Spec, offline: bool) -> Result<Fetcher, PackagesError> {
    Ok(Fetcher::new(Store::open()?, Mirrors::new(&spec.debian), offline))
}

pub(super) fn build(context: &Context, args: &Build) -> Result<(), Failure> {
    let spec = Spec::load(&args.spec).map_err(PackagesError::from)?;
    let lock = kennel_builder::Lock::load_for(&spec, &args.spec).map_err(PackagesError::from)?;
    let steps = context.ui.steps();
    fetch_locked(&lock, &fetcher(&spec, args.offline)?, &steps).map_err(PackagesError::from)?;
    Ok(())
}
