//! What the template of one slot's chain (`rules/slot.rules.hbs`) is given: the slot's ports, and its list's rules of one
//! family. The order in which they are tried is the template's; why it is so, `kennel_model::egress` says.

use kennel_model::SlotId;
use kennel_model::egress::{Action, Egress, Rule};
use serde::Serialize;

/// The template.
pub(crate) const TEMPLATE: &str = include_str!("../rules/slot.rules.hbs");

/// The packet filter sets this mark on a packet that a slot's own list allows, before it accepts it: SELinux's label for
/// such packets follows from it.
pub(crate) const ALLOWED_MARK: &str = "0x1";

/// The same for what the one program that sets the clock asks.
pub(crate) const TIME_MARK: &str = "0x2";

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    /// This host's own addresses.
    pub(crate) const fn loopback(self) -> &'static str {
        match self {
            Self::V4 => "127.0.0.0/8",
            Self::V6 => "::1/128",
        }
    }

    /// Bits of an address.
    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    pub(crate) const fn has(self, is_v4: bool) -> bool {
        matches!(self, Self::V4) == is_v4
    }
}

/// One slot's chain.
#[derive(Debug, Serialize)]
pub(crate) struct Slot {
    id: String,
    loopback: &'static str,
    first_port: u16,
    last_port: u16,
    denies: Vec<Match>,
    exceptions: Vec<String>,
    allows: Vec<Match>,
}

/// What a rule looks at.
#[derive(Debug, Serialize)]
struct Match {
    network: String,
    protocol: Option<String>,
    /// As iptables writes them: `80` or `80:90`.
    ports: Option<String>,
}

impl Slot {
    pub(crate) fn new(slot: SlotId, list: &Egress, family: Family) -> Self {
        let rules: Vec<&Rule> =
            list.rules().iter().filter(|rule| family.has(rule.to().network().is_v4())).collect();
        let of = |action| rules.iter().filter(move |rule| rule.action() == action).map(|rule| Match::of(rule));
        let mut exceptions: Vec<String> =
            rules.iter().flat_map(|rule| rule.exceptions()).map(|network| network.to_string()).collect();
        exceptions.sort();
        exceptions.dedup();
        Self {
            id: slot.to_string(),
            loopback: family.loopback(),
            first_port: slot.port(),
            last_port: slot.last_port(),
            denies: of(Action::Deny).collect(),
            exceptions,
            allows: of(Action::Allow).collect(),
        }
    }
}

impl Match {
    fn of(rule: &Rule) -> Self {
        let to = rule.to();
        Self {
            network: to.network().to_string(),
            protocol: to.protocol().map(|protocol| protocol.to_string()),
            ports: to.ports().map(|ports| match (ports.first(), ports.last()) {
                (first, last) if first == last => first.to_string(),
                (first, last) => format!("{first}:{last}"),
            }),
        }
    }
}
