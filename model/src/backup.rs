//! What a tenant is beside its files, so that it can be made again: what `POST /v1/tenants/{name}/backup` answers, and what `kennel`
//! keeps in a backup, under [`DOCUMENT`], before [`DATA`] and [`RELEASE`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::{NewEgressRule, Source};
use crate::cron::NewJob;
use crate::env::EnvValue;
use crate::page::Page;
use crate::routing::{NewDomain, NewRedirect};
use crate::{EnvName, Limits, ProcessName, ReleaseId, RuntimeName, TenantName};

/// What is written now. Whoever reads another number refuses it.
pub const FORMAT: u32 = 1;
/// The entry of the archive that this document is.
pub const DOCUMENT: &str = "kennel-backup.json";
/// The entry that holds the archive of the tenant's data.
pub const DATA: &str = "data.tar";
/// The entry that holds the archive of the release that served; absent if none did.
pub const RELEASE: &str = "release.tar";

/// A tenant's settings at one moment. The values of its variables stand here in the clear, as they are in its program's
/// environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// [`FORMAT`].
    pub format: u32,
    /// Seconds since 1970-01-01 UTC.
    pub taken_at_s: u64,
    /// Its name.
    pub name: TenantName,
    /// What the next deploy runs on.
    pub runtime: RuntimeName,
    /// What whoever made the tenant wanted to be run; empty for the default.
    pub command: Vec<String>,
    /// Its limits.
    pub limits: Limits,
    /// What is routed to it.
    pub domains: Vec<NewDomain>,
    /// What is sent elsewhere.
    pub redirects: Vec<NewRedirect>,
    /// What it may connect to beyond the default.
    pub egress: Vec<NewEgressRule>,
    /// Its variables.
    pub env: BTreeMap<EnvName, EnvValue>,
    /// What runs by the clock.
    pub jobs: Vec<NewJob>,
    /// How often processes run beside its program.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scale: BTreeMap<ProcessName, u16>,
    /// Its own page for visitors whom nobody answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<Page>,
    /// What serves; nothing before the first deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<KeptRelease>,
}

/// The release that served, without its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRelease {
    /// Its number there.
    pub id: ReleaseId,
    /// What it runs on.
    pub runtime: RuntimeName,
    /// What whoever deployed it wanted to be run; empty where that was found in its files, or is the tenant's.
    pub command: Vec<String>,
    /// What it was made from, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}
