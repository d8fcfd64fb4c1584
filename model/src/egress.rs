//! Where a slot's program may connect beyond the default: a list of rules for each slot, kept by control, loaded by init,
//! shown by `kennel egress`. This file says what a list can hold; how an address is written is in `egress/network.rs`.
//!
//! **The default**, which an empty list leaves as it is: DNS (UDP and TCP 53) to the host's own name servers, and TCP 80
//! and 443 to public addresses. Nothing else. A list adds to it (`allow`) and takes from it (`deny`).
//!
//! **Order.** A packet of a slot that opens a connection is judged so, and the first that fits decides:
//!
//! 1. the slot's own ports on loopback: accepted;
//! 2. everything else on this host, whatever its address (it would leave by `lo`): refused;
//! 3. the list's `deny` rules: refused. Deny beats allow, and the default;
//! 4. the default: accepted;
//! 5. addresses that nobody may be allowed ([`NEVER`]) but that lie within a wider `allow`: refused;
//! 6. the list's `allow` rules: accepted;
//! 7. the rest: refused.
//!
//! Packets of a connection that was accepted pass before all this, so a change is for new connections.
//!
//! **What can never be allowed**, and is refused with the reason: [`NEVER`] (this host, link-local addresses and with
//! them the metadata service, multicast, …) and, for TCP, the ports of the pool's slots and of the API ([`Egress::check`]):
//! SELinux knows ports by their number alone, wherever they are.
//!
//! **The same list in every layer**
//!
//! | layer | decides by | from |
//! |---|---|---|
//! | packet filter | address, protocol, port | the list itself: `iptables/rules/slot.rules.hbs` |
//! | Landlock (TCP connect) | port | [`LaunchSpec::connect_ports`](crate::LaunchSpec), through [`landlock_ports`] |
//! | SELinux, sockets | port's type | the policy: `http_port_t`, `https_port_t`, `dns_port_t` and, for every TCP port that is not named otherwise (neither a slot's nor the API's), `client_port_t`: every tenant may `name_connect` to these |
//! | SELinux, packets | packet's type | SECMARK; where the packet filter accepts by an `allow` rule it marks the packet first, and the mark leads to `allowed_packet_t`, for every address outside [`NEVER`] |
//!
//! Landlock binds a program when it starts, so a port that is new to a running program needs a new start; control sees to
//! that. UDP has no Landlock rule and no `name_connect`: packet filter and SECMARK decide.
//!
//! **The way of a change.** Control keeps the lists in its registry and sends one whole list with
//! `ControlRequest::SetEgress`; init checks it again, has it rendered and loaded for both families, and answers when it is
//! in force (or, with the old one back in force, why not). After a boot every slot has the default; init starts no slot
//! whose list control has not sent since.

mod network;

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

pub use network::{BadDestination, Destination, Network, Ports, Protocol};

use crate::slot::{FIRST_PORT, PORTS_PER_SLOT};
use crate::{SlotId, layout};

/// Rules in one list. A packet that opens a connection passes them one by one, and a thousand slots with so many are
/// loaded in less than two seconds: enough for a program's databases and services, too few to be felt.
pub const MAX_RULES: usize = 20;

/// TCP ports that every slot may connect to, some address permitting.
pub const DEFAULT_PORTS: [u16; 3] = [53, 80, 443];

/// Landlock has one rule for each port, made anew at each start. A slot that is allowed more ports than this is not held
/// to ports by Landlock; packet filter and SELinux hold it as before.
const MAX_LANDLOCK_PORTS: usize = 1024;

/// Networks that no rule can allow, with the reason. A wider rule is fine: these stay out of it.
pub const NEVER: [(Network, &str); 12] = [
    (Network::v4(Ipv4Addr::new(0, 0, 0, 0), 8), "it stands for this host"),
    (Network::v4(Ipv4Addr::new(127, 0, 0, 0), 8), "it is this host, where other slots live"),
    (Network::v4(Ipv4Addr::new(169, 254, 0, 0), 16), "it is link-local, as is the cloud's metadata service"),
    (Network::v4(Ipv4Addr::new(224, 0, 0, 0), 3), "it is multicast, reserved or broadcast"),
    (Network::v6(Ipv6Addr::UNSPECIFIED, 96), "it stands for this host, where other slots live"),
    (Network::v6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96), "it is an IPv4 address: write it as such"),
    (
        Network::v6(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0xa9fe, 0), 112),
        "it leads to link-local IPv4 addresses",
    ),
    (Network::v6(Ipv6Addr::new(0x2002, 0xa9fe, 0, 0, 0, 0, 0, 0), 32), "it leads to link-local IPv4 addresses"),
    (Network::v6(Ipv6Addr::new(0x2002, 0x7f00, 0, 0, 0, 0, 0, 0), 24), "it leads to IPv4 loopback addresses"),
    (Network::v6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32), "the cloud's metadata service is there"),
    (Network::v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10), "it is link-local"),
    (Network::v6(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8), "it is multicast"),
];

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Refuses, even what another rule or the default allows.
    Deny,
    /// Accepts what no rule denies.
    Allow,
}

/// One rule, checked: an `allow` names its protocol and ports and nothing that can never be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Rule {
    action: Action,
    to: Destination,
}

#[derive(Deserialize)]
struct Unchecked {
    action: Action,
    to: Destination,
}

/// Why a rule or a list was refused. The messages are for a person; [`InvalidEgress::hint`] says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEgress {
    /// An `allow` without ports.
    #[error("{0} names no port")]
    NoPort(Destination),
    /// Within [`NEVER`].
    #[error("{0} can never be allowed: {1}")]
    Never(Network, &'static str),
    /// The ports are slots' of this host.
    #[error("TCP ports {0} can never be allowed: ports {1} are those of this host's slots")]
    SlotPorts(Ports, Ports),
    /// The port is the API's.
    #[error("TCP port {} can never be allowed: it is the port of this host's API", layout::API_PORT)]
    ApiPort,
    /// Over [`MAX_RULES`].
    #[error("a tenant has at most {MAX_RULES} rules")]
    TooMany,
    /// Twice the same.
    #[error("there is such a rule already: {0}")]
    Twice(Rule),
}

impl InvalidEgress {
    /// What the person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoPort(to) => Some(format!("say which port, for example {}", to.with_example_port())),
            Self::Never(..) | Self::Twice(_) => None,
            Self::SlotPorts(_, slots) => Some(format!(
                "leave ports {slots} out: SELinux knows ports by number alone, whatever the address"
            )),
            Self::ApiPort => {
                Some("leave it out: SELinux knows ports by number alone, whatever the address".into())
            }
            Self::TooMany => Some("remove a rule, or write one for a larger network".into()),
        }
    }
}

impl Rule {
    /// # Errors
    /// [`InvalidEgress::NoPort`] and [`InvalidEgress::Never`], for an `allow`.
    pub fn new(action: Action, to: Destination) -> Result<Self, InvalidEgress> {
        if action == Action::Deny {
            return Ok(Self { action, to });
        }
        if to.ports().is_none() {
            return Err(InvalidEgress::NoPort(to));
        }
        match NEVER.iter().find(|(never, _)| never.contains(to.network())) {
            Some((_, why)) => Err(InvalidEgress::Never(to.network(), why)),
            None => Ok(Self { action, to }),
        }
    }

    /// What it does.
    pub const fn action(&self) -> Action {
        self.action
    }

    /// What it is about.
    pub const fn to(&self) -> Destination {
        self.to
    }

    /// The TCP ports that it allows.
    pub fn allowed_tcp_ports(&self) -> Option<Ports> {
        let tcp = self.action == Action::Allow && self.to.protocol() == Some(Protocol::Tcp);
        self.to.ports().filter(|_| tcp)
    }

    /// Networks within an `allow` that stay refused.
    pub fn exceptions(&self) -> impl Iterator<Item = Network> {
        let within = self.to.network();
        let allow = self.action == Action::Allow;
        NEVER.iter().map(|(never, _)| *never).filter(move |never| allow && within.contains(*never))
    }
}

impl TryFrom<Unchecked> for Rule {
    type Error = InvalidEgress;
    fn try_from(rule: Unchecked) -> Result<Self, InvalidEgress> {
        Self::new(rule.action, rule.to)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = if self.action == Action::Allow { "allow" } else { "deny" };
        write!(f, "{action} {}", self.to)
    }
}

/// A slot's list: at most [`MAX_RULES`], each once. The default one is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Rule>", into = "Vec<Rule>")]
pub struct Egress(Vec<Rule>);

impl Egress {
    /// # Errors
    /// [`InvalidEgress::TooMany`] and [`InvalidEgress::Twice`].
    pub fn new(rules: Vec<Rule>) -> Result<Self, InvalidEgress> {
        let mut seen = BTreeSet::new();
        match rules.iter().find(|rule| !seen.insert(**rule)) {
            Some(rule) => Err(InvalidEgress::Twice(*rule)),
            None if rules.len() > MAX_RULES => Err(InvalidEgress::TooMany),
            None => Ok(Self(rules)),
        }
    }

    /// The rules, in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// Checks the list against the pool of an image with so many slots.
    ///
    /// # Errors
    /// [`InvalidEgress::SlotPorts`] and [`InvalidEgress::ApiPort`].
    pub fn check(&self, slots: u16) -> Result<(), InvalidEgress> {
        let pool = Ports::new(FIRST_PORT, FIRST_PORT + (PORTS_PER_SLOT * slots.max(1) - 1));
        for ports in self.0.iter().filter_map(Rule::allowed_tcp_ports) {
            if let Some(pool) = pool.filter(|pool| pool.overlaps(ports)) {
                return Err(InvalidEgress::SlotPorts(ports, pool));
            }
            if ports.contains(layout::API_PORT) {
                return Err(InvalidEgress::ApiPort);
            }
        }
        Ok(())
    }

    /// For [`LaunchSpec::connect_ports`](crate::LaunchSpec): TCP ports that the list allows at some address.
    pub fn connect_ports(&self) -> Vec<Ports> {
        self.0.iter().filter_map(Rule::allowed_tcp_ports).collect()
    }
}

impl TryFrom<Vec<Rule>> for Egress {
    type Error = InvalidEgress;
    fn try_from(rules: Vec<Rule>) -> Result<Self, InvalidEgress> {
        Self::new(rules)
    }
}

impl From<Egress> for Vec<Rule> {
    fn from(list: Egress) -> Self {
        list.0
    }
}

/// The TCP ports that Landlock lets a slot's program connect to: its own, [`DEFAULT_PORTS`], and those of its list. None
/// when they are too many, and Landlock is to leave connecting alone.
pub fn landlock_ports(slot: SlotId, connect_ports: &[Ports]) -> Option<BTreeSet<u16>> {
    let more: usize = connect_ports.iter().map(|ports| ports.count()).sum();
    if more > MAX_LANDLOCK_PORTS {
        return None;
    }
    let own = slot.port()..=slot.last_port();
    Some(own.chain(DEFAULT_PORTS).chain(connect_ports.iter().flat_map(Ports::each)).collect())
}

/// The cloud's own name server: the one link-local address that slots may ask.
const CLOUD_NAME_SERVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);

/// Whether a name server may be opened to slots on its port 53: not when its address means this host, many hosts, or
/// what else is on the link, such as the metadata service.
pub fn may_be_name_server(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) if a == CLOUD_NAME_SERVER => true,
        IpAddr::V4(a) => !(a.is_loopback() || a.is_link_local() || matches!(a.octets()[0], 0 | 224..)),
        IpAddr::V6(a) => {
            let here = a.is_loopback() || a.is_unspecified() || a.to_ipv4_mapped().is_some();
            !(here || a.is_unicast_link_local() || a.is_multicast())
        }
    }
}

#[cfg(test)]
mod tests;
