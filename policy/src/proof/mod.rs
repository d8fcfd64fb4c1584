//! The static proof: over all rules of a policy as it is compiled, and for all pairs of slots, nothing leads from one
//! slot's types to another's except through what `policy/intermediaries.toml` names with an argument.
//!
//! What is followed:
//!
//! - every `allow` whatsoever that has one slot's type as its source and another's as its target;
//! - every rule that gives a label (`typetransition`, `typechange`, `typemember`) and joins types of two slots;
//! - information along any number of steps: `flow.rs` says for every permission of every class whether the one who
//!   acts learns from the object or changes it. Files, pipes, devices, sockets, packets, keys, shared memory, descriptors,
//!   signals and the start of processes are all followed in this way; ports in that who connects and who is bound
//!   exchange, and processes in that their files in /proc show them.
//!
//! What cannot be in a policy that passes: domains that are permissive, and statements that the reader does not know
//! (conditional and nested ones, ranges, role transitions). Constraints and bounds only take rights away and are not counted.
//!
//! What is not followed: what passes without a rule of the policy, such as load, room on a disk, and time.

mod flow;
mod graph;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use kennel_model::SlotId;
use serde::Deserialize;

use crate::rules::{Labelling, Rules, slot_digits};
use crate::{RenderError, Rendered};
use graph::{Graph, Place, Reach, apart};

const INTERMEDIARIES: &str = include_str!("../../intermediaries.toml");

/// Objects that several slots can reach, and the reason why nothing passes from slot to slot there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intermediary {
    /// Their type.
    #[serde(rename = "type")]
    pub of_type: String,
    /// Their class; `process` for a domain itself.
    pub class: String,
    /// The argument.
    pub why: String,
}

/// What was proved, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Slots in the pool: all pairs of them are apart.
    pub slots: u16,
    /// Allow rules that were looked at.
    pub rules: usize,
    /// Ways that information can take outside of a single slot.
    pub ways: usize,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NotProved {
    /// The policy cannot be read.
    #[error(transparent)]
    Unread(#[from] RenderError),
    /// The list of intermediaries cannot be read.
    #[error("intermediaries.toml: {0}")]
    List(#[from] Box<toml::de::Error>),
    /// It names what the policy lacks.
    #[error("intermediaries.toml: the policy has no type {0}")]
    Unknown(String),
    /// A domain may do anything.
    #[error("the domain {0} is permissive")]
    Permissive(String),
    /// Something leads from one slot to another.
    #[error("slots are not apart:\n{}", .0.join("\n"))]
    Leaks(Vec<String>),
}

/// The intermediaries that are argued for.
///
/// # Errors
/// When the file cannot be read; a test sees to it that it can.
pub fn intermediaries() -> Result<Vec<Intermediary>, Box<toml::de::Error>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        intermediary: Vec<Intermediary>,
    }
    Ok(toml::from_str::<File>(INTERMEDIARIES)?.intermediary)
}

/// Proves that slots are apart. `open` says which slots an image leaves open on purpose: a proof image some, any other none.
///
/// # Errors
/// [`NotProved`], with the first few rules that are the cause.
pub fn prove(rendered: &Rendered, open: impl Fn(SlotId) -> bool) -> Result<Proof, NotProved> {
    let rules = Rules::read(rendered)?;
    let known = intermediaries()?;
    if let Some(strange) = known.iter().find(|known| rules.place(&known.of_type).is_none()) {
        return Err(NotProved::Unknown(strange.of_type.clone()));
    }
    let slot = |domain: &str| SlotId::new(slot_digits(domain)?.parse().ok()?).ok();
    let is_open = |domain: &&&str| slot(domain).is_some_and(&open);
    if let Some(domain) = rules.permissive.iter().find(|domain| !is_open(domain)) {
        return Err(NotProved::Permissive((*domain).to_owned()));
    }
    let graph = Graph::of(&rules, cut(&known));
    let leaks = [direct(&rules), graph.leaks()].concat();
    if leaks.is_empty() {
        Ok(Proof { slots: rendered.slots, rules: rules.allows.len(), ways: graph.ways() })
    } else {
        Err(NotProved::Leaks(leaks))
    }
}

fn cut(known: &[Intermediary]) -> HashSet<Place<'_>> {
    known.iter().map(|known| (known.of_type.as_str(), known.class.as_str())).collect()
}

/// Rules that join two slots by themselves, whatever they allow.
pub(crate) fn direct(rules: &Rules<'_>) -> Vec<String> {
    let allows = rules.allows.iter().filter(|allow| {
        allow.target != "self" && slots(rules, allow.source).differs(slots(rules, allow.target))
    });
    let allows =
        allows.map(|allow| format!("(allow {} {} …): {:?}", allow.source, allow.target, allow.permissions));
    let labellings = rules.labellings.iter().filter(|labelling| {
        let Labelling { source, target, result, .. } = labelling;
        let [source, target, result] = [source, target, result].map(|name| slots(rules, name));
        source.differs(target) || source.differs(result) || target.differs(result)
    });
    let labellings = labellings.map(|labelling| {
        let Labelling { statement, source, target, class, result } = labelling;
        format!("({statement} {source} {target} {class} {result})")
    });
    allows.chain(labellings).collect()
}

/// The slots that a name stands for. Most names are a slot's own type.
fn slots<'a>(rules: &Rules<'a>, name: &'a str) -> Reach<'a> {
    match slot_digits(name) {
        Some(digits) if rules.place(name).is_some() => Reach::One(digits),
        _ => apart(rules, name).0,
    }
}
