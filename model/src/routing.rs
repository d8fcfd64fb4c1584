//! The bodies of the operator's API about domains, redirects, maintenance and pages. What they mean to a request is said in
//! [`crate::domain`], [`crate::redirect`] and [`crate::page`].
//!
//! | method, path | body → answer |
//! |---|---|
//! | `GET /v1/domains` | → `Vec<DomainOf>`, by domain |
//! | `POST /v1/tenants/{name}/domains` | [`NewDomain`] → 201 [`DomainChange`] |
//! | `DELETE /v1/tenants/{name}/domains?domain=…` | → [`DomainChange`] |
//! | `GET /v1/redirects` | → `Vec<RedirectOf>`, by domain |
//! | `POST /v1/tenants/{name}/redirects` | [`NewRedirect`] → 201 [`RedirectChange`] |
//! | `DELETE /v1/tenants/{name}/redirects?domain=…` | → [`RedirectChange`] |
//! | `PUT`, `DELETE /v1/tenants/{name}/maintenance` | [`NewMaintenance`] → [`Tenant`](crate::api::Tenant) |
//! | `GET`, `PUT`, `DELETE /v1/tenants/{name}/page`, `/v1/page` | [`PageText`] → [`PageText`]; → 204 |

use serde::{Deserialize, Serialize};

use crate::redirect::{Location, Redirect};
use crate::{Domain, TenantName};

/// Domains of one tenant, redirects among them.
pub const MAX_DOMAINS: usize = 64;
/// Seconds after which visitors are told to come again, if nobody says: ten minutes.
pub const RETRY_AFTER_S: u32 = 600;
/// The longest such time, in seconds: a month.
pub const MAX_RETRY_AFTER_S: u32 = 31 * 24 * 3600;
/// Networks that are let through while a tenant is worked on.
pub const MAX_ALLOWED: usize = 32;

/// A domain to be routed to a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDomain {
    /// Which.
    pub domain: Domain,
    /// Whether the program gets paths without the domain's.
    #[serde(default)]
    pub strip: bool,
}

/// A domain and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainOf {
    /// Which.
    pub domain: Domain,
    /// Whose.
    pub tenant: TenantName,
    /// Whether the program gets paths without the domain's.
    pub strip: bool,
}

/// A domain that is routed now, or is no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainChange {
    /// The domain.
    pub domain: DomainOf,
    /// What it changes for others, as sentences for a person.
    pub notes: Vec<String>,
}

/// A domain whose requests are to be sent elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRedirect {
    /// Which.
    pub domain: Domain,
    /// Where to.
    pub to: Location,
    /// 308, which browsers keep for ever, and not 307.
    #[serde(default)]
    pub permanent: bool,
    /// What follows the domain, with the query, is appended.
    #[serde(default)]
    pub keep_path: bool,
}

impl From<NewRedirect> for (Domain, Redirect) {
    fn from(new: NewRedirect) -> Self {
        let NewRedirect { domain, to, permanent, keep_path } = new;
        (domain, Redirect { to, permanent, keep_path })
    }
}

/// A redirect and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedirectOf {
    /// The domain.
    pub domain: Domain,
    /// Whose.
    pub tenant: TenantName,
    /// Where to.
    pub to: Location,
    /// 308 and not 307.
    pub permanent: bool,
    /// What follows the domain is appended.
    pub keep_path: bool,
}

/// A redirect that is in force now, or is no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedirectChange {
    /// The redirect.
    pub redirect: RedirectOf,
    /// What it changes for others, as sentences for a person.
    pub notes: Vec<String>,
}

/// Begins a tenant's maintenance, or changes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMaintenance {
    /// When visitors are told to come again, in seconds; [`RETRY_AFTER_S`] when absent.
    #[serde(default = "retry_after_s")]
    pub retry_after_s: u32,
    /// Addresses and networks that are let through, such as `203.0.113.7` and `2001:db8::/32`.
    #[serde(default)]
    pub allow: Vec<String>,
    /// What visitors see, see [`crate::page`]; the tenant's usual page when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

/// A tenant's maintenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// When it began, in seconds since 1970-01-01 UTC.
    pub since_s: u64,
    /// When visitors are told to come again, in seconds.
    pub retry_after_s: u32,
    /// Networks that are let through.
    pub allow: Vec<String>,
}

/// An operator's page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageText {
    /// HTML with placeholders, see [`crate::page`].
    pub html: String,
}

const fn retry_after_s() -> u32 {
    RETRY_AFTER_S
}
