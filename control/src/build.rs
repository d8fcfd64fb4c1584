//! A build: the packages that a release needs and came without are fetched on the host, before anybody looks how it starts. It runs in
//! the slot, with its domain and egress list, in a copy of the release and without the tenant's data; one at a time on a host. What it
//! leaves is unpacked as anything is that comes from outside.

use std::time::Duration;

use kennel_model::ReleaseId;
use kennel_model::found::{Found, Origin};
use kennel_model::layout::{Build, RuntimeFacts};
use kennel_model::msg::ControlRequest;
use kennel_model::task::TaskIo;
use tokio::time::timeout;

use crate::control::{Control, QUICK, REMOVAL};
use crate::deploy::with;
use crate::error::{Error, Result};
use crate::init::InitError;
use crate::jobs::step;
use crate::registry::{TenantRow, Unpacked};
use crate::trial::LOG_LINES;
use crate::upload::{self, Received};

/// Then it is ended.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What a release is made complete by; nothing where it says no packages, or has brought them.
pub(crate) fn wanted<'a>(runtime: &'a RuntimeFacts, found: &Found) -> Option<&'a Build> {
    let build = runtime.build.as_ref()?;
    let says = build.when.iter().any(|name| found.top.contains(name));
    let brings = build.unless.iter().any(|name| found.folders.contains(name) || found.top.contains(name));
    (says && !brings).then_some(build)
}

impl Control {
    /// Makes a release complete that was unpacked just now, in the place of what it was; `by` is who deploys it. What serves may share its
    /// packages with it.
    ///
    /// # Errors
    /// [`Error::Build`] and others. What is left then goes with the release.
    pub(crate) async fn build(
        &self,
        (row, runtime, build): (&TenantRow, &RuntimeFacts, &Build),
        id: ReleaseId,
        came: &Received,
        by: &str,
    ) -> Result<Received> {
        let _turn = match self.builds.try_acquire() {
            Ok(turn) => turn,
            Err(_) => step("wait for another tenant's build", self.builds.acquire())
                .await
                .map_err(|e| Error::Internal(e.to_string()))?,
        };
        let copy = self.begin_within(ControlRequest::BeginBuild(row.slot, id, row.limits), REMOVAL);
        step("copy it to where packages may be added", copy).await?;
        step(&build.name, self.run_build((row, runtime, build), id, came, by)).await?;
        let onto = row.current.and_then(|current| row.releases.iter().find(|kept| kept.id == current));
        let onto = onto.map(|kept| kept.files);
        let request = ControlRequest::EndBuild { slot: row.slot, release: id, limits: row.limits, onto };
        let take = async { upload::report(self.begin(request).await?, &self.config.http).await };
        step("take what it has become", take).await
    }

    async fn run_build(
        &self,
        (row, runtime, build): (&TenantRow, &RuntimeFacts, &Build),
        release: ReleaseId,
        came: &Received,
        by: &str,
    ) -> Result<()> {
        let facts = Unpacked {
            bytes: came.bytes,
            entries: came.entries,
            command: build.command.clone(),
            origin: Origin::CommandLine,
            runtime: runtime.name.clone(),
            source: None,
            by: by.to_owned(),
        };
        let spec = self.spec(&with(row, release, &facts)).await?;
        let spec = spec.ok_or_else(|| Error::Internal(format!("{release} has nothing to run")))?;
        let mut started = self.init.run_task(row.slot, spec, TaskIo::Build, QUICK).await?;
        let why = match timeout(LONGEST, &mut started.end).await {
            Ok(Ok(end)) if end.code == 0 => return Ok(()),
            Ok(Ok(end)) => end.why,
            Ok(Err(_)) => return Err(InitError::Gone.into()),
            Err(_) => {
                self.end(row, started).await;
                format!("it took more than {} minutes", LONGEST.as_secs() / 60)
            }
        };
        let log = self.logs.last_start(row.slot, release, LOG_LINES).await;
        Err(Error::Build { release, name: build.name.clone(), why, log })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_packages_and_brings_none_is_built() {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let runtime = RuntimeFacts {
            name: "node-24".parse().unwrap(),
            version: "24.1.0".into(),
            default_command: vec![],
            jit: true,
            env: std::collections::BTreeMap::new(),
            build: Some(Build {
                name: "npm ci".into(),
                when: words(&["package-lock.json", "npm-shrinkwrap.json"]),
                unless: words(&["node_modules"]),
                command: words(&["/usr/bin/node"]),
            }),
        };
        let found = |top: &[&str], folders: &[&str]| Found {
            top: words(top),
            folders: words(folders),
            ..Found::default()
        };
        assert!(wanted(&runtime, &found(&["package-lock.json"], &["lib"])).is_some());
        assert!(wanted(&runtime, &found(&["npm-shrinkwrap.json"], &[])).is_some());
        assert!(wanted(&runtime, &found(&["package.json"], &[])).is_none());
        assert!(wanted(&runtime, &found(&["package-lock.json"], &["node_modules"])).is_none());
        assert!(wanted(&runtime, &found(&["package-lock.json", "node_modules"], &[])).is_none(), "a link");
        let plain = RuntimeFacts { build: None, ..runtime };
        assert!(wanted(&plain, &found(&["package-lock.json"], &[])).is_none());
    }
}
