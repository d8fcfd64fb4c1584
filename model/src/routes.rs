//! The proxy's route table, as control publishes it: a whole snapshot each time, JSON in a sealed memfd.
//! How requests are matched against it is the proxy's business.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};

use serde::{Deserialize, Serialize};

use crate::domain::Domain;
use crate::egress::Network;
use crate::page::Page;
use crate::redirect::Redirect;
use crate::{HealthPath, Limits, ReleaseId, SlotId, StaticFiles, TenantName};

/// Bytes of a table's JSON: so many domains with the longest names and paths, and pages of [`crate::page::MAX_PAGES_BYTES`].
/// Usual ones take a tenth.
pub const MAX_TABLE_BYTES: u64 = 32 << 20;
/// Domains of all tenants together, redirects among them: what fits into the table however long they are.
pub const MAX_DOMAINS: usize = 20_000;

/// All routes of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTable {
    /// Grows with every published table, so that an old one is never taken for news.
    pub generation: u64,
    /// One per domain; a domain occurs once.
    pub routes: Vec<Route>,
    /// What stands in front of the host.
    #[serde(default)]
    pub front: Front,
    /// Pages of operators' own, each once; others say which by its place here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<Page>,
    /// The one for whatever has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
}

/// Load balancers and the like that visitors come through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Front {
    /// Where they are: what they say of a request (`X-Forwarded-For`, `X-Forwarded-Proto`) is believed, and of nobody else.
    pub trusted: Vec<Network>,
    /// Whether they begin each connection with the PROXY protocol's header, version 2.
    pub proxy_protocol: bool,
}

/// So many networks can be trusted.
pub const MAX_TRUSTED: usize = 64;

impl Front {
    /// Whether this is one of them.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let network = Network::of(address.to_canonical());
        self.trusted.iter().any(|trusted| trusted.contains(network))
    }
}

/// One domain's way to its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The host, without port, and the path, if it is only a part of it.
    pub domain: Domain,
    /// Whether the program gets paths without the domain's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strip: bool,
    /// Requests are sent elsewhere, and no program gets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// It is being worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// What the proxy shows in the place of its own pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// For the log and the error pages.
    pub tenant: TenantName,
    /// Where it lives; its first port is the upstream.
    pub slot: SlotId,
    /// What is started; without one the answer is a 503.
    pub release: Option<ReleaseId>,
    /// How long a first request waits for the program to listen, in milliseconds.
    pub start_timeout_ms: u32,
    /// What is asked whether the program is ready, once it listens.
    pub health: Option<HealthPath>,
    /// Whether crawlers wake it.
    pub crawlers: Crawlers,
    /// What is spoken to its program.
    #[serde(default)]
    pub protocol: Protocol,
    /// What is done with requests that come without TLS.
    pub https: Https,
    /// For how long browsers are told to come with TLS only (RFC 6797), in seconds; 0 says nothing of it.
    pub hsts_s: u32,
    /// Whether answers say where their time went (`Server-Timing`).
    pub server_timing: bool,
    /// What it may take of the proxy.
    #[serde(default)]
    pub traffic: TrafficLimits,
    /// Files of the release that the proxy answers by itself.
    pub static_files: Option<StaticFiles>,
    /// It leads to a release that is shown beside the one that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<Beta>,
}

/// Where a release is that is shown beside the one that serves. It is awake as long as it has a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beta {
    /// What its program listens on, one of the slot's ports; nothing where it has only files.
    pub port: Option<u16>,
}

impl Route {
    /// The way of a whole host or path to a tenant's program, with what its limits say of it.
    pub fn to(
        domain: Domain,
        tenant: TenantName,
        slot: SlotId,
        release: Option<ReleaseId>,
        limits: &Limits,
    ) -> Self {
        Self {
            domain,
            strip: false,
            redirect: None,
            maintenance: None,
            page: None,
            tenant,
            slot,
            release,
            start_timeout_ms: limits.start_timeout_ms,
            health: limits.health,
            crawlers: limits.crawlers,
            protocol: limits.protocol,
            https: limits.https,
            hsts_s: limits.hsts_s,
            server_timing: limits.server_timing,
            traffic: limits.traffic,
            static_files: limits.static_files,
            beta: None,
        }
    }
}

/// What one tenant may take of the proxy, and one client of a tenant. Some more than a rate may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrafficLimits {
    /// Requests that its program has at a time, at least 1; more wait in line. One client has half of them at most. What lasts
    /// (WebSockets, event streams) does not count.
    pub requests_max: u32,
    /// Requests a second, of all clients together; no bound when absent. What is over is told to come again (503).
    pub requests_per_s: Option<NonZeroU32>,
    /// Requests a second of one client: an address, or of IPv6 a network of 64 bits. What is over is told so (429).
    pub client_requests_per_s: Option<NonZeroU32>,
    /// Bytes a second that are sent to its visitors, over all connections; what is over waits.
    pub send_bytes_per_s: Option<NonZeroU64>,
}

impl Default for TrafficLimits {
    /// As many requests at a time as a small evented program can have in memory; no other bounds.
    fn default() -> Self {
        Self { requests_max: 20, requests_per_s: None, client_requests_per_s: None, send_bytes_per_s: None }
    }
}

/// What visitors are told while a tenant is being worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// When to come again, in seconds.
    pub retry_after_s: u32,
    /// Who is let through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Network>,
    /// What is shown, if not the tenant's usual page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
}

/// What is done with requests that come without TLS for a name that there is a certificate for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Https {
    /// They are sent to the same address with TLS.
    #[default]
    Redirect,
    /// They are answered as those with TLS are.
    Optional,
}

/// What is spoken to a tenant's program, whatever its visitors speak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, and WebSockets by its Upgrade.
    #[default]
    Http1,
    /// HTTP/2 without TLS, known beforehand (RFC 9113, 3.3): gRPC.
    H2c,
}

/// What crawlers may do to a program that is asleep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crawlers {
    /// They wake it, as visitors do.
    #[default]
    Wake,
    /// They are told to come again later.
    Wait,
}

/// A table that is not to be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRoutes {
    /// It does not say which one counts.
    #[error("{0} has two routes")]
    Duplicate(Domain),
    /// It says of a page that is not there.
    #[error("there is no page {0}")]
    NoPage(u32),
    /// It leads to another slot's program, or to none of ours.
    #[error("port {1} of {0} is not one of its slot's")]
    ForeignPort(Domain, u16),
}

impl RouteTable {
    /// # Errors
    /// [`BadRoutes`].
    pub fn validate(&self) -> Result<(), BadRoutes> {
        let mut seen = std::collections::HashSet::with_capacity(self.routes.len());
        if let Some(route) = self.routes.iter().find(|route| !seen.insert(&route.domain)) {
            return Err(BadRoutes::Duplicate(route.domain.clone()));
        }
        let port_of = |route: &Route| route.beta.and_then(|beta| beta.port);
        for route in &self.routes {
            if let Some(port) = port_of(route).filter(|port| !route.slot.has_port(*port)) {
                return Err(BadRoutes::ForeignPort(route.domain.clone(), port));
            }
        }
        let of_maintenance = |route: &Route| route.maintenance.as_ref().and_then(|m| m.page);
        let named = self.routes.iter().flat_map(|route| [route.page, of_maintenance(route)]);
        let missing = |page: &u32| self.pages.get(*page as usize).is_none();
        match named.chain([self.page]).flatten().find(missing) {
            Some(page) => Err(BadRoutes::NoPage(page)),
            None => Ok(()),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}
