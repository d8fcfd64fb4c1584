//! All scenarios, in groups that share one VM.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::checks::holds;
use crate::vm::{Places, Vm};

mod acme;
mod archives;
mod attest;
mod backup;
mod betas;
mod boot;
mod builds;
mod changes;
mod clock;
mod cloud;
mod cuts;
mod data;
mod denials;
mod egress;
mod exec;
mod failsafe;
mod found;
mod git;
mod https;
mod ipv6;
mod jobs;
mod ladder;
mod late;
mod leaving;
mod people;
mod php;
mod pressure;
mod printed;
mod probes;
mod processes;
mod proof;
mod protocols;
mod registered;
mod releases;
mod reserved;
mod routing;
mod runtimes;
mod samples;
mod secure;
mod seeing;
mod services;
mod static_files;
mod swap;
mod tenants;
mod traffic;
mod trials;
mod wakes;

/// Scenarios that share one VM.
pub struct Group {
    /// For people.
    pub title: &'static str,
    /// Which image it boots.
    pub image: fn(&Places) -> &Path,
    /// Boots it and makes what all its scenarios need.
    pub prepare: fn(&mut Vm) -> Result<(), String>,
    /// In order.
    pub scenarios: Vec<Scenario>,
}

/// One thing that is claimed of a host, and the attempt to see it or to break it.
pub struct Scenario {
    /// As it is printed, and selected by.
    pub name: &'static str,
    /// What to do; an error says what was seen instead.
    pub run: fn(&mut Vm) -> Result<(), String>,
    /// SELinux denials that belong to it: words that all occur in the line. Any other denial fails the scenario.
    pub denials: &'static [&'static str],
}

impl Scenario {
    const fn new(name: &'static str, run: fn(&mut Vm) -> Result<(), String>) -> Self {
        Self { name, run, denials: &[] }
    }

    const fn denying(self, denials: &'static [&'static str]) -> Self {
        Self { denials, ..self }
    }
}

fn people_image(places: &Places) -> &Path {
    &places.image
}

fn probe_image(places: &Places) -> &Path {
    &places.probe_image
}

fn proof_image(places: &Places) -> &Path {
    &places.proof_image
}

/// Nothing to prepare: the scenario boots by itself.
fn nothing(_: &mut Vm) -> Result<(), String> {
    Ok(())
}

/// Deploys a folder made so large that its upload is still under way when this returns.
fn begin_large_deploy(vm: &Vm, tenant: &str, folder: &Path) -> Result<Child, String> {
    let fault = |e: std::io::Error| e.to_string();
    // On its way for many seconds, well below the limit of a release.
    std::fs::write(folder.join("ballast"), vec![7; 200 << 20]).map_err(fault)?;
    let mut command = vm.command(&["deploy", tenant, &folder.display().to_string()]);
    let mut upload = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(fault)?;
    // It is read and compared first.
    std::thread::sleep(Duration::from_secs(4));
    holds("the upload is under way", upload.try_wait().map_err(fault)?.is_none())?;
    Ok(upload)
}

/// Groups whose machines compute most of the time, quick ones first.
pub fn busy() -> Vec<Group> {
    vec![
        tenants::group(),
        releases::group(),
        exec::group(),
        found::group(),
        runtimes::group(),
        people::group(),
        ladder::group(),
        pressure::group(),
        reserved::group(),
        swap::group(),
        swap::foreign_group(),
        wakes::group(),
        https::group(),
        routing::group(),
        seeing::group(),
        traffic::group(),
        protocols::group(),
        egress::group(),
        denials::group(),
        probes::group(),
        proof::group(),
        static_files::group(),
        services::group(),
        ipv6::group(),
        leaving::group(),
        registered::group(),
        failsafe::group(),
        cuts::group(),
        boot::group(),
        boot::foreign_group(),
        attest::group(),
        secure::group(),
    ]
}

/// Groups that wait by the clock most of the time: for a server of NTP, a certificate's half life, an announcement.
pub fn waiting() -> Vec<Group> {
    vec![clock::group(), acme::group(), cloud::group(), late::group(), clock::killed_group()]
}
