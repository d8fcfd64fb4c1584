//! Who may do what: judges what a request demands by policies, as far as this project's policies go, which only allow:
//! actions and resources with their wildcards, and conditions on tags. An operator that is not known here is a failure.

use super::OWNER;
use super::answer::Refusal;
use super::demand::{Context, Demand};
use super::request::Service;
use serde_json::Value;
use std::collections::BTreeSet;

/// What is allowed.
#[derive(Default)]
pub(crate) struct Iam {
    denied: BTreeSet<String>,
    /// Everything is allowed, if there is no policy.
    policies: Option<Vec<Value>>,
}

/// A text or a list of texts, as IAM writes most of its fields.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => many.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

fn statements(policy: &Value) -> Vec<Value> {
    match &policy["Statement"] {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    }
}

/// The actions, or patterns of them, that a policy allows.
pub(crate) fn allowed_by(policy: &str) -> BTreeSet<String> {
    let policy: Value = serde_json::from_str(policy).expect("a policy is a JSON document");
    assert_eq!(policy["Version"], "2012-10-17", "the version of the policy language");
    let statements = statements(&policy);
    for statement in &statements {
        assert_eq!(statement["Effect"], "Allow", "a policy of this project only allows");
        assert!(!texts(&statement["Resource"]).is_empty(), "a statement names its resources: {statement}");
    }
    statements.iter().flat_map(|statement| texts(&statement["Action"])).collect()
}

/// Whether a text fits a pattern with `*` and `?` in it.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) if fits(&pattern[1..], text) => true,
        (Some('*'), Some(first)) => fits(pattern, &text[first.len_utf8()..]),
        (Some('?'), Some(first)) => fits(&pattern[1..], &text[first.len_utf8()..]),
        (Some(one), Some(other)) if one == other => fits(&pattern[one.len_utf8()..], &text[other.len_utf8()..]),
        _ => false,
    }
}

/// Whether one condition holds.
fn holds(operator: &str, key: &str, wanted: &[String], context: &Context) -> bool {
    let values = context.get(key).map(Vec::as_slice).unwrap_or_default();
    let fits_one = |value: &String| wanted.iter().any(|pattern| fits(pattern, value));
    match operator {
        "Null" => wanted.iter().all(|absent| (absent == "true") == values.is_empty()),
        "StringEquals" | "Bool" => values.len() == 1 && wanted.contains(&values[0]),
        "StringLike" => values.len() == 1 && fits_one(&values[0]),
        // Holds for none at all, too.
        "ForAllValues:StringLike" | "ForAllValues:StringEquals" => values.iter().all(fits_one),
        other => panic!("the fake does not know IAM's operator {other}"),
    }
}

fn allows(statement: &Value, demand: &Demand) -> bool {
    let named = texts(&statement["Action"]).iter().any(|pattern| fits(pattern, &demand.action));
    let there = texts(&statement["Resource"]).iter().any(|pattern| fits(pattern, &demand.resource));
    let conditions = statement["Condition"].as_object().cloned().unwrap_or_default();
    let held = conditions.iter().all(|(operator, keys)| {
        let keys = keys.as_object().cloned().unwrap_or_default();
        keys.iter().all(|(key, wanted)| holds(operator, key, &texts(wanted), &demand.context))
    });
    named && there && held
}

impl Iam {
    /// Refuses an action from now on.
    pub(crate) fn deny(&mut self, action: &str) {
        self.denied.insert(action.to_owned());
    }

    /// Refuses it no longer.
    pub(crate) fn undeny(&mut self, action: &str) {
        self.denied.remove(action);
    }

    /// Refuses everything that none of these policies allows.
    pub(crate) fn enforce(&mut self, policies: &[String]) {
        let parse = |policy: &String| serde_json::from_str(policy).expect("a policy is a JSON document");
        self.policies = Some(policies.iter().map(parse).collect());
    }

    fn granted(&self, demand: &Demand) -> bool {
        let any =
            |all: &Vec<Value>| all.iter().flat_map(statements).any(|statement| allows(&statement, demand));
        !self.denied.contains(&demand.action) && self.policies.as_ref().is_none_or(any)
    }

    /// Refuses if some demand is not granted; which one is in the middle of a sentence.
    pub(crate) fn judge(&self, service: Service, demands: &[Demand]) -> Result<(), Refusal> {
        let Some(missing) = demands.iter().find(|demand| !self.granted(demand)) else { return Ok(()) };
        let who = format!(
            "User: arn:aws:iam::{OWNER}:user/publisher is not authorized to perform: {} on resource: {}",
            missing.action, missing.resource
        );
        Err(match service {
            Service::Ec2 => {
                let message = format!(
                    "You are not authorized to perform this operation. {who} because no policy allows it."
                );
                Refusal::new(
                    403,
                    "UnauthorizedOperation",
                    format!("{message} Encoded authorization failure message: x7"),
                )
            }
            Service::Ebs => Refusal {
                reason: Some("UNAUTHORIZED_ACCOUNT"),
                ..Refusal::new(403, "AccessDeniedException", who)
            },
            Service::Ssm | Service::Sts => Refusal::new(400, "AccessDeniedException", who),
        })
    }
}
