//! Where a remote of git's leads to: `kennel::TENANT` is on the host that commands speak to when they are told no other,
//! `kennel://HOST/TENANT` on one that is known by name, or with a token by its address and port.

use std::fmt;
use std::str::FromStr;

use kennel_model::{HostName, TenantName};

use crate::args::HostArg;

/// A tenant on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Its host; the usual one if none is named.
    pub host: Option<HostArg>,
    /// The tenant.
    pub tenant: TenantName,
}

/// Text that is no address of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} names no tenant: {why}")]
pub struct InvalidAddress {
    url: String,
    why: String,
}

const SCHEME: &str = "kennel://";

impl FromStr for Address {
    type Err = InvalidAddress;

    /// As git hands it on: what follows `kennel::`, or all of a `kennel://`.
    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let bad = |why: String| InvalidAddress { url: text.chars().take(120).collect(), why };
        let tenant = |name: &str| TenantName::new(name).map_err(|e| bad(e.to_string()));
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return Ok(Self { host: None, tenant: tenant(text)? });
        };
        let (host, name) = rest.split_once('/').ok_or_else(|| bad("it ends with the host".to_owned()))?;
        let host = match host.contains(':') {
            true => format!("https://{host}")
                .parse()
                .map(HostArg::At)
                .map_err(|_| bad("its host makes no sense".to_owned()))?,
            false => HostName::new(host).map(HostArg::Named).map_err(|e| bad(e.to_string()))?,
        };
        Ok(Self { host: Some(host), tenant: tenant(name.strip_suffix('/').unwrap_or(name))? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenant = &self.tenant;
        match &self.host {
            None => write!(f, "kennel::{tenant}"),
            Some(HostArg::Named(host)) => write!(f, "{SCHEME}{host}/{tenant}"),
            Some(HostArg::At(url)) => write!(f, "{SCHEME}{}:{}/{tenant}", url.host, url.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_tenant_and_perhaps_its_host() {
        for (text, shown) in [
            ("blog", "kennel::blog"),
            ("kennel://edge1/blog", "kennel://edge1/blog"),
            ("kennel://edge1/blog/", "kennel://edge1/blog"),
            ("kennel://203.0.113.7:8443/blog", "kennel://203.0.113.7:8443/blog"),
            ("kennel://[::1]/blog", "kennel://[::1]:8443/blog"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        let bad = [
            "",
            "Blog",
            "edge1/blog",
            "kennel://blog",
            "kennel:///blog",
            "kennel://edge1/blog/x",
            "kennel://u@h:1/blog",
        ];
        for text in bad {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
