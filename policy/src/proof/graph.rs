//! Who can learn from whom: ways between the domains and the objects that belong to no slot, and which slots' information
//! gets along them.
//!
//! A slot's own types need no places in the graph. What matters of them is where they stand at the beginning of a way (then
//! their slot's information enters it) and where at the end (then nobody else's may arrive). That makes the graph small
//! for any number of slots, and the answer exact for every pair of them: a place remembers whether it was reached from
//! no slot, from one and which, or from several.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use super::flow::{self, Flow};
use crate::rules::{Allow, Rules, slot_digits};

/// From which slots something was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach<'a> {
    Nobody,
    /// The slot's digits.
    One(&'a str),
    Several,
}

impl Reach<'_> {
    pub(super) fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, reach) | (reach, Self::Nobody) => reach,
            (a, b) if a == b => a,
            _ => Self::Several,
        }
    }

    /// Whether some slot of the one is another than some slot of the other.
    pub(super) fn differs(self, other: Self) -> bool {
        !matches!((self, other), (Self::Nobody, _) | (_, Self::Nobody))
            && (self != other || self == Self::Several)
    }
}

/// Objects of a type and class that belong to no slot; `process` for the domain itself.
pub(super) type Place<'a> = (&'a str, &'a str);

/// One end of a way.
struct End<'a> {
    slots: Reach<'a>,
    places: Vec<usize>,
}

/// Information flows from any of the one end to any of the other.
struct Way<'a> {
    from: End<'a>,
    to: End<'a>,
    /// Why: the rule, in short.
    rule: Rule<'a>,
}

#[derive(Clone)]
struct Rule<'a> {
    source: &'a str,
    target: &'a str,
    class: &'a str,
    write: bool,
}

pub(super) struct Graph<'a> {
    rules: &'a Rules<'a>,
    ways: Vec<Way<'a>>,
    places: HashMap<Place<'a>, usize>,
    /// Through these nothing is followed.
    cut: HashSet<Place<'a>>,
    /// Names that many rules share, taken apart once.
    apart: HashMap<&'a str, (Reach<'a>, Vec<&'a str>)>,
}

/// The two directions of a port: what comes to who is bound to it, and what he answers.
const PORT_IN: &str = "port, inward";
const PORT_OUT: &str = "port, outward";

impl<'a> Graph<'a> {
    /// All ways that the rules make, but for those through the named places.
    pub(super) fn of(rules: &'a Rules<'a>, cut: HashSet<Place<'a>>) -> Self {
        let mut graph = Self { rules, ways: Vec::new(), places: HashMap::new(), cut, apart: HashMap::new() };
        for allow in &rules.allows {
            graph.take(allow);
        }
        graph.show_processes();
        graph
    }

    pub(super) fn ways(&self) -> usize {
        self.ways.len()
    }

    fn take(&mut self, allow: &'a Allow<'a>) {
        // What a slot does to itself leads nowhere else.
        let own = |name| slot_digits(name).filter(|_| self.rules.place(name).is_some());
        if own(allow.source).is_some_and(|slot| allow.target == "self" || own(allow.target) == Some(slot)) {
            return;
        }
        for (class, permissions) in allow.permissions.iter() {
            let mut flow = Flow::NONE;
            for permission in permissions {
                flow = flow.or(match *permission {
                    "name_connect" => self.port(allow, class, PORT_IN, PORT_OUT),
                    "name_bind" => self.port(allow, class, PORT_OUT, PORT_IN),
                    "ioctl" => self.ioctl(allow, class),
                    permission => flow::of(class, permission),
                });
            }
            self.act(allow, class, class, flow);
        }
    }

    /// Who connects writes to who is bound to the port and reads his answers; two that connect do not meet.
    fn port(&mut self, allow: &'a Allow<'a>, class: &'a str, to: &'a str, from: &'a str) -> Flow {
        self.act(allow, class, to, Flow::WRITE);
        self.act(allow, class, from, Flow::READ);
        Flow::NONE
    }

    /// An ioctl does anything, unless there are rules that narrow it for all whom this rule is about.
    fn ioctl(&self, allow: &Allow<'a>, class: &str) -> Flow {
        let narrowing = self.rules.ioctls.iter().filter(|narrowed| {
            let target = if allow.target == "self" { allow.source } else { allow.target };
            narrowed.class == class
                && self.rules.set(allow.source).is_within(&self.rules.set(narrowed.source))
                && self.rules.set(target).is_within(&self.rules.set(narrowed.target))
        });
        let commands: Vec<&str> = narrowing.flat_map(|narrowed| narrowed.commands.iter().copied()).collect();
        // TCGETS, TIOCOUTQ, TIOCGWINSZ and FIONREAD only ask.
        let asks = |command: &&str| ["0x5401", "0x5411", "0x5413", "0x541b"].contains(command);
        if !commands.is_empty() && commands.iter().all(asks) { Flow::READ } else { Flow::BOTH }
    }

    fn act(&mut self, allow: &'a Allow<'a>, class: &'a str, object: &'a str, flow: Flow) {
        let object = if object == "process2" { "process" } else { object };
        for write in [false, true] {
            if !(if write { flow.write } else { flow.read }) {
                continue;
            }
            let rule = Rule { source: allow.source, target: allow.target, class, write };
            if allow.target == "self" {
                for name in self.apart(allow.source).1 {
                    self.way(&rule, name, name, object);
                }
            } else {
                self.way(&rule, allow.source, allow.target, object);
            }
        }
    }

    fn way(&mut self, rule: &Rule<'a>, subject: &'a str, object: &'a str, class: &'a str) {
        let subject = self.end(subject, "process");
        let object = self.end(object, class);
        let (from, to) = if rule.write { (subject, object) } else { (object, subject) };
        self.ways.push(Way { from, to, rule: rule.clone() });
    }

    /// What a domain of the host is doing can be seen and changed through its files in /proc.
    fn show_processes(&mut self) {
        for domain in self.apart("domain").1 {
            for class in ["file", "dir", "lnk_file"] {
                for write in [false, true] {
                    self.way(&Rule { source: domain, target: "self", class, write }, domain, domain, class);
                }
            }
        }
    }

    fn end(&mut self, name: &'a str, class: &'a str) -> End<'a> {
        let (slots, common) = self.apart(name);
        let mut places = Vec::new();
        for name in common {
            if !self.cut.contains(&(name, class)) {
                let next = self.places.len();
                places.push(*self.places.entry((name, class)).or_insert(next));
            }
        }
        End { slots, places }
    }

    /// Which slots a name stands for, and which types that are no slot's.
    fn apart(&mut self, name: &'a str) -> (Reach<'a>, Vec<&'a str>) {
        let rules = self.rules;
        self.apart.entry(name).or_insert_with(|| apart(rules, name)).clone()
    }
}

/// See [`Graph::apart`].
pub(super) fn apart<'a>(rules: &Rules<'a>, name: &'a str) -> (Reach<'a>, Vec<&'a str>) {
    let (mut slots, mut common) = (Reach::Nobody, Vec::new());
    for place in rules.set(name).places() {
        let name = rules.all_types()[place];
        match slot_digits(name) {
            Some(digits) => slots = slots.join(Reach::One(digits)),
            None => common.push(name),
        }
    }
    (slots, common)
}

impl Graph<'_> {
    /// Every way at whose end a slot stands that another slot's information reaches, told from where it starts.
    pub(super) fn leaks(&self) -> Vec<String> {
        let reached = self.reached();
        let arrives = |way: &&Way<'_>| entering(way, &reached).differs(way.to.slots);
        // Many slots have the same rules: one of each kind of story is enough.
        let told: BTreeSet<String> =
            self.ways.iter().filter(arrives).map(|way| self.story(way)).take(MOST_LEAKS).collect();
        told.into_iter().collect()
    }

    /// Follows all ways until nothing new is reached.
    fn reached(&self) -> Vec<Reach<'_>> {
        let mut reached = vec![Reach::Nobody; self.places.len()];
        loop {
            let mut news = false;
            for way in &self.ways {
                let entering = entering(way, &reached);
                for &place in &way.to.places {
                    let joined = reached[place].join(entering);
                    news |= joined != reached[place];
                    reached[place] = joined;
                }
            }
            if !news {
                return reached;
            }
        }
    }

    /// The shortest chain of ways that ends with this one and begins with another slot.
    fn story(&self, last: &Way<'_>) -> String {
        let begins = |way: &Way<'_>| way.from.slots.differs(last.to.slots);
        let mut queue = VecDeque::from([vec![last]]);
        let mut seen = HashSet::new();
        while let Some(chain) = queue.pop_front() {
            let Some(first) = chain.last().filter(|first| !begins(first)) else {
                let told: Vec<String> = chain.iter().rev().map(|way| way.rule.told()).collect();
                return told.join("; ");
            };
            let before = self.ways.iter().enumerate().filter(|(index, way)| {
                way.to.places.iter().any(|place| first.from.places.contains(place)) && seen.insert(*index)
            });
            queue.extend(before.map(|(_, way)| [chain.as_slice(), &[way]].concat()));
        }
        last.rule.told()
    }
}

/// More than anybody reads.
const MOST_LEAKS: usize = 20;

/// What gets into a way.
fn entering<'a>(way: &Way<'a>, reached: &[Reach<'a>]) -> Reach<'a> {
    way.from.places.iter().fold(way.from.slots, |reach, &place| reach.join(reached[place]))
}

impl Rule<'_> {
    fn told(&self) -> String {
        let Self { source, target, class, write } = self;
        let verb = if *write { "can change or send to" } else { "can learn from" };
        format!("{source} {verb} {target} ({class})")
    }
}
