//! Reads what `iptables -v -S` prints of a slot's chain. Rules are known by what they say, not by their place: a list may
//! change between its loading and its counting. What is not understood counts for nothing.

use std::collections::HashMap;

use kennel_model::api::Traffic;
use kennel_model::egress::{Action, Destination, Network, Ports, Protocol, Rule};

/// The counters of one slot, both families together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    rules: HashMap<Rule, Traffic>,
    /// Came to the default.
    to_default: Traffic,
    /// Came back from it.
    past_default: Traffic,
    /// Refused, but by no rule of the list.
    refused: Traffic,
}

/// One printed rule.
#[derive(Debug, Default)]
struct Line<'t> {
    network: Option<&'t str>,
    protocol: Option<Protocol>,
    ports: Option<Ports>,
    interface: bool,
    target: &'t str,
    traffic: Traffic,
}

impl Counters {
    pub(super) fn parse(v4: &str, v6: &str) -> Self {
        let mut counters = Self::default();
        for (text, everything) in [(v4, "0.0.0.0/0"), (v6, "::/0")] {
            let mut past_default = false;
            for line in text.lines().filter_map(Line::parse) {
                counters.count(&line, everything, past_default);
                past_default |= line.target == "egress";
            }
        }
        counters
    }

    fn count(&mut self, line: &Line<'_>, everything: &str, past_default: bool) {
        if past_default {
            add(&mut self.past_default, line.traffic);
        }
        match line.target {
            "egress" => add(&mut self.to_default, line.traffic),
            "allowed" => self.count_rule(Action::Allow, line, everything),
            // Rules of the list stand before the default; what is refused after it, or on this host, nobody listed.
            "refuse" if !past_default && !line.interface => self.count_rule(Action::Deny, line, everything),
            "refuse" => add(&mut self.refused, line.traffic),
            _ => {}
        }
    }

    fn count_rule(&mut self, action: Action, line: &Line<'_>, everything: &str) {
        let network: Option<Network> = line.network.unwrap_or(everything).parse().ok();
        let to = network.and_then(|network| Destination::new(network, line.protocol, line.ports).ok());
        if let Some(rule) = to.and_then(|to| Rule::new(action, to).ok()) {
            add(self.rules.entry(rule).or_default(), line.traffic);
        }
    }

    /// What a rule of the list met.
    pub(super) fn of(&self, rule: &Rule) -> Traffic {
        self.rules.get(rule).copied().unwrap_or_default()
    }

    /// Of what came to the default, what did not come back.
    pub(super) const fn accepted_by_default(&self) -> Traffic {
        Traffic {
            packets: self.to_default.packets.saturating_sub(self.past_default.packets),
            bytes: self.to_default.bytes.saturating_sub(self.past_default.bytes),
        }
    }

    pub(super) const fn refused_by_default(&self) -> Traffic {
        self.refused
    }
}

const fn add(sum: &mut Traffic, more: Traffic) {
    sum.packets = sum.packets.saturating_add(more.packets);
    sum.bytes = sum.bytes.saturating_add(more.bytes);
}

impl<'t> Line<'t> {
    /// None for what is no rule.
    fn parse(text: &'t str) -> Option<Self> {
        let mut words = text.split_whitespace();
        (words.next() == Some("-A")).then_some(())?;
        words.next()?;
        let mut line = Self::default();
        while let Some(option) = words.next() {
            let value = words.next()?;
            match option {
                "-d" => line.network = Some(value),
                "-p" => line.protocol = protocol(value),
                "--dport" => line.ports = Some(value.replacen(':', "-", 1).parse().ok()?),
                "-o" => line.interface = true,
                "-c" => {
                    line.traffic = Traffic { packets: value.parse().ok()?, bytes: words.next()?.parse().ok()? };
                }
                "-j" | "-g" => line.target = value,
                _ => {}
            }
        }
        Some(line)
    }
}

fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As iptables 1.8.11 prints it.
    const PRINTED: &str = "\
-N slot0007
-A slot0007 -d 127.0.0.0/8 -p tcp -m tcp --dport 20056:20063 -c 9 540 -j ACCEPT
-A slot0007 -o lo -c 1 60 -g refuse
-A slot0007 -d 203.0.113.0/24 -c 2 120 -g refuse
-A slot0007 -d 10.0.0.0/8 -p tcp -m tcp --dport 80:90 -c 3 180 -g refuse
-A slot0007 -c 100 6000 -j egress
-A slot0007 -d 169.254.0.0/16 -c 4 240 -g refuse
-A slot0007 -d 10.0.5.7/32 -p tcp -m tcp --dport 5432 -c 5 300 -g allowed
-A slot0007 -p udp -m udp --dport 123 -c 6 360 -g allowed
-A slot0007 -c 10 600 -g refuse
";

    fn rule(action: Action, to: &str) -> Rule {
        Rule::new(action, to.parse().unwrap()).unwrap()
    }

    #[test]
    fn each_rule_finds_its_counters() {
        let v6 = "-A slot0007 -c 7 420 -j egress\n-A slot0007 -d 2600::/16 -p tcp -m tcp --dport 22 -c 1 80 -g allowed\n";
        let counters = Counters::parse(PRINTED, v6);
        for (rule, packets) in [
            (rule(Action::Deny, "203.0.113.0/24"), 2),
            (rule(Action::Deny, "10.0.0.0/8:80-90"), 3),
            (rule(Action::Allow, "10.0.5.7:5432"), 5),
            (rule(Action::Allow, "0.0.0.0/0:123/udp"), 6),
            (rule(Action::Allow, "[2600::/16]:22"), 1),
            (rule(Action::Allow, "10.0.5.8:5432"), 0),
        ] {
            assert_eq!(counters.of(&rule).packets, packets, "{rule}");
        }
        assert_eq!(counters.refused_by_default(), Traffic { packets: 15, bytes: 900 });
        assert_eq!(counters.accepted_by_default(), Traffic { packets: 81, bytes: 4840 });
    }

    #[test]
    fn what_is_not_understood_counts_for_nothing() {
        let text = "iptables: no such chain\n-A slot0007 -c x y -g refuse\n-A slot0007 --dport -g\n-A\n";
        assert_eq!(Counters::parse(text, ""), Counters::default());
    }
}
