//! Renders changes to rules that are in force: new lists of some slots, the host's name servers and whom it asks for the
//! time. The text names every
//! chain that it replaces and no other, so loading it (`iptables-restore --noflush`) is one transaction.

use std::net::{IpAddr, SocketAddr};

use handlebars::{Handlebars, no_escape};
use kennel_model::SlotId;
use kennel_model::egress::{Egress, may_be_name_server};
use serde::Serialize;

use crate::render::{RenderError, Rules};
use crate::slot::{self, Family, Slot};

/// What changes.
#[derive(Debug, Clone, Default)]
pub struct Change<'a> {
    /// Slots with their new lists.
    pub lists: Vec<(SlotId, &'a Egress)>,
    /// The host's name servers, when they have changed. Those that cannot be any are left out.
    pub name_servers: Option<&'a [IpAddr]>,
    /// Whom the host asks for the time, when that has changed.
    pub time_servers: Option<&'a [SocketAddr]>,
}

/// The templates, read once.
#[derive(Debug)]
pub struct Updates {
    engine: Handlebars<'static>,
}

#[derive(Serialize)]
struct Facts {
    slots: Vec<Slot>,
    name_servers_changed: bool,
    name_servers: Vec<String>,
    time_servers_changed: bool,
    time_servers: Vec<TimeServer>,
}

#[derive(Serialize)]
struct TimeServer {
    network: String,
    port: u16,
}

impl Updates {
    /// # Errors
    /// None that a test would not have seen: the templates are part of the program.
    pub fn new() -> Result<Self, RenderError> {
        let mut engine = Handlebars::new();
        engine.register_escape_fn(no_escape);
        engine.set_strict_mode(true);
        engine.register_partial("slot", slot::TEMPLATE).map_err(Box::new)?;
        let update = include_str!("../rules/update.rules.hbs");
        engine.register_template_string("update", update).map_err(Box::new)?;
        Ok(Self { engine })
    }

    /// Renders a change for both families.
    ///
    /// # Errors
    /// None that a test would not have seen.
    pub fn render(&self, change: &Change<'_>) -> Result<Rules, RenderError> {
        let rules = |family| self.engine.render("update", &Facts::of(change, family)).map_err(Box::new);
        Ok(Rules { v4: rules(Family::V4)?, v6: rules(Family::V6)? })
    }
}

impl Facts {
    fn of(change: &Change<'_>, family: Family) -> Self {
        let servers = change.name_servers.unwrap_or_default().iter();
        let servers = servers.filter(|a| family.has(a.is_ipv4()) && may_be_name_server(**a));
        let host = |ip: IpAddr| format!("{ip}/{}", family.bits());
        let time = change.time_servers.unwrap_or_default().iter().filter(|a| family.has(a.is_ipv4()));
        Self {
            slots: change.lists.iter().map(|(slot, list)| Slot::new(*slot, list, family)).collect(),
            name_servers_changed: change.name_servers.is_some(),
            name_servers: servers.map(|a| host(*a)).collect(),
            time_servers_changed: change.time_servers.is_some(),
            time_servers: time.map(|a| TimeServer { network: host(a.ip()), port: a.port() }).collect(),
        }
    }
}
