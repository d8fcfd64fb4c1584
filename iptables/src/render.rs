//! Renders the templates under `iptables/rules` for a pool of slots. What the rules say is in the templates; this file
//! gives them the names, users and ports. Pure: the same pool gives the same bytes.

use handlebars::{Handlebars, no_escape};
use kennel_model::egress::Egress;
use kennel_model::slot::{FIRST_UID, MAX_SLOTS};
use kennel_model::{SlotId, layout};
use serde::Serialize;

use crate::bounds::{BOUNDS, Bounds};
use crate::log::{self, Group};
use crate::secmark::{self, LABELS, PortFork};
use crate::slot::{self, ALLOWED_MARK, Family, Slot, TIME_MARK};
use crate::tree::{Fork, grow};

const V4: &str = include_str!("../rules/iptables.rules.hbs");
const V6: &str = include_str!("../rules/ip6tables.rules.hbs");
const CHAINS: &str = include_str!("../rules/chains.rules.hbs");
const SLOTS: &str = include_str!("../rules/slots.rules.hbs");
const LOG: &str = include_str!("../rules/log.rules.hbs");
/// The packets' labels: a table of their own behind each family's filter.
const SECMARK: &str = include_str!("../rules/secmark.rules.hbs");
const SECMARK_V4: &str = include_str!("../rules/secmark4.rules.hbs");
const SECMARK_V6: &str = include_str!("../rules/secmark6.rules.hbs");

/// The sealed rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// For `iptables-restore`.
    pub v4: String,
    /// For `ip6tables-restore`.
    pub v6: String,
}

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// No slot, or more than there can be.
    #[error("a pool of {0} slots: there can be 1 to {MAX_SLOTS}")]
    Pool(u16),
    /// A template that is no template.
    #[error("packet filter: {0}")]
    Template(#[from] Box<handlebars::TemplateError>),
    /// A template that asks for what it is not given.
    #[error("packet filter: {0}")]
    Render(#[from] Box<handlebars::RenderError>),
}

/// Renders the rules for a pool of `slots`.
///
/// # Errors
/// [`RenderError`], only for a pool of an impossible size.
pub fn render(slots: u16) -> Result<Rules, RenderError> {
    if slots == 0 || slots > MAX_SLOTS {
        return Err(RenderError::Pool(slots));
    }
    let pool: Vec<SlotId> = SlotId::pool(slots).collect();
    let mut engine = Handlebars::new();
    engine.register_escape_fn(no_escape);
    engine.set_strict_mode(true);
    engine.register_partial("chains", CHAINS).map_err(Box::new)?;
    engine.register_partial("slots", SLOTS).map_err(Box::new)?;
    engine.register_partial("log", LOG).map_err(Box::new)?;
    engine.register_partial("slot", slot::TEMPLATE).map_err(Box::new)?;
    engine.register_partial("secmark", SECMARK).map_err(Box::new)?;
    let rules = |filter, labels, family| {
        let facts = Facts::of(&pool, family);
        let table = |template| engine.render_template(template, &facts).map_err(Box::new);
        Ok::<_, RenderError>(format!("{}{}", table(filter)?, table(labels)?))
    };
    Ok(Rules { v4: rules(V4, SECMARK_V4, Family::V4)?, v6: rules(V6, SECMARK_V6, Family::V6)? })
}

/// What the templates are given.
#[derive(Serialize)]
struct Facts {
    loopback: &'static str,
    http: u16,
    https: u16,
    api: u16,
    proxy: u32,
    dhcp: u32,
    imds: u32,
    chronyd: u32,
    acme: u32,
    /// All tenants' users, and where they are told apart.
    tenants: Tenants,
    /// All slots' ports.
    first_port: u16,
    last_port: u16,
    /// The tree's forks, by chain and by rule.
    branches: Vec<Branch>,
    forks: Vec<Fork>,
    bounds: Bounds,
    slots: Vec<Slot>,
    /// What is said of refused packets, and of whose.
    log_prefix: &'static str,
    log_host_last: u32,
    log_groups: Vec<Group>,
    /// For the packets' labels.
    labels: [&'static str; LABELS.len()],
    mark: &'static str,
    time_mark: &'static str,
    port_chains: Vec<String>,
    port_forks: Vec<PortFork>,
}

#[derive(Serialize)]
struct Tenants {
    first: u32,
    last: u32,
    chain: String,
}

#[derive(Serialize)]
struct Branch {
    chain: String,
}

impl Facts {
    fn of(pool: &[SlotId], family: Family) -> Self {
        let list = Egress::default();
        let (chain, forks) = grow(pool);
        let mut branches: Vec<String> = forks.iter().map(|fork| fork.chain.clone()).collect();
        branches.sort();
        branches.dedup();
        let (first, last) = (pool.first(), pool.last());
        let port_forks = secmark::by_port(pool, &forks);
        Self {
            loopback: family.loopback(),
            labels: LABELS,
            mark: ALLOWED_MARK,
            time_mark: TIME_MARK,
            port_chains: secmark::chains(&port_forks),
            port_forks,
            http: layout::HTTP_PORT,
            https: layout::HTTPS_PORT,
            api: layout::API_PORT,
            proxy: layout::PROXY_UID,
            dhcp: layout::DHCP_UID,
            imds: layout::IMDS_UID,
            chronyd: layout::CHRONYD_UID,
            acme: layout::ACME_UID,
            tenants: Tenants {
                first: first.map_or(0, |slot| slot.uid()),
                last: last.map_or(0, |slot| slot.uid()),
                chain,
            },
            first_port: first.map_or(0, |slot| slot.port()),
            last_port: last.map_or(0, |slot| slot.last_port()),
            log_prefix: log::PREFIX,
            log_host_last: FIRST_UID - 1,
            log_groups: log::groups(pool),
            branches: branches.into_iter().map(|chain| Branch { chain }).collect(),
            forks,
            bounds: BOUNDS,
            slots: pool.iter().map(|slot| Slot::new(*slot, &list, family)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_a_sensible_size() {
        assert!(matches!(render(0), Err(RenderError::Pool(0))));
        assert!(matches!(render(MAX_SLOTS + 1), Err(RenderError::Pool(_))));
        assert_eq!(render(3).unwrap(), render(3).unwrap());
    }
}
