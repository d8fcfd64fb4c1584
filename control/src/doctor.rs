//! What is wrong with the registry, and the way back to a copy of it. While it cannot be used the host is in failsafe mode: a copy
//! stands in for it in which nothing can be changed, so that visitors, operators' sign-in and every look go on as they can.

use std::sync::Arc;
use std::time::Duration;

use kennel_model::doctor::{Doctor, Failsafe, Repair, Repaired, Snapshot};

use crate::config::Config;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::registry::{self, Registry};
use crate::say;

/// Between two copies of the registry.
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// After control's start, when a host has better things to do.
const FIRST: Duration = Duration::from_secs(60);

/// The registry, or what stands in for it and why.
///
/// # Errors
/// Only when not even that can be made.
pub(crate) fn open(config: &Config) -> std::result::Result<(Registry, Option<Failsafe>), registry::OpenError> {
    let cause = match Registry::open(&config.registry_file()) {
        Ok(registry) => return Ok((registry, None)),
        Err(cause) => cause.to_string(),
    };
    let (registry, snapshot) = Registry::stand_in(&config.control_dir)?;
    let stands = snapshot.as_deref().unwrap_or("nothing: no copy of it is whole");
    say!("FAILSAFE: {cause}; what stands in for it is {stands}; `kennel host doctor` says more");
    Ok((registry, Some(Failsafe { why: cause, snapshot })))
}

impl Control {
    /// How the registry is, and what it can be repaired with.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) async fn doctor(&self) -> Result<Doctor> {
        let (folder, file) = (self.config.control_dir.clone(), self.config.registry_file());
        let seen = tokio::task::spawn_blocking(move || {
            let data = rustix::fs::statvfs(&folder).map_err(|e| Error::Io("data volume", e.into()))?;
            let registry_bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
            let (snapshots, aside) = registry::snapshots(&folder)?;
            Ok::<_, Error>((snapshots, aside, registry_bytes, data.f_bavail * data.f_frsize))
        });
        let (snapshots, aside, registry_bytes, data_available_bytes) = seen.await??;
        Ok(Doctor { failsafe: self.failsafe.clone(), snapshots, aside, registry_bytes, data_available_bytes })
    }

    /// Puts a copy in the place of the registry, which is put aside, and has control start again.
    ///
    /// # Errors
    /// [`Error::NotBroken`], [`Error::NoSuchSnapshot`], or the disk's; then everything is as it was.
    pub(crate) async fn repair(self: Arc<Self>, wish: Repair) -> Result<Repaired> {
        if self.failsafe.is_none() {
            return Err(Error::NotBroken);
        }
        let (file, name) = (self.config.registry_file(), wish.snapshot);
        let restored = tokio::task::spawn_blocking(move || registry::restore(&file, &name));
        let (snapshot, aside) = restored.await??;
        say!("{} is the registry now; control starts again", snapshot.name);
        self.over.notify_one();
        Ok(Repaired { snapshot, aside })
    }

    /// Takes a copy of the registry now.
    ///
    /// # Errors
    /// [`Error::Failsafe`], or the disk's.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot> {
        if self.failsafe.is_some() {
            return Err(Error::Failsafe);
        }
        let folder = self.config.control_dir.clone();
        let into = folder.clone();
        self.registry.with(move |store| store.copy_into(&into)).await?;
        tokio::task::spawn_blocking(move || registry::keep_snapshot(&folder)).await?
    }

    /// Takes copies of the registry, until control ends.
    pub(crate) async fn keep_snapshots(self: Arc<Self>) {
        tokio::time::sleep(FIRST).await;
        loop {
            if let Err(cause) = self.snapshot().await {
                say!("there is no new copy of the registry: {cause}");
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}
