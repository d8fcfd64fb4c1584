//! The operator's API: the bodies that `kennel` and control exchange as JSON over HTTPS. Paths, status codes and
//! sign-in are described in `control/openapi.json`, which a test compares with the server; this file only has the types.
//!
//! | method, path | body → answer |
//! |---|---|
//! | `GET /v1/host` | → [`Host`] (no sign-in: `GET /v1/ping` → `{}`) |
//! | `POST /v1/session/challenge` | [`ChallengeRequest`] → [`Challenge`] |
//! | `POST /v1/session` | [`SessionRequest`] → 201 [`Session`] |
//! | `GET /v1/tenants` | → `Vec<Tenant>` |
//! | `POST /v1/tenants` | [`NewTenant`] → 201 [`Tenant`] |
//! | `GET`, `DELETE /v1/tenants/{name}` | → [`Tenant`]; → 204 |
//! | `GET /v1/tenants/{name}/releases` | → `Vec<Release>` |
//! | `POST /v1/tenants/{name}/releases` | a tar stream (`application/x-tar`) → 201 [`Deployed`] |
//! | `POST /v1/tenants/{name}/rollback` | [`Rollback`] → [`RolledBack`] |
//! | `POST /v1/tenants/{name}/promote` | [`Promote`] → [`RolledBack`] |
//! | `POST /v1/tenants/{name}/start`, `/stop` | → [`Tenant`] |
//! | `POST /v1/tenants/{name}/sleep` | [`Sleep`] → [`Tenant`] |
//! | `GET /v1/tenants/{name}/logs?lines=N&follow=true` | → `text/plain`, streamed |
//! | `GET /v1/denials?lines=N&follow=true`, `GET /v1/tenants/{name}/denials?…` | → a [`Denial`] a line, streamed |
//! | `POST /v1/host/attest` | [`Attest`] → [`crate::tpm::Answer`] |
//! | `POST /v1/host/prove` | [`Prove`] → a [`ProveLine`] a line, streamed |
//! | `GET /v1/tenants/{name}/egress` | → [`EgressReport`] |
//! | `POST /v1/tenants/{name}/egress` | [`NewEgressRule`] → 201 [`EgressChange`] |
//! | `DELETE /v1/tenants/{name}/egress/{number}` | → [`EgressChange`] |
//! | domains, redirects, maintenance, pages | in [`crate::routing`] |
//! | `POST /v1/host/power-off`, `/reboot` | → 202 |

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::denial::{Act, Layer};
use crate::egress::Action;
use crate::layout::RuntimeFacts;
use crate::memory::{Pressure, Reclaimed, Swap};
use crate::msg::ServiceStatus;
pub use crate::release::{
    Beta, Move, Moved, Promote, Release, ReleaseState, Rollback, RolledBack, RuntimeUse, Source,
};
pub use crate::session::{
    Challenge, ChallengeRequest, SIGNATURE_NAMESPACE, Session, SessionRequest, signed_text,
};
use crate::tpm::{Activation, Hex};
pub use crate::wake::Sleep;
use crate::{Domain, Limits, ReleaseId, RuntimeName, SlotId, SlotState, TenantName};

/// Every answer with status 400 or above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable word for programs: `tenant-exists`, `no-such-tenant`, `no-free-slot`, `upload-refused`, …
    pub code: String,
    /// For a person, lower case, naming the thing.
    pub message: String,
    /// What the person can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The body that makes a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// Unique on the host.
    pub name: TenantName,
    /// One of the image's runtimes.
    pub runtime: RuntimeName,
    /// What is routed to it; each domain belongs to one tenant only.
    #[serde(default)]
    pub domains: Vec<Domain>,
    /// Program and arguments; the runtime's default when empty.
    #[serde(default)]
    pub command: Vec<String>,
    /// The default limits when absent.
    #[serde(default)]
    pub limits: Limits,
}

/// A tenant as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub name: TenantName,
    /// Where it lives.
    pub slot: SlotId,
    /// UID and GID of everything in it.
    pub uid: u32,
    /// Its SELinux domain.
    pub context: String,
    /// The first of the slot's ports; its program is told to listen on one of them.
    pub port: u16,
    /// Its runtime.
    pub runtime: RuntimeName,
    /// What is routed to it, redirects aside.
    pub domains: Vec<Domain>,
    /// What runs.
    pub command: Vec<String>,
    /// Its limits.
    pub limits: Limits,
    /// What it is doing.
    pub state: SlotState,
    /// Why it is in that state, when there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// It is being worked on, and visitors are told so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<crate::routing::Maintenance>,
    /// The release that serves, none before the first deploy.
    pub current: Option<ReleaseId>,
    /// All releases on disk, oldest first.
    pub releases: Vec<Release>,
    /// Seconds since 1970-01-01 UTC.
    pub created_at_s: u64,
}

/// The answer to a deploy: it is on disk, registered, and what the next request reaches, unless it is only shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployed {
    /// The new release.
    pub release: Release,
    /// The tenant with it.
    pub tenant: Tenant,
    /// What whoever deployed it should know: what files of it say and the host does not do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How long it took from its start until it was ready, in milliseconds; nothing where it was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_ms: Option<u32>,
}

/// The answer to new data: it is on disk, and what the tenant's programs find from their next start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataReplaced {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u32,
}

/// A rule to be added to a tenant's egress list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEgressRule {
    /// What it does.
    pub action: Action,
    /// To where, as people write it: see [`crate::egress::Destination`].
    pub to: String,
}

/// A rule of a tenant's egress list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressRule {
    /// Its number, which stays its own as long as it is there.
    pub number: u8,
    /// What it does.
    pub action: Action,
    /// To where.
    pub to: String,
}

/// A change of a tenant's egress list, in force and on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressChange {
    /// The rule that is new, or gone.
    pub rule: EgressRule,
    /// The program was stopped, since a running one cannot be given new ports: the next request starts it.
    pub stopped: bool,
}

/// Packets that would open a connection, and their bytes, since the list was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A rule with what it has met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressCount {
    /// The rule.
    pub rule: EgressRule,
    /// What it accepted or refused.
    pub traffic: Traffic,
}

/// A tenant's egress list with its counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressReport {
    /// By number.
    pub rules: Vec<EgressCount>,
    /// What every tenant may (the host's name servers, the public web), and this one did.
    pub accepted_by_default: Traffic,
    /// What no rule allows.
    pub refused_by_default: Traffic,
}

/// The host as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// What the kernel calls the host; empty from hosts that are older than that.
    #[serde(default)]
    pub name: String,
    /// The addresses of its network interface, IPv4 before IPv6; none from hosts that are older than that.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Version of the image.
    pub version: String,
    /// A proof image: some of its slots are deliberately open. Never for tenants.
    #[serde(default)]
    pub proof: bool,
    /// Slots in the pool and in use.
    pub slots: u16,
    /// Slots that have a tenant.
    pub slots_used: u16,
    /// Slots whose program runs.
    pub running: u16,
    /// Runtimes that tenants can have.
    pub runtimes: Vec<RuntimeFacts>,
    /// Supervised services.
    pub services: Vec<ServiceStatus>,
    /// Milliseconds since the kernel started.
    pub uptime_ms: u64,
    /// `MemTotal` of /proc/meminfo, in bytes.
    pub memory_total_bytes: u64,
    /// `MemAvailable` of /proc/meminfo, in bytes.
    pub memory_available_bytes: u64,
    /// Its swap; all zeros from hosts that are older than that, as is what follows.
    #[serde(default)]
    pub swap: Swap,
    /// How much programs wait for memory.
    #[serde(default)]
    pub memory_pressure: Pressure,
    /// What the kernel has taken to make room.
    #[serde(default)]
    pub memory_reclaimed: Reclaimed,
    /// Size of the data volume, in bytes.
    pub data_total_bytes: u64,
    /// Free for tenants on the data volume, in bytes.
    pub data_available_bytes: u64,
    /// Acts of the host's own programs that were denied, each kind once. There should be none.
    #[serde(default)]
    pub warnings: Vec<Denial>,
    /// Certificates that should have been renewed by now.
    #[serde(default)]
    pub expiring: Vec<crate::certificate::Certificate>,
    /// Its clock.
    #[serde(default)]
    pub clock: Clock,
    /// Its registry cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failsafe: Option<crate::doctor::Failsafe>,
    /// It takes no requests for the moment, since the cloud is about to take the machine away.
    #[serde(default)]
    pub draining: bool,
    /// What the cloud says of the host; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<Cloud>,
}

/// The host as the cloud knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cloud {
    /// The machine; absent until the metadata service has told everything of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<CloudInstance>,
    /// Why the metadata service cannot be asked at present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What the cloud is going to do to the machine, a sentence each.
    pub notices: Vec<String>,
}

/// A machine of the cloud's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudInstance {
    /// Such as `i-0123456789abcdef0`.
    pub id: String,
    /// Such as `t3.small`.
    pub kind: String,
    /// Such as `eu-west-1`.
    pub region: String,
    /// Such as `eu-west-1a`.
    pub zone: String,
    /// Its name in the private network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_name: Option<String>,
    /// Its tags, where the instance may tell them.
    pub tags: Vec<CloudTag>,
    /// The account that it belongs to. This and what follows is from the identity document, whose signature is not checked:
    /// it is for people to read, and nothing trusts it. Absent where there is no such document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The AMI that it was launched from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Such as `x86_64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// When it was launched, as the document writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
}

/// A tag of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloudTag {
    /// Such as `Name`.
    pub name: String,
    /// Any text.
    pub value: String,
}

/// A denied act, as often as it was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Whose program tried; absent for the host's own and for slots that are nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// What was tried, and who refused it, in words.
    pub sentence: String,
    /// Who refused it; absent where nobody did, in a permissive domain, or where it is a count of many kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<Layer>,
    /// The name of the thread that tried, as far as it is known; the program chooses it.
    pub program: String,
    /// The facts.
    pub act: Act,
    /// How often: in all, or while following, since it was last told.
    pub count: u64,
    /// When first, in seconds since 1970-01-01 UTC.
    pub first_at_s: u64,
    /// When last.
    pub last_at_s: u64,
}

/// Asks the host's TPM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Attest {
    /// What has booted, signed.
    Quote {
        /// 32 bytes that were never used before. The quote holds the SHA-256 of these and of the SHA-256 of the API's
        /// certificate.
        nonce: Hex,
    },
    /// The secret of a credential.
    Activate(Activation),
}

/// Asks for the harmless probes to be run in an empty slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prove {
    /// Whose files and ports are tried; any tenant's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbour: Option<TenantName>,
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProveLine {
    /// Where the probes run, and beside whom. The first line.
    Begun {
        /// The empty slot.
        slot: SlotId,
        /// The neighbour's slot; absent on a host without tenants, where it is the next slot's.
        neighbour: Option<SlotId>,
    },
    /// What one probe met with.
    Probe(Probe),
    /// All have run. The last line.
    Done {
        /// How many.
        probes: u32,
    },
    /// The run broke off. The last line.
    Failed(Problem),
}

/// What a probe met with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The row of the table of forbidden acts.
    pub id: String,
    /// The error's or signal's name, `held` for a limit that held, `done` when the act succeeded.
    pub result: String,
    /// What else there is to say.
    #[serde(default)]
    pub detail: String,
}
