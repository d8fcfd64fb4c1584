//! Judges packets by rendered rules as the kernel would: first match, jumps and gotos, and nothing that it does not
//! know. Knows the part of iptables' language that the templates use; anything else is an error, so that a rule
//! cannot pass untested.

use std::collections::HashMap;
use std::net::IpAddr;

/// A packet, as far as the rules look at it.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) protocol: &'static str,
    /// Destination.
    pub(crate) to: IpAddr,
    /// Source.
    pub(crate) from: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) port: u16,
    /// User of the socket; none for what the kernel itself sends, and for what comes in.
    pub(crate) uid: Option<u32>,
    pub(crate) interface: &'static str,
    /// `NEW`, `ESTABLISHED`, …
    pub(crate) state: &'static str,
    pub(crate) icmp_type: u8,
    pub(crate) hop_limit: u8,
    pub(crate) reset: bool,
    /// The packet filter has marked it so; empty when it has not.
    pub(crate) mark: &'static str,
}

/// What becomes of it, and what that took.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) target: String,
    /// Rules looked at.
    pub(crate) rules: usize,
    /// Chains gone to, in their order.
    pub(crate) path: Vec<String>,
    /// The chain from which it went to the last of them.
    pub(crate) sent_by: String,
    /// A rule on its way has marked it so; empty when none has.
    pub(crate) mark: String,
    /// Rules on its way that said so in the log.
    pub(crate) logged: usize,
    /// The last label that a rule on its way gave it, without user and role.
    pub(crate) label: Option<String>,
}

#[derive(Debug)]
struct Rule {
    tests: Vec<Test>,
    target: String,
    /// Of `SECMARK`.
    label: Option<String>,
    /// Of `MARK`.
    mark: String,
    goto: bool,
    /// It holds for so many connections only.
    bounded: bool,
}

#[derive(Debug)]
struct Test {
    option: String,
    value: String,
}

pub(crate) struct Table {
    policies: HashMap<String, String>,
    chains: HashMap<String, Vec<Rule>>,
    name: &'static str,
}

impl Table {
    /// Reads the table of packets that pass or do not.
    pub(crate) fn parse(text: &str) -> Self {
        Self::named("*filter", text)
    }

    /// Reads the table of packets' labels.
    pub(crate) fn labels(text: &str) -> Self {
        Self::named("*security", text)
    }

    fn named(name: &'static str, text: &str) -> Self {
        let mut table = Self { policies: HashMap::new(), chains: HashMap::new(), name };
        let declared = table.read(text);
        assert_eq!(declared, table.chains.len(), "a chain is declared twice");
        table
    }

    /// Takes an update as `--noflush` does: a chain that is declared is emptied, others stay as they are.
    pub(crate) fn update(&mut self, text: &str) {
        let before = self.chains.len();
        self.read(text);
        assert_eq!(self.chains.len(), before, "an update makes no chains");
    }

    /// Reads the table up to its `COMMIT`; answers how many chains were declared.
    fn read(&mut self, text: &str) -> usize {
        let mut declared = 0;
        let lines = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
        for line in lines.skip_while(|l| *l != self.name).skip(1).take_while(|l| *l != "COMMIT") {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [chain, policy, "[0:0]"] if chain.starts_with(':') => {
                    assert!(chain.len() <= 29, "{line}: iptables takes 28 characters");
                    self.chains.insert(chain[1..].to_owned(), Vec::new());
                    self.policies.insert(chain[1..].to_owned(), policy.to_owned());
                    declared += 1;
                }
                ["-A", chain, ref rest @ ..] => {
                    let rule = Rule::parse(rest).unwrap_or_else(|| panic!("not understood: {line}"));
                    self.chains.get_mut(chain).unwrap_or_else(|| panic!("no chain: {line}")).push(rule);
                }
                _ => panic!("not understood: {line}"),
            }
        }
        declared
    }

    /// As it is for a packet that is beyond every bound of how many: rules with `connlimit` hold for it no more.
    pub(crate) fn without_bounded(mut self) -> Self {
        self.chains.values_mut().for_each(|rules| rules.retain(|rule| !rule.bounded));
        self
    }

    pub(crate) fn chain_names(&self) -> impl Iterator<Item = &str> {
        self.chains.keys().map(String::as_str)
    }

    /// Every chain that some rule leads to.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &str> {
        self.chains.values().flatten().map(|rule| rule.target.as_str())
    }

    /// The verdict on a packet that enters at this built-in chain.
    pub(crate) fn judge(&self, hook: &str, packet: &Packet) -> Verdict {
        let mut verdict = Verdict::default();
        let target = self.walk(hook, packet, &mut verdict);
        verdict.target = target.unwrap_or_else(|| self.policies[hook].clone());
        verdict
    }

    /// None when the chain ends without a verdict.
    fn walk(&self, chain: &str, packet: &Packet, so_far: &mut Verdict) -> Option<String> {
        for rule in &self.chains[chain] {
            so_far.rules += 1;
            if !rule.tests.iter().all(|test| test.holds(packet)) {
                continue;
            }
            match rule.target.as_str() {
                "RETURN" => return None,
                "MARK" => so_far.mark.clone_from(&rule.mark),
                "SECMARK" => so_far.label.clone_from(&rule.label),
                "CONNSECMARK" => {}
                "LOG" => so_far.logged += 1,
                // It says something and comes back. That takes a refused packet some more rules, which nobody waits for.
                target @ "log" => {
                    let before = so_far.rules;
                    self.walk(target, packet, so_far);
                    so_far.rules = before;
                }
                target if self.chains.contains_key(target) => {
                    if !chain.starts_with("log") {
                        so_far.path.push(target.to_owned());
                        chain.clone_into(&mut so_far.sent_by);
                    }
                    let verdict = self.walk(target, packet, so_far);
                    if verdict.is_some() || rule.goto {
                        return verdict;
                    }
                }
                target => return Some(target.to_owned()),
            }
        }
        None
    }
}

impl Rule {
    fn parse(words: &[&str]) -> Option<Self> {
        // How a line of the log is written decides nothing.
        let log = words.iter().position(|word| *word == "LOG");
        let words = log.map_or(words, |place| &words[..=place]);
        let words = words.strip_suffix(&["--restore"]).or(words.strip_suffix(&["--save"])).unwrap_or(words);
        let (mut tests, mut target, mut goto, mut label) = (Vec::new(), None, false, None);
        let mut mark = String::new();
        for pair in words.chunks(2) {
            let [option, value] = pair else { return Self::flags(words) };
            match *option {
                "-m" | "--reject-with" => {}
                "--set-mark" => (*value).clone_into(&mut mark),
                // Bounds of how many, which one packet alone does not reach.
                "--limit" | "--limit-burst" | "--connlimit-upto" | "--connlimit-mask" => {}
                "-j" => target = Some((*value).to_owned()),
                "-g" => (target, goto) = (Some((*value).to_owned()), true),
                "--selctx" => label = value.strip_prefix("system_u:object_r:").map(str::to_owned),
                "--tcp-flags" => return Self::flags(words),
                _ => tests.push(Test { option: (*option).to_owned(), value: (*value).to_owned() }),
            }
        }
        let bounded = words.contains(&"connlimit");
        Some(Self { tests, target: target?, label, mark, goto, bounded })
    }

    /// The one option that takes two values.
    fn flags(words: &[&str]) -> Option<Self> {
        let place = words.windows(3).position(|w| w == ["--tcp-flags", "RST", "RST"])?;
        let rest = [&words[..place], &words[place + 3..]].concat();
        let mut rule = Self::parse(&rest)?;
        rule.tests.push(Test { option: "--tcp-flags".to_owned(), value: "RST".to_owned() });
        Some(rule)
    }
}

impl Test {
    fn holds(&self, packet: &Packet) -> bool {
        let value = self.value.as_str();
        match self.option.as_str() {
            "-i" | "-o" => packet.interface == value,
            "-p" => packet.protocol == value,
            "-d" => within(packet.to, value),
            "-s" => within(packet.from, value),
            "--uid-owner" => packet.uid.is_some_and(|uid| in_range(uid, value, '-')),
            "--ctstate" => value.split(',').any(|state| state == packet.state),
            "--dport" => in_range(packet.port.into(), value, ':'),
            "--sport" => in_range(packet.source_port.into(), value, ':'),
            "--dports" => value.split(',').any(|port| port == packet.port.to_string()),
            "--icmp-type" | "--icmpv6-type" => value == packet.icmp_type.to_string(),
            "--hl-eq" => value == packet.hop_limit.to_string(),
            "--tcp-flags" => packet.reset,
            "--mark" => packet.mark == value,
            other => panic!("the interpreter does not know {other}"),
        }
    }
}

fn in_range(number: u32, range: &str, separator: char) -> bool {
    let (first, last) = range.split_once(separator).unwrap_or((range, range));
    (first.parse().unwrap()..=last.parse().unwrap()).contains(&number)
}

fn within(address: IpAddr, network: &str) -> bool {
    let (base, bits) = network.split_once('/').unwrap();
    let bits: u32 = bits.parse().unwrap();
    match (address, base.parse().unwrap()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => bits == 0 || (a.to_bits() ^ b.to_bits()) >> (32 - bits) == 0,
        (IpAddr::V6(a), IpAddr::V6(b)) => bits == 0 || (a.to_bits() ^ b.to_bits()) >> (128 - bits) == 0,
        _ => panic!("{address} among rules for the other family: {network}"),
    }
}
